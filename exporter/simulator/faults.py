"""What each fault does to a reply: wrong rows and pages, gateways, bodies broken on the way.

The server decides which requests a fault applies to, and passes in the correct reply.
"""

import asyncio
import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from email.utils import formatdate
from types import MappingProxyType

from aiohttp import web

from exporter.simulator.floors import AgentRow, Floor
from exporter.simulator.messages import endless_rows
from exporter.simulator.replay import Served
from exporter.simulator.scenarios import Fault, Kind, Scenario

PAGING_FAULTS = frozenset({Fault.IGNORE_OFFSET, Fault.ENDLESS, Fault.OVERLAP, Fault.CROWDED})

_BOMB_SIZE = 1 << 30
"""What the gzip bomb expands to, in bytes, before the correct reply that follows it."""

_CROWD = 250
_CROWD_RESTS_FOR = 600
_LARGEST_OVERLAP = 3
_FIRST_INVENTED = 10_000_000
_MEBIBYTE = 1 << 20
_LOGIN_PAGE = "<!DOCTYPE html><title>Sign in</title><form><input name=user></form>"

# Status, text and content type of the answers of gateways and application servers
_PAGES: Mapping[Kind, tuple[int, str, str]] = MappingProxyType(
    {
        Fault.UNAUTHORIZED: (401, "invalid signature", "text/plain"),
        Fault.FORBIDDEN: (403, "<h1>403 Forbidden</h1>address not allowed", "text/html"),
        Fault.RATE_LIMITED: (429, "too many requests", "text/plain"),
        Fault.UNAVAILABLE: (503, "<h1>503 Service Unavailable</h1>", "text/html"),
        Fault.FLAPPING: (502, "<h1>502 Bad Gateway</h1>", "text/html"),
        Fault.ERROR: (500, "<h1>500 Internal Server Error</h1>NullPointerException", "text/html"),
        Fault.REDIRECT: (302, "", "text/html"),
        Fault.HTML: (200, _LOGIN_PAGE, "text/html"),
    }
)


