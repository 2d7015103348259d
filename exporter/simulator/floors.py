"""The floor of any VDN at any time: counters and rows, from simulated days that are cached."""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

from exporter.simulator.courses import requests_in
from exporter.simulator.day import Period, Stage, simulate
from exporter.simulator.roster import (
    DAY,
    name_of,
    random_of,
    requests_of,
    staff_of,
    work_number,
)
from exporter.simulator.scenarios import Scenario, course_for

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
        counts = [0, 0, 0]
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
        return Floor(
            approved=counts[Stage.APPROVED],
            resting=counts[Stage.RESTING],
            waiting=counts[Stage.WAITING],
            rows=tuple(rows),
        )

    def _make_day(self, cc_id: int, vdn: int, day: int) -> "_Day":
        staff = self._staff(cc_id, vdn)
        course = course_for(self._scenarios, (cc_id, vdn))
        rng = random_of("course", self._seed, cc_id, vdn, day)
        ordinary = requests_of(staff, self._seed, cc_id, vdn, day)
        return _Day(simulate(staff, requests_in(course, ordinary, staff, rng)))


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
