"""Who works in a VDN, under which limits, and the rests that each of them will ask for in a day.

Pure and deterministic: the same arguments give the same people with the same wishes. Knows nothing
of what becomes of a wish (see day) or of clock time (see floors).

An operating day runs from one changeover to the next, 24 hours later, not from midnight to
midnight: five crews of eight hours sign in every four hours from the changeover on, the last of
them leaves as the day ends, and nobody rests across a changeover. So a day can be computed without
the day before it, while rests run over midnight like any others. The changeover differs from VDN to
VDN, so that their quiet minutes do not coincide.
"""

import random
from dataclasses import dataclass

DAY = 86_400
"""Seconds of an operating day."""

_MINUTE, _HOUR = 60, 3_600
_SHIFT = 8 * _HOUR
_CREW_OF = (0, 0, 1, 2, 3, 4, 4)  # the first and the last crew work alone for four hours
_CREW_EVERY = 4 * _HOUR
_SMALLEST, _LARGEST = 20, 60
_QUEUES = 3
_PLACES_PER_AGENT = 0.08
_LONGEST_FINISHING = 3 * _MINUTE
_BACK_BEFORE_LEAVING = 2 * _MINUTE
_FIRST_AFTER_SIGN_IN = 5 * _MINUTE
_PATIENCE = 12 * _MINUTE
_SHORT_BREAKS = (600, 720, 900)
_MEALS = (1_800, 2_400, 2_700)
_RESTS_OF_A_SHIFT = (  # hours into the shift, and what is asked for
    (1.3, _SHORT_BREAKS),
    (2.7, _SHORT_BREAKS),
    (4.3, _MEALS),
    (6.5, _SHORT_BREAKS),
)

# Shares of one, drawn against `random()`.
_TAKEN = 0.85
_ON_A_CALL = 0.6
_IN_NO_QUEUE = 0.06
_ENDING_IN_TIME = 0.78
_ENDING_A_LITTLE_LATE = 0.17


@dataclass(frozen=True, slots=True)
class Staff:
    """A VDN's people and limits, the same every day.

    Args:
        agents: how many work in a day; they are numbered from 0.
        queue_of: each agent's skill queue.
        max_resting: places for agents with an approved or a running rest.
        max_resting_in_queue: such places of every skill queue.
        changeover: when the operating day begins, in seconds after midnight UTC.
    """

    agents: int
    queue_of: tuple[int, ...]
    max_resting: int
    max_resting_in_queue: int
    changeover: int


@dataclass(frozen=True, slots=True)
class Wish:
    """A rest that an agent will ask for. Times are seconds of the operating day.

    Args:
        agent: who asks.
        asked_at: when.
        duration: seconds asked for.
        busy_until: the end of the call that the agent is on; `asked_at` if there is none.
        signed_in_at: when the agent is signed in to a skill queue; `asked_at` if already.
        approval_takes: seconds until somebody approves, once nothing else stands in the way.
        finishing: seconds of work left after the approval.
        stays: seconds that the rest will last, which need not be those asked for.
        given_up_at: when the agent stops waiting, because the shift nears its end.
        back_by: when the rest ends at the latest, for the same reason.
    """

    agent: int
    asked_at: int
    duration: int
    busy_until: int
    signed_in_at: int
    approval_takes: int
    finishing: int
    stays: int
    given_up_at: int
    back_by: int


def staff_of(seed: int, cc_id: int, vdn: int) -> Staff:
    """The VDN's people: 20 to 60 of them."""
    rng = _random("staff", seed, cc_id, vdn)
    agents = rng.randint(_SMALLEST, _LARGEST)
    max_resting = max(2, round(agents * _PLACES_PER_AGENT))
    return Staff(
        agents=agents,
        queue_of=tuple(rng.randrange(_QUEUES) for _ in range(agents)),
        max_resting=max_resting,
        max_resting_in_queue=(max_resting + 1) // 2,
        changeover=rng.randrange(0, DAY, _MINUTE),
    )


def wishes_of(staff: Staff, seed: int, cc_id: int, vdn: int, day: int) -> tuple[Wish, ...]:
    """The rests that the VDN's people will ask for in an operating day, in no special order."""
    rng = _random("wishes", seed, cc_id, vdn, day)
    return tuple(
        _wish(rng, agent, middle, durations)
        for agent in range(staff.agents)
        for middle, durations in _RESTS_OF_A_SHIFT
        if rng.random() < _TAKEN
    )


def _wish(rng: random.Random, agent: int, middle: float, durations: tuple[int, ...]) -> Wish:
    """One rest, asked for around `middle` hours into the agent's shift."""
    signs_in = _CREW_OF[agent % len(_CREW_OF)] * _CREW_EVERY
    back_by = signs_in + _SHIFT - _BACK_BEFORE_LEAVING
    duration = rng.choice(durations)
    given_up_at = back_by - duration - _LONGEST_FINISHING
    earliest, latest = signs_in + _FIRST_AFTER_SIGN_IN, given_up_at - _PATIENCE
    wanted_at = signs_in + round((middle + rng.uniform(-1.2, 1.2)) * _HOUR)
    asked_at = min(max(wanted_at, earliest), latest)
    return Wish(
        agent=agent,
        asked_at=asked_at,
        duration=duration,
        busy_until=asked_at + (rng.randint(15, 240) if rng.random() < _ON_A_CALL else 0),
        signed_in_at=asked_at + (rng.randint(120, 600) if rng.random() < _IN_NO_QUEUE else 0),
        approval_takes=rng.randint(20, 300),
        finishing=rng.randint(0, _LONGEST_FINISHING),
        stays=round(duration * _stretch(rng)),
        given_up_at=given_up_at,
        back_by=back_by,
    )


def _stretch(rng: random.Random) -> float:
    """The part of the requested time that a rest takes: most end in time, a few far too late."""
    roll = rng.random()
    if roll < _ENDING_IN_TIME:
        return rng.uniform(0.8, 1.0)
    if roll < _ENDING_IN_TIME + _ENDING_A_LITTLE_LATE:
        return rng.uniform(1.0, 1.4)
    return rng.uniform(1.8, 3.0)


def _random(*key: int | str) -> random.Random:
    """A generator of its own for each purpose, so that one draw more does not move the others."""
    return random.Random("/".join(map(str, key)))  # noqa: S311 - a believable day, not a secret
