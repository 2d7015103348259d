"""The headers of a reply that a poll reads: dates, and when to try again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cms.reply_head import LONGEST_PAUSE, http_date, retry_after

NOW = 784_111_777.0
"""Sun, 06 Nov 1994 08:49:37 GMT: the example of RFC 9110."""


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("900", 900.0),
        ("86400", LONGEST_PAUSE),
        ("9" * 400, LONGEST_PAUSE),
        ("Mon, 07 Nov 1994 08:49:37 GMT", LONGEST_PAUSE),
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
    """RFC 9110, 10.2.3. What cannot be read is no pause, and no pause lasts for a day."""
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
