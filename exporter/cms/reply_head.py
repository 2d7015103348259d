"""Around the body of a reply: the headers that matter to a poll, and how much may stand there.

The parser accepts any amount of interim replies, chunk headers and trailers, at a cost that their
size does not show: a chunk of one byte costs as much as one of a thousand. Pure.
"""

import re
from collections.abc import Iterable
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

import aiohttp

LONGEST_HEADER: Final = 32 * 2**10
"""Bytes of one header of a reply."""
MOST_HEADERS: Final = 500
"""Headers of a reply."""
MAX_HEAD: Final = 2**16
"""Bytes before a body begins, interim replies included. Replies up to this size are not checked."""
MAX_OVERHEAD: Final = MAX_HEAD
"""Bytes that are not the body's, and ..."""
_OVERHEAD_SHARE: Final = 8
"""... one more for each eight of the body: chunks of 48 bytes or more."""
LONGEST_PAUSE: Final = 900.0
"""Seconds up to which a `Retry-After` is followed: a wrong one must not stop polls for a day."""
_CONTENT_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *([0-9]{1,9})\r")


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


class OverheadError(aiohttp.ClientPayloadError):
    """A server sends far more around a reply than in it."""

    def __init__(self) -> None:
        super().__init__(
            "the headers, interim replies and chunk headers are far larger than the reply itself: "
            "check that url leads to CC-CMS, and gateways in between"
        )


def is_too_much(received: int, body: int | None) -> bool:
    """Whether there is too much around the reply.

    Both are bytes so far; `body` is None if the body has not begun.
    """
    if body is None:
        return received > MAX_HEAD
    return received - body > MAX_OVERHEAD + body // _OVERHEAD_SHARE


def length_of_reply(data: bytes) -> int:
    """The length of the reply at the start of some bytes by its Content-Length, or 0."""
    head = data.find(b"\r\n\r\n") + 4
    length = _CONTENT_LENGTH.search(data, 0, head)
    return head + int(length[1]) if length else 0
