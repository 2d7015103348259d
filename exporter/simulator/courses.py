"""What happens on a floor that does not have an ordinary day: other rests are requested.

Pure: the requests of an ordinary day in, those of the course out. The day itself is simulated by
the same rules, so that limits, counters and rows agree.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace

from exporter.simulator.roster import DAY, RestRequest, Staff, shift_of
from exporter.simulator.scenarios import Course

_MINUTE, _HOUR = 60, 3_600
_MEAL = 30 * _MINUTE
_RUSH = 10 * _MINUTE
"""How long it takes until everybody has asked for a meal."""
_PATIENCE = 50 * _MINUTE
_SHORT_BREAK = 15 * _MINUTE
_SOON = 20
_CALM = 30 * _MINUTE
"""Between two rests of a quiet day."""


def requests_in(
    course: Course | None, ordinary: tuple[RestRequest, ...], staff: Staff, rng: random.Random
) -> tuple[RestRequest, ...]:
    """The requests of a day with that course; the ordinary ones without a course."""
    match course:
        case Course.QUIET:
            return tuple(_one_after_the_other(ordinary))
        case Course.LUNCH_RUSH:
            return tuple(_meals(staff, rng))
        case Course.APPROVER_ABSENT:
            # longer than the day, so that agents give up when their shift ends
            return tuple(replace(request, approval_takes=DAY) for request in ordinary)
        case Course.OVERDUE:
            away = dict(_first_of_each_shift(staff))
            others = (request for request in ordinary if request.agent not in away)
            return (*away.values(), *others)
    return ordinary


def _one_after_the_other(ordinary: Iterable[RestRequest]) -> Iterator[RestRequest]:
    """Rests that do not overlap, each approved at once and ended in time."""
    free_from = 0
    for request in sorted(ordinary, key=lambda request: request.requested_at):
        if request.requested_at < free_from:
            continue
        rests_for = min(request.rests_for, request.duration)
        free_from = request.requested_at + rests_for + _CALM
        yield replace(
            request,
            busy_until=request.requested_at,
            signed_in_at=request.requested_at,
            approval_takes=0,
            wrap_up=0,
            rests_for=rests_for,
        )


def _meals(staff: Staff, rng: random.Random) -> Iterator[RestRequest]:
    """At each full hour all want a meal, and give up ten minutes before the next one."""
    first = -staff.changeover % _HOUR
    for hour in range(first, DAY, _HOUR):
        for agent in range(staff.agents):
            start, end = shift_of(agent)
            requested_at = hour + rng.randrange(_RUSH)
            withdrawn_at = min(hour + _PATIENCE, end - _MEAL)
            if start <= requested_at < withdrawn_at:
                yield _request(agent, requested_at, _MEAL, withdrawn_at, end)


def _first_of_each_shift(staff: Staff) -> Iterator[tuple[int, RestRequest]]:
    """The agents who stay away until their shift ends."""
    starts: set[int] = set()
    for agent in range(staff.agents):
        start, end = shift_of(agent)
        if start not in starts:
            starts.add(start)
            asked = start + 5 * _MINUTE
            yield agent, replace(_request(agent, asked, _SHORT_BREAK, end, end), rests_for=DAY)


def _request(
    agent: int, requested_at: int, duration: int, withdrawn_at: int, back_by: int
) -> RestRequest:
    """A rest of an agent who is free, and whom a supervisor approves soon."""
    return RestRequest(
        agent=agent,
        requested_at=requested_at,
        duration=duration,
        busy_until=requested_at,
        signed_in_at=requested_at,
        approval_takes=_SOON,
        wrap_up=0,
        rests_for=duration,
        withdrawn_at=withdrawn_at,
        back_by=back_by,
    )
