"""Every message that the exporter logs: its level, its fields, what causes it and what to do.

docs/reference/logs.md is generated from this table, in its order, so every message must be in it.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

Value = str | int | float
"""Numbers stay numbers in JSON."""

_log: Final = logging.getLogger("exporter")


@dataclass(frozen=True, slots=True)
class LogMessage:
    """One message. Its text never changes: log queries look for it."""

    level: int
    text: str
    cause: str
    """Why it is logged, in one sentence or two."""
    remedy: str
    """What to do, or that there is nothing to do."""
    fields: tuple[str, ...] = ()
    """The fields that it may have, in their order."""

    def log(self, fields: Mapping[str, Value] | None = None, *, level: int | None = None) -> None:
        """Log it at `level`, by default its own. Fields that it does not declare are left out."""
        level = level or self.level
        if _log.isEnabledFor(level):
            given = fields or {}
            shown = {name: given[name] for name in self.fields if name in given}
            _log.log(level, self.text, extra={"fields": shown})


_TARGET: Final = ("cms", "cc_id", "vdn")
_NOTHING: Final = "Nothing to do."

STARTED: Final = LogMessage(
    logging.INFO,
    "agent-rest-exporter has started",
    "The configuration is loaded, the addresses are open, and the first polls start.",
    _NOTHING,
    ("version", "python", "config", "servers", "targets", "listen"),
)
ONE_SHARD: Final = LogMessage(
    logging.INFO,
    "polling one shard of the targets",
    "`--shard` is set: this process polls `targets` of all targets (`of`).",
    "Check that a process runs for every shard, and that each has targets: docs/scaling.md.",
    ("shard", "targets", "of"),
)
STOPPED: Final = LogMessage(
    logging.INFO,
    "stopped",
    "The exporter received SIGTERM or SIGINT, and all polls have ended.",
    _NOTHING,
)
RELOADED: Final = LogMessage(
    logging.INFO,
    "the configuration was reloaded",
    "A file has changed, or the exporter received SIGHUP or a request to `/-/reload`.",
    "Compare `changes` with what you meant to change.",
    ("config", "changes"),
)
NOT_RELOADED: Final = LogMessage(
    logging.ERROR,
    "the configuration was not reloaded",
    "The configuration is invalid; there is a line for each of the first 50 problems. The previous "
    "configuration stays in use.",
    "Correct what `error` names. `agent-rest-exporter check` shows all problems without a reload.",
    ("error",),
)
WEB_CONFIG_RELOADED: Final = LogMessage(
    logging.INFO,
    "the web configuration was reloaded",
    "The file of `--web.config.file`, or a certificate that it names, has changed.",
    _NOTHING,
    ("file",),
)
WEB_CONFIG_NOT_RELOADED: Final = LogMessage(
    logging.ERROR,
    "the web configuration was not reloaded: keeping the previous one",
    "The web configuration is invalid. The previous passwords and certificates stay in use.",
    "Correct what `problems` names, before a certificate that is in use expires.",
    ("file", "problems"),
)
POLL_FAILED: Final = LogMessage(
    logging.WARNING,
    "poll failed",
    "A poll of the target failed, and the cause differs from that of the last poll. The same "
    "failure is not logged again.",
    "Follow `error`, which names the remedy; docs/failures.md lists all of them. The target's page "
    "shows its last failures, and *Poll now* shows the step that fails.",
    (*_TARGET, "reason", "error"),
)
MORE_FAIL: Final = LogMessage(
    logging.WARNING,
    "more targets fail like this; the others are logged at the debug level",
    "More than five targets of a server fail with the same cause.",
    "Follow `error` of the lines `poll failed` before this one. The status page shows how many "
    "targets fail.",
    ("cms", "reason"),
)
STILL_FAIL: Final = LogMessage(
    logging.WARNING,
    "polls still fail",
    "Targets still fail; logged once an hour. `failing` counts them by reason, `error` is the most "
    "frequent cause.",
    "Follow `error`.",
    ("cms", "failing", "reason", "error"),
)
SUCCEED_AGAIN: Final = LogMessage(
    logging.INFO,
    "polls succeed again",
    "A poll of the target succeeded after failed polls.",
    _NOTHING,
    (*_TARGET, "failed_for"),
)
DOUBTFUL: Final = LogMessage(
    logging.WARNING,
    "the numbers are doubtful",
    "A reply is incomplete or implausible, or contradicts the configuration.",
    "Follow `meaning`, which names the remedy; docs/semantics.md explains each doubt.",
    (*_TARGET, "doubt", "meaning"),
)
NOT_DOUBTFUL: Final = LogMessage(
    logging.INFO,
    "the numbers are no longer doubtful",
    "The last reply did not have this problem.",
    _NOTHING,
    (*_TARGET, "doubt"),
)
PAUSE: Final = LogMessage(
    logging.WARNING,
    "the server asked for a pause",
    "It replied 429 or 503 with `Retry-After`. Its targets are not polled for that time, at most "
    "15 minutes.",
    "Set or lower `max_requests_per_second`, or raise `interval`.",
    ("cms", "pause", "error"),
)
SURPLUS_REPLY: Final = LogMessage(
    logging.WARNING,
    "the server sent an unexpected reply: each request uses a new connection for the next hour",
    "A reply arrived while no request was in progress, so a later reply could be taken for another "
    "target's. Numbers that may be wrong are removed.",
    "Look for a gateway or load balancer that repeats or delays replies.",
    ("cms",),
)
CONNECTIONS_KEPT: Final = LogMessage(
    logging.INFO,
    "connections are kept again",
    "There was no unexpected reply for an hour.",
    _NOTHING,
    ("cms",),
)
CLOCK_OFF: Final = LogMessage(
    logging.WARNING,
    "the server's clock and this host's clock differ",
    "They differ by more than 60 seconds. `clock_skew_seconds` is positive if the server's clock "
    "is ahead.",
    "Synchronize both with NTP: the server refuses signatures if the clocks differ too much.",
    ("cms", "clock_skew_seconds"),
)
CLOCK_RIGHT: Final = LogMessage(
    logging.INFO,
    "the server's clock and this host's clock agree again",
    "They differ by 60 seconds at most.",
    _NOTHING,
    ("cms", "clock_skew_seconds"),
)
REQUEST_FAILED: Final = LogMessage(
    logging.ERROR,
    "a request failed",
    "A bug in the exporter, which replied 500. Logged once a minute at most.",
    "Please report it, with `exception`, which has the type and the place.",
    ("exception",),
)
LIBRARY_PROBLEM: Final = LogMessage(
    logging.WARNING,
    "a library reported a problem",
    "A library, or Python itself, logged a problem. Its text is omitted, because it may quote a "
    "request or a reply. Logged once a minute at most for each library.",
    "Nothing if polls and scrapes succeed; otherwise report it with `place` and `exception`.",
    ("library", "place", "exception"),
)
LINES_DROPPED: Final = LogMessage(
    logging.WARNING,
    "log lines were dropped",
    "stderr was blocked or could not be written. `dropped` is the number of missing lines.",
    "Check the program that reads the log, and the disk that it writes to.",
    ("dropped",),
)
