"""The simulated days: what makes them believable and consistent."""

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.simulator.floors import (
    DEFAULT_SEED,
    CantRest,
    Floor,
    Period,
    SimulatedFloors,
    Stage,
    simulate,
)
from exporter.simulator.roster import (
    DAY,
    RestRequest,
    Staff,
    name_of,
    requests_of,
    staff_of,
    work_number,
)
from exporter.simulator.stand_in import accelerated

MIDNIGHT = 20_000 * DAY
TARGETS = st.tuples(st.integers(1, 65_535), st.integers(1, 5_000))
DAYS = st.tuples(st.integers(0, 1000), TARGETS, st.integers(-1, 30_000))


def day_of(seed: int, target: tuple[int, int], day: int) -> tuple[Staff, tuple[Period, ...]]:
    """A VDN's staff and what they do on a day."""
    staff = staff_of(seed, *target)
    return staff, simulate(staff, requests_of(staff, seed, *target, day))


def moments(periods: tuple[Period, ...]) -> Iterator[tuple[int, list[Period]]]:
    """Every second at which something changes, and who is in which stage from then on."""
    for second in sorted({edge for period in periods for edge in (period.start, period.end)}):
        yield second, [period for period in periods if period.start <= second < period.end]


@given(DAYS)
@settings(max_examples=15)
def test_limits_hold_at_every_moment(key: tuple[int, tuple[int, int], int]) -> None:
    """Rests never exceed a limit, and agents wait because of a limit only while it is reached."""
    staff, periods = day_of(*key)
    assert 20 <= staff.agents <= 60
    for _, present in moments(periods):
        placed = [period for period in present if period.stage is not Stage.WAITING]
        taken = len(placed)
        queues = [staff.queue_of[period.agent] for period in placed]
        assert taken <= staff.max_resting
        assert all(queues.count(queue) <= staff.max_resting_in_queue for queue in queues)
        for period in present:
            full = taken == staff.max_resting
            queue = queues.count(staff.queue_of[period.agent])
            match period.reason:
                case CantRest.VDN_LIMIT:
                    assert full
                case CantRest.SKILL_QUEUE_LIMIT:
                    assert not full
                    assert queue == staff.max_resting_in_queue
                case CantRest.AWAITING_APPROVAL if period.stage is Stage.WAITING:
                    assert not full
                    assert queue < staff.max_resting_in_queue


@given(DAYS)
@settings(max_examples=15)
def test_a_rest_goes_through_its_stages_in_order(key: tuple[int, tuple[int, int], int]) -> None:
    """An agent is in one stage at a time, waits first, then is approved, then rests."""
    staff, periods = day_of(*key)
    for agent in range(staff.agents):
        own = [period for period in periods if period.agent == agent]
        for before, after in pairwise(own):
            assert before.end <= after.start
            if before.end == after.start and after.stage is not Stage.WAITING:
                assert after.stage >= before.stage
        for period in own:
            assert period.start < period.end
            if period.stage is Stage.WAITING:
                assert period.begin <= period.start
            else:
                assert period.begin == period.start
                assert period.reason is CantRest.AWAITING_APPROVAL
                assert any(b.end == period.start and b.stage < period.stage for b in own)


@given(DAYS)
@settings(max_examples=15)
def test_nobody_rests_across_a_changeover(key: tuple[int, tuple[int, int], int]) -> None:
    """A day begins and ends with an empty floor, so that days are independent of each other."""
    _, periods = day_of(*key)
    assert min(period.start for period in periods) >= 300
    assert max(period.end for period in periods) <= DAY - 120


