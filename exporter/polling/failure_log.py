"""The log of one server: failures, doubts, pauses and its clock, when they begin, change and end.

A server that dies takes thousands of targets with it. The first few are logged one by one, then
one line says that there are more. A poll that fails like the one before it is not logged, but what
still fails is repeated every hour in one line, so that the log of the last hour always names the
cause. Targets that flap are bounded by rate: further lines are logged at the debug level.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from exporter import log_messages
from exporter.clock import Moment
from exporter.durations import format_duration
from exporter.errors import PollResult
from exporter.log_messages import LogMessage, Value
from exporter.rest import Doubt
from exporter.server import CLOCKS_DIFFER
from exporter.store import Failure, TargetState

SHOWN: Final = 5
"""Targets of one server that are logged one by one, for each cause."""
REPEATED_AFTER: Final = 3600.0
"""Seconds after which what still fails is logged again."""
_BURST: Final = 30
"""Lines of one server that may come at once; then one more every `_REFILL` seconds."""
_REFILL: Final = 60.0


class FailureLog:
    """Logs what changes with one server's targets."""

    def __init__(self, cms: str) -> None:
        self._cms = cms
        self._failing = Counter[tuple[str, str]]()
        """Targets by `Failure.cause`. A cause that no target has is left out: a server may give
        another one with each reply."""
        self._doubtful = Counter[Doubt]()
        self._repeat_at = 0.0
        self._paused_until = 0.0
        self._clock_is_off = False
        self._lines = float(_BURST)
        self._filled_at = 0.0

    def recount(self, states: Iterable[TargetState]) -> None:
        """Count the failures and doubts of these states: removed targets no longer count."""
        self._failing.clear()
        self._doubtful.clear()
        for state in states:
            if state.failure is not None:
                self._failing[state.failure.cause] += 1
            self._doubtful.update(_doubts(state))

    def note(self, before: TargetState, after: TargetState, result: PollResult) -> None:
        """Log what a poll has changed, if anything."""
        now, skew = result.ended, result.clock_skew
        if skew is not None and (abs(skew) > CLOCKS_DIFFER) is not self._clock_is_off:
            self._note_clock(skew, now)
        if result.error is not None and result.error.retry_after:
            self._note_pause(result.error.retry_after, result.error.message, now)
        if before.failure is not None or after.failure is not None:
            self._note_failure(after, before.failure, after.failure, now)
        if after.failure is None and (_doubts(before) or _doubts(after)):
            self._note_doubts(after, _doubts(before), _doubts(after), now)

    def _note_failure(
        self, state: TargetState, old: Failure | None, new: Failure | None, now: Moment
    ) -> None:
        if new is None:
            if old is not None:
                few = self._ends(old) < SHOWN
                facts = {"failed_for": format_duration(max(0, round(now.wall - old.since)))}
                self._say(log_messages.SUCCEED_AGAIN, state, now, facts, few=few)
            return
        if old is None or old.cause != new.cause:
            self._begins(state, new, now)
            if old is not None:
                self._ends(old)
        self._repeat(now)

    def _begins(self, state: TargetState, failure: Failure, now: Moment) -> None:
        if not self._failing:
            self._repeat_at = now.boot + REPEATED_AFTER
        self._failing[failure.cause] += 1
        count = self._failing[failure.cause]
        facts = {"reason": failure.reason.value, "error": failure.message}
        self._say(log_messages.POLL_FAILED, state, now, facts, few=count <= SHOWN)
        if count == SHOWN + 1:
            self._say(log_messages.MORE_FAIL, None, now, {"reason": failure.reason.value})

    def _ends(self, failure: Failure) -> int:
        """One target less fails for this cause. Gives how many still do."""
        self._failing[failure.cause] -= 1
        left = self._failing[failure.cause]
        if not left:
            del self._failing[failure.cause]
        return left

    def _repeat(self, now: Moment) -> None:
        """Say again what still fails, once an hour and in one line."""
        if now.boot < self._repeat_at:
            return
        self._repeat_at = now.boot + REPEATED_AFTER
        (reason, message), _ = self._failing.most_common(1)[0]
        counts = Counter[str]()
        for (each, _), count in self._failing.items():
            counts[each] += count
        failing = ", ".join(f"{count} {each}" for each, count in counts.most_common())
        fields = {"cms": self._cms, "failing": failing, "reason": reason, "error": message}
        log_messages.STILL_FAIL.log(fields)

    def _note_doubts(
        self,
        state: TargetState,
        before: tuple[Doubt, ...],
        after: tuple[Doubt, ...],
        now: Moment,
    ) -> None:
        for doubt in after:  # the one that says most comes first
            if doubt in before:
                continue
            self._doubtful[doubt] += 1
            few = self._doubtful[doubt] <= SHOWN
            facts = {"doubt": doubt.value, "meaning": doubt.sentence}
            self._say(log_messages.DOUBTFUL, state, now, facts, few=few)
        for doubt in before:
            if doubt in after:
                continue
            self._doubtful[doubt] -= 1
            few = self._doubtful[doubt] < SHOWN
            self._say(log_messages.NOT_DOUBTFUL, state, now, {"doubt": doubt.value}, few=few)

    def _note_pause(self, seconds: float, cause: str, now: Moment) -> None:
        if now.boot >= self._paused_until:
            facts = {"pause": format_duration(seconds), "error": cause}
            self._say(log_messages.PAUSE, None, now, facts)
        self._paused_until = max(self._paused_until, now.boot + seconds)

    def _note_clock(self, skew: float, now: Moment) -> None:
        self._clock_is_off = abs(skew) > CLOCKS_DIFFER
        message = log_messages.CLOCK_OFF if self._clock_is_off else log_messages.CLOCK_RIGHT
        self._say(message, None, now, {"clock_skew_seconds": round(skew, 1)})

    def _say(
        self,
        message: LogMessage,
        state: TargetState | None,
        now: Moment,
        facts: Mapping[str, Value],
        *,
        few: bool = True,
    ) -> None:
        """Log a line, at the debug level unless it is one of the first few and not too soon."""
        self._lines = min(_BURST, self._lines + (now.boot - self._filled_at) / _REFILL)
        self._filled_at = now.boot
        shown = few and self._lines >= 1
        if shown:
            self._lines -= 1
        target: dict[str, Value] = {}
        if state is not None:
            target = {"cc_id": state.target.key.cc_id, "vdn": state.target.key.vdn}
        fields = {"cms": self._cms, **target, **facts}
        message.log(fields, level=None if shown else logging.DEBUG)


def _doubts(state: TargetState) -> tuple[Doubt, ...]:
    return () if state.snapshot is None else state.snapshot.doubts
