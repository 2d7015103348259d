"""Connections: how many, what each may send before it has its reply, and what is not HTTP."""

import asyncio
import contextlib
import gzip
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trustme
from aiohttp import web

from exporter.web.listening import clients, listener
from exporter.web.listening.addresses import Address
from exporter.web.listening.clients import (
    MAX_CONNECTIONS,
    MAX_REQUEST_BYTES,
    MIN_CONNECTIONS,
    Refusal,
    Refusals,
    client_of,
    connection_limit,
    no_refusals,
)
from exporter.web.listening.listener import listen

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.both_loops,
]  # the loops differ in how they buffer, and in how a connection ends

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
BIG = 64 << 20
"""More than any socket's buffers take."""
WAIT = b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n"


class World:
    """A server with few connections."""

    def __init__(self) -> None:
        self.refused: Refusals = no_refusals()
        self.port = 0
        self.requests = 0
        self.waiting = 0
        self.queries: list[str] = []
        self.release = asyncio.Event()
        self.failure: Exception | None = None
        self.writers: list[asyncio.StreamWriter] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        self.queries.append(request.query_string)
        if self.failure:
            raise self.failure
        return web.Response(text="hello")

    async def big(self, _: web.Request) -> web.StreamResponse:
        return web.Response(body=bytes(BIG))

    async def half(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        raise KeyError

    async def wait(self, _: web.Request) -> web.StreamResponse:
        self.requests += 1
        self.waiting += 1
        try:
            await self.release.wait()
        finally:
            self.waiting -= 1
        return web.Response(text="hello")

    async def body(self, request: web.Request) -> web.Response:
        return web.Response(text=f"{len(await request.read())}")

    async def connect(
        self, tls: ssl.SSLContext | None = None, source: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=tls, local_addr=(source, 0)
        )
        self.writers.append(writer)
        return reader, writer


@asynccontextmanager
async def serving(
    max_connections: int = 3, tls: ssl.SSLContext | None = None
) -> AsyncIterator[World]:
    """A world whose server listens."""
    world = World()
    app = web.Application()
    app.router.add_get("/", world.answer)
    app.router.add_get("/wait", world.wait)
    app.router.add_get("/big", world.big)
    app.router.add_get("/half", world.half)
    app.router.add_post("/body", world.body)
    listener = await listen(
        app,
        [Address("127.0.0.1", 0)],
        max_connections=max_connections,
        tls=tls,
        refused=world.refused,
    )
    world.port = int(listener.addresses[0].rpartition(":")[2])
    try:
        yield world
    finally:
        world.release.set()
        await listener.close()
        for writer in world.writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def until(condition: Callable[[], object]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def received(reader: asyncio.StreamReader) -> bytes:
    """Everything up to the end, which may be a reset: not all that was sent is read."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := await reader.read(1 << 16):
            parts.append(part)
    return b"".join(parts)


async def gone(reader: asyncio.StreamReader) -> bool:
    """Whether the connection has ended without another byte."""
    return await received(reader) == b""


async def test_the_longest_idle_connection_makes_room() -> None:
    """Idle visitors cannot keep anyone out; one with a request in progress is not idle."""
    async with serving() as world:
        busy, writer = await world.connect()
        writer.write(WAIT)
        await until(lambda: world.requests == 1)
        idle, _ = await world.connect()
        for _ in range(4):
            reader, other = await world.connect()
            other.write(GET)
            assert b"hello" in await reader.readuntil(b"hello")
        assert await gone(idle)
        world.release.set()
        assert b"hello" in await busy.readuntil(b"hello")
        assert world.refused[Refusal.TOO_MANY_CONNECTIONS] == 3


async def test_no_room_beside_requests_in_progress() -> None:
    """A new connection is closed, and the others are answered."""
    async with serving() as world:
        busy = [await world.connect() for _ in range(3)]
        for _, writer in busy:
            writer.write(WAIT)
        await until(lambda: world.requests == 3)
        reader, _ = await world.connect()
        assert await gone(reader)
        world.release.set()
        for each, _ in busy:
            assert b"hello" in await each.readuntil(b"hello")


async def test_whoever_loses_a_connection_before_it_begins_is_not_answered() -> None:
    """Thousands that come at once would hold their requests until each one's end is noticed."""
    async with serving() as world:
        with contextlib.ExitStack() as stack:
            # before the server's loop can accept any of them
            for _ in range(12):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", world.port)))
                client.sendall(WAIT)
            await until(lambda: world.refused[Refusal.TOO_MANY_CONNECTIONS] == 9)
            await until(lambda: world.requests == 3)
            reader, _ = await world.connect()
            assert await gone(reader)
            assert world.requests == 3


async def test_one_client_has_a_quarter_of_all_connections() -> None:
    """More would delay everyone's turn. Other clients are not concerned."""
    async with serving(max_connections=4 * MIN_CONNECTIONS) as world:
        for _ in range(MIN_CONNECTIONS):
            _, writer = await world.connect(source="127.0.0.2")
            writer.write(WAIT)
        await until(lambda: world.requests == MIN_CONNECTIONS)
        reader, _ = await world.connect(source="127.0.0.2")
        assert await gone(reader)
        assert world.refused[Refusal.TOO_MANY_CONNECTIONS] == 1
        reader, writer = await world.connect()
        writer.write(GET)
        assert b"hello" in await reader.readuntil(b"hello")


async def test_nothing_is_waited_for_on_behalf_of_a_client_that_has_left() -> None:
    """Whoever asks and leaves, again and again, would have as many replies wait."""
    async with serving() as world:
        _, writer = await world.connect()
        writer.write(WAIT)
        await until(lambda: world.requests == 1)
        writer.close()
        await until(lambda: world.waiting == 0)


async def test_connections_without_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """When none is left, the longest idle connection goes, and accepting is tried again."""
    async with serving() as world:
        idle, _ = await world.connect()
        reader, writer = await world.connect()
        writer.write(GET)
        await reader.readuntil(b"hello")
        accept, failures = socket.socket.accept, [OSError(24, "Too many open files")]

        def without(listening: socket.socket) -> tuple[socket.socket, object]:
            if failures:
                raise failures.pop()
            return accept(listening)

        monkeypatch.setattr(socket.socket, "accept", without)
        reader, writer = await world.connect()
        writer.write(GET)
        assert b"hello" in await reader.readuntil(b"hello")
        assert await gone(idle)


@pytest.mark.parametrize(
    ("soft", "limit"),
    [
        (20, MIN_CONNECTIONS),
        (256, 128),
        (1 << 20, MAX_CONNECTIONS),
        (-1, MAX_CONNECTIONS),
    ],
)
def test_half_of_the_descriptors_are_for_connections(
    monkeypatch: pytest.MonkeyPatch, soft: int, limit: int
) -> None:
    """The others are kept for polls; -1 is no limit."""
    monkeypatch.setattr("resource.getrlimit", lambda _: (soft, soft))
    assert connection_limit() == limit


async def test_pipelined_requests_beyond_the_limit() -> None:
    """What came with the first may be answered; the rest is not read, and the connection ends."""
    async with serving() as world:
        reader, writer = await world.connect()
        writer.write(GET * 10_000)
        replies = await received(reader)
        assert replies.count(b"hello") <= world.requests
        assert 1 <= world.requests <= 2 * MAX_REQUEST_BYTES // len(GET)


async def test_a_few_pipelined_requests() -> None:
    """Are answered one after the other, on a connection that stays."""
    async with serving() as world:
        reader, writer = await world.connect()
        for _ in range(2):
            writer.write(GET * 40)
            for _ in range(40):
                assert b"hello" in await reader.readuntil(b"hello")
        assert world.requests == 80


async def test_others_have_their_turn_between_pipelined_requests() -> None:
    """Hundreds that one client has sent ahead would delay a scrape by as many."""
    async with serving() as world:
        reader, writer = await world.connect()
        other_reader, other = await world.connect()
        writer.write(GET * 30)
        other.write(GET.replace(b"/ ", b"/?other ", 1))
        assert b"hello" in await other_reader.readuntil(b"hello")
        for _ in range(30):
            await reader.readuntil(b"hello")
        assert world.queries.index("other") < 29


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n" + b"X: " + b"x" * 8000 + b"\r\n", GET[:-2]])
async def test_headers_without_end(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """431 after 32 kB, however they are split."""
    monkeypatch.setattr(clients, "_LATE_REQUEST", 0.05)
    async with serving() as world:
        reader, writer = await world.connect()
        writer.write(sent)
        sent = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 500) for number in range(70))
        writer.write(sent)
        reply = await received(reader)
        assert reply.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
        assert reply.endswith(b"\r\n\r\n431: the request is too large.\n")
        assert world.refused[Refusal.MALFORMED] == 1


async def test_a_body_that_nobody_asked_for() -> None:
    """The reply comes all the same, and the connection ends."""
    async with serving() as world:
        reader, writer = await world.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        writer.write(bytes(1_000_000))
        assert (await reader.read()).startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
        # valid for the parser, and not for what makes a request of it
        b"GET http://xn--a/ HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_what_is_not_http(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A reply that tells nothing of versions, a count, and no log line."""
    async with serving() as world:
        reader, writer = await world.connect()
        writer.write(sent)
        reply = await reader.read()
    assert reply.startswith((b"HTTP/1.0 400 Bad Request\r\n", b"HTTP/1.1 400 Bad Request\r\n"))
    assert reply.endswith(b"400: not a valid HTTP request.\n")
    assert b"\r\nServer: agent-rest-exporter\r\n" in reply
    assert not {b"Python", b"aiohttp", b"Traceback"} & {*reply.replace(b"/", b" ").split()}
    assert world.refused[Refusal.MALFORMED] == 1
    assert not caplog.records


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (
            b"GET /" + b"/" * 200 + b" HTTP/1.1\r\n",
            b"414: the path is longer than 200 characters.\n",
        ),
        (b"GET / HTTP/1.1\r\nExpect: a cake\r\n", b"417: Expect must be 100-continue.\n"),
    ],
)
async def test_what_would_cost_much_or_be_repeated(sent: bytes, said: bytes) -> None:
    """A path takes time that grows with its square; aiohttp would quote what is expected."""
    async with serving() as world:
        reader, writer = await world.connect()
        writer.write(sent + b"Host: x\r\n\r\n")
        reply = await reader.read()
    assert reply.startswith(b"HTTP/1.1 " + said[:3])
    assert b"\r\nServer: agent-rest-exporter\r\n" in reply
    assert reply.endswith(said)


