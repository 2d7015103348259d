"""One operating day of one VDN: what becomes of the agents' requests to rest.

A pure, event-driven simulation: staff and requests in, the periods that each agent spends waiting,
approved or resting out. Times are seconds of the day.

An approved rest counts towards the limits from the approval on, so that the agent can start it when
the call is over. Hence approved and resting agents together never exceed a limit, and an agent
waits because of a limit only while it is reached.
"""

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import NamedTuple

from exporter.simulator.roster import RestRequest, Staff


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
