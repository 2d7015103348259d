"""The store while its configuration changes: what stays keeps its state, what goes is gone."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.clock import Moment
from exporter.errors import PollError, Reason
from exporter.rest import Counters, reduce
from exporter.store import Failure, Target, TargetKey, TargetState
from tests.support.stores import failure, store_of, success

NOW = Moment(1_750_000_000.0, 100.0, 100.0)
LIMA, QUITO = TargetKey("lima", 1, 1), TargetKey("quito", 1, 1)


def failed(state: TargetState) -> TargetState:
    """The state after one more poll, which failed."""
    return state.after(failure(NOW, NOW, PollError(Reason.HTTP, "HTTP 500")))


def test_what_did_not_change_is_the_same_object() -> None:
    """A scrape that holds a state and the store agree on it."""
    store = store_of([Target(LIMA)], ["lima"])
    store.record(failed(store.state(LIMA)))
    state, stats = store.state(LIMA), store.server("lima")
    store.replace([Target(QUITO), Target(LIMA)], ["quito", "lima"])
    assert store.state(LIMA) is state
    assert store.server("lima") is stats


def test_other_labels_keep_the_numbers() -> None:
    """Series change their labels; counters go on where they were."""
    store = store_of([Target(LIMA)])
    store.record(failed(store.state(LIMA)))
    relabelled = Target(LIMA, name="sales", labels=(("site", "lima"),), max_resting=3)
    store.replace([relabelled], ["lima"])
    state = store.state(LIMA)
    assert state.target == relabelled
    assert (state.polls, state.failures) == (1, 1)


def test_what_was_removed_is_gone() -> None:
    """Also if a poll of it ends only then; and when it comes back it starts anew."""
    store = store_of([Target(LIMA), Target(QUITO)], ["lima", "quito"])
    late = failed(store.state(LIMA))
    store.server("lima").requests = 7
    store.replace([Target(QUITO)], ["quito"])
    store.record(late)
    assert [state.target.key for state in store.states()] == [QUITO]
    assert [name for name, _ in store.servers()] == ["quito"]
    assert len(store) == 1
    store.replace([Target(LIMA), Target(QUITO)], ["lima", "quito"])
    assert store.state(LIMA).polls == 0
    assert store.server("lima").requests == 0


def test_a_scrape_under_way_is_not_disturbed() -> None:
    """It reads what stood there when it began."""
    store = store_of([Target(LIMA), Target(QUITO)])
    reading = iter(store.states())
    assert next(reading).target.key == LIMA
    store.replace([Target(QUITO)], ["quito"])
    assert [state.target.key for state in reading] == [QUITO]


KEYS = st.builds(TargetKey, st.sampled_from(["lima", "quito"]), st.just(1), st.integers(1, 4))


@given(st.lists(st.lists(KEYS, unique=True), min_size=1, max_size=6))
def test_any_row_of_configurations(configurations: list[list[TargetKey]]) -> None:
    """Order and extent are the last one's; polls count since a target was last added."""
    store, polls = store_of([]), dict[TargetKey, int]()
    for keys in configurations:
        store.replace(map(Target, keys), ["lima", "quito"])
        polls = {key: polls.get(key, 0) + 1 for key in keys}
        for key in keys:
            store.record(failed(store.state(key)))
        assert {state.target.key: state.polls for state in store.states()} == polls
        assert [state.target.key for state in store.states()] == keys
        assert [name for name, _ in store.servers()] == ["lima", "quito"]


def test_a_success_that_became_doubtful_loses_its_numbers() -> None:
    """It counts as failed; a failure that came after it stays as it is."""
    at, later = Moment(1_700_000_000.0, 10.0, 10.0), Moment(1_700_000_060.0, 70.0, 70.0)
    numbers = reduce(Counters(0, 1, 0), [], at.wall)
    error = PollError(Reason.DISCONNECTED, "another's")
    state = TargetState(Target(TargetKey("lima", 1, 1))).after(success(at, at, numbers))

    assert state.without_numbers(later, error, later) is None
    doubtful = state.without_numbers(at, error, later)
    assert doubtful is not None
    assert doubtful.fresh(later) is None
    assert (doubtful.polls, doubtful.failures, doubtful.last_success) == (1, 1, None)
    assert doubtful.failure == Failure(Reason.DISCONNECTED, "another's", later.wall)
    assert doubtful.without_numbers(at, error, later) is None

    timeout = state.after(failure(later, later, PollError(Reason.TIMEOUT, "slow")))
    doubtful = timeout.without_numbers(at, error, later)
    assert doubtful is not None
    assert (doubtful.failures, doubtful.failure) == (1, timeout.failure)
