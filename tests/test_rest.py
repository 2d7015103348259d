"""From replies to numbers: each rule by an example, then what holds for every reply."""

import operator
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from exporter.begin_time import BeginTimeUnit
from exporter.cms.wire import Listing, Reply
from exporter.rest import (
    Asked,
    Counters,
    Doubt,
    Kind,
    Row,
    Snapshot,
    WaitReason,
    classify,
    once_each,
    reduce,
)

NOW = 1_750_000_000.0
HOUR = 3600


def ms(seconds_ago: float) -> int:
    """A `beginTime` that long before now, as the vendor writes it."""
    return int((NOW - seconds_ago) * 1000)


def rows_with(*reasons: int | None) -> list[Row]:
    """Rows that carry these reasons, and nothing else but an ID."""
    return [Row(work_no=number, reason=reason) for number, reason in enumerate(reasons)]


def by_reason(waiting: int, rows: Sequence[Row]) -> tuple[int, ...]:
    """The six counts."""
    return reduce(Counters(0, 0, waiting), rows, NOW).waiting_by_reason


# The vendor's page


def test_the_vendors_own_example() -> None:
    """A resting agent with a reason, a waiting count of 0, a beginTime that cannot be."""
    row = Row(work_no=55001, reason=1, begin_time=2345, duration=22333)

    snapshot = reduce(Counters(101, 1, 0), [row], NOW)

    assert snapshot == Snapshot(
        approved=101,
        resting=1,
        waiting=0,
        waiting_by_reason=(0, 0, 0, 0, 0, 0),
        longest_rest_start=None,
        longest_wait_start=None,
        deadlines=None,
        starts=None,
        unclassified=0,
        unlisted=1,
        unusable_begin_times=1,
        rows=1,
        doubts=(Doubt.UNLISTED, Doubt.UNUSABLE_BEGIN_TIMES),
        server_time=NOW,
    )
    assert snapshot.longest_rest(NOW) is None
    assert snapshot.overdue(NOW) is None
    assert snapshot.longest_wait(NOW) == 0.0


SIBLING = [
    Row(1034, reason=2, begin_time=1602830642000, duration=600),
    Row(1039, reason=0, begin_time=1602830613000, duration=600),
    Row(1099, reason=0, begin_time=1602830638000, duration=600),
]
"""The sample of the vendor's page on `queryagentreststate`, which wraps the same interfaces."""


def test_the_sample_of_the_sibling_interface() -> None:
    """Two agents rest with reason 0, the waiting one has the real reason, times are milliseconds.

    Its elapsed seconds say the same: 1602830613 + 238 = 1602830638 + 213.
    """
    now = 1602830613.0 + 238
    snapshot = reduce(Counters(0, 2, 1), SIBLING, now)

    assert snapshot.waiting_by_reason == (0, 0, 1, 0, 0, 0)
    assert snapshot.longest_rest_start == 1602830613.0
    assert snapshot.longest_rest(now) == 238
    assert (snapshot.unlisted, snapshot.unclassified, snapshot.doubts) == (0, 0, ())
    assert overdue(snapshot, now) == (0, 0.0)
    assert snapshot.longest_wait(now) == 209
    kinds = classify(snapshot, SIBLING, BeginTimeUnit.AUTO)
    assert kinds == [Kind.WAITS, Kind.RESTS, Kind.RESTS]


def test_the_reasons_stand_in_the_order_of_their_codes() -> None:
    """The codes 0 to 4 by the vendor's Table 6, then what no row explains."""
    assert [str(reason) for reason in WaitReason] == [
        "awaiting_approval",
        "busy",
        "vdn_limit",
        "no_skill_queue",
        "skill_queue_limit",
        "unknown",
    ]


# Waiting agents by reason


def test_nobody_waits_whatever_the_rows_carry() -> None:
    """Rule 1: W = 0."""
    assert by_reason(0, rows_with(0, 1, 2, 3, 4, 9)) == (0, 0, 0, 0, 0, 0)


def test_each_code_counts_under_its_reason() -> None:
    """Rule 2, with N = W."""
    assert by_reason(6, rows_with(0, 1, 1, 2, 3, 4)) == (1, 2, 1, 1, 1, 0)


def test_absent_and_negative_reasons_are_none() -> None:
    """Rule 2: such rows say nothing of a reason, so their agents are unknown."""
    assert by_reason(3, rows_with(None, -1, 2)) == (0, 0, 1, 0, 0, 2)


