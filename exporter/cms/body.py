"""The body of a reply, decompressed, with a limit on how much of it is ever in memory."""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterable
from typing import Final

_EXCERPT: Final = 4096
_SOON: Final = 1.0

_GZIP: Final = 31
_ZLIB: Final = 15
_RAW: Final = -15
_COMPRESSIONS: Final = frozenset({"gzip", "x-gzip", "deflate"})
_BEGINS_JSON: Final = b"{["
_BLANK: Final = b" \t\r\n\xef\xbb\xbf"
"""What may stand before JSON, a byte order mark included."""


class TooLargeError(ValueError):
    """The body exceeds the limit, before or after decompression."""


class CodingError(ValueError):
    """The body cannot be decompressed: unknown coding, or damaged data."""


async def read(stream: AsyncIterable[bytes], coding: str, limit: int) -> bytes:
    """Read a whole body.

    Args:
        stream: the bytes as received.
        coding: value of the `Content-Encoding` header, or empty.
        limit: bytes that the body may have, as received and decompressed.

    Raises:
        TooLargeError: as soon as there is one byte more than `limit`.
        CodingError: the bytes are not valid in that coding.
    """
    coding = coding.strip().lower()
    if coding in _COMPRESSIONS:
        body = await _decompressed(stream, coding, limit)
    else:
        body = await _read_plain(stream, limit)
    # some servers name a character set there, or `none`; others name a compression and mean it
    if (
        coding not in {"", "identity", *_COMPRESSIONS}
        and body.lstrip(_BLANK)[:1] not in _BEGINS_JSON
    ):
        raise CodingError(coding)
    return body


async def _decompressed(stream: AsyncIterable[bytes], coding: str, limit: int) -> bytes:
    received = 0
    start = b""
    body = bytearray()
    decompressor = None
    async for chunk in stream:
        received += len(chunk)
        data = start + chunk
        if decompressor is None:
            if len(data) < 2:  # noqa: PLR2004  # zlib's header
                start = data
                continue
            start = b""
            decompressor = zlib.decompressobj(_window_bits(coding, data))
        try:
            # one byte more than allowed: the excess shows, and no more is ever in memory
            body += decompressor.decompress(data, limit - len(body) + 1)
        except zlib.error:
            raise CodingError(coding) from None
        if len(body) > limit or received > limit:
            raise TooLargeError
    if decompressor is None or not decompressor.eof:
        raise CodingError(coding)
    return bytes(body)


def _window_bits(coding: str, start: bytes) -> int:
    """How zlib is to read it. `deflate` has a header by its name, and often has none in truth."""
    if coding != "deflate":
        return _GZIP
    has_header = start[0] & 15 == 8 and int.from_bytes(start[:2]) % 31 == 0  # noqa: PLR2004
    return _ZLIB if has_header else _RAW


async def _read_plain(stream: AsyncIterable[bytes], limit: int) -> bytes:
    chunks: list[bytes] = []
    received = 0
    async for chunk in stream:
        received += len(chunk)
        if received > limit:
            raise TooLargeError
        chunks.append(chunk)
    return b"".join(chunks)


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
