"""Every message that the exporter logs: its level, its fields, what causes it and what to do.

docs/reference/logs.md is made from this table, in its order, so no message is logged in any other
way.
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
    """That it may carry, in their order."""

    def log(self, fields: Mapping[str, Value] | None = None, *, level: int | None = None) -> None:
        """Log it, at its own level unless another one is given.

        Fields that the message does not have are left out.
        """
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
    "The configuration is loaded, the addresses are listened on, and the polls begin.",
    _NOTHING,
    ("version", "python", "config", "servers", "targets", "listen"),
)
ONE_SHARD: Final = LogMessage(
    logging.INFO,
    "polling one shard of the targets",
    "`--shard` is set: this process polls only its share, so many of all targets.",
    "Check that every shard has a process, and targets: docs/scaling.md.",
    ("shard", "targets", "of"),
)
STOPPED: Final = LogMessage(
    logging.INFO,
    "stopped",
    "A signal asked the exporter to end, and all polls have ended.",
    _NOTHING,
)
RELOADED: Final = LogMessage(
    logging.INFO,
    "the configuration was reloaded",
    "A file has changed, or SIGHUP or `/-/reload` asked for it.",
    "Compare `changes` with what you meant to change.",
    ("config", "changes"),
)
NOT_RELOADED: Final = LogMessage(
    logging.ERROR,
    "the configuration was not reloaded",
    "It has problems, one line for each; the previous configuration stays in force, all of it.",
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
    "It has problems; passwords and certificates stay as they were.",
    "Correct what `problems` names; a certificate that is kept may expire.",
    ("file", "problems"),
)
POLL_FAILED: Final = LogMessage(
    logging.WARNING,
    "poll failed",
    "A target's poll failed for a cause that its last one did not have. Polls that fail alike are "
    "not logged again.",
    "Follow `error`, which names the remedy; docs/failures.md explains each. The target's page "
    "shows its last failures, and *Poll now* the step that fails.",
    (*_TARGET, "reason", "error"),
)
MORE_FAIL: Final = LogMessage(
    logging.WARNING,
    "more targets fail like this; the others are logged at the debug level",
    "More than five targets of a server fail for one cause.",
    "Follow the lines `poll failed` before it; the status page counts all of them.",
    ("cms", "reason"),
)
STILL_FAIL: Final = LogMessage(
    logging.WARNING,
    "polls still fail",
    "An hour has passed: `failing` counts the targets by reason, `error` is the most frequent one.",
    "Follow `error`.",
    ("cms", "failing", "reason", "error"),
)
SUCCEED_AGAIN: Final = LogMessage(
    logging.INFO,
    "polls succeed again",
    "A target's poll succeeded after others that failed.",
    _NOTHING,
    (*_TARGET, "failed_for"),
)
DOUBTFUL: Final = LogMessage(
    logging.WARNING,
    "the numbers are doubtful",
    "A reply proves less than its numbers seem to say.",
    "Follow `meaning`; docs/semantics.md explains each doubt.",
    (*_TARGET, "doubt", "meaning"),
)
NOT_DOUBTFUL: Final = LogMessage(
    logging.INFO,
    "the numbers are no longer doubtful",
    "A reply does not have this doubt any more.",
    _NOTHING,
    (*_TARGET, "doubt"),
)
PAUSE: Final = LogMessage(
    logging.WARNING,
    "the server asked for a pause",
    "It replied 429 or 503 with `Retry-After`: none of its targets is polled for so long, a "
    "quarter of an hour at most.",
    "Set `max_requests_per_second`, or lengthen `interval`.",
    ("cms", "pause", "error"),
)
SURPLUS_REPLY: Final = LogMessage(
    logging.WARNING,
    "the server sent a reply that nobody asked for: each request uses a new connection for the "
    "next hour",
    "A reply came while none was due, so that replies could be taken for another target's. Numbers "
    "that may be wrong are removed.",
    "Look for a gateway or load balancer that repeats or delays replies.",
    ("cms",),
)
CONNECTIONS_KEPT: Final = LogMessage(
    logging.INFO,
    "connections are kept again",
    "An hour without such a reply has passed.",
    _NOTHING,
    ("cms",),
)
CLOCK_OFF: Final = LogMessage(
    logging.WARNING,
    "the server's clock and this host's clock differ",
    "By more than 60 seconds: `clock_skew_seconds` is positive if the server is ahead. It is "
    "logged with the first reply, and whenever it begins.",
    "Synchronize both with NTP: signatures are refused if clocks differ too much.",
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
    "A defect in the exporter, which replied 500. At most one a minute is logged.",
    "Report it, with `exception`, which has the type and the place.",
    ("exception",),
)
LIBRARY_PROBLEM: Final = LogMessage(
    logging.WARNING,
    "a library reported a problem",
    "A library, or Python itself, met something that it did not expect. Its own words are left "
    "out: they may quote a request or a reply. One a minute at most is logged for each library.",
    "If polls and scrapes succeed, nothing; else report it with `place` and `exception`.",
    ("library", "place", "exception"),
)
LINES_DROPPED: Final = LogMessage(
    logging.WARNING,
    "log lines were dropped",
    "Nobody read stderr for a while, or it could not be written: so many lines are missing.",
    "Look at what reads the log, and at the disk that it writes to.",
    ("dropped",),
)