def test_a_code_above_four_is_unknown() -> None:
    """Rule 2: a newer server may have more codes than the page."""
    assert by_reason(3, rows_with(5, 99, 10**30)) == (0, 0, 0, 0, 0, 3)


def test_waiting_agents_without_a_row_are_unknown() -> None:
    """Rule 3: N < W."""
    assert by_reason(10, rows_with(1, 4)) == (0, 1, 0, 0, 1, 8)


def test_the_surplus_is_taken_from_the_zeros() -> None:
    """Rule 4: an unset integer is 0 on the wire, so the resting agents are among the zeros."""
    assert by_reason(2, rows_with(0, 0, 0, 1)) == (1, 1, 0, 0, 0, 0)


def test_the_zeros_may_just_cover_the_surplus() -> None:
    """Rule 4, at its edge: n0 = S."""
    assert by_reason(1, rows_with(0, 0, 2)) == (0, 0, 1, 0, 0, 0)


def test_rows_that_cannot_be_told_apart_are_unknown() -> None:
    """Rule 4: n0 < S, so that no reason is proved."""
    assert by_reason(2, rows_with(0, 1, 2, 3)) == (0, 0, 0, 0, 0, 2)


# The longest rest


def test_nobody_rests() -> None:
    """Rule 1: R = 0 is 0 seconds without a start, whatever the rows carry."""
    snapshot = reduce(Counters(1, 0, 0), [Row(begin_time=ms(HOUR), duration=60)], NOW)

    assert snapshot.longest_rest_start is None
    assert snapshot.longest_rest(NOW + HOUR) == 0.0
    assert snapshot.deadlines == ()
    assert snapshot.unclassified == 1


def test_the_oldest_candidate_is_the_longest_rest() -> None:
    """Rules 2 and 3: the age is that of the time asked for, so it grows between polls."""
    rows = [Row(1, begin_time=ms(60)), Row(2, begin_time=ms(900)), Row(3, begin_time=ms(300))]

    snapshot = reduce(Counters(0, 3, 0), rows, NOW)

    assert snapshot.longest_rest_start == NOW - 900
    assert snapshot.longest_rest(NOW) == 900
    assert snapshot.longest_rest(NOW + 30) == 930
    assert snapshot.unclassified == 0


def test_a_clock_that_went_back_gives_no_negative_age() -> None:
    """The server's clock may be set back after the poll."""
    snapshot = reduce(Counters(0, 1, 0), [Row(1, begin_time=ms(60))], NOW)

    assert snapshot.longest_rest(NOW - HOUR) == 0.0
    assert overdue(snapshot, NOW - HOUR) == (0, 0.0)


def test_a_start_ahead_of_the_server_is_no_candidate() -> None:
    """Rule 2: an approved rest that has yet to begin."""
    rows = [Row(1, begin_time=ms(-60)), Row(2, begin_time=ms(0))]

    snapshot = reduce(Counters(1, 1, 0), rows, NOW)

    assert snapshot.longest_rest_start == NOW
    assert (snapshot.unclassified, snapshot.unlisted, snapshot.unusable_begin_times) == (0, 0, 0)


@pytest.mark.parametrize(("ahead", "age", "unlisted"), [(4.9, 0.0, 0), (5, 0.0, 0), (5.1, None, 1)])
def test_a_rest_that_has_just_begun_may_seem_to_lie_ahead(
    ahead: float, age: float | None, unlisted: int
) -> None:
    """Rule 2: the CTI's clock and that of `Date` differ by a few seconds; up to five are now."""
    snapshot = reduce(Counters(0, 1, 0), [Row(1, begin_time=ms(-ahead))], NOW)

    assert (snapshot.longest_rest(NOW), snapshot.unlisted) == (age, unlisted)
    assert snapshot.longest_rest(NOW + 65) == (None if age is None else pytest.approx(65 - ahead))


def test_rows_with_a_reason_wait_if_the_counts_agree() -> None:
    """Rule 2 with rule 3 above: every row with a reason is proved to be waiting."""
    rows = [
        Row(1, reason=0, begin_time=ms(HOUR)),
        Row(2, reason=4, begin_time=ms(HOUR)),
        Row(3, reason=None, begin_time=ms(60)),
        Row(4, reason=-1, begin_time=ms(90)),
    ]

    snapshot = reduce(Counters(0, 2, 2), rows, NOW)

    assert snapshot.longest_rest(NOW) == 90


