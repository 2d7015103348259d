"""An hour of numbers and the last failures: what is kept, and in how much memory."""

import tracemalloc
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from exporter.clock import Moment
from exporter.errors import PollError, Reason
from exporter.history import (
    MOST_FAILURES,
    MOST_OF_ONE,
    SAMPLES,
    FailureHistory,
    RestHistory,
    Sample,
)
from exporter.store import Target, TargetKey
from tests.support.stores import failure, snapshot, store_of, success

NOW = Moment(1_750_000_000.0, 600.0, 600.0)


def later(seconds: float) -> Moment:
    """Some seconds after `NOW`."""
    return Moment(NOW.wall + seconds, NOW.monotonic + seconds, NOW.boot + seconds)


def test_the_last_sixty_minutes_are_kept() -> None:
    """The oldest come first; minutes before the first one are blank."""
    rests = RestHistory()
    rests.replace(["a", "b"])
    assert rests.kept
    assert rests.of("a") == []
    for minute in range(100, 163):
        rests.add(minute, [(minute, 1), None])
    assert rests.of("a") == [(minute, 1) for minute in range(103, 163)]
    assert rests.of("b") == [None] * SAMPLES
    assert rests.of("c") == []


def test_minutes_that_were_left_out_are_blank() -> None:
    """The host was suspended: no line is drawn over the gap, and none of an hour ago returns."""
    rests = RestHistory()
    rests.replace(["a"])
    for minute in range(60):
        rests.add(minute, [(minute, 0)])
    rests.add(63, [(63, 0)])
    assert rests.of("a")[-5:] == [(59, 0), None, None, None, (63, 0)]
    rests.add(1000, [(7, 7)])
    assert rests.of("a") == [None] * (SAMPLES - 1) + [(7, 7)]


def test_more_agents_than_a_number_holds() -> None:
    """They are drawn as the most that it holds, and not as unknown."""
    rests = RestHistory()
    rests.replace(["a"])
    rests.add(1, [(10**6, 65_535)])
    assert rests.of("a")[-1] == (65_534, 65_534)


@given(
    st.lists(
        st.lists(st.sampled_from("abcdefg"), unique=True, min_size=1, max_size=5),
        min_size=1,
        max_size=80,
    )
)
def test_targets_that_stay_keep_their_numbers(configurations: list[list[str]]) -> None:
    """Whatever comes, goes or changes place; what comes back begins anew."""
    rests = RestHistory()
    expected: dict[str, list[Sample]] = {}
    for minute, keys in enumerate(configurations):
        expected = {key: expected.get(key, [None] * SAMPLES) for key in keys}
        rests.replace(keys)
        rests.add(minute, [(minute, ord(key)) for key in keys])
        for key in keys:
            expected[key] = [*expected[key][1:], (minute, ord(key))]
    assert {key: rests.of(key) for key in "abcdefg" if rests.of(key)} == expected


def test_too_many_targets() -> None:
    """Nothing is kept, so that memory stays bounded; it begins again when there are fewer."""
    rests = RestHistory(most=2)
    rests.replace(["a", "b", "c"])
    rests.add(1, [(1, 1)] * 3)
    assert not rests.kept
    assert rests.of("a") == []
    rests.replace(["a", "b"])
    rests.add(2, [(1, 2), None])
    assert rests.of("a")[-1] == (1, 2)


def test_the_store_samples_what_is_fresh() -> None:
    """A number that the metrics no longer show is not drawn either."""
    fresh, stale, unknown = (TargetKey("lima", 1, vdn) for vdn in (1, 2, 3))
    store = store_of([Target(fresh), Target(stale, stale_after=10.0), Target(unknown)])
    for key in (fresh, stale):
        result = success(NOW, NOW, snapshot(NOW.wall, resting=3, waiting=2))
        store.record(store.state(key).after(result))
    store.sample(later(30))
    assert [store.rests.of(key)[-1] for key in (fresh, stale, unknown)] == [(3, 2), None, None]


