"""From a reply to numbers: which agents rest, which wait and why, who is overdue.

Pure: a function from (counters, rows, server time) to a snapshot, without I/O and without a clock.
It knows the meaning of the vendor's fields, not how they travel.

The vendor's page (*Querying Agent Rest Information*) leaves open which rows are resting and which
wait, and its own example carries a `cantRestReason` on a resting agent. Counting rows by reason is
therefore wrong; the rules below hold rows and counters against each other, and never invent a
number that neither of them proves. docs/semantics.md explains them for operators.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

import msgspec


class WaitReason(StrEnum):
    """Why agents wait: the vendor's `cantRestReason` 0 to 4 in order, and what no row explains."""

    AWAITING_APPROVAL = "awaiting_approval"
    BUSY = "busy"
    VDN_LIMIT = "vdn_limit"
    NO_SKILL_QUEUE = "no_skill_queue"
    SKILL_QUEUE_LIMIT = "skill_queue_limit"
    UNKNOWN = "unknown"


class BeginTimeUnit(StrEnum):
    """The unit of `beginTime`, which the vendor's page calls a timestamp and no more."""

    AUTO = "auto"
    SECONDS = "s"
    MILLISECONDS = "ms"


class Counters(NamedTuple):
    """The vendor's three counters for one VDN, each 0 or more."""

    approved: int
    """allowRestNum: agents whose rest is approved, but who are still at work."""
    resting: int
    """onRestNum: agents who rest."""
    waiting: int
    """waitRestNum: agents who have applied for a rest and wait."""


class Row(msgspec.Struct, gc=False):
    """One of `agentsRestDetails`; None where the reply holds nothing."""

    work_no: int | str | None = None
    """The agent's ID, unique in a call center."""
    reason: int | None = None
    """cantRestReason."""
    begin_time: int | None = None
    """beginTime, in the server's unit."""
    duration: int | None = None
    """restDuration in seconds."""


AnyRow = TypeVar("AnyRow", bound=Row)
"""A row, or one that knows more."""


class Overdue(msgspec.Struct, frozen=True, gc=False):
    """Rests past their requested duration: how many, and the longest excess in seconds."""

    agents: int
    longest: float


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """What one poll proves about one VDN. Times are epoch seconds by the server's clock.

    It cannot be part of a cycle, so the garbage collector need not walk ten thousand of them.
    """

    approved: int
    resting: int
    waiting: int
    waiting_by_reason: tuple[int, ...]
    """One count for each `WaitReason`, in its order. Their sum is `waiting`, always."""
    longest_rest_start: float | None
    """None if nobody rests, or if no row tells since when."""
    deadlines: tuple[float, ...]
    """When rests are due to end, earliest first: no more of them than agents rest."""
    unclassified: int
    """Rows that could be resting, beyond the number of agents who rest."""
    unusable_begin_times: int
    """Rows without a start that can be believed."""
    server_time: float

    def longest_rest(self, now: float) -> float | None:
        """The age in seconds of the longest rest at the server's time `now`.

        0 if nobody rests; None if somebody does and no row tells since when, because a false zero
        would silence an alert. An upper bound if `unclassified` is not 0.
        """
        if self.resting == 0:
            return 0.0
        if self.longest_rest_start is None:
            return None
        return max(0.0, now - self.longest_rest_start)

    def overdue(self, now: float) -> Overdue:
        """The rests past their requested duration at the server's time `now`."""
        agents = bisect_left(self.deadlines, now)
        return Overdue(agents, now - self.deadlines[0] if agents else 0.0)


_REASONS: Final = len(WaitReason)
_UNKNOWN: Final = _REASONS - 1
_AWAITING_APPROVAL: Final = 0
_NONE_PROVEN: Final = math.inf

_FIRST_MILLISECONDS: Final = {
    # from here up: in seconds it would be the year 5138
    BeginTimeUnit.AUTO: 10**11,
    BeginTimeUnit.SECONDS: math.inf,
    BeginTimeUnit.MILLISECONDS: 0,
}
"""From which value up a time is taken as milliseconds."""
_YEAR_2000: Final = 946_684_800
_DAY: Final = 86_400
_LONGEST_DURATION: Final = 10**10
"""Three centuries. Keeps the sum with a start inside a float, whatever a row holds."""


