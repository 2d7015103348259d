"""One operating day of one VDN: what becomes of the agents' wishes to rest.

A pure event-driven simulation: (staff, wishes) to the spells that every agent spends waiting,
approved or resting. Times are seconds of the day. Knows nothing of clock time, names or HTTP.

A place is taken from the approval on, so that an agent who may rest finds the place free once the
call is over. Hence approved and resting agents together never exceed a limit, and an agent waits
because of a limit only while its places are all taken.
"""

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

from exporter.simulator.roster import Staff, Wish


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


@dataclass(frozen=True, slots=True)
class Spell:
    """An agent in one stage of a rest, from `start` to just before `end`.

    Args:
        agent: the agent's number in the staff.
        stage: which stage.
        reason: why the agent waits; 0 in the other stages, where it means nothing.
        start: second of the day.
        end: second of the day, after `start`.
        begin: what the row will show as its beginTime: when the rest was asked for, approved or
            started.
        duration: seconds asked for.
    """

    agent: int
    stage: Stage
    reason: CantRest
    start: int
    end: int
    begin: int
    duration: int


def simulate(staff: Staff, wishes: Iterable[Wish]) -> tuple[Spell, ...]:
    """Plays the day through; the spells come in the order of their start."""
    play = _Play(staff)
    for wish in wishes:
        play.plan(wish.asked_at, _Request(wish), play.ask)
    return play.through()


class _Request:
    """One wish on its way through the day."""

    __slots__ = ("begin", "due", "reason", "since", "stage", "wish")

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self.stage = Stage.WAITING
        self.reason = CantRest.AWAITING_APPROVAL
        self.since = self.begin = wish.asked_at
        self.due: int | None = None  # when the approval is due, once somebody looks at it


_Step = Callable[[_Request, int], None]


class _Play:
    """The floor while the day is played: who holds a place, who waits, what is to come."""

    def __init__(self, staff: Staff) -> None:
        self._staff = staff
        self._agenda: list[tuple[int, int, _Request, _Step | None]] = []
        self._order = itertools.count()  # of two things at the same second, the first planned
        self._waiting: list[_Request] = []
        self._taken = 0
        self._taken_in_queue = Counter[int]()
        self._occupied: set[int] = set()
        self._spells: list[Spell] = []

    def plan(self, at: int, request: _Request, step: _Step | None = None) -> None:
        """Puts a step on the agenda; without one, everybody who waits is looked at again."""
        heapq.heappush(self._agenda, (at, next(self._order), request, step))

    def through(self) -> tuple[Spell, ...]:
        """Works through the agenda until nothing is left on it."""
        while self._agenda:
            now, _, request, step = heapq.heappop(self._agenda)
            if step is not None:
                step(request, now)
            self._settle(now)
        self._spells.sort(key=lambda spell: (spell.start, spell.agent))
        return tuple(self._spells)

    def ask(self, request: _Request, now: int) -> None:
        """A step: the agent asks. One agent has one request at a time: a second one is dropped."""
        wish = request.wish
        if wish.agent in self._occupied:
            return
        self._occupied.add(wish.agent)
        self._waiting.append(request)
        for at in (wish.busy_until, wish.signed_in_at, wish.given_up_at):
            if at > now:
                self.plan(at, request)

    def _begin(self, request: _Request, now: int) -> None:
        self._enter(request, Stage.RESTING, now)
        self.plan(min(now + request.wish.stays, request.wish.back_by), request, self._end)

    def _end(self, request: _Request, now: int) -> None:
        self._taken -= 1
        self._taken_in_queue[self._staff.queue_of[request.wish.agent]] -= 1
        self._leave(request, now)

    def _settle(self, now: int) -> None:
        """Looks at everyone who waits, first come first served, until nothing changes."""
        approved = True
        while approved:  # who takes a place may change the reason of those who were before
            approved = False
            for request in tuple(self._waiting):
                if now >= request.wish.given_up_at:
                    self._waiting.remove(request)
                    self._leave(request, now)
                    continue
                reason = self._reason(request, now)
                if reason is None:
                    self._approve(request, now)
                    approved = True
                elif reason is not request.reason:
                    self._close(request, now)
                    request.reason = reason

    def _reason(self, request: _Request, now: int) -> CantRest | None:
        """Why the request must wait; None if nothing holds it back."""
        wish, staff = request.wish, self._staff
        if now < wish.busy_until:
            return CantRest.BUSY
        if now < wish.signed_in_at:
            return CantRest.NO_SKILL_QUEUE
        if self._taken >= staff.max_resting:
            return CantRest.VDN_LIMIT
        if self._taken_in_queue[staff.queue_of[wish.agent]] >= staff.max_resting_in_queue:
            return CantRest.SKILL_QUEUE_LIMIT
        if request.due is None:
            request.due = now + wish.approval_takes
            self.plan(request.due, request)
        return CantRest.AWAITING_APPROVAL if now < request.due else None

    def _approve(self, request: _Request, now: int) -> None:
        self._waiting.remove(request)
        self._taken += 1
        self._taken_in_queue[self._staff.queue_of[request.wish.agent]] += 1
        self._enter(request, Stage.APPROVED, now)
        self.plan(now + request.wish.finishing, request, self._begin)

    def _enter(self, request: _Request, stage: Stage, now: int) -> None:
        self._close(request, now)
        request.stage, request.begin = stage, now
        request.reason = CantRest.AWAITING_APPROVAL

    def _leave(self, request: _Request, now: int) -> None:
        self._close(request, now)
        self._occupied.discard(request.wish.agent)

    def _close(self, request: _Request, now: int) -> None:
        """Ends the request's present spell; one of no length is none."""
        if now > request.since:
            self._spells.append(
                Spell(
                    agent=request.wish.agent,
                    stage=request.stage,
                    reason=request.reason,
                    start=request.since,
                    end=now,
                    begin=request.begin,
                    duration=request.wish.duration,
                )
            )
        request.since = now
