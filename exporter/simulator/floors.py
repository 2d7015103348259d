"""The floor of any VDN at any time: counters and rows, from simulated days that are cached.

A day is a pure, event-driven simulation: staff and requests in, the periods that each agent spends
waiting, approved or resting out. Times are seconds of the day.

An approved rest counts towards the limits from the approval on, so that the agent can start it when
the call is over. Hence approved and resting agents together never exceed a limit, and an agent
waits because of a limit only while it is reached.
"""

import heapq
import itertools
import math
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache, partial
from typing import NamedTuple

from exporter.simulator.roster import (
    DAY,
    RestRequest,
    Staff,
    name_of,
    requests_of,
    staff_of,
    work_number,
)
from exporter.simulator.scenarios import Course, Scenario, scenario_for

DEFAULT_SEED = 0


class AgentRow(NamedTuple):
    """One agent who waits for a rest, has one approved, or rests.

    Args:
        name: the agent's name. Made up, but to be treated as personal data.
        work_no: agent ID, unique in a call center.
        cant_rest_reason: 0 to 4 for a waiting agent. For the others it means nothing: 0, since an
            unset integer is 0 on the wire, or None to leave it out.
        begin_time: milliseconds since the epoch: when a resting agent's rest started, and the
            requested or approved start for the others.
        rest_duration: seconds requested.
    """

    name: str
    work_no: int
    cant_rest_reason: int | None
    begin_time: int
    rest_duration: int


@dataclass(frozen=True, slots=True)
class Floor:
    """The three counters of a VDN and the rows behind them.

    Args:
        approved: agents whose rest is approved but has not started (allowRestNum).
        resting: agents resting (onRestNum).
        waiting: agents who have requested a rest and wait (waitRestNum).
        rows: one for each of these agents. A test may pass rows that contradict the counters.
    """

    approved: int
    resting: int
    waiting: int
    rows: tuple[AgentRow, ...] = ()


FloorSource = Callable[[int, int, float], Floor]
"""The floor of (ccId, vdn) at a time, in seconds since the epoch."""


class SimulatedFloors:
    """A `FloorSource`: deterministic in the seed, the VDN and the time.

    Args:
        seed: another seed gives other agents and other days.
        capacity: days to cache, about 20 KB each; the least recently used goes first. With fewer
            than the VDNs in use, every request simulates a day again, in a few milliseconds.
        scenarios: which floors do not have an ordinary day; faults are left to the server.
    """

    def __init__(
        self,
        seed: int = DEFAULT_SEED,
        capacity: int = 16_384,
        scenarios: Iterable[Scenario] = (),
    ) -> None:
        self._seed = seed
        self._scenarios = tuple(scenarios)
        self._staff = lru_cache(maxsize=capacity)(partial(staff_of, seed))
        self._day = lru_cache(maxsize=capacity)(self._make_day)

    def __call__(self, cc_id: int, vdn: int, now: float) -> Floor:
        """The floor of a VDN at `now`, in seconds since the epoch."""
        changeover = self._staff(cc_id, vdn).changeover
        day, second = divmod(math.floor(now) - changeover, DAY)
        day_began = day * DAY + changeover
        counts = [0] * len(Stage)
        rows = []
        for period in self._day(cc_id, vdn, day).at(second):
            counts[period.stage] += 1
            work_no = work_number(vdn, period.agent)
            rows.append(
                AgentRow(
                    name=name_of(self._seed, cc_id, work_no),
                    work_no=work_no,
                    cant_rest_reason=period.reason,
                    begin_time=(day_began + period.begin) * 1000,
                    rest_duration=period.duration,
                )
            )
        waiting, approved, resting = counts
        return Floor(approved, resting, waiting, tuple(rows))

    def _make_day(self, cc_id: int, vdn: int, day: int) -> "_Day":
        staff = self._staff(cc_id, vdn)
        scenario = scenario_for(self._scenarios, (cc_id, vdn), Course)
        course = scenario.kind if scenario else None
        requests = requests_of(staff, self._seed, cc_id, vdn, day, course=course)
        return _Day(simulate(staff, requests))


class Stage(IntEnum):
    """How far a rest has come."""

    WAITING = 0
    APPROVED = 1
    RESTING = 2


class CantRest(IntEnum):
    """Why a waiting agent may not rest yet: the vendor's cantRestReason."""

    AWAITING_APPROVAL = 0
    BUSY = 1
    VDN_LIMIT = 2
    NO_SKILL_QUEUE = 3
    SKILL_QUEUE_LIMIT = 4


class Period(NamedTuple):
    """An agent in one stage of a rest, from `start` to just before `end`.

    Args:
        agent: the agent's number in the staff.
        stage: which stage.
        reason: why the agent waits; 0 in the other stages, where it means nothing.
        start: second of the day.
        end: second of the day, after `start`.
        begin: the row's beginTime: when the rest was requested, approved or started.
        duration: seconds requested.
    """

    agent: int
    stage: int
    reason: int
    start: int
    end: int
    begin: int
    duration: int


