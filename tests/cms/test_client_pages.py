"""The client on virtual time: listings in pages (CTI 3.6), the deadline, and the rate limit."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from exporter.cms.client import CmsClient
from exporter.errors import Reason
from exporter.server import Server
from tests.support.cms_peer import answer, failed, read
from tests.support.virtual_time import EPOCH, virtual_clock

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]


class Floor:
    """CTI 3.6 with this many agents.

    `moves` rows leave the listing's start after each page; for so many replies the counters change.
    """

    def __init__(
        self, agents: int, *, takes: float = 0.0, moves: int = 0, restless: int = 0
    ) -> None:
        self.agents = agents
        self.takes = takes
        self.moves = moves
        self.restless = restless
        self.asked: list[tuple[int, int]] = []
        self.times: list[float] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        query = json.loads(request.content)["queryParam"]
        self.times.append(now())
        await asyncio.sleep(self.takes)
        start = query["offset"] + self.moves * len(self.asked)
        self.asked.append((query["offset"], query["limit"]))
        rows = range(start, min(start + query["limit"], self.agents))
        resting = min(len(self.asked), self.restless)
        return httpx.Response(200, content=answer(*rows, resting=resting))


def now() -> float:
    """Virtual seconds."""
    return asyncio.get_running_loop().time()


def client(
    handler: Callable[[httpx.Request], Coroutine[None, None, httpx.Response]], **facts: Any
) -> CmsClient:
    """A client that asks for pages of 100."""
    server = Server(**{"url": "https://cms.example.com", "page_size": 100, **facts})
    return CmsClient(server, httpx.MockTransport(handler), virtual_clock)


# Pages


async def test_250_agents_are_three_pages() -> None:
    """`offset` counts rows; every row counts once."""
    floor = Floor(250)

    reading = read(await client(floor).poll(1, 1))

    assert floor.asked == [(0, 100), (100, 100), (200, 100)]
    assert reading.requests == 3
    assert reading.snapshot.unusable_begin_times == 250


@pytest.mark.parametrize(("agents", "pages"), [(0, 1), (99, 1), (100, 2), (101, 2), (200, 3)])
async def test_a_listing_ends_with_a_short_page(agents: int, pages: int) -> None:
    """A whole last page cannot be told from one in the middle."""
    floor = Floor(agents)

    reading = read(await client(floor).poll(1, 1))

    assert reading.requests == pages
    assert reading.snapshot.unusable_begin_times == agents


async def test_the_size_of_a_page_is_the_servers() -> None:
    """page_size of the configuration."""
    floor = Floor(5)

    await client(floor, page_size=2).poll(1, 1)

    assert floor.asked == [(0, 2), (2, 2), (4, 2)]


async def test_pages_that_overlap_count_each_agent_once() -> None:
    """Ten agents come to the listing's start while each page is read."""
    floor = Floor(250, moves=-10)

    reading = read(await client(floor).poll(1, 1))

    assert floor.asked == [(0, 100), (100, 100), (200, 100)]
    assert reading.snapshot.unusable_begin_times == 250


