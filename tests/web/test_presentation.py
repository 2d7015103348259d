"""Durations in words, and the picture of the last hour: steps, gaps, scale and words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.history import Sample
from exporter.web.presentation import HEIGHT, NONE, due, duration, sparkline

SAMPLES = st.none() | st.tuples(st.integers(0, 100), st.integers(0, 100))


@pytest.mark.parametrize(
    ("samples", "resting", "waiting"),
    [
        # one level for three minutes, then another
        ([(1, 0), (1, 0), (1, 0), (2, 0)], "M0 24V13H3V2H5V24Z", "M0 24H5"),
        # a gap in the middle: two areas, two lines
        ([(2, 1), None, (2, 2)], "M0 24V2H1V24ZM2 24V2H4V24Z", "M0 13H1M2 2H4"),
        # a gap at the beginning, as in the first hour
        ([None, (2, 2)], "M1 24V2H3V24Z", "M1 2H3"),
    ],
)
def test_steps_and_gaps(samples: list[Sample], resting: str, waiting: str) -> None:
    """A value holds for its minute; what is not known is not drawn."""
    picture = sparkline(samples, samples[-1])
    assert picture is not None
    assert (picture.resting, picture.waiting) == (resting, waiting)


def test_what_it_shows_in_words() -> None:
    """For those who do not see it."""
    picture = sparkline([(3, 0), None, (5, 0)], None)
    assert picture is not None
    assert picture.words == "last hour: 3 to 5 resting, 0 waiting"
    assert picture.top == 5
    assert picture.width == 4


def test_nothing_to_draw() -> None:
    """No history is kept, or no number was known."""
    assert sparkline([], (1, 1)) is None
    assert sparkline([None, None], None) is None


@given(samples=st.lists(SAMPLES, min_size=1, max_size=60), current=SAMPLES)
def test_it_stays_in_its_frame(samples: list[Sample], current: Sample) -> None:
    """Whatever the numbers are."""
    picture = sparkline(samples, current)
    if picture is None:
        return
    for path in (picture.resting, picture.waiting):
        for command in path.replace("Z", "").replace("M", " M").replace("V", " V").split(" M"):
            for part in command.replace("H", " H").split():
                if part.startswith("V"):
                    assert 0 <= float(part[1:]) <= HEIGHT
                elif part.startswith("H"):
                    assert 0 <= float(part[1:]) <= picture.width


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h 0 min"),
        (4320, "1 h 12 min"),
        (86_399, "23 h 59 min"),
        (86_400, "1 d 0 h"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    """One unit or two, never more."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, NONE), (-3, "now"), (0.9, "now"), (1, "in 1 s"), (75, "in 1 min")]
)
def test_due(seconds: float | None, text: str) -> None:
    """A poll that is due waits for its turn, or is running."""
    assert due(seconds) == text