class _Day:
    """A day's periods as columns of machine integers: a tenth of the memory of the objects."""

    __slots__ = ("_columns", "_longest", "_starts")

    def __init__(self, periods: tuple[Period, ...]) -> None:
        """Takes the periods in the order of their start."""
        self._columns = [array("i", column) for column in zip(*periods, strict=True)]
        self._starts = self._columns[Period._fields.index("start")]
        self._longest = max(period.end - period.start for period in periods)

    def at(self, second: int) -> list[Period]:
        """The periods of everyone on the floor at that second of the day."""
        first = bisect_left(self._starts, second - self._longest)
        last = bisect_right(self._starts, second)
        rows = zip(*(column[first:last] for column in self._columns), strict=True)
        return [period for period in map(Period._make, rows) if second < period.end]


def simulate(staff: Staff, requests: Iterable[RestRequest]) -> tuple[Period, ...]:
    """Simulates the day; the periods come in the order of their start."""
    day = _Simulation(staff)
    for request in requests:
        day.schedule(request.requested_at, _Progress(request), day.apply)
    return day.run()


class _Progress:
    """How far one request has come."""

    __slots__ = ("begin", "due", "reason", "request", "since", "stage")

    def __init__(self, request: RestRequest) -> None:
        self.request = request
        self.stage = Stage.WAITING
        self.reason = CantRest.AWAITING_APPROVAL
        self.since = self.begin = request.requested_at
        self.due: int | None = None  # when the approval is due, once nothing else prevents it


_Action = Callable[[_Progress, int], None]


class _Simulation:
    """The floor during the day: who counts towards the limits, who waits, what happens next."""

    def __init__(self, staff: Staff) -> None:
        self._staff = staff
        self._events: list[tuple[int, int, _Progress, _Action | None]] = []
        self._order = itertools.count()  # events of the same second run in the order scheduled
        self._waiting: list[_Progress] = []
        self._taken = Counter[int]()  # approved and running rests by skill queue
        self._occupied: set[int] = set()
        self._periods: list[Period] = []

    def schedule(self, at: int, rest: _Progress, action: _Action | None = None) -> None:
        """Adds an event. Without an action, it only makes all who wait be checked again."""
        heapq.heappush(self._events, (at, next(self._order), rest, action))

    def run(self) -> tuple[Period, ...]:
        """Processes all events."""
        while self._events:
            now, _, rest, action = heapq.heappop(self._events)
            if action is not None:
                action(rest, now)
            self._settle(now)
        self._periods.sort(key=lambda period: (period.start, period.agent))
        return tuple(self._periods)

    def apply(self, rest: _Progress, now: int) -> None:
        """The agent requests the rest. A second request at the same time is dropped."""
        request = rest.request
        if request.agent in self._occupied:
            return
        self._occupied.add(request.agent)
        self._waiting.append(rest)
        for at in (request.busy_until, request.signed_in_at, request.withdrawn_at):
            if at > now:
                self.schedule(at, rest)

    def _start(self, rest: _Progress, now: int) -> None:
        self._enter(rest, Stage.RESTING, now)
        self.schedule(min(now + rest.request.rests_for, rest.request.back_by), rest, self._end)

    def _end(self, rest: _Progress, now: int) -> None:
        self._taken[self._staff.queue_of[rest.request.agent]] -= 1
        self._leave(rest, now)

    def _settle(self, now: int) -> None:
        """Checks everyone who waits, first come first served, until nothing changes."""
        approved = True
        while approved:  # an approval may change the reason of those checked before it
            approved = False
            for rest in tuple(self._waiting):
                if now >= rest.request.withdrawn_at:
                    self._waiting.remove(rest)
                    self._leave(rest, now)
                    continue
                reason = self._reason(rest, now)
                if reason is None:
                    self._approve(rest, now)
                    approved = True
                elif reason is not rest.reason:
                    self._close(rest, now)
                    rest.reason = reason

    def _reason(self, rest: _Progress, now: int) -> CantRest | None:
        """Why the agent must wait; None if nothing prevents the rest."""
        request, staff = rest.request, self._staff
        if now < request.busy_until:
            return CantRest.BUSY
        if now < request.signed_in_at:
            return CantRest.NO_SKILL_QUEUE
        if self._taken.total() >= staff.max_resting:
            return CantRest.VDN_LIMIT
        if self._taken[staff.queue_of[request.agent]] >= staff.max_resting_in_queue:
            return CantRest.SKILL_QUEUE_LIMIT
        if rest.due is None:
            rest.due = now + request.approval_takes
            self.schedule(rest.due, rest)
        return CantRest.AWAITING_APPROVAL if now < rest.due else None

    def _approve(self, rest: _Progress, now: int) -> None:
        self._waiting.remove(rest)
        self._taken[self._staff.queue_of[rest.request.agent]] += 1
        self._enter(rest, Stage.APPROVED, now)
        self.schedule(now + rest.request.wrap_up, rest, self._start)

    def _enter(self, rest: _Progress, stage: Stage, now: int) -> None:
        self._close(rest, now)
        rest.stage, rest.begin = stage, now
        rest.reason = CantRest.AWAITING_APPROVAL

    def _leave(self, rest: _Progress, now: int) -> None:
        self._close(rest, now)
        self._occupied.discard(rest.request.agent)

    def _close(self, rest: _Progress, now: int) -> None:
        """Ends the current period, unless it has no length."""
        if now > rest.since:
            agent, duration = rest.request.agent, rest.request.duration
            self._periods.append(
                Period(agent, rest.stage, rest.reason, rest.since, now, rest.begin, duration)
            )
        rest.since = now