@given(st.integers(0, 1000), TARGETS, st.integers(0, 2_000_000_000))
@settings(max_examples=30)
def test_counters_equal_the_rows_of_each_state(
    seed: int, target: tuple[int, int], now: int
) -> None:
    """A floor's counters are those of the day's periods at that moment, and so are its rows."""
    staff = staff_of(seed, *target)
    day, second = divmod(now - staff.changeover, DAY)
    present = [s for s in day_of(seed, target, day)[1] if s.start <= second < s.end]
    stages = [period.stage for period in present]
    floor = SimulatedFloors(seed)(*target, now + 0.75)
    assert (floor.waiting, floor.approved, floor.resting) == tuple(map(stages.count, Stage))
    assert [
        (row.work_no, row.cant_rest_reason, row.begin_time, row.rest_duration) for row in floor.rows
    ] == [
        (
            work_number(target[1], period.agent),
            period.reason,
            (now - second + period.begin) * 1000,
            period.duration,
        )
        for period in present
    ]
    assert all(row.begin_time <= now * 1000 for row in floor.rows)
    assert all(row.cant_rest_reason in range(5) for row in floor.rows)
    assert len({row.work_no for row in floor.rows}) == len(floor.rows)


def test_floors_are_deterministic_and_differ_by_seed_vdn_and_day() -> None:
    """The same seed gives the same day every time; other seeds, VDNs and days differ."""

    def day(floors: SimulatedFloors, vdn: int, start: int) -> list[tuple[int, ...]]:
        return [
            tuple(row.work_no for row in floors(1, vdn, start + hour * 3600).rows)
            for hour in range(24)
        ]

    told = day(SimulatedFloors(7), 1, MIDNIGHT)
    assert told == day(SimulatedFloors(7, capacity=1), 1, MIDNIGHT)
    assert told != day(SimulatedFloors(8), 1, MIDNIGHT)
    assert told != day(SimulatedFloors(7), 2, MIDNIGHT)
    assert told != day(SimulatedFloors(7), 1, MIDNIGHT + DAY)


def test_capacity_bounds_the_days_that_are_kept() -> None:
    """A floor simulated again after its day was dropped is the same floor."""
    floors = SimulatedFloors(capacity=2)
    first = [floors(1, vdn, MIDNIGHT) for vdn in range(1, 8)]
    assert [floors(1, vdn, MIDNIGHT) for vdn in range(1, 8)] == first
    assert floors._day.cache_info().currsize == 2  # noqa: SLF001 - the bound is what is tested


def test_rests_go_on_over_midnight() -> None:
    """Agents on a floor a second before midnight are still there, unless the period ends then."""
    floors = SimulatedFloors(3)
    went_on = 0
    for vdn in range(1, 41):
        staff = staff_of(3, 1, vdn)
        day, second = divmod(MIDNIGHT - staff.changeover, DAY)
        ending = {
            work_number(vdn, period.agent)
            for period in day_of(3, (1, vdn), day)[1]
            if period.end == second
        }
        before = {row.work_no: row for row in floors(1, vdn, MIDNIGHT - 1).rows}
        after = {row.work_no: row for row in floors(1, vdn, MIDNIGHT).rows}
        for work_no in before.keys() - ending:
            assert after[work_no] == before[work_no]
            went_on += 1
    assert went_on > 40


def test_counts_change_by_single_agents_around_midnight_and_changeover() -> None:
    """From one second to the next only a few rows come or go, and none at the changeover."""
    floors = SimulatedFloors(3)

    def people(vdn: int, now: int) -> set[int]:
        return {row.work_no for row in floors(1, vdn, now).rows}

    for vdn in (1, 2, 3):
        changeover = MIDNIGHT + staff_of(3, 1, vdn).changeover
        assert all(floors(1, vdn, changeover + s) == Floor(0, 0, 0) for s in range(-120, 300))
        for second in range(MIDNIGHT - 600, MIDNIGHT + 600):
            assert len(people(vdn, second) ^ people(vdn, second + 1)) <= 3