async def test_a_compressed_body_stays_compressed() -> None:
    """A few kilobytes of it can be megabytes."""
    packed = gzip.compress(bytes(1 << 20))
    async with serving() as world:
        reader, writer = await world.connect()
        head = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nConnection: close\r\n"
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(packed) + packed)
        assert (await reader.read()).endswith(b"\r\n\r\n%d" % len(packed))


def _asked(world: World, times: int) -> bool:
    return world.requests == times


async def test_a_client_with_most_connections_makes_room_for_another() -> None:
    """Even if all of them are busy: the oldest one ends."""
    async with serving() as world:
        crowd = []
        for number in range(1, 4):
            crowd.append(await world.connect(source="127.0.0.2"))
            crowd[-1][1].write(WAIT)
            await until(partial(_asked, world, number))
        reader, writer = await world.connect()
        writer.write(GET)
        assert b"hello" in await reader.readuntil(b"hello")
        assert await gone(crowd[0][0])
        world.release.set()
        for other, _ in crowd[1:]:
            assert b"hello" in await other.readuntil(b"hello")


@pytest.mark.parametrize(
    ("peers", "same"),
    [
        ([("10.0.0.1", 5), ("10.0.0.1", 6)], True),
        ([("10.0.0.1", 5), ("10.0.0.2", 5)], False),
        ([("2001:db8::1", 5, 0, 0), ("2001:db8::ffff:2", 6, 0, 0)], True),
        ([("2001:db8:0:1::1", 5, 0, 0), ("2001:db8::1", 5, 0, 0)], False),
        ([("fe80::1%lo", 5, 0, 1), ("fe80::2", 5, 0, 0)], True),
        ([("::ffff:10.0.0.1", 5, 0, 0), ("::ffff:10.0.0.2", 5, 0, 0)], False),
        (["", b""], True),
    ],
)
def test_what_counts_as_one_client(peers: list[object], *, same: bool) -> None:
    """Half of an IPv6 address is a network's, the other half is free to choose."""
    assert (len({*map(client_of, peers)}) == 1) is same


