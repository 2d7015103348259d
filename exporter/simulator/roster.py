"""The agents of a VDN, the limits on their rests, and the rests each will request in a day.

Pure and deterministic: the same arguments give the same agents with the same requests.

An operating day runs from one shift changeover to the next, 24 hours later, not from midnight to
midnight. Five shifts of eight hours start every four hours from the changeover on, the last one
ends with the day, and nobody rests across a changeover. So a day can be computed without the day
before it, while rests run over midnight like any others. The changeover differs from VDN to VDN, so
that their quiet minutes do not coincide.

On a floor with a course, such as a lunch rush, other rests are requested. They become a day by the
same rules, so that limits, counters and rows agree.
"""

import random
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from exporter.simulator.scenarios import Course, Kind

DAY = 86_400
"""Seconds of an operating day."""

_MINUTE, _HOUR = 60, 3_600
_SHIFT = 8 * _HOUR
_SHIFT_OF = (0, 0, 1, 2, 3, 4, 4)  # the first and the last shift work alone for four hours
_SHIFT_EVERY = 4 * _HOUR
_FEWEST_AGENTS, _MOST_AGENTS = 20, 60
_QUEUES = 3
_PLACES_PER_AGENT = 0.08
_LONGEST_WRAP_UP = 3 * _MINUTE
_BACK_BEFORE_LEAVING = 2 * _MINUTE
_FIRST_AFTER_SIGN_IN = 5 * _MINUTE
_PATIENCE = 12 * _MINUTE
_SHORT_BREAKS = (600, 720, 900)
_MEALS = (1_800, 2_400, 2_700)
_RESTS_OF_A_SHIFT = (  # hours into the shift, and the durations to choose from
    (1.3, _SHORT_BREAKS),
    (2.7, _SHORT_BREAKS),
    (4.3, _MEALS),
    (6.5, _SHORT_BREAKS),
)

# Courses
_CALM = 30 * _MINUTE
"""Between two rests of a quiet day."""
_RUSH = 10 * _MINUTE
"""How long it takes until everybody has asked for a meal."""
_RUSH_PATIENCE = 50 * _MINUTE
_RUSH_MEAL = 30 * _MINUTE
_OVERDUE_BREAK = 15 * _MINUTE
_APPROVED_SOON = 20

# Probabilities
_REQUESTED = 0.85
_ON_A_CALL = 0.6
_IN_NO_QUEUE = 0.06
_ENDS_IN_TIME = 0.78
_ENDS_A_LITTLE_LATE = 0.17

_LATIN_GIVEN = (
    *("Ana", "Bruno", "Camila", "Diego", "Elena", "Farid", "Grace", "Hugo", "Inês", "Jonas"),
    *("Karina", "Luis", "Maya", "Nadia", "Omar", "Paula", "Rosa", "Samuel", "Teresa", "Víctor"),
)
_LATIN_FAMILY = (
    *("Abreu", "Bauer", "Castillo", "Díaz", "Eze", "Flores", "García", "Huamán", "Ivanova"),
    *("Jansen", "Khan", "López", "Mamani", "Novak", "Okafor", "Quispe", "Rojas", "Silva", "Vargas"),
)
_CHINESE_FAMILY = tuple("王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗")
_CHINESE_GIVEN = (
    *("伟", "芳", "娜", "敏", "静", "丽", "强", "磊", "军", "洋"),
    *("秀英", "建国", "晓明", "雨桐", "子涵", "欣怡", "浩然", "思远", "佳琪", "志强"),
)


@dataclass(frozen=True, slots=True)
class Staff:
    """A VDN's agents and limits, the same every day.

    Args:
        agents: how many work in a day; they are numbered from 0.
        queue_of: each agent's skill queue.
        max_resting: the VDN's limit on agents with an approved or a running rest.
        max_resting_in_queue: the same limit for each skill queue.
        changeover: when the operating day begins, in seconds after midnight UTC.
    """

    agents: int
    queue_of: tuple[int, ...]
    max_resting: int
    max_resting_in_queue: int
    changeover: int


@dataclass(frozen=True, slots=True)
class RestRequest:
    """A rest that an agent will request. Times are seconds of the operating day.

    Args:
        agent: number of the agent.
        requested_at: when the agent requests it.
        duration: seconds requested.
        busy_until: end of the agent's current call; `requested_at` if there is none.
        signed_in_at: when the agent is signed in to a skill queue; `requested_at` if already.
        approval_takes: seconds until a supervisor approves, once nothing else prevents the rest.
        wrap_up: seconds of work left after the approval.
        rests_for: seconds that the rest will last, which may differ from those requested.
        withdrawn_at: when the agent stops waiting, because the shift nears its end.
        back_by: when the rest ends at the latest, for the same reason.
    """

    agent: int
    requested_at: int
    duration: int
    busy_until: int
    signed_in_at: int
    approval_takes: int
    wrap_up: int
    rests_for: int
    withdrawn_at: int
    back_by: int


def staff_of(seed: int, cc_id: int, vdn: int) -> Staff:
    """The VDN's agents: 20 to 60 of them."""
    rng = _random_of("staff", seed, cc_id, vdn)
    agents = rng.randint(_FEWEST_AGENTS, _MOST_AGENTS)
    max_resting = max(2, round(agents * _PLACES_PER_AGENT))
    return Staff(
        agents=agents,
        queue_of=tuple(rng.randrange(_QUEUES) for _ in range(agents)),
        max_resting=max_resting,
        max_resting_in_queue=(max_resting + 1) // 2,
        changeover=rng.randrange(0, DAY, _MINUTE),
    )


