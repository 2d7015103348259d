"""What the faults of gateways and of broken servers look like on the wire.

Knows HTTP and bytes. Knows nothing of floors, keys or targets: the server decides whom a fault
meets, and hands over the sound reply if one is needed.
"""

import asyncio
import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from aiohttp import web

from exporter.simulator.replies import endless_rows
from exporter.simulator.scenarios import Fault, Scenario

BOMB_SIZE = 1 << 30
"""What the gzip bomb expands to, in bytes, before the sound reply that follows it."""

_MEBIBYTE = 1 << 20
_LOGIN_PAGE = "<!DOCTYPE html><title>Sign in</title><form><input name=user></form>"


class _Page(NamedTuple):
    """A fixed answer of somebody in front of the server."""

    status: int
    text: str
    content_type: str = "text/html"


_PAGES: Mapping[Fault, _Page] = MappingProxyType(
    {
        Fault.UNAUTHORIZED: _Page(401, "the signature is refused", "text/plain"),
        Fault.FORBIDDEN: _Page(403, "<h1>403 Forbidden</h1>your address is not on the list"),
        Fault.RATE_LIMITED: _Page(429, "too many requests", "text/plain"),
        Fault.UNAVAILABLE: _Page(503, "<h1>503 Service Unavailable</h1>"),
        Fault.ERROR: _Page(500, "<h1>500 Internal Server Error</h1>java.lang.NullPointerException"),
        Fault.REDIRECT: _Page(302, ""),
        Fault.HTML: _Page(200, _LOGIN_PAGE),
    }
)


async def answer_in_front(
    request: web.Request, scenario: Scenario, date: str
) -> web.StreamResponse | None:
    """The answer of a fault in front of the server, which never gets to see the request.

    Args:
        request: the request, already read.
        scenario: the fault that it meets.
        date: value for the header `Date`.

    Returns:
        The answer, or None if the fault is not of this kind.
    """
    if scenario.fault is Fault.HANG:
        await asyncio.get_running_loop().create_future()  # until the client or the server leaves
    if scenario.fault is Fault.DROP:
        return _dropped(request.transport)
    page = _PAGES.get(scenario.fault)
    if page is None:
        return None
    headers = {"Date": date}
    if scenario.fault is Fault.REDIRECT:
        headers["Location"] = "/login"
    if scenario.seconds:
        headers["Retry-After"] = str(math.ceil(scenario.seconds))
    return web.Response(
        status=page.status, text=page.text, content_type=page.content_type, headers=headers
    )


async def spoil(
    request: web.Request, fault: Fault | None, sound: bytes, date: str
) -> web.StreamResponse:
    """The answer to a request that the server has worked on, spoilt on its way out.

    Args:
        request: the request.
        fault: what spoils it; None, or a fault of another kind, sends the reply as it is.
        sound: the body of the sound reply.
        date: value for the header `Date`.
    """
    headers = {"Date": date, "Content-Type": "application/json;charset=UTF-8"}
    match fault:
        case Fault.GARBAGE:
            return web.Response(body=b"\x00\xff no JSON " + sound[::-1], headers=headers)
        case Fault.CUT:
            headers["Content-Length"] = str(len(sound))
            return await _stream(request, headers, (sound[: len(sound) // 2],))
        case Fault.OVERSIZED:
            return await _stream(request, headers, endless_rows())
        case Fault.GZIP_BOMB:
            headers["Content-Encoding"] = "gzip"
            return await _stream(request, headers, gzip_bomb(sound))
        case _:
            return web.Response(body=sound, headers=headers)


def gzip_bomb(sound: bytes, size: int = BOMB_SIZE) -> Iterator[bytes]:
    """A gzip stream, in pieces, of `size` bytes of white space before the sound reply.

    Args:
        sound: what stands at the end, so that who expands it all finds a reply.
        size: bytes of white space, rounded down to whole mebibytes, at least one.
    """
    blank = b" " * _MEBIBYTE
    head = zlib.compressobj(9, zlib.DEFLATED, wbits=31)
    start = head.compress(blank) + head.flush(zlib.Z_FULL_FLUSH)
    checksum, length = zlib.crc32(blank), _MEBIBYTE
    yield start
    while length < size // _MEBIBYTE * _MEBIBYTE:
        # a full flush forgets what was before: the same block can follow itself
        yield start[10:]  # without gzip's own ten bytes
        checksum, length = zlib.crc32(blank, checksum), length + _MEBIBYTE
    tail = zlib.compressobj(9, zlib.DEFLATED, wbits=-15)
    checksum, length = zlib.crc32(sound, checksum), length + len(sound)
    yield tail.compress(sound) + tail.flush() + struct.pack("<II", checksum, length % (1 << 32))


async def _stream(
    request: web.Request, headers: Mapping[str, str], pieces: Iterable[bytes]
) -> web.StreamResponse:
    """Sends pieces until there are no more or the client leaves, and closes the connection."""
    response = web.StreamResponse(headers=headers)
    response.force_close()
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
        await asyncio.sleep(0)  # an endless body must not keep the others waiting
    return response


def _dropped(transport: asyncio.Transport | None) -> web.Response:
    """Closes the connection, if the client has not; what is answered then reaches nobody."""
    if transport is not None:
        transport.close()
    return web.Response()
