"""When targets are due."""

import math

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from exporter.polling.schedule import first_delay, next_due, peak_per_second, phase
from exporter.store import TargetKey

keys = st.builds(TargetKey, st.text(max_size=20), st.integers(1, 65535), st.integers(1, 5000))
intervals = st.floats(1.0, 3600.0)
times = st.floats(0.0, 4e9)


@given(keys, intervals)
def test_a_phase_lies_within_its_interval(key: TargetKey, interval: float) -> None:
    """Otherwise a target would be polled twice in one interval, and not in the next."""
    assert 0 <= phase(key, interval) < interval


def test_a_phase_is_the_same_in_every_process_and_release() -> None:
    """Load must not move at a restart or an upgrade: the figure is written down here."""
    assert phase(TargetKey("lima", 1, 1), 30.0) == pytest.approx(27.885124646430057)
    assert phase(TargetKey("lima", 1, 1), 60.0) == 2 * phase(TargetKey("lima", 1, 1), 30.0)


def test_phases_spread_evenly() -> None:
    """Ten thousand targets over 30 s: no second carries much more than its share of 333."""
    targets = [(TargetKey("lima", cc, vdn), 30.0) for cc in range(1, 11) for vdn in range(1, 1001)]
    assert 333 < peak_per_second(targets) < 420


@given(keys, intervals, times)
def test_a_restart_does_not_move_a_target(key: TargetKey, interval: float, wall: float) -> None:
    """Its due times are counted from the epoch, not from when the exporter was started."""
    delay = first_delay(key, interval, wall)
    assert 0 <= delay < interval
    distance = (wall + delay - phase(key, interval)) / interval
    assert distance == pytest.approx(round(distance), abs=1e-3)


@given(st.floats(0, 1e6), intervals, st.floats(0, 1e5))
@example(due=10.0, interval=30.0, took=30.0)
@example(due=10.0, interval=30.0, took=0.0)
def test_the_next_due_time_is_the_first_one_to_come(
    due: float, interval: float, took: float
) -> None:
    """Passed ones are skipped and counted; the grid of due times stays where it was."""
    assume(took < interval * 1000)
    now = due + took
    upcoming, skipped = next_due(due, interval, now)
    assert skipped >= 0
    assert upcoming == due + (skipped + 1) * interval
    assert upcoming >= now or math.isclose(upcoming, now)
    assert upcoming <= now + interval or math.isclose(upcoming, now + interval)


def test_a_poll_within_its_interval_skips_nothing() -> None:
    """The ordinary case, to the letter."""
    assert next_due(100.0, 30.0, 110.0) == (130.0, 0)
    assert next_due(100.0, 30.0, 130.0) == (130.0, 0)
    assert next_due(100.0, 30.0, 131.0) == (160.0, 1)
    assert next_due(100.0, 30.0, 200.0) == (220.0, 3)


def test_peaks_of_different_intervals_add_up() -> None:
    """They meet sooner or later."""
    fast, slow = TargetKey("lima", 1, 1), TargetKey("quito", 1, 1)
    assert peak_per_second([(fast, 7.0), (slow, 30.0)]) == 2
    assert peak_per_second([]) == 0
