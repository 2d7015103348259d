"""Durations: Prometheus' notation, both ways."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.durations import PATTERN, format_duration, parse_duration

_LONGEST_MS = 9_223_372_036_854


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("1ms", 0.001),
        ("30s", 30.0),
        ("90s", 90.0),
        ("1m30s", 90.0),
        ("1h", 3600.0),
        ("1d", 86400.0),
        ("1w", 604800.0),
        ("1y", 31536000.0),
        ("1y2w3d4h5m6s7ms", 33019506.007),
        ("007s", 7.0),
    ],
)
def test_parse(text: str, seconds: float) -> None:
    """Units follow each other in descending order; nothing needs no unit."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "30",
        "s",
        "1.5s",
        "-1s",
        "+1s",
        "1s1m",
        "1s1s",
        "1 s",
        "1s ",
        "1S",
        "1s\n",
        "٣s",
        "00",
    ],
)
def test_refuse(text: str) -> None:
    """What Prometheus would not read is refused, without repeating it."""
    with pytest.raises(ValueError, match=r"^not a duration: write it as 30s, 1m30s or 500ms$"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["293y", "9223372036855ms", "9" * 10_000 + "s"])
def test_too_long(text: str) -> None:
    """What Prometheus cannot hold is refused, however many digits it has."""
    with pytest.raises(ValueError, match=r"^longer than 292 years$"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0004, "0s"),
        (0.5, "500ms"),
        (30, "30s"),
        (90, "1m30s"),
        (86400, "1d"),
        (604800, "1w"),
        (691200, "8d"),
        (31536000, "1y"),
        (31536001, "365d1s"),
    ],
)
def test_format(seconds: float, text: str) -> None:
    """Weeks and years are written only when nothing is left, as Prometheus does."""
    assert format_duration(seconds) == text


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), 1e12])
def test_format_refuses(seconds: float) -> None:
    """There is no notation for what is no duration."""
    with pytest.raises(
        ValueError, match=r"^a duration is 0 or more, and not longer than 292 years"
    ):
        format_duration(seconds)


@given(st.integers(0, _LONGEST_MS))
def test_there_and_back(milliseconds: int) -> None:
    """Every whole number of milliseconds survives being written and read."""
    seconds = milliseconds / 1000
    text = format_duration(seconds)
    assert parse_duration(text) == seconds
    assert re.fullmatch(PATTERN, text)


@given(st.text(alphabet="0123456789ywdhms", max_size=12))
def test_pattern_agrees(text: str) -> None:
    """The JSON Schema's pattern takes what the parser takes, but for its length."""
    try:
        parse_duration(text)
        taken = True
    except ValueError as error:
        taken = str(error) == "longer than 292 years"
    assert bool(re.fullmatch(PATTERN, text)) == taken