async def test_defects_are_logged_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever can trigger one could fill the log; the reply says no more than that."""
    async with serving() as world:
        for world.failure in (KeyError("Zhang San"), TimeoutError(), KeyError("again")):
            reader, writer = await world.connect()
            writer.write(GET)
            reply = await reader.read()
            status = 504 if isinstance(world.failure, TimeoutError) else 500
            assert reply.startswith(b"HTTP/1.1 %d " % status)
            assert reply.endswith(
                b"%d: the request failed because of a defect in the exporter: see its log.\n"
                % status
            )
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "a request failed")
    assert record.fields["exception"].startswith("KeyError at ")  # type: ignore[attr-defined]
    assert "Zhang" not in str(record.__dict__)


async def test_a_defect_after_the_beginning_of_a_reply(caplog: pytest.LogCaptureFixture) -> None:
    """No second reply follows: the connection ends, so that the client sees that it is half."""
    async with serving() as world:
        reader, writer = await world.connect()
        writer.write(GET.replace(b"/ ", b"/half ", 1))
        reply = await received(reader)
    assert reply.count(b"HTTP/1.1") == 1
    assert not reply.endswith(b"0\r\n\r\n")
    assert len(caplog.records) == 1


async def test_a_reader_that_takes_nothing_for_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of whatever path: nothing waits for it forever."""
    monkeypatch.setattr(clients, "SEND_TIMEOUT", 0.1)
    async with serving() as world:
        reader, writer = await world.connect()
        writer.write(GET.replace(b"/ ", b"/big ", 1))
        await until(lambda: world.refused[Refusal.SLOW_READER])
        assert len(await received(reader)) < BIG
    assert world.refused[Refusal.SLOW_READER] == 1


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Trusted by the clients."""
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """The server's side."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    """The client's side."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_handshakes_count_as_connections(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """Half-open ones make room for those who mean it."""
    async with serving(tls=server_tls) as world:
        silent = [await world.connect() for _ in range(3)]
        reader, writer = await world.connect(client_tls)
        writer.write(GET)
        assert b"hello" in await reader.readuntil(b"hello")
        assert await gone(silent[0][0])
        assert world.refused[Refusal.TOO_MANY_CONNECTIONS] == 1


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01"])
async def test_a_handshake_that_does_not_end(
    server_tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    sent: bytes,
) -> None:
    """It is ended, and counted; nothing of it is logged."""
    monkeypatch.setattr(listener, "HANDSHAKE_TIMEOUT", 0.1)
    async with serving(tls=server_tls) as world:
        reader, writer = await world.connect()
        writer.write(sent)
        async with asyncio.timeout(60):
            await reader.read()
        await until(lambda: world.refused[Refusal.TLS_HANDSHAKE] == 1)
    assert not caplog.records


async def test_the_end_of_a_server_with_open_handshakes(server_tls: ssl.SSLContext) -> None:
    """It does not wait for them."""
    async with asyncio.timeout(60):
        async with serving(tls=server_tls) as world:
            reader, _ = await world.connect()
            await asyncio.sleep(0)
        assert await gone(reader)