def reduce(
    counters: Counters,
    rows: Iterable[Row],
    server_time: float,
    unit: BeginTimeUnit = BeginTimeUnit.AUTO,
) -> Snapshot:
    """Reduce one whole listing to a snapshot. Never raises.

    Args:
        counters: the reply's counters, 0 or more.
        rows: every row of every page, in the order read. Pages can overlap: of the rows with the
            same `work_no` the later one counts. The order does not matter otherwise.
        server_time: epoch seconds by the server's clock when it replied.
        unit: of the rows' `begin_time`.
    """
    listing = once_each(rows)
    by_reason, waits_from = _waiting(counters.waiting, listing)
    unusable = candidates = 0
    oldest: float | None = None
    deadlines: list[float] = []
    starts = _starts([row.begin_time for row in listing], server_time, unit)
    for row, start in zip(listing, starts, strict=True):
        if start is None:
            unusable += 1
        elif start <= server_time and (row.reason is None or row.reason < waits_from):
            candidates += 1
            if oldest is None or start < oldest:
                oldest = start
            duration = row.duration
            if duration is not None and duration > 0:
                deadlines.append(start + min(duration, _LONGEST_DURATION))
    deadlines.sort()
    return Snapshot(
        approved=counters.approved,
        resting=counters.resting,
        waiting=counters.waiting,
        waiting_by_reason=by_reason,
        longest_rest_start=oldest if counters.resting else None,
        deadlines=tuple(deadlines[: counters.resting]),
        unclassified=max(0, candidates - counters.resting),
        unusable_begin_times=unusable,
        server_time=server_time,
    )


def once_each(rows: Iterable[AnyRow]) -> list[AnyRow]:
    """Every agent's row once: of those with the same `work_no` the last one."""
    numbered: dict[int | str, AnyRow] = {}
    anonymous: list[AnyRow] = []
    for row in rows:
        if row.work_no is None:
            anonymous.append(row)
        else:
            numbered[row.work_no] = row
    return [*numbered.values(), *anonymous]


def _waiting(waiting: int, rows: list[Row]) -> tuple[tuple[int, ...], float]:
    """The waiting agents by reason, and the reason from which up a row's agent surely waits."""
    if waiting == 0:
        return (0,) * _REASONS, _NONE_PROVEN
    reasons = [row.reason for row in rows if row.reason is not None and row.reason >= 0]
    counts = [reasons.count(reason) for reason in range(_UNKNOWN)]
    counts.append(len(reasons) - sum(counts))
    surplus = len(reasons) - waiting
    if surplus <= 0:
        counts[_UNKNOWN] -= surplus
        return tuple(counts), 0
    # More rows carry a reason than agents wait, so some carry one that means nothing for them.
    # An unset integer is 0 on the wire: those are the ones to take out.
    if counts[_AWAITING_APPROVAL] >= surplus:
        counts[_AWAITING_APPROVAL] -= surplus
        return tuple(counts), 1
    counts = [0] * _REASONS
    counts[_UNKNOWN] = waiting
    return tuple(counts), _NONE_PROVEN


def usable_start(begin_time: int | None, server_time: float, unit: BeginTimeUnit) -> float | None:
    """Epoch seconds of a row's `begin_time`, by the server's clock.

    None for one that cannot be believed: it would show as a 56-year rest, or lies more than a day
    in the future.
    """
    return next(_starts([begin_time], server_time, unit))


def _starts(
    begin_times: Iterable[int | None], server_time: float, unit: BeginTimeUnit
) -> Iterator[float | None]:
    """What `usable_start` says of each. A call for each row would be a third of a poll's work."""
    first_milliseconds = _FIRST_MILLISECONDS[unit]
    latest = server_time + _DAY
    for begin_time in begin_times:
        if begin_time is None or not 0 < begin_time < 10**18:
            yield None
            continue
        start = begin_time / 1000 if begin_time >= first_milliseconds else float(begin_time)
        yield start if _YEAR_2000 <= start <= latest else None