async def test_a_server_that_ignores_offset_is_not_asked_for_ever() -> None:
    """CTI 3.8 behind a configuration that says 3.6: all rows, every time."""
    asked = 0

    async def ignorant(_request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        return httpx.Response(200, content=answer(*range(1, 101)))

    reading = read(await client(ignorant).poll(1, 1))

    assert asked == reading.requests == 2
    assert reading.snapshot.unusable_begin_times == 100


async def test_a_listing_that_never_ends_is_given_up() -> None:
    """Every page is full of agents who were never seen before."""
    floor = Floor(10**9)

    error = failed(await client(floor, page_size=7).poll(1, 1))

    assert (error.reason, error.message) == (
        Reason.TOO_LARGE,
        (
            "the listing did not end after 500 pages of 7 rows: the server does not page "
            'correctly; if it sends all rows at once, set cti_version: "3.8"'
        ),
    )
    assert error.requests == 500


async def test_one_page_that_fails_fails_the_listing() -> None:
    """Half a listing would be a wrong number."""
    floor = Floor(250)

    async def serve(request: httpx.Request) -> httpx.Response:
        reply = await floor(request)
        return httpx.Response(500) if len(floor.asked) == 2 else reply

    error = failed(await client(serve).poll(1, 1))

    assert (error.reason, error.requests) == (Reason.HTTP, 2)


# The deadline


async def test_one_deadline_holds_for_all_pages() -> None:
    """Three pages of 4 s each within 10 s: the third comes too late."""
    floor = Floor(250, takes=4.0)

    error = failed(await client(floor, timeout=10.0).poll(1, 1))

    assert now() == 10.0
    assert (error.reason, error.requests) == (Reason.TIMEOUT, 3)
    assert error.message == (
        "no complete reply from cms.example.com:443 within 10 s (page 3): the server is slow or a "
        "firewall drops packets; raise timeout if it is only slow"
    )


@pytest.mark.parametrize(("within", "ended"), [(2.5, 2.5), (60.0, 10.0)])
async def test_a_sooner_deadline_holds_and_is_told(within: float, ended: float) -> None:
    """Of whoever asks, such as a scrape; a later one does not put off the server's own."""
    error = failed(await client(Floor(1, takes=99.0), timeout=10.0).poll(1, 1, within=within))

    assert now() == ended
    assert (error.reason, error.requests) == (Reason.TIMEOUT, 1)
    assert f"within {ended:g} s" in error.message


async def test_what_breaks_at_the_deadline_is_a_timeout() -> None:
    """A transport may turn the cancellation into an error of its own."""

    async def clumsy(_request: httpx.Request) -> httpx.Response:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise RuntimeError("cannot stop") from None
        raise AssertionError

    error = failed(await client(clumsy, timeout=1.5).poll(1, 1))

    assert error.reason is Reason.TIMEOUT


# The rate limit


async def test_further_pages_wait_for_their_turn() -> None:
    """A page is a request like any other."""
    floor = Floor(250)

    await client(floor, max_requests_per_second=2.0).poll(1, 1)

    assert floor.times == [0.0, 0.5, 1.0]


async def test_pages_that_the_rate_limit_delays_too_long() -> None:
    """The server answers at once: it is not blamed."""
    error = failed(await client(Floor(450), max_requests_per_second=0.5, timeout=5.0).poll(1, 1))

    assert (error.reason, error.requests) == (Reason.TIMEOUT, 3)
    assert error.message == (
        "page 4 could not be requested within 5 s, because max_requests_per_second allows too few: "
        "raise it, or raise timeout"
    )


async def test_a_pause_that_begins_between_two_pages() -> None:
    """Another poll was told of it."""
    floor, pages = Floor(450, takes=3.0), list[int]()

    async def busy(request: httpx.Request) -> httpx.Response:
        if json.loads(request.content)["queryParam"]["vdn"] == 2:
            return httpx.Response(429, headers={"Retry-After": "30"})
        pages.append(1)
        return await floor(request)

    asked = client(busy, timeout=5.0)
    first, _ = await asyncio.gather(asked.poll(1, 1), asked.poll(1, 2))

    error = failed(first)
    assert (error.reason, error.requests, len(pages)) == (Reason.RATE_LIMITED, 1, 1)
    assert error.message == (
        "the server asked for a pause (Retry-After), which lasts for another 25 s: lower "
        "max_requests_per_second or lengthen interval"
    )


@pytest.mark.parametrize(
    ("status", "header", "pause"),
    [
        (429, "30", 30.0),
        (429, formatdate(EPOCH + 20, usegmt=True), 20.0),
        (503, "30", 30.0),
        (429, "86400", 900.0),
        (429, "soon", 0.0),
        (500, "30", 0.0),
    ],
)
async def test_retry_after_delays_the_next_poll(status: int, header: str, pause: float) -> None:
    """Of 429 and 503 alone, and up to a quarter of an hour."""

    async def busy(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers={"Retry-After": header})

    asked = client(busy)
    await asked.poll(1, 1)

    assert (await asked.poll(1, 1)).started.monotonic == pause


async def test_a_pause_delays_polls_that_already_wait() -> None:
    """They had begun to wait before the server asked for it; the even pace goes on after it."""

    async def busy(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(429, headers={"Retry-After": "30"})

    asked = client(busy, max_requests_per_second=1.0)

    first, *later = await asyncio.gather(*(asked.poll(1, 1) for _ in range(3)))

    assert first.started.monotonic == 0.0
    assert [result.started.monotonic for result in later] == [30.0, 60.0]


# Listings that move


async def test_a_listing_that_moved_is_read_once_more() -> None:
    """The counters changed between its pages: what they say and what the rows say is not one."""
    floor = Floor(150, restless=2)

    result = await client(floor).poll(1, 1)

    assert [offset for offset, _ in floor.asked] == [0, 100, 0, 100]
    assert read(result).snapshot.resting == 2
    assert not result.moved


async def test_a_listing_that_never_rests_is_told() -> None:
    """The last page's counters stand, as the nearest to the end."""
    floor = Floor(150, restless=99)

    result = await client(floor).poll(1, 1)

    assert len(floor.asked) == 4
    assert read(result).snapshot.resting == 4
    assert result.moved


async def test_a_second_reading_that_takes_too_long_does_not_cost_the_first() -> None:
    """One deadline holds for both."""
    result = await client(Floor(150, takes=3.0, restless=99), timeout=10.0).poll(1, 1)

    assert read(result).snapshot.resting == 2
    assert result.moved
    assert result.duration == 10.0
    assert result.replied == 6.0, "ages are counted from the reading that is shown"


async def test_a_page_with_too_many_rows() -> None:
    """CTI 3.8 that is asked in pages: it sends all rows each time."""

    async def all_at_once(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=answer(*range(101)))

    error = failed(await client(all_at_once).poll(1, 1))

    assert (error.reason, error.message, error.requests) == (
        Reason.SCHEMA,
        (
            "the server sent 101 rows where a page of 100 was requested: it does not page; set "
            'cti_version: "3.8"'
        ),
        1,
    )


async def test_more_rows_than_a_floor_can_have() -> None:
    """Not a listing of one VDN, whatever it is."""

    async def endless(_request: httpx.Request) -> httpx.Response:
        rows = b"{}," * 100_000 + b"{}"
        detail = b'{"allowRestNum":0,"onRestNum":0,"waitRestNum":0,"agentsRestDetails":[%b]}' % rows
        return httpx.Response(200, content=b'{"resultCode":"0100000","resultDesc":%b}' % detail)

    error = failed(await client(endless, page_size=None).poll(1, 1))

    assert (error.reason, error.message) == (
        Reason.TOO_LARGE,
        (
            "the server sent more than 100000 rows, more than any VDN has: check that url leads to "
            "CC-CMS"
        ),
    )