def test_rows_with_a_reason_above_zero_wait_if_zeros_are_in_surplus() -> None:
    """Rule 2 with rule 4 above: a zero may be a resting agent's unset integer."""
    rows = [
        Row(1, reason=0, begin_time=ms(600)),
        Row(2, reason=0, begin_time=ms(500)),
        Row(3, reason=1, begin_time=ms(HOUR)),
    ]

    snapshot = reduce(Counters(0, 1, 2), rows, NOW)

    assert snapshot.waiting_by_reason == (1, 1, 0, 0, 0, 0)
    assert snapshot.longest_rest(NOW) == 600
    assert snapshot.unclassified == 1


def test_every_row_may_rest_if_they_cannot_be_told_apart() -> None:
    """Rule 2 with the end of rule 4 above: no row is proved to be waiting."""
    rows = [Row(1, reason=1, begin_time=ms(60)), Row(2, reason=2, begin_time=ms(HOUR))]

    snapshot = reduce(Counters(0, 1, 1), rows, NOW)

    assert snapshot.longest_rest(NOW) == HOUR
    assert snapshot.unclassified == 1


def test_no_candidate_is_no_sample() -> None:
    """Rule 3: a false zero would silence an alert."""
    snapshot = reduce(Counters(0, 2, 0), [], NOW)

    assert snapshot.longest_rest_start is None
    assert snapshot.longest_rest(NOW) is None


def test_more_candidates_than_rests_are_unclassified() -> None:
    """Rule 4: the longest rest is an upper bound then."""
    rows = [Row(number, begin_time=ms(60 * number)) for number in range(1, 6)]

    snapshot = reduce(Counters(3, 2, 0), rows, NOW)

    assert (snapshot.unclassified, snapshot.unlisted) == (3, 0)
    assert snapshot.longest_rest(NOW) == 300


def test_fewer_candidates_than_rests_are_unlisted() -> None:
    """Rule 5: the longest rest is a lower bound then."""
    rows = [Row(1, begin_time=ms(60)), Row(2, begin_time=ms(90)), Row(3)]

    snapshot = reduce(Counters(0, 7, 0), rows, NOW)

    assert (snapshot.unclassified, snapshot.unlisted) == (0, 5)
    assert snapshot.longest_rest(NOW) == 90
    assert snapshot.doubts == (Doubt.UNLISTED, Doubt.UNUSABLE_BEGIN_TIMES)


# Overdue


def overdue(snapshot: Snapshot, now: float) -> tuple[int | None, float | None]:
    """How many rests are past their end, and by how much the most overdue one is."""
    return snapshot.overdue(now), snapshot.longest_overdue(now)


def test_a_rest_is_overdue_once_it_exceeds_its_duration() -> None:
    """Not before, and not at that very second."""
    snapshot = reduce(Counters(0, 1, 0), [Row(1, begin_time=ms(600), duration=600)], NOW)

    assert overdue(snapshot, NOW) == (0, 0.0)
    assert overdue(snapshot, NOW + 5) == (1, 5.0)


def test_the_longest_overdue_time_stands_beside_the_count() -> None:
    """The excess, not the age, decides which is the longest."""
    rows = [
        Row(1, begin_time=ms(HOUR), duration=HOUR - 10),
        Row(2, begin_time=ms(900), duration=600),
        Row(3, begin_time=ms(60), duration=600),
    ]

    assert overdue(reduce(Counters(0, 3, 0), rows, NOW), NOW) == (2, 300.0)


@pytest.mark.parametrize("duration", [None, 0, -1, 86_400, 10**400])
def test_a_rest_without_a_duration_is_never_overdue(duration: int | None) -> None:
    """A rest is requested for one second up to a day less one: anything else is no length."""
    snapshot = reduce(Counters(0, 1, 0), [Row(1, begin_time=ms(HOUR), duration=duration)], NOW)

    assert overdue(snapshot, NOW + 10 * HOUR) == (0, 0.0)


def test_no_more_agents_are_overdue_than_rest() -> None:
    """Candidates may be more than agents rest: the earliest deadlines count."""
    rows = [Row(number, begin_time=ms(HOUR), duration=60 * number) for number in range(1, 6)]

    assert overdue(reduce(Counters(3, 2, 0), rows, NOW), NOW) == (2, HOUR - 60.0)


def test_the_longest_length_counts() -> None:
    """86,399 seconds is a length."""
    day = 86_399
    rows = [Row(1, begin_time=ms(day + 1), duration=day)]

    assert overdue(reduce(Counters(0, 1, 0), rows, NOW), NOW) == (1, 1.0)


