"""The floor of any VDN at any time, from simulated days that are kept while they are in use.

Knows how clock time maps onto operating days, and turns a day's spells into rows. Knows nothing of
how a day comes about (see day) or of how a floor is sent.
"""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from functools import lru_cache

from exporter.simulator.day import Spell, Stage, simulate
from exporter.simulator.floor import AgentRow, Floor
from exporter.simulator.people import name_of, work_number
from exporter.simulator.roster import DAY, Staff, staff_of, wishes_of

DEFAULT_SEED = 0


class SimulatedFloors:
    """A `FloorSource`: deterministic in the seed, the VDN and the time.

    Args:
        seed: another seed gives other people and other days.
        capacity: days to keep, about 20 KB each; the least recently used goes first. With fewer
            than the VDNs in use, every request simulates a day anew, for a few milliseconds.
    """

    def __init__(self, seed: int = DEFAULT_SEED, capacity: int = 16_384) -> None:
        self._seed = seed
        self._staff = lru_cache(maxsize=capacity)(self._hire)
        self._day = lru_cache(maxsize=capacity)(self._simulate)

    def __call__(self, cc_id: int, vdn: int, now: float) -> Floor:
        """The floor of a VDN at `now`, in seconds since the epoch."""
        changeover = self._staff(cc_id, vdn).changeover
        day, second = divmod(math.floor(now) - changeover, DAY)
        day_began = day * DAY + changeover
        counts = [0, 0, 0]
        rows = []
        for agent, stage, reason, begin, duration in self._day(cc_id, vdn, day).at(second):
            counts[stage] += 1
            work_no = work_number(vdn, agent)
            rows.append(
                AgentRow(
                    name=name_of(self._seed, cc_id, work_no),
                    work_no=work_no,
                    cant_rest_reason=reason,
                    begin_time=(day_began + begin) * 1000,
                    rest_duration=duration,
                )
            )
        return Floor(
            approved=counts[Stage.APPROVED],
            resting=counts[Stage.RESTING],
            waiting=counts[Stage.WAITING],
            rows=tuple(rows),
        )

    def _hire(self, cc_id: int, vdn: int) -> Staff:
        return staff_of(self._seed, cc_id, vdn)

    def _simulate(self, cc_id: int, vdn: int, day: int) -> "_Day":
        staff = self._staff(cc_id, vdn)
        return _Day(simulate(staff, wishes_of(staff, self._seed, cc_id, vdn, day)))


class _Day:
    """A day's spells as columns of machine integers: a tenth of the memory of the objects."""

    __slots__ = ("_columns", "_ends", "_longest", "_starts")

    def __init__(self, spells: Iterable[Spell]) -> None:
        """Takes the spells in the order of their start."""
        kept = tuple(spells)
        self._starts = array("i", [spell.start for spell in kept])
        self._ends = array("i", [spell.end for spell in kept])
        self._columns = tuple(
            array("i", column)
            for column in (
                [spell.agent for spell in kept],
                [spell.stage for spell in kept],
                [spell.reason for spell in kept],
                [spell.begin for spell in kept],
                [spell.duration for spell in kept],
            )
        )
        self._longest = max((spell.end - spell.start for spell in kept), default=0)

    def at(self, second: int) -> list[tuple[int, ...]]:
        """Agent, stage, reason, begin and duration of everyone at that second of the day."""
        first = bisect_left(self._starts, second - self._longest)
        last = bisect_right(self._starts, second)
        return [
            tuple(column[i] for column in self._columns)
            for i in range(first, last)
            if second < self._ends[i]
        ]
