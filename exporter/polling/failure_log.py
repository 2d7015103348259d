"""The log of failing targets: when a failure begins, changes and ends.

A server that dies takes thousands of targets with it. The first few are logged one by one, then
one line says that there are more, and the rest is logged at the debug level. A poll that fails like
the one before it is not logged: a day of a failing server is a handful of lines.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from typing import Final

from exporter.clock import Moment
from exporter.errors import Reason
from exporter.store import Failure, TargetState

SHOWN: Final = 5
"""Targets of one server that are logged one by one, for each reason."""

_log: Final = logging.getLogger(__name__)


class FailureLog:
    """Logs the failures of one server's targets."""

    def __init__(self) -> None:
        self._failing = Counter[Reason]()

    def recount(self, states: Iterable[TargetState]) -> None:
        """Count the failures of these states: removed targets no longer count."""
        self._failing = Counter(
            state.failure.reason for state in states if state.failure is not None
        )

    def note(self, before: TargetState, after: TargetState, now: Moment) -> None:
        """Log what a poll has changed, if anything."""
        old, new = before.failure, after.failure
        if old is not None and new is not None and old.reason is new.reason:
            return
        if old is not None:
            self._failing[old.reason] -= 1
        if new is not None:
            self._begins(after, new)
        elif old is not None:
            level = logging.INFO if self._failing[old.reason] < SHOWN else logging.DEBUG
            lasted = f"{now.wall - old.since:.0f}s"
            _log.log(level, "polls succeed again", extra=_facts(after, failed_for=lasted))

    def _begins(self, state: TargetState, failure: Failure) -> None:
        reason = failure.reason
        self._failing[reason] += 1
        count = self._failing[reason]
        level = logging.WARNING if count <= SHOWN else logging.DEBUG
        facts = _facts(state, reason=reason.value, error=failure.message)
        _log.log(level, "poll failed", extra=facts)
        if count == SHOWN + 1:
            fields = {"cms": state.target.key.cms, "reason": reason.value}
            message = "more targets fail like this; the others are logged at the debug level"
            _log.warning(message, extra={"fields": fields})


def _facts(state: TargetState, **more: str) -> dict[str, dict[str, str]]:
    """A target's labels for a log line, and what else there is to say."""
    cms, cc_id, vdn = state.target.key
    return {"fields": {"cms": cms, "cc_id": str(cc_id), "vdn": str(vdn), **more}}