@pytest.mark.parametrize(("resting", "overdue"), [(0, 0), (2, None)])
def test_overdue_without_a_candidate(resting: int, overdue: int | None) -> None:
    """Nobody rests: nobody is overdue. Somebody rests and no row has a start: unknown."""
    snapshot = reduce(Counters(0, resting, 0), [Row(1)], NOW)

    assert snapshot.overdue(NOW) == overdue
    assert snapshot.longest_overdue(NOW) == overdue


# How many rest longer


def test_how_many_rest_longer() -> None:
    """Strictly longer, and no more than rest: the earliest starts count."""
    rows = [Row(number, begin_time=ms(60 * number)) for number in range(1, 6)]
    snapshot = reduce(Counters(0, 4, 0), rows, NOW, Asked(with_starts=True))

    assert [snapshot.resting_longer(bound, NOW) for bound in (0, 120, 299, 300)] == [4, 3, 1, 0]
    assert snapshot.resting_longer(300, NOW + 1) == 1
    assert reduce(Counters(0, 4, 0), rows, NOW).resting_longer(60, NOW) is None


@pytest.mark.parametrize(("resting", "longer"), [(0, 0), (2, None)])
def test_how_many_rest_longer_without_a_candidate(resting: int, longer: int | None) -> None:
    """As for overdue rests."""
    snapshot = reduce(Counters(0, resting, 0), [Row(1)], NOW, Asked(with_starts=True))

    assert snapshot.resting_longer(60, NOW) == longer


# The longest wait


def test_the_longest_wait_is_since_the_earliest_start_asked_for() -> None:
    """Of the rows that surely wait, which is all with a reason if the counts agree."""
    rows = [
        Row(1, reason=0, begin_time=ms(300)),
        Row(2, reason=4, begin_time=ms(200)),
        Row(3, begin_time=ms(HOUR)),
    ]

    snapshot = reduce(Counters(0, 1, 2), rows, NOW)

    assert snapshot.longest_wait(NOW) == 300
    assert snapshot.longest_wait(NOW + 30) == 330


def test_rows_that_may_wait_do_not_count_for_the_longest_wait() -> None:
    """Rule 4 took zeros out: what is left is a lower bound."""
    rows = [
        Row(1, reason=0, begin_time=ms(900)),
        Row(2, reason=0, begin_time=ms(800)),
        Row(3, reason=2, begin_time=ms(100)),
    ]

    assert reduce(Counters(0, 1, 2), rows, NOW).longest_wait(NOW) == 100


@pytest.mark.parametrize(
    ("waiting", "row", "wait"),
    [
        (0, Row(1, reason=2, begin_time=ms(60)), 0.0),
        (1, Row(1, reason=2, begin_time=ms(-600)), 0.0),
        (1, Row(1, reason=2, begin_time=0), None),
        (1, Row(1, begin_time=ms(60)), None),
    ],
    ids=["nobody waits", "a start that lies ahead", "no usable start", "no reason"],
)
def test_the_longest_wait_at_its_edges(waiting: int, row: Row, wait: float | None) -> None:
    """Never below 0, and no sample where nothing is known."""
    assert reduce(Counters(0, 0, waiting), [row], NOW).longest_wait(NOW) == wait


@pytest.mark.parametrize("unset", [None, "", 0])
def test_rows_without_a_work_number_are_different_agents(unset: int | str | None) -> None:
    """An unset number is 0 or empty on the wire: three of them are not one agent."""
    rows = [Row(unset, begin_time=ms(seconds)) for seconds in (10, 20, 30)]

    snapshot = reduce(Counters(0, 3, 0), rows, NOW)

    assert (snapshot.rows, snapshot.unlisted, snapshot.doubts) == (3, 0, ())


# Doubts


@pytest.mark.parametrize(
    ("listed", "asked", "cut_off"),
    [
        (100, Asked(), True),
        (10, Asked(), True),
        (99, Asked(), False),
        (99, Asked(largest_listing=99), True),
        (99, Asked(largest_listing=100), False),
        (0, Asked(), False),
        (100, Asked(paged=True), False),
    ],
)
def test_a_listing_that_looks_cut_off(listed: int, asked: Asked, *, cut_off: bool) -> None:
    """250 rest, and the rows are a page's number, or as many as the server never exceeds."""
    rows = [Row(number, begin_time=ms(60)) for number in range(listed)]

    snapshot = reduce(Counters(0, 250, 0), rows, NOW, asked)

    assert (Doubt.CUT_OFF in snapshot.doubts) == cut_off
    assert snapshot.unlisted == 250 - listed
    assert snapshot.resting == 250


