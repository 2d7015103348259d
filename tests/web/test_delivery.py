"""Replies: whose body is shared, who gets a place, and what becomes of those who do not read."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from exporter.web.delivery import Delivery
from exporter.web.listening.addresses import Address
from exporter.web.listening.clients import Refusal, Refusals, no_refusals
from exporter.web.listening.listener import listen
from exporter.web.renderings import Priority, Renderings

pytestmark = pytest.mark.anyio

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
BIG = [bytes(1 << 20)] * 64
"""More than any socket's buffers take."""
GET = b"GET /?%s HTTP/1.1\r\nHost: localhost\r\n\r\n"


@asynccontextmanager
async def _serving(
    handler: Handler, refused: Refusals | None = None
) -> AsyncIterator[tuple[str, int]]:
    app = web.Application()
    app.router.add_get("/", handler)
    listener = await listen(app, [Address("127.0.0.1", 0)], refused=refused)
    host, _, port = listener.addresses[0].rpartition(":")
    try:
        yield host, int(port)
    finally:
        await listener.close()


def _replying(delivery: Delivery, done: asyncio.Event) -> Handler:
    """Reply with much, and tell when that is over."""

    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            return await delivery.send(request, "", lambda: BIG, {})
        finally:
            done.set()

    return handler


async def _get(place: tuple[str, int], query: str = "") -> tuple[int, bytes]:
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"http://{place[0]}:{place[1]}/?{query}") as reply,
    ):
        return reply.status, await reply.read()


