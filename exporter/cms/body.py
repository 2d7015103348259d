"""The body of a reply, decompressed, with a limit on how much of it is ever in memory.

Its bytes say better than `Content-Encoding` whether and how it is compressed: gateways compress
what is compressed already, and name a coding for what is not. If a strict parser refuses the JSON
in it although its numbers are clear, `mended` makes strict JSON of it.
"""

import asyncio
import contextlib
import json
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from typing import Final

MAX_DECOMPRESSED: Final = 4 * 2**20
"""Bytes of a body that was compressed without being asked for: 17,000 agents, each listed twice."""

_EXCERPT: Final = 4096
_SOON: Final = 1.0
"""Seconds to wait for an excerpt."""
_GZIP: Final = 31
_ZLIB: Final = 15
_RAW: Final = -15
_GZIP_MAGIC: Final = b"\x1f\x8b"
_COMPRESSIONS: Final = frozenset({"gzip", "x-gzip", "deflate"})
_OTHER_COMPRESSIONS: Final = frozenset(
    {"br", "zstd", "compress", "x-compress", "lzma", "xz", "exi"}
)
_BEGINS_JSON: Final = b"{["
_BLANK: Final = b" \t\r\n\xef\xbb\xbf"
"""What may stand before JSON, a byte order mark included."""
_PIECE: Final = 2**18
"""Bytes that are decompressed before other tasks have their turn."""
_MOST_MEMBERS: Final = 20
"""Members of a gzip stream. Servers send one, or a few; each costs, even if it holds nothing."""
_FEW: Final = 2**20
"""Bytes up to which joining the chunks, and so holding them twice, does not matter."""
_LONGEST_MENDED: Final = 2**20
"""Bytes: 4,000 agents, each listed twice."""
_CHARSETS: Final = ("gb18030", "latin-1")
"""Of servers that do not use Unicode. Where text is in another one, only names are misread."""

_TOO_LARGE: Final = (
    "the reply is larger than {}, far more than any VDN has: check that url leads to CC-CMS"
)
_TOO_LARGE_DECOMPRESSED: Final = (
    "the compressed reply is larger than {} when decompressed, and compression was not requested: "
    "turn it off in the gateway or the server"
)

_DAMAGED: Final = (
    "the reply cannot be decompressed: look for a gateway that alters or truncates replies"
)
_NOT_ASKED_FOR: Final = (
    "the reply is compressed with {}, and compression was not requested: turn it off in the "
    "gateway or the server"
)

Take = Callable[[int], Awaitable[None]]
"""Called with a number of bytes before they are kept: it may wait, or raise TooLargeError."""


class TooLargeError(ValueError):
    """The body exceeds a limit.

    Args:
        limit: in bytes.
        sentence: what exceeds it and what to do, with `{}` for the limit.
    """

    def __init__(self, limit: int, sentence: str = _TOO_LARGE) -> None:
        super().__init__(sentence.format(f"{limit / 2**20:g} MiB"))


class CodingError(ValueError):
    """The body cannot be decompressed: unknown coding, or damaged data.

    Args:
        coding: value of the `Content-Encoding` header.
    """

    def __init__(self, coding: str) -> None:
        other = _OTHER_COMPRESSIONS & _tokens(coding)
        super().__init__(_NOT_ASKED_FOR.format(*sorted(other)) if other else _DAMAGED)