@pytest.mark.parametrize(
    ("begin_time", "unit", "doubts"),
    [
        (0, BeginTimeUnit.AUTO, (Doubt.UNLISTED, Doubt.UNUSABLE_BEGIN_TIMES)),
        (2345, BeginTimeUnit.AUTO, (Doubt.UNLISTED, Doubt.UNUSABLE_BEGIN_TIMES)),
        (ms(-60), BeginTimeUnit.AUTO, (Doubt.UNLISTED,)),
        (
            ms(60),
            BeginTimeUnit.SECONDS,
            (Doubt.WRONG_UNIT, Doubt.UNLISTED, Doubt.UNUSABLE_BEGIN_TIMES),
        ),
    ],
    ids=["never set", "not a time", "the CTI's clock is ahead", "in the other unit"],
)
@pytest.mark.parametrize("asked", [Asked(), Asked(largest_listing=20)])
def test_a_listing_with_a_row_for_each_agent_is_not_cut_off(
    begin_time: int, unit: BeginTimeUnit, doubts: tuple[Doubt, ...], asked: Asked
) -> None:
    """Twenty rest and twenty are listed: what is wrong is their starts, not the paging."""
    rows = [Row(number, begin_time=begin_time) for number in range(20)]

    assert reduce(Counters(0, 20, 0), rows, NOW, asked._replace(unit=unit)).doubts == doubts


def test_rows_of_agents_who_wait_do_not_fill_a_page() -> None:
    """Five wait with their rows, five more rows have no start, and ten agents rest."""
    rows = [Row(number, reason=2, begin_time=ms(60)) for number in range(5)]
    rows += [Row(number, begin_time=0) for number in range(5, 10)]

    assert Doubt.CUT_OFF in reduce(Counters(0, 10, 5), rows, NOW).doubts


def test_a_whole_listing_is_not_cut_off() -> None:
    """A hundred rows, and no more agents rest."""
    rows = [Row(number, begin_time=ms(60)) for number in range(100)]

    assert reduce(Counters(0, 100, 0), rows, NOW).doubts == ()


@pytest.mark.parametrize(
    ("begin_times", "unit", "wrong"),
    [
        ([int(NOW) - 60], BeginTimeUnit.MILLISECONDS, True),
        ([ms(60)], BeginTimeUnit.SECONDS, True),
        ([ms(60), 0, None, 4_294_967_295_000], BeginTimeUnit.SECONDS, True),
        ([ms(60), int(NOW) - 60], BeginTimeUnit.SECONDS, False),
        ([ms(60), 2345], BeginTimeUnit.SECONDS, False),
        ([0, None, 4_294_967_295_000], BeginTimeUnit.SECONDS, False),
        ([2345], BeginTimeUnit.AUTO, False),
        ([], BeginTimeUnit.SECONDS, False),
    ],
)
def test_the_evidence_of_a_wrong_unit(
    begin_times: list[int | None], unit: BeginTimeUnit, *, wrong: bool
) -> None:
    """Every start that is set is unusable in the configured unit and usable in the other."""
    rows = [Row(number, begin_time=value) for number, value in enumerate(begin_times)]

    snapshot = reduce(Counters(0, 3, 0), rows, NOW, Asked(unit))

    assert (Doubt.WRONG_UNIT in snapshot.doubts) == wrong


# What is said of a row


def test_the_kinds_of_rows() -> None:
    """By the same rules as the numbers."""
    future, past, none = ms(-600), ms(600), None
    for counters, rows, kinds in [
        (Counters(0, 0, 0), [Row(1, begin_time=past)], "n"),
        (Counters(1, 1, 0), [Row(1, begin_time=past), Row(2, begin_time=future)], "rn"),
        (Counters(1, 1, 0), [Row(1, begin_time=past), Row(2, begin_time=past)], "ee"),
        (Counters(0, 1, 0), [Row(1, begin_time=none)], "e"),
        (Counters(0, 2, 0), [Row(1, begin_time=past)], "r"),
        (Counters(0, 1, 0), [Row(1, begin_time=past), Row(2, begin_time=none)], "ee"),
        (Counters(0, 2, 0), [Row(1, begin_time=past), Row(2, begin_time=none)], "re"),
        (Counters(0, 1, 1), [Row(1, reason=0, begin_time=past), Row(2, begin_time=past)], "wr"),
        (Counters(0, 1, 1), [Row(1, reason=0, begin_time=past), Row(2, 3, past)], "rw"),
        (Counters(0, 1, 1), [Row(1, reason=1, begin_time=past), Row(2, 2, past)], "ee"),
    ]:
        seen = reduce(counters, rows, NOW)
        told = classify(seen, rows, BeginTimeUnit.AUTO)
        assert "".join(kind.state[0] for kind in told) == kinds