def requests_of(staff: Staff, *key: int, course: Kind | None = None) -> tuple[RestRequest, ...]:
    """The rests that a VDN's agents will request in an operating day, in no special order.

    `key` is the seed, ccId, vdn and the day. Without a `course` the day is an ordinary one.
    """
    rng = _random_of("wishes", *key)
    ordinary = tuple(
        _ordinary(rng, agent, middle, durations)
        for agent in range(staff.agents)
        for middle, durations in _RESTS_OF_A_SHIFT
        if rng.random() < _REQUESTED
    )
    match course:
        case Course.QUIET:
            return tuple(_one_after_the_other(ordinary))
        case Course.LUNCH_RUSH:
            return tuple(_meals(staff, _random_of("course", *key)))
        case Course.APPROVER_ABSENT:
            # longer than the day, so that agents give up when their shift ends
            return tuple(replace(request, approval_takes=DAY) for request in ordinary)
        case Course.OVERDUE:
            away = dict(_first_of_each_shift(staff))
            others = (request for request in ordinary if request.agent not in away)
            return (*away.values(), *others)
    return ordinary


def _shift_of(agent: int) -> tuple[int, int]:
    """When the agent's shift begins, and when it is back from the last rest: seconds of the day."""
    signs_in = _SHIFT_OF[agent % len(_SHIFT_OF)] * _SHIFT_EVERY
    return signs_in, signs_in + _SHIFT - _BACK_BEFORE_LEAVING


def work_number(vdn: int, agent: int) -> int:
    """The agent's ID, unique in the call center."""
    return 10_000 + vdn * 100 + agent


def name_of(seed: int, cc_id: int, work_no: int) -> str:
    """A made-up name, Latin or Chinese; the same agent always has the same one."""
    pick = zlib.crc32(f"{seed}/{cc_id}/{work_no}".encode())
    pick, chinese = divmod(pick, 2)
    given, family = (_CHINESE_GIVEN, _CHINESE_FAMILY) if chinese else (_LATIN_GIVEN, _LATIN_FAMILY)
    pick, first = divmod(pick, len(given))
    last = family[pick % len(family)]
    return f"{last}{given[first]}" if chinese else f"{given[first]} {last}"


def _random_of(*key: int | str) -> random.Random:
    """A separate generator for each purpose: an additional draw does not change the others."""
    return random.Random("/".join(map(str, key)))  # noqa: S311 - a believable day, not a secret


def _ordinary(
    rng: random.Random, agent: int, middle: float, durations: tuple[int, ...]
) -> RestRequest:
    """One rest, requested around `middle` hours into the agent's shift."""
    signs_in, back_by = _shift_of(agent)
    duration = rng.choice(durations)
    withdrawn_at = back_by - duration - _LONGEST_WRAP_UP
    earliest, latest = signs_in + _FIRST_AFTER_SIGN_IN, withdrawn_at - _PATIENCE
    wanted_at = signs_in + round((middle + rng.uniform(-1.2, 1.2)) * _HOUR)
    requested_at = min(max(wanted_at, earliest), latest)
    return RestRequest(
        agent=agent,
        requested_at=requested_at,
        duration=duration,
        busy_until=requested_at + (rng.randint(15, 240) if rng.random() < _ON_A_CALL else 0),
        signed_in_at=requested_at + (rng.randint(120, 600) if rng.random() < _IN_NO_QUEUE else 0),
        approval_takes=rng.randint(20, 300),
        wrap_up=rng.randint(0, _LONGEST_WRAP_UP),
        rests_for=round(duration * _overrun(rng)),
        withdrawn_at=withdrawn_at,
        back_by=back_by,
    )


def _overrun(rng: random.Random) -> float:
    """The rest's length as a multiple of the request: most end in time, a few far too late."""
    roll = rng.random()
    if roll < _ENDS_IN_TIME:
        return rng.uniform(0.8, 1.0)
    if roll < _ENDS_IN_TIME + _ENDS_A_LITTLE_LATE:
        return rng.uniform(1.0, 1.4)
    return rng.uniform(1.8, 3.0)


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
            start, end = _shift_of(agent)
            requested_at = hour + rng.randrange(_RUSH)
            withdrawn_at = min(hour + _RUSH_PATIENCE, end - _RUSH_MEAL)
            if start <= requested_at < withdrawn_at:
                yield _of_a_free_agent(agent, requested_at, _RUSH_MEAL, withdrawn_at, end)


def _first_of_each_shift(staff: Staff) -> Iterator[tuple[int, RestRequest]]:
    """The agents who stay away until their shift ends."""
    first = {_shift_of(agent): agent for agent in reversed(range(staff.agents))}
    for (start, end), agent in first.items():
        asked = start + 5 * _MINUTE
        request = _of_a_free_agent(agent, asked, _OVERDUE_BREAK, end, end)
        yield agent, replace(request, rests_for=DAY)


def _of_a_free_agent(
    agent: int, requested_at: int, duration: int, withdrawn_at: int, back_by: int
) -> RestRequest:
    """A rest of an agent who is free, and whom a supervisor approves soon."""
    return RestRequest(
        agent=agent,
        requested_at=requested_at,
        duration=duration,
        busy_until=requested_at,
        signed_in_at=requested_at,
        approval_takes=_APPROVED_SOON,
        wrap_up=0,
        rests_for=duration,
        withdrawn_at=withdrawn_at,
        back_by=back_by,
    )
