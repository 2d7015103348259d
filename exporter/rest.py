"""From a reply to numbers: which agents rest, which wait and why, who is overdue, what is doubtful.

Pure: a function from (counters, rows, server time) to a snapshot, without I/O and without a clock.

The vendor's page (*Querying Agent Rest Information*) leaves open which rows are resting and which
wait, and its own example carries a `cantRestReason` on a resting agent. Counting rows by reason is
therefore wrong. The rules below compare rows with counters, and show no number that the reply does
not prove; where it proves less than a reader would assume, the doubt is a number of its own.
docs/semantics.md explains them for operators.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from enum import Enum, StrEnum
from itertools import compress
from typing import Final, NamedTuple, TypeVar

import msgspec

from exporter.begin_time import BeginTimeUnit, is_wrong_unit, usable_starts


class WaitReason(StrEnum):
    """Why agents wait: the vendor's `cantRestReason` 0 to 4 in order, and what no row explains."""

    AWAITING_APPROVAL = "awaiting_approval"
    BUSY = "busy"
    VDN_LIMIT = "vdn_limit"
    NO_SKILL_QUEUE = "no_skill_queue"
    SKILL_QUEUE_LIMIT = "skill_queue_limit"
    UNKNOWN = "unknown"


class Doubt(StrEnum):
    """Why the numbers of a reply may not be what they seem: the values of the label `doubt`."""

    CUT_OFF = "cut_off"
    WRONG_UNIT = "wrong_unit"
    UNLISTED = "unlisted"
    UNUSABLE_BEGIN_TIMES = "unusable_begin_times"

    @property
    def sentence(self) -> str:
        """What it means and what to do: the same words on pages, in logs and in commands."""
        return _SENTENCES[self]


_SENTENCES: Final = {
    Doubt.CUT_OFF: (
        "the server seems to send its listing in pages, and only the first page was read: set "
        'cti_version: "3.6"'
    ),
    Doubt.WRONG_UNIT: (
        "every beginTime is implausible in the configured unit, and plausible in the other: change "
        "begin_time_unit, or set it to auto"
    ),
    Doubt.UNLISTED: (
        "the server counts more resting agents than it lists with a start: the longest rest and "
        "overdue rests are lower bounds; compare the rows with `agent-rest-exporter query`"
    ),
    Doubt.UNUSABLE_BEGIN_TIMES: (
        "some rows have no plausible start: look at beginTime with "
        "`agent-rest-exporter query`, and at the clock of the CTI"
    ),
}


class Kind(Enum):
    """What is known of the agent of one row: the state, and the rule that says so."""

    WAITS = "waits", "waitRestNum covers every row with this reason"
    RESTS = "rests", "onRestNum covers every row that can be resting"
    NOBODY_RESTS = "not resting", "onRestNum is 0"
    AHEAD = "not resting", "its beginTime lies ahead"
    NO_START = "either", "it may be resting, and has no usable beginTime"
    SURPLUS = "either", "more rows can be resting than onRestNum says"

    def __init__(self, state: str, rule: str) -> None:
        self.state, self.rule = state, rule


class Counters(NamedTuple):
    """The vendor's three counters for one VDN, each 0 or more."""

    approved: int
    """allowRestNum: agents whose rest is approved, but who are still at work."""
    resting: int
    """onRestNum: agents who rest."""
    waiting: int
    """waitRestNum: agents who have applied for a rest and wait."""


class Row(msgspec.Struct, gc=False):
    """One of `agentsRestDetails`; None where the reply has no value."""

    work_no: int | str | None = None
    """The agent's ID, unique in a call center."""
    reason: int | None = None
    """cantRestReason."""
    begin_time: int | None = None
    """beginTime, in the server's unit."""
    duration: int | None = None
    """restDuration in seconds."""


AnyRow = TypeVar("AnyRow", bound=Row)
"""A row, or one with more fields."""