# beginTime


@pytest.mark.parametrize(
    ("begin_time", "unit", "start"),
    [
        (ms(60), BeginTimeUnit.AUTO, NOW - 60),
        (int(NOW) - 60, BeginTimeUnit.AUTO, NOW - 60),
        (ms(60), BeginTimeUnit.MILLISECONDS, NOW - 60),
        (int(NOW) - 60, BeginTimeUnit.SECONDS, NOW - 60),
        (946_684_800, BeginTimeUnit.AUTO, 946_684_800.0),
        (946_684_800_000, BeginTimeUnit.AUTO, 946_684_800.0),
    ],
)
def test_the_unit_of_a_start_is_told_by_its_size_or_fixed(
    begin_time: int, unit: BeginTimeUnit, start: float
) -> None:
    """From 10^11 up a number is milliseconds, below it is seconds."""
    snapshot = reduce(Counters(0, 1, 0), [Row(1, begin_time=begin_time)], NOW, Asked(unit))

    assert (snapshot.longest_rest_start, snapshot.unusable_begin_times) == (start, 0)


@pytest.mark.parametrize(
    ("begin_time", "unit"),
    [
        (None, BeginTimeUnit.AUTO),
        (0, BeginTimeUnit.AUTO),
        (-ms(60), BeginTimeUnit.AUTO),
        (2345, BeginTimeUnit.AUTO),
        (946_684_799, BeginTimeUnit.AUTO),
        (10**11, BeginTimeUnit.AUTO),
        (10**11 - 1, BeginTimeUnit.AUTO),
        (int(NOW), BeginTimeUnit.MILLISECONDS),
        (ms(60), BeginTimeUnit.SECONDS),
        (ms(-86_401), BeginTimeUnit.AUTO),
        (10**400, BeginTimeUnit.AUTO),
    ],
)
def test_an_unusable_start_is_counted_and_not_shown(
    begin_time: int | None, unit: BeginTimeUnit
) -> None:
    """Unset, before 2000, or more than a day ahead: never a rest of 56 years."""
    snapshot = reduce(Counters(0, 1, 0), [Row(1, begin_time=begin_time)], NOW, Asked(unit))

    assert (snapshot.longest_rest_start, snapshot.unusable_begin_times) == (None, 1)


def test_a_start_up_to_a_day_ahead_is_usable() -> None:
    """A rest may be approved for tomorrow."""
    snapshot = reduce(Counters(1, 0, 0), [Row(1, begin_time=ms(-86_400))], NOW)

    assert snapshot.unusable_begin_times == 0


# Rows that came twice


def test_of_rows_with_one_id_the_later_counts() -> None:
    """Pages can overlap while agents come and go."""
    rows = [
        Row(7, reason=1, begin_time=ms(60)),
        Row(8, reason=2),
        Row(7, reason=3, begin_time=ms(30)),
    ]

    assert by_reason(2, rows) == (0, 0, 1, 1, 0, 0)
    assert reduce(Counters(0, 1, 0), rows, NOW).longest_rest(NOW) == 30


def test_rows_without_an_id_are_kept_apart() -> None:
    """Nothing proves that they are one agent."""
    assert by_reason(2, [Row(reason=1), Row(reason=1)]) == (0, 2, 0, 0, 0, 0)


# What holds for every reply

_integers = st.integers() | st.integers(-2, 8)
_starts = st.one_of(
    st.integers(),
    st.integers(int(NOW) - 100_000, int(NOW) + 100_000),
    st.integers(int(NOW) - 100_000, int(NOW) + 100_000).map(lambda seconds: seconds * 1000),
)
_rows = st.builds(
    Row,
    work_no=st.none() | st.integers(0, 9) | st.text(max_size=2),
    reason=st.none() | _integers,
    begin_time=st.none() | _starts,
    duration=st.none() | _integers | st.integers(0, 200_000),
)
_counters = st.builds(Counters, *[st.integers(0, 12) | st.integers(0, 2**31 - 1)] * 3)
_times = st.floats() | st.floats(NOW - 200_000, NOW + 200_000)
_units = st.sampled_from(BeginTimeUnit)