async def read(
    stream: AsyncIterable[bytes], coding: str, limit: int, take: Take
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
    tokens = _tokens(coding)
    if tokens & _COMPRESSIONS:
        start, rest = await _peeked(stream)
        body = (
            await _read_plain(rest, limit, take)
            if start.lstrip(_BLANK)[:1] in _BEGINS_JSON
            else await _decompressed(rest, coding, limit, take)
        )
    else:
        body = await _read_plain(stream, limit, take)
    if body.startswith(_GZIP_MAGIC):
        body = await _decompressed(_once(body), "gzip", limit, take)
    # some servers name a character set there, or `none`; others name a compression and mean it
    elif (
        tokens
        and tokens - _COMPRESSIONS - {"", "identity"}
        and body[:_FEW].lstrip(_BLANK)[:1] not in _BEGINS_JSON
    ):
        raise CodingError(coding)
    return body


def _tokens(coding: str) -> set[str]:
    # nearly every reply has none
    return {token.strip() for token in coding.lower().split(",")} if coding else set()


async def _peeked(stream: AsyncIterable[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """The start of a stream, enough to tell what it is, and all of it."""
    chunks = aiter(stream)
    start = b""
    async for chunk in chunks:
        start += chunk
        if len(start.lstrip(_BLANK)) > 1 or len(start) > _EXCERPT:
            break

    async def whole() -> AsyncIterator[bytes]:
        yield start
        async for chunk in chunks:
            yield chunk

    return start, whole()


async def _once(data: bytes | bytearray) -> AsyncIterator[bytes]:
    yield bytes(data)


async def _decompressed(
    stream: AsyncIterable[bytes], coding: str, limit: int, take: Take
) -> bytearray:
    received = 0
    body = bytearray()
    most = min(limit, MAX_DECOMPRESSED)
    decompressor = _Decompressor(coding)
    async for chunk in stream:
        received += len(chunk)
        if received > limit:
            raise TooLargeError(limit)
        decompressor.left += chunk
        while decompressor.has_more():
            # one byte more than allowed: the excess shows, and no more is ever in memory
            piece = decompressor.next(min(_PIECE, most - len(body) + 1))
            await take(len(piece))
            body += piece
            if len(body) > most:
                raise TooLargeError(most, _TOO_LARGE_DECOMPRESSED)
            if decompressor.left:
                await asyncio.sleep(0)
    # without gzip's own end a whole JSON text is still whole
    if not decompressor.ended and not body[-8:].rstrip().endswith(b"}"):
        raise CodingError(coding)
    return body


class _Decompressor:
    """Zlib's, for a stream of one or more members (RFC 1952, 2.2) and anything after them."""

    def __init__(self, coding: str) -> None:
        self.left = b""
        """What has come and is not decompressed yet."""
        self._coding = coding
        self._member: zlib._Decompress | None = None
        self._members = 1

    @property
    def ended(self) -> bool:
        """Whether the last member is complete."""
        return self._member is not None and self._member.eof

    def has_more(self) -> bool:
        """Whether what has come can be decompressed further."""
        begins = self._member is None or self._member.eof
        return len(self.left) >= (len(_GZIP_MAGIC) if begins else 1)

    def next(self, most: int) -> bytes:
        """At most that many more bytes. Raises CodingError."""
        if self._member is None:
            self._member = zlib.decompressobj(_window_bits(self._coding, self.left))
        elif self._member.eof:
            if not self.left.startswith(_GZIP_MAGIC):
                self.left = b""
                return b""
            self._members += 1
            if self._members > _MOST_MEMBERS:
                raise CodingError(self._coding)
            self._member = zlib.decompressobj(_GZIP)
        try:
            piece = self._member.decompress(self.left, most)
        except zlib.error:
            raise CodingError(self._coding) from None
        self.left = self._member.unconsumed_tail or self._member.unused_data
        return piece


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
    if not _tokens(coding) & _COMPRESSIONS or len(data) < 2:  # noqa: PLR2004  # zlib's header
        return data
    decompressor = _Decompressor(coding)
    decompressor.left = data
    return decompressor.next(MAX_DECOMPRESSED)


def _window_bits(coding: str, start: bytes) -> int:
    """How zlib reads it. `deflate` should have a header, and often has none."""
    if start.startswith(_GZIP_MAGIC):
        return _GZIP
    if start[0] & 15 == 8 and int.from_bytes(start[:2]) % 31 == 0:  # noqa: PLR2004
        return _ZLIB
    return _RAW if "deflate" in coding.lower() else _GZIP


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


def mended(body: bytes | bytearray) -> bytes | None:
    """What a strict parser has refused, as strict JSON in UTF-8; None if it is not JSON at all.

    Agents' names are the usual cause: in GBK, cut in the middle of a character, with a tab or half
    of an emoji. Other causes are UTF-16, NUL bytes after the text, and `NaN` in a field that nobody
    needs. No number is guessed: Python's json module and most other parsers accept all of it.
    """
    if len(body) > _LONGEST_MENDED:
        return None
    for text in _readings(bytes(body)):
        try:
            found = json.loads(text.strip("\0 \t\r\n"), strict=False, parse_constant=_nothing)
        except (ValueError, RecursionError):
            continue
        return json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")
    return None


def _readings(body: bytes) -> Iterator[str]:
    for charset in (json.detect_encoding(body), *_CHARSETS):
        try:
            yield body.decode(charset)
        except UnicodeDecodeError:
            continue


def _nothing(_constant: str) -> None:
    """`NaN` and `Infinity` are not valid values."""