def test_a_day_of_the_default_seed_shows_everything() -> None:
    """A demo shows all five reasons, approvals, rests too long and rests far too long."""
    _, periods = day_of(DEFAULT_SEED, (1, 1), MIDNIGHT // DAY)
    assert {period.reason for period in periods if period.stage is Stage.WAITING} == set(CantRest)
    assert any(period.stage is Stage.APPROVED for period in periods)
    taken = [(s.end - s.start) / s.duration for s in periods if s.stage is Stage.RESTING]
    in_time = [share for share in taken if share <= 1]
    assert len(in_time) > len(taken) / 2
    assert any(1 < share < 1.4 for share in taken)
    assert max(taken) > 1.8


def test_there_is_something_to_see_at_every_hour() -> None:
    """At any full hour of a week somebody rests in one of the first three VDNs."""
    floors = SimulatedFloors()
    for hour in range(7 * 24):
        assert any(floors(1, vdn, MIDNIGHT + hour * 3600).resting for vdn in (1, 2, 3))


def test_a_second_request_of_an_agent_is_dropped() -> None:
    """An agent who still waits or rests cannot ask for another rest."""

    def requested(at: int) -> RestRequest:
        return RestRequest(
            agent=0,
            requested_at=at,
            duration=600,
            busy_until=at,
            signed_in_at=at,
            approval_takes=30,
            wrap_up=0,
            rests_for=500,
            withdrawn_at=5000,
            back_by=6000,
        )

    staff = Staff(agents=1, queue_of=(0,), max_resting=1, max_resting_in_queue=1, changeover=0)
    told = [
        (period.stage, period.start, period.end)
        for period in simulate(staff, (requested(100), requested(300), requested(700)))
    ]
    assert told == [
        (Stage.WAITING, 100, 130),
        (Stage.RESTING, 130, 630),
        (Stage.WAITING, 700, 730),
        (Stage.RESTING, 730, 1230),
    ]


def test_an_agent_withdraws_near_the_end_of_the_shift() -> None:
    """A request that was not approved in time is withdrawn."""
    patient = RestRequest(
        agent=0,
        requested_at=100,
        duration=600,
        busy_until=100,
        signed_in_at=100,
        approval_takes=0,
        wrap_up=60,
        rests_for=2000,
        withdrawn_at=4000,
        back_by=1500,
    )
    impatient = RestRequest(
        agent=1,
        requested_at=200,
        duration=600,
        busy_until=250,
        signed_in_at=300,
        approval_takes=10,
        wrap_up=0,
        rests_for=500,
        withdrawn_at=1000,
        back_by=2000,
    )
    staff = Staff(agents=2, queue_of=(0, 1), max_resting=1, max_resting_in_queue=1, changeover=0)
    told = [
        (period.agent, period.stage, period.reason, period.start, period.end)
        for period in simulate(staff, (patient, impatient))
    ]
    unset = CantRest.AWAITING_APPROVAL
    assert told == [
        (0, Stage.APPROVED, unset, 100, 160),
        (0, Stage.RESTING, unset, 160, 1500),
        (1, Stage.WAITING, CantRest.BUSY, 200, 250),
        (1, Stage.WAITING, CantRest.NO_SKILL_QUEUE, 250, 300),
        (1, Stage.WAITING, CantRest.VDN_LIMIT, 300, 1000),
    ]


def test_names_are_of_both_scripts_and_stay_with_the_agent() -> None:
    """About half of the agents have a Chinese name, and every name stays the same."""
    names = [name_of(1, 1, number) for number in range(200)]
    assert names == [name_of(1, 1, number) for number in range(200)]
    chinese = [name for name in names if "\u4e00" <= name[0] <= "\u9fff"]
    assert 50 < len(chinese) < 150
    assert all(2 <= len(name) <= 3 for name in chinese)
    assert all(len(name.split()) == 2 for name in set(names) - set(chinese))


def test_work_numbers_are_unique_in_a_call_center() -> None:
    """No two agents of different VDNs share a number."""
    numbers = [work_number(vdn, agent) for vdn in range(1, 5001) for agent in (0, 59)]
    assert len(set(numbers)) == len(numbers)


def test_an_accelerated_clock_runs_from_its_start() -> None:
    """Ten real seconds are ten minutes at a speed of 60, and ten seconds by default."""
    now = [1000.0]
    clock, real = accelerated(lambda: now[0], speed=60), accelerated(lambda: now[0])
    assert (clock(), real()) == (1000.0, 1000.0)
    now[0] += 10
    assert (clock(), real()) == (1600.0, 1010.0)
