"""The body of a reply, decompressed, with a limit on how much of it is ever in memory."""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Final

MAX_DECOMPRESSED: Final = 4 * 2**20
"""Bytes of a body that was compressed without being asked for: 17,000 agents, each listed twice."""

_EXCERPT: Final = 4096
_SOON: Final = 1.0
"""Seconds that are waited for an excerpt."""
_GZIP: Final = 31
_ZLIB: Final = 15
_RAW: Final = -15
_COMPRESSIONS: Final = frozenset({"gzip", "x-gzip", "deflate"})
_BEGINS_JSON: Final = b"{["
_BLANK: Final = b" \t\r\n\xef\xbb\xbf"
"""What may stand before JSON, a byte order mark included."""
_PIECE: Final = 2**18
"""Bytes that are decompressed before other tasks have their turn."""
_FEW: Final = 2**20
"""Bytes up to which joining the chunks, and so holding them twice, does not matter."""

_TOO_LARGE: Final = (
    "the reply is larger than {}, far more than any VDN's listing: check that url leads to CC-CMS"
)
_TOO_LARGE_DECOMPRESSED: Final = (
    "the compressed reply is larger than {} when decompressed, and compression was not requested: "
    "turn it off in the gateway or the server"
)

Take = Callable[[int], Awaitable[None]]
"""Called before so many bytes more are kept: it may wait, or raise TooLargeError."""


class TooLargeError(ValueError):
    """The body exceeds a limit.

    Args:
        limit: in bytes.
        sentence: what exceeds it and what to do, with `{}` for the limit.
    """

    def __init__(self, limit: int, sentence: str = _TOO_LARGE) -> None:
        self.sentence = sentence.format(f"{limit / 2**20:g} MiB")
        super().__init__(self.sentence)


class CodingError(ValueError):
    """The body cannot be decompressed: unknown coding, or damaged data."""


async def _anything(_size: int) -> None:
    """Let every size pass."""


async def read(
    stream: AsyncIterable[bytes], coding: str, limit: int, take: Take = _anything
) -> bytes | bytearray:
    """Read a whole body.

    Args:
        stream: the bytes as received.
        coding: value of the `Content-Encoding` header, or empty.
        limit: bytes that the body may have, as received. Decompressed it may have as many, and at
            most `MAX_DECOMPRESSED`.
        take: what else bounds the bytes.

    Raises:
        TooLargeError: as soon as there is one byte more than allowed.
        CodingError: the bytes are not valid in that coding.
    """
    coding = coding.strip().lower()
    if coding in _COMPRESSIONS:
        return await _decompressed(stream, coding, min(limit, MAX_DECOMPRESSED), take)
    body = await _read_plain(stream, limit, take)
    # some servers name a character set there, or `none`; others name a compression and mean it
    if coding not in {"", "identity"} and body[:_FEW].lstrip(_BLANK)[:1] not in _BEGINS_JSON:
        raise CodingError(coding)
    return body


async def _decompressed(
    stream: AsyncIterable[bytes], coding: str, limit: int, take: Take
) -> bytearray:
    received = 0
    start = b""
    body = bytearray()
    decompressor = None
    async for chunk in stream:
        received += len(chunk)
        if received > limit:
            raise TooLargeError(limit)
        left = start + chunk
        if decompressor is None:
            if len(left) < 2:  # noqa: PLR2004  # zlib's header
                start = left
                continue
            start = b""
            decompressor = zlib.decompressobj(_window_bits(coding, left))
        while left and not decompressor.eof:
            try:
                # one byte more than allowed: the excess shows, and no more is ever in memory
                piece = decompressor.decompress(left, min(_PIECE, limit - len(body) + 1))
            except zlib.error:
                raise CodingError(coding) from None
            left = decompressor.unconsumed_tail
            await take(len(piece))
            body += piece
            if len(body) > limit:
                raise TooLargeError(limit, _TOO_LARGE_DECOMPRESSED)
            if left:
                await asyncio.sleep(0)
    if decompressor is None or not decompressor.eof:
        raise CodingError(coding)
    return body


def unpacked(data: bytes, coding: str) -> bytes:
    """The start of a body that is in memory as it was received, for a person to look at.

    Args:
        data: the bytes as received, whole or not.
        coding: value of the `Content-Encoding` header, or empty.

    Returns:
        At most `MAX_DECOMPRESSED` bytes if it was compressed.

    Raises:
        CodingError: the bytes are not valid in that coding.
    """
    coding = coding.strip().lower()
    if coding not in _COMPRESSIONS or len(data) < 2:  # noqa: PLR2004  # zlib's header
        return data
    try:
        return zlib.decompressobj(_window_bits(coding, data)).decompress(data, MAX_DECOMPRESSED)
    except zlib.error:
        raise CodingError(coding) from None


def _window_bits(coding: str, start: bytes) -> int:
    """How zlib is to read it. `deflate` has a header by its name, and often has none in truth."""
    if coding != "deflate":
        return _GZIP
    has_header = start[0] & 15 == 8 and int.from_bytes(start[:2]) % 31 == 0  # noqa: PLR2004
    return _ZLIB if has_header else _RAW


async def _read_plain(stream: AsyncIterable[bytes], limit: int, take: Take) -> bytes | bytearray:
    chunks: list[bytes] = []
    body = bytearray()
    received = 0
    async for chunk in stream:
        received += len(chunk)
        if received > limit:
            raise TooLargeError(limit)
        await take(len(chunk))
        if received <= _FEW:
            chunks.append(chunk)
        else:
            # grows in place, so that a large body is in memory once
            if chunks:
                body += b"".join(chunks)
                chunks.clear()
            body += chunk
    return body or b"".join(chunks)


async def excerpt(stream: AsyncIterable[bytes]) -> bytes:
    """The start of a body, for a sentence about it: what comes soon, and not much of it."""
    start = bytearray()
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_SOON):
            async for chunk in stream:
                start += chunk
                if len(start) >= _EXCERPT:
                    break
    return bytes(start[:_EXCERPT])