def test_an_episode_lasts_from_its_first_failure_to_a_success() -> None:
    """Polls that fail for the same cause are one, however the seconds in the message differ."""
    key = TargetKey("lima", 1, 1)
    store = store_of([Target(key)])

    def fail(seconds: float, message: str, reason: Reason = Reason.TIMEOUT) -> None:
        at = later(seconds)
        store.record(store.state(key).after(failure(at, at, PollError(reason, message))))

    fail(0, "no reply within 10 s")
    fail(30, "no reply within 9.5 s")
    fail(60, "refused", Reason.CONNECT)
    at = later(90)
    store.record(store.state(key).after(success(at, at, snapshot(at.wall))))
    fail(120, "refused", Reason.CONNECT)
    assert [
        (each.reason, each.message, each.since - NOW.wall, each.until, each.polls)
        for each in store.failures.of(key)
    ] == [
        (Reason.CONNECT, "refused", 120, None, 1),
        (Reason.CONNECT, "refused", 60, NOW.wall + 90, 1),
        (Reason.TIMEOUT, "no reply within 10 s", 0, NOW.wall + 60, 2),
    ]


def test_a_success_that_became_doubtful_is_a_failure() -> None:
    """It has a place in the history like any other."""
    key = TargetKey("lima", 1, 1)
    store = store_of([Target(key)])
    store.record(store.state(key).after(success(NOW, NOW, snapshot(NOW.wall))))
    error = PollError(Reason.DISCONNECTED, "another's reply")
    doubtful = store.state(key).without_numbers(NOW, error, later(5))
    assert doubtful is not None
    store.record(doubtful)
    (episode,) = store.failures.of(key)
    assert (episode.message, episode.since, episode.until) == ("another's reply", NOW.wall, None)


def test_the_last_twenty_of_a_target_are_kept() -> None:
    """A target that flaps takes no other's place."""
    failures = FailureHistory()
    failures.failed("calm", Reason.DNS, "no such name", 0.0)
    for number in range(5 * MOST_FAILURES):
        failures.failed("flaps", Reason.HTTP, f"HTTP 500 ({number})", number)
        failures.ended("flaps", number + 0.5)
    kept = failures.of("flaps")
    assert len(kept) == MOST_OF_ONE
    assert kept[0].since == 5 * MOST_FAILURES - 1
    assert all(later.since == earlier.since + 1 for later, earlier in pairwise(kept))
    assert [each.message for each in failures.of("calm")] == ["no such name"]
    failures.ended("never failed", 1.0)
    assert len(failures) == MOST_OF_ONE + 1


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=200))
def test_the_oldest_of_all_are_dropped_first(events: list[tuple[int, bool]]) -> None:
    """There are never more than the bounds, and what is kept is what failed last."""
    failures = FailureHistory(most_of_one=3, most=7)
    expected: list[tuple[int, int]] = []
    for at, (key, fails) in enumerate(events):
        if not fails:
            failures.ended(key, at)
            continue
        before = len(failures.of(key))
        failures.failed(key, Reason.HTTP, f"error {at}", at)
        own = [each for each in expected if each[0] == key]
        if before == 3:
            expected.remove(own[0])
        expected = [*expected, (key, at)][-7:]
    found = [(key, int(each.since)) for key in range(10) for each in failures.of(key)]
    assert sorted(found) == sorted(expected)
    assert len(failures) == len(expected)


def test_failures_of_removed_targets_are_forgotten() -> None:
    """Also those that were dropped before."""
    failures = FailureHistory(most=3)
    for key in "abca":
        failures.failed(key, Reason.HTTP, f"error of {key}", 0.0)
        failures.ended(key, 1.0)
    failures.keep(["b", "a"])
    assert [len(failures.of(key)) for key in "abc"] == [1, 1, 0]
    failures.failed("c", Reason.HTTP, "again", 2.0)
    assert len(failures) == 3


def test_it_takes_no_more_memory_than_the_documents_say() -> None:
    """docs/reliability.md: for each target, and for each failure with a long sentence."""
    keys = [TargetKey("lima", 1, vdn) for vdn in range(2000)]
    tracemalloc.start()
    rests, failures = RestHistory(), FailureHistory()
    before, _ = tracemalloc.get_traced_memory()
    rests.replace(keys)
    sampled, _ = tracemalloc.get_traced_memory()
    for key in keys:
        failures.failed(key, Reason.TIMEOUT, f"{key.vdn} ".ljust(360, "x"), 0.0)
    failed, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (sampled - before) / len(keys) < 330
    assert (failed - sampled) / len(keys) < 850
