"""The body of a reply, decompressed, with a limit on how much of it is ever in memory."""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterable
from typing import Final

_EXCERPT: Final = 4096
_SOON: Final = 1.0

_WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}


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
    if coding in {"", "identity"}:
        return await _read_plain(stream, limit)
    if coding not in _WINDOW_BITS:
        raise CodingError(coding)
    received = 0
    body = bytearray()
    decompressor = zlib.decompressobj(_WINDOW_BITS[coding])
    async for chunk in stream:
        received += len(chunk)
        try:
            # one byte more than allowed: the excess shows, and no more is ever in memory
            body += decompressor.decompress(chunk, limit - len(body) + 1)
        except zlib.error:
            raise CodingError(coding) from None
        if len(body) > limit or received > limit:
            raise TooLargeError
    if not decompressor.eof:
        raise CodingError(coding)
    return bytes(body)


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
