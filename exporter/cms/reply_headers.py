"""The headers of a reply that matter to a poll: date, coding, when to try again. Pure."""

from collections.abc import Iterable
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

LONGEST_PAUSE: Final = 900.0
"""Seconds up to which a `Retry-After` is followed: a wrong one must not stop polls for a day."""


def date_and_coding(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str]:
    """The values of `Date` and `Content-Encoding`, empty if absent, in one pass over the bytes."""
    date = coding = b""
    for name, value in headers:
        if (key := name.lower()) == b"date":
            date = value
        elif key == b"content-encoding":
            coding = value
    return date.decode("latin-1"), coding.decode("latin-1")


def content_type(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The media type of a reply, empty if absent, without its parameters."""
    for name, value in headers:
        if name.lower() == b"content-type":
            return value.decode("latin-1").partition(";")[0].strip().lower()
    return ""


@lru_cache(maxsize=8)  # thousands of replies share each second
def http_date(text: str) -> float | None:
    """Epoch seconds of an HTTP date (RFC 9110, 5.6.7), or None for anything else."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds from a `Retry-After` header: seconds or an HTTP date (RFC 9110, 10.2.3).

    `now` is in epoch seconds by the clock of the server that sent it.

    Returns:
        Seconds from 0 to `LONGEST_PAUSE`, or None for a value that cannot be read.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_PAUSE)
    moment = http_date(text)
    return None if moment is None else min(max(0.0, moment - now), LONGEST_PAUSE)
