"""Bodies in slices: one in the making at a time, and no harm from those who ask for them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from exporter.web.delivery import Delivery
from exporter.web.listening.listener import Address, listen

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
BIG = [bytes(1 << 20)] * 64
"""More than any socket's buffers take."""


@asynccontextmanager
async def _serving(handler: Handler) -> AsyncIterator[tuple[str, int]]:
    app = web.Application()
    app.router.add_get("/", handler)
    listener = await listen(app, [Address("127.0.0.1", 0)])
    host, _, port = listener.addresses[0].rpartition(":")
    try:
        yield host, int(port)
    finally:
        await listener.close()


async def _get(place: tuple[str, int], query: str = "") -> tuple[int, bytes]:
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"http://{place[0]}:{place[1]}/{query}") as reply,
    ):
        return reply.status, await reply.read()


@pytest.mark.anyio
async def test_one_body_in_the_making() -> None:
    """Two scrapes at once take turns body by body, so that a poll waits for one slice, not two."""
    delivery, made = Delivery(), list[object]()

    async def handler(request: web.Request) -> web.StreamResponse:
        def slices() -> Iterator[bytes]:
            for _ in range(5):
                made.append(request)
                yield b"x"

        return await delivery.send(request, slices, {})

    async with _serving(handler) as place:
        replies = await asyncio.gather(_get(place), _get(place))
    assert list(replies) == [(200, b"xxxxx")] * 2
    assert made == [made[0]] * 5 + [made[-1]] * 5
    assert made[0] is not made[-1]


@pytest.mark.anyio
async def test_a_body_that_fails_in_the_making(caplog: pytest.LogCaptureFixture) -> None:
    """Is a 500 and no half body, is logged, and does not stand in the way of the next one."""
    delivery, failures = Delivery(), [True, False]

    async def handler(request: web.Request) -> web.StreamResponse:
        def slices() -> Iterator[bytes]:
            yield b"half"
            if failures.pop(0):
                raise RuntimeError

        return await delivery.send(request, slices, {})

    async with _serving(handler) as place:
        status, body = await _get(place)
        assert (status, b"half" in body) == (500, False)
        assert await _get(place) == (200, b"half")
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.anyio
async def test_a_client_that_does_not_read_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    """Its reply would stay in memory for as long as it likes."""
    delivery, done = Delivery(send_timeout=0.05), asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = await delivery.send(request, lambda: BIG, {})
        done.set()
        return response

    async with _serving(handler) as place:
        reader, writer = await asyncio.open_connection(*place)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await done.wait()
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(sum(map(len, BIG)))
        writer.close()
    assert not caplog.records


@pytest.mark.anyio
async def test_a_client_that_leaves_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """Prometheus hangs up when its scrape times out; nobody is left to tell."""
    delivery, done = Delivery(), asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = await delivery.send(request, lambda: BIG, {})
        done.set()
        return response

    async with _serving(handler) as place:
        reader, writer = await asyncio.open_connection(*place)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"\r\n")
        writer.transport.abort()
        await done.wait()
    assert not caplog.records


@pytest.mark.anyio
async def test_nothing_is_made_for_a_client_that_has_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Scrapes that time out while they wait must not pile up work that nobody will read."""
    delivery, left = Delivery(), asyncio.Event()
    made = []
    impatient: list[web.Request] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        name = request.query["name"]

        def slices() -> Iterator[bytes]:
            made.append(name)
            while not left.is_set():
                yield b""

        if name == "impatient":
            impatient.append(request)
        return await delivery.send(request, slices, {})

    async with _serving(handler) as place:
        first = asyncio.create_task(_get(place, "?name=patient"))
        while not made:
            await asyncio.sleep(0)
        _, writer = await asyncio.open_connection(*place)
        writer.write(b"GET /?name=impatient HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while not impatient:
            await asyncio.sleep(0)
        writer.transport.abort()
        while impatient[0].transport is not None:
            await asyncio.sleep(0)
        left.set()
        await first
        await _get(place, "?name=next")
    assert made == ["patient", "next"]
    assert not caplog.records