def altered(floor: Floor, fault: Kind | None, now: float) -> Floor:
    """The floor as a server with this fault reports it; other faults do not change it.

    `now` is the server's time in seconds since the epoch.
    """
    match fault:
        case Fault.CROWDED:
            # the rests began one second apart, the first row's last
            began = math.floor(now) * 1000
            crowd = (
                AgentRow(f"Agent {n}", _FIRST_INVENTED + n, 0, began - n * 1000, _CROWD_RESTS_FOR)
                for n in range(_CROWD)
            )
            return Floor(0, _CROWD, 0, tuple(crowd))
        case Fault.ZEROS:
            zeros = (AgentRow(row.name, row.work_no, 0, 0, 0) for row in floor.rows)
            return replace(floor, rows=tuple(zeros))
        case Fault.SECONDS:
            rows = (row._replace(begin_time=row.begin_time // 1000) for row in floor.rows)
            return replace(floor, rows=tuple(rows))
        case _:
            return floor


def page_of(
    rows: tuple[AgentRow, ...], offset: int, limit: int, fault: Kind | None
) -> tuple[AgentRow, ...]:
    """The rows of one page of CTI 3.6.

    Any fault but the `PAGING_FAULTS` leaves it correct. These show only if there are enough rows to
    fill a page: ask for small pages to see them.
    """
    match fault:
        case Fault.IGNORE_OFFSET:
            offset = 0
        case Fault.OVERLAP:
            # no row is left out and the last page is short, so that reading still ends
            offset -= offset // limit * min(_LARGEST_OVERLAP, limit // 2)
        case Fault.ENDLESS:
            invented = range(max(offset, len(rows)), offset + limit)
            return rows[offset : offset + limit] + tuple(
                AgentRow(f"Agent {position}", _FIRST_INVENTED + position, 0, 0, 0)
                for position in invented
            )
        case _:
            pass
    return rows[offset : offset + limit]


async def gateway_answer(
    request: web.Request, scenario: Scenario, now: float
) -> web.StreamResponse | None:
    """The answer to a request that never reaches the server, because of a fault in front of it.

    None if the fault is of another kind. `now` is the server's time in seconds since the epoch.
    """
    if scenario.kind is Fault.HANG:
        await asyncio.get_running_loop().create_future()  # until the client or the server closes
    if scenario.kind is Fault.DROP:
        return hung_up(request)
    page = _PAGES.get(scenario.kind)
    is_up = scenario.kind is Fault.FLAPPING and now % scenario.seconds >= scenario.seconds / 2
    if page is None or is_up:
        return None
    headers = {"Date": formatdate(now, usegmt=True)}
    if scenario.kind is Fault.REDIRECT:
        headers["Location"] = "/login"
    if scenario.kind in {Fault.RATE_LIMITED, Fault.UNAVAILABLE} and scenario.seconds:
        headers["Retry-After"] = str(math.ceil(scenario.seconds))
    status, text, content_type = page
    return web.Response(status=status, text=text, content_type=content_type, headers=headers)


def hung_up(request: web.Request) -> web.StreamResponse:
    """Closes the connection: the client gets no reply."""
    if request.transport is not None:  # the client may have closed it already
        request.transport.close()
    return web.Response()


async def replayed(request: web.Request, reply: Served) -> web.StreamResponse:
    """Sends a recorded reply; one that was not read to its end is cut again."""
    if reply.complete:
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)
    headers = reply.headers | {"Content-Length": str(len(reply.body) + 1)}
    return await _stream(request, headers, (reply.body,), reply.status)


async def send(
    request: web.Request, fault: Kind | None, body: bytes, date: str
) -> web.StreamResponse:
    """Sends the server's reply, damaged on its way out if the fault is of this kind.

    `body` is the correct reply, `date` the value for the header `Date`.
    """
    headers = {"Date": date, "Content-Type": "application/json;charset=UTF-8"}
    match fault:
        case Fault.GARBAGE:
            return web.Response(body=b"\x00\xff no JSON " + body[::-1], headers=headers)
        case Fault.CUT:
            headers["Content-Length"] = str(len(body))
            return await _stream(request, headers, (body[: len(body) // 2],))
        case Fault.OVERSIZED:
            return await _stream(request, headers, endless_rows())
        case Fault.GZIP_BOMB:
            headers["Content-Encoding"] = "gzip"
            return await _stream(request, headers, gzip_bomb(body))
        case _:
            return web.Response(body=body, headers=headers)


def gzip_bomb(body: bytes, size: int = _BOMB_SIZE) -> Iterator[bytes]:
    """A gzip stream, in pieces, of `size` bytes of white space before the correct reply.

    The size is rounded down to whole mebibytes, at least one.
    """
    blank = b" " * _MEBIBYTE
    head = zlib.compressobj(9, zlib.DEFLATED, wbits=31)
    start = head.compress(blank) + head.flush(zlib.Z_FULL_FLUSH)
    checksum, length = zlib.crc32(blank), _MEBIBYTE
    yield start
    while length < size // _MEBIBYTE * _MEBIBYTE:
        # a full flush resets the compressor: the same block can follow itself
        yield start[10:]  # without gzip's header of ten bytes
        checksum, length = zlib.crc32(blank, checksum), length + _MEBIBYTE
    tail = zlib.compressobj(9, zlib.DEFLATED, wbits=-15)
    checksum, length = zlib.crc32(body, checksum), length + len(body)
    yield tail.compress(body) + tail.flush() + struct.pack("<II", checksum, length % (1 << 32))


async def _stream(
    request: web.Request, headers: Mapping[str, str], pieces: Iterable[bytes], status: int = 200
) -> web.StreamResponse:
    """Sends pieces until there are no more or the client leaves, and closes the connection."""
    response = web.StreamResponse(status=status, headers=headers)
    response.force_close()
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
        await asyncio.sleep(0)  # an endless body must not block the other requests
    return response
