"""Floors that do not have an ordinary day: what each course promises, at every moment."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.simulator.floors import CantRest, Floor, SimulatedFloors
from exporter.simulator.roster import DAY, staff_of
from exporter.simulator.scenarios import Course, parse_scenario

SEEDS = st.integers(0, 1000)
TARGETS = st.tuples(st.integers(1, 65_535), st.integers(1, 5_000))
TIMES = st.integers(0, 2_000_000_000)
HOUR = 3600


def floors(course: str, seed: int = 0) -> SimulatedFloors:
    """The floors of a server that plays it."""
    return SimulatedFloors(seed, scenarios=[parse_scenario(course)])


def shift_changes(second: int) -> bool:
    """Whether a shift ends soon or has begun a moment ago; there is one every four hours."""
    return (second + HOUR // 2) % (4 * HOUR) < 3 * HOUR // 2


def reasons(floor: Floor) -> set[int | None]:
    """Why those wait who wait."""
    return {row.cant_rest_reason for row in floor.rows[: floor.waiting]}


@given(SEEDS, TARGETS, TIMES)
@settings(max_examples=10)
def test_on_a_quiet_day_at_most_one_agent_rests(
    seed: int, target: tuple[int, int], now: int
) -> None:
    """Looked at every ten minutes of a day: rests end in time, and nobody waits."""
    quiet = floors("quiet", seed)
    for minute in range(0, 24 * 60, 10):
        floor = quiet(*target, now + minute * 60)
        assert floor.waiting == floor.approved == 0
        assert floor.resting == len(floor.rows) <= 1
        for row in floor.rows:
            assert now + minute * 60 - row.begin_time / 1000 <= row.rest_duration


def test_some_agents_rest_on_a_quiet_day() -> None:
    """It is a floor, not an empty table."""
    quiet = floors("quiet")
    assert sum(quiet(1, 1, hour * HOUR).resting for hour in range(24)) > 0


@given(SEEDS, TARGETS, st.integers(0, 500_000))
@settings(max_examples=10)
def test_in_a_lunch_rush_the_limits_are_reached_from_each_full_hour(
    seed: int, target: tuple[int, int], hour: int
) -> None:
    """A quarter of an hour later agents wait because of a limit, and for less than an hour."""
    rush = floors("lunch-rush", seed)
    now = hour * HOUR + 15 * 60
    second = (now - staff_of(seed, *target).changeover) % DAY
    if not 2 * HOUR < second < DAY - 2 * HOUR:
        return  # at the changeover the floor is empty
    if shift_changes(second):
        return  # few have the time for a meal
    floor = rush(*target, now)
    assert floor.resting + floor.approved >= 2
    limits = {CantRest.VDN_LIMIT, CantRest.SKILL_QUEUE_LIMIT}
    waiting = [row for row in floor.rows if row.cant_rest_reason in limits]
    assert waiting
    assert all(now - row.begin_time / 1000 < HOUR for row in waiting)
    assert not any(
        row.cant_rest_reason in limits for row in rush(*target, hour * HOUR + 55 * 60).rows
    )


@given(SEEDS, TARGETS, TIMES)
@settings(max_examples=10)
def test_without_an_approver_nobody_rests(seed: int, target: tuple[int, int], now: int) -> None:
    """And in the middle of a day somebody has waited for more than an hour."""
    absent = floors("approver-absent", seed)
    assert absent(*target, now).resting == absent(*target, now).approved == 0
    staff = staff_of(seed, *target)
    noon = now - (now - staff.changeover) % DAY + DAY // 2
    floor = absent(*target, noon)
    waits = [noon - row.begin_time / 1000 for row in floor.rows if not row.cant_rest_reason]
    assert max(waits) > HOUR


@given(SEEDS, TARGETS, TIMES)
@settings(max_examples=10)
def test_an_agent_who_does_not_return_is_hours_too_late(
    seed: int, target: tuple[int, int], now: int
) -> None:
    """Except near a change of shifts, an agent rests for longer than the 15 minutes asked."""
    overdue = floors("overdue", seed)
    second = (now - staff_of(seed, *target).changeover) % DAY
    if not HOUR < second < DAY - HOUR or shift_changes(second):
        return
    late = [
        now - row.begin_time / 1000 - row.rest_duration
        for row in overdue(*target, now).rows
        if row.rest_duration == 15 * 60 and now - row.begin_time / 1000 > 15 * 60
    ]
    assert max(late) > 10 * 60


def test_a_course_is_played_on_its_own_floor_only() -> None:
    """Others have an ordinary day, the same as ever; and faults do not concern floors."""
    both = SimulatedFloors(
        scenarios=[parse_scenario("approver-absent@1/1"), parse_scenario("hang@1/2")]
    )
    ordinary = SimulatedFloors()
    times = range(0, DAY, HOUR)
    assert [both(1, 2, now) for now in times] == [ordinary(1, 2, now) for now in times]
    assert [both(1, 1, now) for now in times] != [ordinary(1, 1, now) for now in times]


@pytest.mark.parametrize("course", list(Course))
def test_a_course_is_deterministic(course: Course) -> None:
    """From the seed and the clock alone, and another seed gives another day."""

    def day(seed: int) -> list[Floor]:
        return [floors(course, seed)(1, 1, now) for now in range(0, DAY // 2, HOUR)]

    assert day(7) == day(7)
    assert day(7) != day(8)