@given(_counters, st.lists(_rows, max_size=12), _times, _times, _units)
def test_no_reply_makes_the_reduction_raise_or_break_its_promises(
    counters: Counters, rows: list[Row], server_time: float, later: float, unit: BeginTimeUnit
) -> None:
    """Reasons sum to the waiting, nothing is negative, and no more are overdue than rest."""
    snapshot = reduce(counters, rows, server_time, Asked(unit, with_starts=True))

    assert (snapshot.approved, snapshot.resting, snapshot.waiting) == counters
    assert len(snapshot.waiting_by_reason) == len(WaitReason)
    assert sum(snapshot.waiting_by_reason) == counters.waiting
    assert min(snapshot.waiting_by_reason) >= 0
    assert 0 <= snapshot.unusable_begin_times <= len(rows)
    assert 0 <= snapshot.unclassified <= len(rows)

    assert 0 <= snapshot.unlisted <= counters.resting
    assert not (snapshot.unlisted and snapshot.unclassified)
    assert len(set(snapshot.doubts)) == len(snapshot.doubts)
    assert (Doubt.UNLISTED in snapshot.doubts) == (snapshot.unlisted > 0)
    assert (Doubt.UNUSABLE_BEGIN_TIMES in snapshot.doubts) == (snapshot.unusable_begin_times > 0)

    for age in (snapshot.longest_rest(later), snapshot.longest_wait(later)):
        assert age is None or age >= 0
    agents, longest = overdue(snapshot, later)
    longer = snapshot.resting_longer(60, later)
    assert (agents is None) == (longest is None) == (longer is None)
    if agents is not None and longest is not None and longer is not None:
        assert 0 <= agents <= counters.resting
        assert 0 <= longer <= counters.resting
        assert longest >= 0
        assert (longest > 0) == (agents > 0)
    assert len(classify(snapshot, once_each(rows), unit)) == snapshot.rows


@given(_counters, st.data())
def test_the_order_of_rows_does_not_matter(counters: Counters, data: st.DataObject) -> None:
    """For agents who stand in the listing once."""
    rows = data.draw(st.lists(_rows, max_size=12, unique_by=lambda row: row.work_no))

    shuffled = data.draw(st.permutations(rows))

    assert reduce(counters, shuffled, NOW) == reduce(counters, rows, NOW)


@given(_counters, st.lists(_rows, max_size=12))
def test_the_later_row_wins_wherever_it_stands(counters: Counters, rows: list[Row]) -> None:
    """Dropping every earlier row of the same agent changes nothing."""
    last = [
        row
        for index, row in enumerate(rows)
        if not row.work_no or row.work_no not in {later.work_no for later in rows[index + 1 :]}
    ]

    assert reduce(counters, rows, NOW) == reduce(counters, last, NOW)


@given(_counters, st.lists(_rows, max_size=40), st.integers(1, 100), st.integers(0, 20))
def test_no_split_into_pages_changes_a_number(
    counters: Counters, rows: list[Row], limit: int, overlap: int
) -> None:
    """Also when pages overlap, as they do while agents join at the listing's start."""
    for number, row in enumerate(rows):
        row.work_no = number
    assume(overlap < limit)
    listing = Listing(limit)
    ended = False
    while not ended:
        # with every page, `overlap` rows have moved on and are read again
        start = max(0, listing.offset - overlap * listing.pages)
        ended = listing.add(Reply(counters, rows[start : start + limit]))

    assert reduce(counters, listing.rows, NOW) == reduce(counters, rows, NOW)


@given(_counters, st.lists(_rows, max_size=12), st.floats(0, 1e6), st.floats(0, 1e6))
def test_ages_grow_with_time(
    counters: Counters, rows: list[Row], after: float, longer: float
) -> None:
    """Between two polls nothing may shrink but by the server's word."""
    snapshot = reduce(counters, rows, NOW)
    sooner, later = NOW + after, NOW + after + longer

    age = snapshot.longest_rest(sooner)
    if age is not None:
        assert (snapshot.longest_rest(later) or 0.0) >= age
        assert (snapshot.longest_wait(later) or 0.0) >= (snapshot.longest_wait(sooner) or 0.0)
    for before, then in zip(overdue(snapshot, sooner), overdue(snapshot, later), strict=True):
        assert (before is None) == (then is None)
        if before is not None and then is not None:
            assert then >= before


# Every consistent assignment of rows to agents

