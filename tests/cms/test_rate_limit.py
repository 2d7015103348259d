"""exporter.cms.pacing: an even pace, pauses, and the headers that ask for them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cms.pacing import LONGEST_PAUSE, Pace, http_date, retry_after

NOW = 784_111_777.0
"""Sun, 06 Nov 1994 08:49:37 GMT: the example of RFC 9110."""


def reserve(pace: Pace, now: float) -> float:
    """Take the next free start. Gives the seconds to wait for it."""
    delay = pace.delay(now)
    pace.take(now)
    return delay


def test_without_a_limit_nobody_waits() -> None:
    """The default."""
    pace = Pace(None)

    assert [reserve(pace, 5.0) for _ in range(100)] == [0.0] * 100


def test_starts_are_spaced_evenly() -> None:
    """Four at once at two a second: no burst, not even of the first two."""
    pace = Pace(2)

    assert [reserve(pace, 10.0) for _ in range(4)] == [0.0, 0.5, 1.0, 1.5]


def test_unused_time_is_not_saved_up() -> None:
    """After an idle hour there is no burst of what was not used."""
    pace = Pace(2)
    reserve(pace, 0.0)

    assert [reserve(pace, 3600.0), reserve(pace, 3600.0)] == [0.0, 0.5]


def test_a_pause_puts_off_every_start() -> None:
    """Then the even pace goes on."""
    pace = Pace(1)
    pace.pause(100.0, 30.0)

    assert [reserve(pace, 100.0), reserve(pace, 110.0), reserve(pace, 200.0)] == [30.0, 21.0, 0.0]


def test_a_pause_tells_whether_it_lasts() -> None:
    """For those who had begun to wait before it."""
    pace = Pace(None)

    assert not pace.paused(0.0)
    pace.pause(0.0, 30.0)
    assert pace.paused(29.9)
    assert not pace.paused(30.0)


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    """Replies to requests side by side come in any order."""
    pace = Pace(None)
    pace.pause(0.0, 60.0)
    pace.pause(1.0, 5.0)

    assert pace.paused(59.0)
    assert reserve(pace, 1.0) == 59.0


def test_a_pause_is_believed_up_to_a_quarter_of_an_hour() -> None:
    """A wrong header must not blind a whole day."""
    pace = Pace(None)
    pace.pause(0.0, 10**9)

    assert reserve(pace, 0.0) == LONGEST_PAUSE == 900.0


@given(
    st.floats(0.01, 1000),
    st.lists(st.floats(0, 10, allow_subnormal=False), min_size=2, max_size=30),
)
def test_no_two_starts_are_closer_than_the_gap(per_second: float, arrivals: list[float]) -> None:
    """Whenever the askers come."""
    pace = Pace(per_second)
    starts = [now + reserve(pace, now) for now in sorted(arrivals)]

    assert all(
        later - earlier >= 1 / per_second - 1e-9 for earlier, later in itertools.pairwise(starts)
    )


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("9" * 400, 999_999_999.0),
        ("Sun, 06 Nov 1994 08:51:37 GMT", 120.0),
        ("Sun, 06 Nov 1994 08:49:00 GMT", 0.0),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("\N{ARABIC-INDIC DIGIT FIVE}", None),
        ("soon", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    """RFC 9110, 10.2.3. What cannot be read is no pause."""
    assert retry_after(header, NOW) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ],
)
def test_an_http_date_has_three_forms(text: str) -> None:
    """RFC 9110, 5.6.7: the two old ones are to be read as well."""
    assert http_date(text) == NOW


@given(st.text(max_size=60) | st.text("SunNov 0123456789:,-+GMT", max_size=40))
def test_no_text_makes_a_date_raise(text: str) -> None:
    """A gateway may send anything."""
    moment = http_date(text)

    assert moment is None or isinstance(moment, float)
