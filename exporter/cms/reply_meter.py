"""How much a server may send around a reply: interim replies, headers, chunk headers and trailers.

The parser accepts any amount of it, at a cost that its size does not show: a chunk of one byte
costs as much as one of a thousand. Pure.
"""

import re
from typing import Final

import aiohttp

MAX_HEAD: Final = 2**16
"""Bytes before a body begins, interim replies included. Replies up to this size are not checked."""
MAX_OVERHEAD: Final = MAX_HEAD
"""Bytes that are not the body's, and ..."""
_OVERHEAD_SHARE: Final = 8
"""... one more for each eight of the body: chunks of 48 bytes or more."""

_CONTENT_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *([0-9]{1,9})\r")


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