class Snapshot(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one poll proves about one VDN. Times are epoch seconds by the server's clock.

    It cannot be part of a cycle, so the garbage collector need not walk ten thousand of them.
    """

    approved: int
    resting: int
    waiting: int
    waiting_by_reason: tuple[int, ...]
    """One count for each `WaitReason`, in its order. Their sum is always `waiting`."""
    longest_rest_start: float | None
    """None if nobody rests, or if no row has the start of a rest."""
    longest_wait_start: float | None
    """The earliest start that an agent asked for who surely waits, if a row has one."""
    deadlines: tuple[float, ...] | None
    """When rests are due to end, earliest first, for at most as many as rest; None if unknown."""
    starts: tuple[float, ...] | None
    """When rests began, earliest first, for at most as many as rest, if they were asked for."""
    unclassified: int
    """Rows that could be resting, beyond the number of agents who rest."""
    unlisted: int
    """Agents who rest, beyond the rows that could be resting."""
    unusable_begin_times: int
    """Rows without a start that can be believed."""
    rows: int
    """Rows of the listing, each agent once."""
    doubts: tuple[Doubt, ...]
    """Why the numbers may not be what they seem, in the order of `Doubt`."""
    server_time: float

    def longest_rest(self, now: float) -> float | None:
        """The age in seconds of the longest rest at the server's time `now`.

        0 if nobody rests; None if somebody does and no row has its start, because a false zero
        would silence an alert. An upper bound if `unclassified` is above 0, a lower bound if
        `unlisted` is.
        """
        if self.resting == 0:
            return 0.0
        if self.longest_rest_start is None:
            return None
        return max(0.0, now - self.longest_rest_start)

    @property
    def bound(self) -> str:
        """How to read the longest rest and overdue rests: `at most `, `at least `, or as it is."""
        return "at most " if self.unclassified else "at least " if self.unlisted else ""

    def longest_wait(self, now: float) -> float | None:
        """Seconds at the server's time `now` since the earliest start that a waiting agent wanted.

        0 if nobody waits, or if every such start lies ahead; None if no row that surely waits has a
        usable one. Rows that may or may not wait do not count, so it can be a lower bound.
        """
        if self.waiting == 0:
            return 0.0
        if self.longest_wait_start is None:
            return None
        return max(0.0, now - self.longest_wait_start)

    def overdue(self, now: float) -> int | None:
        """How many rests are past their requested duration at the server's time `now`.

        None if agents rest and no row has the start of a rest. Bounds as for `longest_rest`.
        """
        return None if self.deadlines is None else bisect_left(self.deadlines, now)

    def longest_overdue(self, now: float) -> float | None:
        """By how many seconds the most overdue rest is past its end: 0 if `overdue` is."""
        if self.deadlines is None:
            return None
        return max(0.0, now - self.deadlines[0]) if self.deadlines else 0.0

    def resting_longer(self, seconds: float, now: float) -> int | None:
        """How many agents rest longer than `seconds` at the server's time `now`.

        None if agents rest and no row has the start of a rest, or if `starts` were not asked for.
        """
        return None if self.starts is None else bisect_left(self.starts, now - seconds)


_REASONS: Final = len(WaitReason)
_UNKNOWN: Final = _REASONS - 1
_AWAITING_APPROVAL: Final = 0
_NONE_PROVEN: Final = math.inf

_TOLERANCE: Final = 5.0
"""Seconds by which a rest that has just begun can seem to lie ahead: two clocks, whole seconds."""
_LONGEST_DURATION: Final = 86_399
"""The longest rest that can be requested: anything longer is no length."""


class Asked(NamedTuple):
    """How a server was asked for a listing, and what is known of its listings."""

    unit: BeginTimeUnit = BeginTimeUnit.AUTO
    """Of the rows' `begin_time`."""
    paged: bool = False
    largest_listing: int = 0
    """The most rows that an earlier listing of this server had."""
    with_starts: bool = False
    """Whether `Snapshot.resting_longer` will be asked."""


_ASKED: Final = Asked()


def reduce(
    counters: Counters,
    rows: Iterable[Row],
    server_time: float,
    asked: Asked = _ASKED,
) -> Snapshot:
    """Reduce one whole listing to a snapshot. Never raises.

    Args:
        counters: the reply's counters, 0 or more.
        rows: every row of every page, in the order read. Pages can overlap: of the rows with the
            same `work_no` the later one counts. The order does not matter otherwise.
        server_time: epoch seconds by the server's clock when it replied.
        asked: how the server was asked.
    """
    listing = once_each(rows)
    by_reason, waits_from, spare_zeros = _waiting(counters.waiting, listing)
    latest = server_time + _TOLERANCE
    unusable = may_rest = 0
    begun: list[float] = []
    ends: list[float] = []
    asked_for: float | None = None
    begin_times = [row.begin_time for row in listing]
    starts = usable_starts(begin_times, server_time, asked.unit)
    for row, start in zip(listing, starts, strict=True):
        unusable += start is None
        if row.reason is not None and row.reason >= waits_from:
            if start is not None and (asked_for is None or start < asked_for):
                asked_for = start
            continue
        may_rest += 1
        if start is not None and start <= latest:
            begun.append(start)
            duration = row.duration
            if duration is not None and 0 < duration <= _LONGEST_DURATION:
                ends.append(start + duration)
    resting, candidates = counters.resting, len(begun)
    if spare_zeros is not None and spare_zeros < min(resting, may_rest - by_reason[0]):
        begun, ends = _with_fewer_zeros(listing, resting, spare_zeros, server_time, asked)
    unlisted = max(0, resting - candidates)
    known = candidates > 0 or resting == 0
    doubted = (
        # a row without a start, or with one ahead, is no row that is missing
        resting > may_rest and _like_a_page(len(listing), asked),
        0 < unusable == len(listing) and is_wrong_unit(begin_times, server_time, asked.unit),
        unlisted,
        unusable,
    )
    return Snapshot(
        approved=counters.approved,
        resting=resting,
        waiting=counters.waiting,
        waiting_by_reason=by_reason,
        longest_rest_start=min(begun) if resting and begun else None,
        longest_wait_start=asked_for,
        deadlines=tuple(sorted(ends)[:resting]) if known else None,
        starts=tuple(sorted(begun)[:resting]) if known and asked.with_starts else None,
        unclassified=max(0, candidates - resting),
        unlisted=unlisted,
        unusable_begin_times=unusable,
        rows=len(listing),
        doubts=tuple(compress(Doubt, doubted)) if unlisted or unusable else (),
        server_time=server_time,
    )


def _with_fewer_zeros(
    listing: Sequence[Row], resting: int, spare: int, server_time: float, asked: Asked
) -> tuple[list[float], list[float]]:
    """When rests began and are due to end, for no more rows with a 0 than can rest.

    Of those, `spare` are not of agents who wait; more can rest only if agents who rest would have
    no row otherwise. Takes the earliest of them.
    """
    zeros = [row for row in listing if row.reason == _AWAITING_APPROVAL]
    others = [row for row in listing if row.reason is None or row.reason < _AWAITING_APPROVAL]
    asked = asked._replace(with_starts=True)
    # as if nobody waited and all of them rested
    of_zeros, of_others = (
        reduce(Counters(0, len(rows), 0), rows, server_time, asked) for rows in (zeros, others)
    )
    begun = [*(of_others.starts or ())]
    most = max(spare, resting - len(begun) - of_others.unusable_begin_times)
    begun.extend((of_zeros.starts or ())[:most])
    return begun, [*(of_others.deadlines or ()), *(of_zeros.deadlines or ())[:most]]


def once_each(rows: Iterable[AnyRow]) -> list[AnyRow]:
    """Every agent's row once: of those with the same `work_no` the last one."""
    numbered: dict[int | str, AnyRow] = {}
    anonymous: list[AnyRow] = []
    for row in rows:
        if row.work_no:
            numbered[row.work_no] = row
        else:
            # absent, empty or 0: not a number of one agent
            anonymous.append(row)
    return [*numbered.values(), *anonymous]


def classify(seen: Snapshot, rows: Sequence[Row], unit: BeginTimeUnit) -> list[Kind]:
    """What is known of each row, for a person who looks at one listing.

    Args:
        seen: what these rows were reduced to.
        rows: each agent once.
        unit: of the rows' `begin_time`.
    """
    _, waits_from, _ = _waiting(seen.waiting, rows)
    latest = seen.server_time + _TOLERANCE
    kinds = []
    starts = usable_starts([row.begin_time for row in rows], seen.server_time, unit)
    for row, start in zip(rows, starts, strict=True):
        if row.reason is not None and row.reason >= waits_from:
            kinds.append(Kind.WAITS)
        elif seen.resting == 0:
            kinds.append(Kind.NOBODY_RESTS)
        elif start is None:
            kinds.append(Kind.NO_START)
        elif start > latest:
            kinds.append(Kind.AHEAD)
        else:
            kinds.append(Kind.RESTS)
    if kinds.count(Kind.RESTS) + kinds.count(Kind.NO_START) > seen.resting:
        return [Kind.SURPLUS if kind is Kind.RESTS else kind for kind in kinds]
    return kinds


def _waiting(waiting: int, rows: Sequence[Row]) -> tuple[tuple[int, ...], float, int | None]:
    """The waiting agents by reason, and the reason from which up a row's agent surely waits.

    Also how many of the rows with a 0 are not of agents who wait, if that is known.
    """
    if waiting == 0:
        return (0,) * _REASONS, _NONE_PROVEN, None
    reasons = [row.reason for row in rows if row.reason is not None and row.reason >= 0]
    counts = [reasons.count(reason) for reason in range(_UNKNOWN)]
    counts.append(len(reasons) - sum(counts))
    surplus = len(reasons) - waiting
    if surplus <= 0:
        counts[_UNKNOWN] -= surplus
        return tuple(counts), 0, None
    # More rows have a reason than agents wait, so some have one that means nothing for them.
    # An unset integer is 0 on the wire: those are taken out.
    if counts[_AWAITING_APPROVAL] >= surplus:
        counts[_AWAITING_APPROVAL] -= surplus
        return tuple(counts), 1, surplus
    counts = [0] * _REASONS
    counts[_UNKNOWN] = waiting
    return tuple(counts), _NONE_PROVEN, None


def _like_a_page(rows: int, asked: Asked) -> bool:
    """Whether this may be one page: a round number, or as many as this server's largest listing."""
    return rows > 0 and not asked.paged and (rows % 10 == 0 or rows == asked.largest_listing)