@asynccontextmanager
async def _reader(
    place: tuple[str, int], query: bytes = b""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client that has asked, and reads when it likes."""
    reader, writer = await asyncio.open_connection(*place, limit=1 << 12)
    try:
        writer.write(GET % query)
        yield reader, writer
    finally:
        writer.close()


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def _in_progress(delivery: Delivery) -> int:
    """How many bodies wait to be made, are being made or are being sent."""
    return len(delivery.renderings.pending()) + len(delivery.sending)


# Renderings that are shared


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_the_same_question_is_answered_once(encoding: str) -> None:
    """Whoever asks while it is made, or soon after, gets the same bytes, compressed or not."""
    delivery, made = Delivery(renderings=Renderings(shared_for=60)), list[int]()

    async def handler(request: web.Request) -> web.StreamResponse:
        def slices() -> Iterator[bytes]:
            made.append(len(made))
            for number in range(200):
                yield b"%d" % (1000 * made[-1] + number) * 300

        return await delivery.send(request, request.query_string, slices, {})

    async with _serving(handler) as place, aiohttp.ClientSession() as client:

        async def get() -> bytes:
            headers = {"Accept-Encoding": encoding}
            async with client.get(f"http://{place[0]}:{place[1]}/?q", headers=headers) as reply:
                assert reply.headers.get("Content-Encoding", "identity") == encoding
                return await reply.read()

        replies = [*await asyncio.gather(get(), get(), get()), await get()]
        other = await _get(place, "another")
    assert {*replies} == {b"".join(b"%d" % number * 300 for number in range(200))}
    assert made == [0, 1]
    assert other[1].startswith(b"1000")


async def test_a_second_later_it_is_made_anew() -> None:
    """And the old one is forgotten."""
    renderings = Renderings(shared_for=0.05)
    delivery, made = Delivery(renderings=renderings), list[int]()

    async def handler(request: web.Request) -> web.StreamResponse:
        def slices() -> Iterator[bytes]:
            made.append(1)
            yield b"%d" % len(made)

        return await delivery.send(request, "", slices, {})

    async with _serving(handler) as place:
        assert (await _get(place))[1] == b"1"
        await _until(lambda: renderings.held_bytes == 0)
        assert (await _get(place))[1] == b"2"


async def test_another_generation_is_another_question() -> None:
    """The scrape after a reload shows it."""
    generation = 1
    delivery = Delivery(generation=lambda: generation)

    async def handler(request: web.Request) -> web.StreamResponse:
        return await delivery.send(request, "", lambda: [b"%d" % generation], {})

    async with _serving(handler) as place:
        assert (await _get(place))[1] == b"1"
        generation = 2
        assert (await _get(place))[1] == b"2"


async def test_a_body_of_ones_own() -> None:
    """A probe's is shared with nobody, and needs no place."""
    delivery = Delivery(1)
    bodies = [b"a", b"b"]

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.query_string:
            return await delivery.send(request, "", lambda: BIG, {})
        return await delivery.send_own(request, lambda: [bodies.pop(0)], {})

    async with _serving(handler) as place, _reader(place, b"big") as (reader, _):
        await reader.readexactly(1)
        assert [(await _get(place))[1], (await _get(place))[1]] == [b"a", b"b"]


async def test_bodies_of_ones_own_keep_no_scrape_out() -> None:
    """Two hundred who wait for a failed reload get a long report each."""
    delivery, asked, scraped = Delivery(2), list[str](), asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        def own() -> Iterator[bytes]:
            while not scraped.is_set():
                yield b"own"

        if request.query_string == "scrape":
            return await delivery.send(request, "scrape", lambda: [b"scrape"], {})
        asked.append(request.query_string)
        return await delivery.send_own(request, own, {})

    async with _serving(handler) as place, AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(_reader(place, b"own"))
        await _until(lambda: len(asked) == 3)
        assert await _get(place, "scrape") == (200, b"scrape")
        scraped.set()


async def test_a_scrape_does_not_wait_for_a_page() -> None:
    """It is made between two slices of the page; another page waits for its turn."""
    delivery, made = Delivery(), list[str]()
    asked = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        name = request.query_string

        def slices() -> Iterator[bytes]:
            for _ in range(3):
                made.append(name)
                yield b"x"
                while name == "page" and not asked.is_set():
                    yield b""

        priority = Priority.SCRAPE if name == "scrape" else Priority.PAGE
        return await delivery.send(request, name, slices, {}, priority)

    async with _serving(handler) as place:
        first = asyncio.create_task(_get(place, "page"))
        await _until(lambda: made)
        others = [asyncio.create_task(_get(place, name)) for name in ("later", "scrape")]
        await _until(lambda: made.count("scrape") == 3 and others[1].done())
        await _until(lambda: _in_progress(delivery) == 2)
        asked.set()
        assert (await first)[1] == (await others[0])[1] == (await others[1])[1] == b"xxx"
    assert made == ["page", *["scrape"] * 3, *["page"] * 2, *["later"] * 3]


async def test_renderings_hold_no_more_than_they_may() -> None:
    """Whoever still reads the oldest loses it; the newest is served, even if it is larger."""
    renderings, refused = Renderings(shared_for=0.01, max_held=100_000), no_refusals()
    delivery = Delivery(renderings=renderings)
    noise = [bytes((7 * n * n + n * seed) % 251 for n in range(65_536)) for seed in range(3)]

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.query_string == "big":
            return await delivery.send(request, "big", lambda: BIG, {})
        return await delivery.send(request, request.query_string, lambda: noise * 8, {})

    async with _serving(handler, refused) as place, _reader(place, b"big") as (reader, _):
        assert (await reader.readexactly(12)).startswith(b"HTTP/1.1 200")
        for name in "abc":
            status, body = await _get(place, name)
            assert (status, len(body)) == (200, 24 << 16)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(sum(map(len, BIG)))
        await _until(lambda: renderings.held_bytes == 0)
    assert refused[Refusal.SLOW_READER] == 1


async def test_polls_run_between_small_bodies() -> None:
    """Two hundred who wait for one failed reload get their reports at the same moment."""
    delivery, event, made, turns = Delivery(), asyncio.Event(), list[int](), list[int]()

    async def handler(request: web.Request) -> web.StreamResponse:
        def own() -> Iterator[bytes]:
            made.append(len(made))
            yield b"own"

        turns.append(0)
        await event.wait()
        return await delivery.send_own(request, own, {})

    async with _serving(handler) as place:
        replies = [asyncio.create_task(_get(place)) for _ in range(100)]
        await _until(lambda: len(turns) == 100)
        event.set()
        while len(made) < 100:
            before = len(made)
            await asyncio.sleep(0)
            assert len(made) - before <= 1
        assert {status for status, _ in await asyncio.gather(*replies)} == {200}


# Scrapes that are kept as text, for readers that do not take gzip


@pytest.mark.parametrize("more", ["page", "scrape", "text"])
async def test_a_text_that_is_still_being_read(more: str) -> None:
    """It is compressed where it stands before another body is made; the reader does not see it."""
    renderings = Renderings()
    delivery = Delivery(renderings=renderings)
    pieces = [b"%d" % number * 70_000 for number in range(100)] + [b"small"] * 3

    async def handler(request: web.Request) -> web.StreamResponse:
        name = request.query_string
        priority = Priority.PAGE if name == "page" else Priority.SCRAPE
        make = (lambda: pieces) if name == "first" else (lambda: [b"other"])
        return await delivery.send(request, name, make, {}, priority)

    async with _serving(handler) as place, _reader(place, b"first") as (reader, _):
        head = await reader.readuntil(b"\r\n\r\n")
        begin = await reader.readexactly(100_000)
        assert renderings.held_bytes == 0
        encoding = "identity" if more == "text" else "gzip"
        async with (
            aiohttp.ClientSession(headers={"Accept-Encoding": encoding}) as client,
            client.get(f"http://{place[0]}:{place[1]}/?{more}") as reply,
        ):
            assert await reply.read() == b"other"
        assert 0 < renderings.held_bytes < 100_000
        whole = b"".join(pieces)
        assert b"Content-Length: %d\r\n" % len(whole) in head
        assert begin + await reader.readexactly(len(whole) - len(begin)) == whole


@pytest.mark.parametrize("order", [("identity", "gzip"), ("gzip", "identity")])
async def test_the_same_question_with_and_without_gzip(order: tuple[str, str]) -> None:
    """Each gets the whole body in its own form, also while the other's is kept."""
    delivery = Delivery()
    body = b"".join(b"%d" % number * 300 for number in range(200))

    async def handler(request: web.Request) -> web.StreamResponse:
        return await delivery.send(request, "", lambda: [body], {})

    async with _serving(handler) as place, aiohttp.ClientSession() as client:
        for encoding in order:
            headers = {"Accept-Encoding": encoding}
            async with client.get(f"http://{place[0]}:{place[1]}/?", headers=headers) as reply:
                assert reply.headers.get("Content-Encoding", "identity") == encoding
                assert await reply.read() == body


async def test_a_text_that_nobody_reads_any_more() -> None:
    """It is shared until another body is made."""
    delivery, made = Delivery(renderings=Renderings(shared_for=60)), list[str]()

    async def handler(request: web.Request) -> web.StreamResponse:
        def slices() -> Iterator[bytes]:
            made.append(request.query_string)
            yield b"text"

        return await delivery.send(request, request.query_string, slices, {})

    async with (
        _serving(handler) as place,
        aiohttp.ClientSession(
            f"http://{place[0]}:{place[1]}", headers={"Accept-Encoding": "identity"}
        ) as client,
    ):
        for name in ("a", "a", "b", "b", "a"):
            async with client.get(f"/?{name}") as reply:
                assert await reply.read() == b"text"
    assert made == ["a", "b", "a"]


async def test_the_reader_of_a_text_leaves_while_it_is_being_compressed() -> None:
    """Then the rest of it need not be."""
    renderings = Renderings(shared_for=0.01)
    delivery, readers = Delivery(renderings=renderings), list[web.Request]()
    noise = bytes((7 * number * number) % 251 for number in range(1 << 16))

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.query_string == "text":
            readers.append(request)
            return await delivery.send(request, "text", lambda: [noise] * 400, {})
        return await delivery.send(request, "other", lambda: [b"other"], {})

    async with _serving(handler) as place:
        async with _reader(place, b"text") as (reader, _):
            await reader.readexactly(1)
            await asyncio.sleep(0.05)  # it is shared no longer
            other = asyncio.create_task(_get(place, "other"))
            await _until(lambda: renderings.held_bytes)
            assert readers[0].transport is not None
            readers[0].transport.abort()
            assert (await other)[1] == b"other"
        await _until(lambda: renderings.held_bytes == 0)


# Places


def _places(max_requests: int) -> tuple[Delivery, Handler, Refusals, asyncio.Event]:
    """So many places; what is asked decides what is sent, and when."""
    refused, release = no_refusals(), asyncio.Event()
    delivery = Delivery(max_requests, refused=refused)

    async def handler(request: web.Request) -> web.StreamResponse:
        name = request.query_string
        priority = Priority.PAGE if name.startswith("page") else Priority.SCRAPE

        def slices() -> Iterator[bytes]:
            while name.endswith("waits") and not release.is_set():
                yield b""
            yield from BIG if name.endswith("big") else [b"small"]

        return await delivery.send(request, name, slices, {}, priority)

    return delivery, handler, refused, release


async def test_more_than_there_are_places() -> None:
    """503, and when to come back; a scrape finds a place beside pages."""
    delivery, handler, refused, release = _places(2)
    async with (
        _serving(handler) as place,
        _reader(place, b"page-waits"),
        aiohttp.ClientSession(f"http://{place[0]}:{place[1]}") as client,
    ):
        await _until(lambda: _in_progress(delivery))
        busy = await client.get("/?page")
        assert (busy.status, busy.headers["Retry-After"]) == (503, "1")
        assert await busy.text() == (
            "503: too many requests are in progress: ask less often, or raise --web.max-requests.\n"
        )
        assert (await client.get("/?scrape")).status == 200
        await _until(lambda: _in_progress(delivery) == 1)
        async with _reader(place, b"scrape-waits"):
            await _until(lambda: _in_progress(delivery) == 2)
            assert (await client.get("/?another-scrape")).status == 503
        release.set()
        await _until(lambda: not _in_progress(delivery))
        assert (await client.get("/?page")).status == 200
    assert refused[Refusal.BUSY] == 2


async def test_the_same_question_needs_no_place_of_its_own() -> None:
    """Any number may wait for one rendering; then they are sent, some at a time."""
    delivery, handler, refused, release = _places(2)
    async with _serving(handler) as place:
        replies = [asyncio.create_task(_get(place, "waits")) for _ in range(60)]
        await _until(lambda: _in_progress(delivery) == 1)
        await asyncio.sleep(0.1)
        release.set()
        assert {status for status, _ in await asyncio.gather(*replies)} == {200}
        await _until(lambda: not _in_progress(delivery))
    assert refused[Refusal.BUSY] == 0


@pytest.mark.parametrize("kind", ["scrape", "page"])
async def test_no_limit(kind: str) -> None:
    """With --web.max-requests=0, for whatever is asked."""
    delivery, handler, refused, release = _places(0)
    async with _serving(handler) as place:
        replies = [asyncio.create_task(_get(place, f"{kind}-{n}-waits")) for n in range(60)]
        await _until(lambda: _in_progress(delivery) == 60)
        release.set()
        assert {status for status, _ in await asyncio.gather(*replies)} == {200}
    assert refused[Refusal.BUSY] == 0


async def test_the_place_of_a_reader_that_does_not_read() -> None:
    """It is given to the next one who asks."""
    _, handler, refused, _ = _places(1)
    async with _serving(handler, refused) as place, _reader(place, b"big") as (reader, _):
        await reader.readexactly(1)
        async with asyncio.timeout(60):
            while (await _get(place, "scrape"))[0] != 200:
                await asyncio.sleep(0.1)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(sum(map(len, BIG)))
    assert refused[Refusal.SLOW_READER] == 1


async def test_the_place_of_a_client_that_has_left() -> None:
    """It is free at once, although its body is still being made."""
    delivery, handler, refused, release = _places(1)
    requests = list[web.Request]()

    async def remembered(request: web.Request) -> web.StreamResponse:
        requests.append(request)
        return await handler(request)

    async with _serving(remembered) as place:
        async with _reader(place, b"waits") as (_, writer):
            await _until(lambda: _in_progress(delivery))
            writer.transport.abort()
        await _until(lambda: requests[0].transport is None)
        reply = asyncio.create_task(_get(place, "scrape"))
        await _until(lambda: len(requests) == 2)
        release.set()
        assert (await reply)[0] == 200
    assert refused[Refusal.BUSY] == 0


# Clients that leave, fail, or do not read


async def test_a_body_that_fails_in_the_making(caplog: pytest.LogCaptureFixture) -> None:
    """Is a 500 and no half body, is logged, and does not stand in the way of the next one."""
    delivery, failures = Delivery(), [True, False]

    async def handler(request: web.Request) -> web.StreamResponse:
        def slices() -> Iterator[bytes]:
            yield b"half"
            if failures.pop(0):
                raise RuntimeError

        return await delivery.send(request, "", slices, {})

    async with _serving(handler) as place:
        status, body = await _get(place)
        assert (status, b"half" in body) == (500, False)
        assert await _get(place) == (200, b"half")
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_a_client_that_does_not_read_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    """Its reply would stay in memory for as long as it likes."""
    refused, done = no_refusals(), asyncio.Event()
    delivery = Delivery(send_timeout=0.05)
    async with _serving(_replying(delivery, done), refused) as place:
        reader, writer = await asyncio.open_connection(*place)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await done.wait()
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(sum(map(len, BIG)))
        writer.close()
    assert refused[Refusal.SLOW_READER] == 1
    assert not caplog.records


async def test_a_client_that_leaves_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """Prometheus hangs up when its scrape times out; nobody is left to tell."""
    delivery, done = Delivery(), asyncio.Event()
    async with _serving(_replying(delivery, done)) as place:
        reader, writer = await asyncio.open_connection(*place)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"\r\n")
        writer.transport.abort()
        await done.wait()
    assert not caplog.records


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
        return await delivery.send(request, name, slices, {})

    async with _serving(handler) as place:
        first = asyncio.create_task(_get(place, "name=patient"))
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
        await _get(place, "name=next")
    assert made == ["patient", "next"]
    assert not caplog.records