_small_rows = st.builds(
    Row,
    reason=st.sampled_from([None, -1, 0, 0, 0, 1, 2, 5]),
    begin_time=st.none() | st.integers(int(NOW) - 90, int(NOW) + 30),
    duration=st.none() | st.integers(0, 60),
)


class Truth(NamedTuple):
    """One way in which the rows of a reply can belong to its agents."""

    rests: tuple[Row, ...]
    waits: tuple[Row, ...]
    unseen: int
    """Agents who rest and have no row, or one without a usable start: they may rest for ever."""

    def ages(self) -> list[float]:
        """Of the rests whose start is known."""
        return [max(0.0, NOW - row.begin_time) for row in self.rests if row.begin_time is not None]

    def overdue(self) -> int:
        """Of the same."""
        return sum(
            row.begin_time is not None
            and row.duration is not None
            and row.duration > 0
            and NOW - row.begin_time > row.duration
            for row in self.rests
        )


def _truths(counters: Counters, rows: Sequence[Row]) -> Iterator[Truth]:
    """Every way in which the rows can belong to agents who rest and agents who wait.

    Agents who wait have their reason in their row; any other row has none, or an unset integer,
    which is 0 on the wire. As many rows with a reason as possible are of agents who wait, and as
    many of the others as possible of agents who rest, unless their start lies ahead. Where nobody
    waits, or where reasons and counters contradict each other, a reason means nothing.
    """
    with_reason = [row for row in rows if row.reason is not None and row.reason >= 0]
    sure = [row for row in with_reason if row.reason]
    waiting = min(counters.waiting, len(with_reason))
    contradiction = len(sure) > waiting
    for waits in combinations(rows if contradiction else with_reason, waiting):
        if not contradiction and any(row not in waits for row in sure):
            continue
        could = [
            row
            for row in rows
            if row not in waits and (row.begin_time is None or row.begin_time <= NOW + 5)
        ]
        for rests in combinations(could, min(counters.resting, len(could))):
            seen = sum(row.begin_time is not None for row in rests)
            yield Truth(rests, waits, counters.resting - seen)


def _assert_counts(snapshot: Snapshot, truths: Sequence[Truth], bound: int) -> None:
    counts = [
        (snapshot.overdue(NOW), [truth.overdue() for truth in truths]),
        (
            snapshot.resting_longer(bound, NOW),
            [sum(age > bound for age in truth.ages()) for truth in truths],
        ),
    ]
    for shown, seen in counts:
        if shown is not None:
            unseen = [truth.unseen for truth in truths]
            assert min(seen) <= shown <= max(map(operator.add, seen, unseen))
            if snapshot.unclassified:
                assert shown >= max(seen), "an upper bound"


@given(
    st.builds(Counters, *[st.integers(0, 4)] * 3),
    st.lists(_small_rows, max_size=6),
    st.integers(0, 60),
)
@example(
    # only one of the four with a 0 can be resting, and either of two has been for long
    Counters(0, 2, 3),
    [
        Row(reason=0),
        Row(reason=0),
        Row(begin_time=int(NOW) - 12),
        Row(reason=0, begin_time=int(NOW) - 90),
        Row(reason=0, begin_time=int(NOW) - 90),
    ],
    12,
)
@settings(max_examples=400, deadline=None)
def test_every_number_is_within_what_the_reply_allows(
    counters: Counters, rows: list[Row], bound: int
) -> None:
    """By an enumeration of all that can be true: exact where nothing is in doubt."""
    for number, row in enumerate(rows):
        row.work_no = number
    snapshot = reduce(counters, rows, NOW, Asked(with_starts=True))
    truths = list(_truths(counters, rows))
    hidden = any(truth.unseen for truth in truths)

    longest = snapshot.longest_rest(NOW)
    if longest is not None:
        possible = [max(truth.ages(), default=0.0) for truth in truths]
        assert min(possible) <= longest <= (longest if hidden else max(possible))
        if snapshot.unclassified:
            assert longest >= max(possible), "an upper bound"
        if snapshot.unlisted:
            assert longest <= max(possible), "a lower bound"

    _assert_counts(snapshot, truths, bound)

    wait = snapshot.longest_wait(NOW)
    if wait and counters.waiting:
        for truth in truths:
            starts = [row.begin_time for row in truth.waits if row.begin_time is not None]
            assert wait <= NOW - min(starts), "a lower bound"

    for code in range(5):
        most = max(sum(row.reason == code for row in truth.waits) for truth in truths)
        assert snapshot.waiting_by_reason[code] <= most
