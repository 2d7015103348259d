"""The body of a reply, decompressed, and never more of it in memory than a cap.

Knows streams of bytes and content codings; neither HTTP nor what the bytes mean.
"""

import zlib
from collections.abc import AsyncIterable
from typing import Final

_WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class TooLargeError(ValueError):
    """There is more than the cap, before or after decompression."""


class CodingError(ValueError):
    """The body cannot be decompressed: an unknown coding, or damage."""


async def read(stream: AsyncIterable[bytes], coding: str, limit: int) -> bytes:
    """Read a body whole, or not at all.

    Args:
        stream: of the bytes as they came.
        coding: value of the `Content-Encoding` header, or empty.
        limit: bytes that the body may have, as it came and decompressed.

    Raises:
        TooLargeError: as soon as there is one byte more than `limit`.
        CodingError: the bytes are not in that coding.
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
            # one byte more than is allowed, so that the excess shows and no more is ever held
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
