"""What a server may be asked, and when it wants to be left alone: polls on virtual time."""

import asyncio
import itertools
from collections.abc import Callable
from email.utils import formatdate

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from exporter.errors import Reason
from exporter.metrics.exporter_families import ExporterCollector, own_registry
from exporter.server import Server
from exporter.store import ReloadStatus, Store
from tests.support.scripted_server import Floor, make, running
from tests.support.virtual_time import EPOCH, virtual_clock

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]

SKEW = 3600.0
"""Seconds by which the server's clock is ahead of this host's."""


class Refusing(Floor):
    """A floor that refuses the first request, by its own clock."""

    def __init__(
        self, status: int, retry_after: Callable[[float], str], takes: float = 0.0
    ) -> None:
        super().__init__(takes)
        self.status = status
        self.retry_after = retry_after
        self.refused = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        first = not self.asked
        answer = await super().__call__(request)
        now = virtual_clock().wall + SKEW
        answer.headers["Date"] = formatdate(now, usegmt=True)
        if not first:
            return answer
        self.refused += 1
        headers = {"Date": formatdate(now, usegmt=True), "Retry-After": self.retry_after(now)}
        return httpx.Response(self.status, headers=headers)


def gaps(floor: Floor) -> list[float]:
    """Seconds between one request and the next."""
    times = [at for at, _ in floor.asked]
    return [after - before for before, after in itertools.pairwise(times)]


def own_metrics(store: Store) -> dict[str, float]:
    """The exporter's own samples."""
    registry: CollectorRegistry = own_registry(
        ExporterCollector(
            store,
            lambda: ReloadStatus(successful=True, last_success=EPOCH),
            virtual_clock,
            version="1",
        )
    )
    lines = generate_latest(registry).decode().splitlines()
    parts = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in parts}


def in_seconds(seconds: int) -> Callable[[float], str]:
    """`Retry-After` as a number."""
    return lambda _: str(seconds)


def as_date(seconds: int) -> Callable[[float], str]:
    """`Retry-After` as a date on the server's own clock."""
    return lambda now: formatdate(now + seconds, usegmt=True)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("retry_after", "pause"),
    [
        (in_seconds(60), 60.0),
        (as_date(60), 60.0),
        (in_seconds(86_400), 900.0),
        (as_date(86_400), 900.0),
    ],
    ids=["seconds", "date", "too many seconds", "far date"],
)
async def test_a_server_is_left_alone_for_as_long_as_it_asks(
    status: int, retry_after: Callable[[float], str], pause: float
) -> None:
    """Nobody asks for any of its targets; dates are read by the clock that wrote them.

    A quarter of an hour is the most that is believed.
    """
    floor = Refusing(status, retry_after)
    poller, store = make(floor, Server("http://cms", name="lima"), 30)
    async with running(poller):
        await asyncio.sleep(pause + 60)
    # a date is of whole seconds
    assert gaps(floor)[0] == pytest.approx(pause, abs=1.01)
    assert floor.refused == 1
    stats = store.server("lima")
    assert sum(stats.failures.values()) == 1
    assert stats.condition.clock_skew == pytest.approx(SKEW, abs=1.0)
    assert all(state.failure is None for state in store.states())


@pytest.mark.parametrize(
    "retry_after",
    [in_seconds(0), as_date(-60), lambda _: "soon", lambda _: "-5"],
    ids=["zero", "past", "word", "negative"],
)
async def test_what_asks_for_nothing_puts_nothing_off(retry_after: Callable[[float], str]) -> None:
    """Zero, a date that is past, or what nobody can read: the next target is polled on time."""
    floor = Refusing(503, retry_after)
    poller, store = make(floor, Server("http://cms", name="lima"), 30)
    async with running(poller):
        await asyncio.sleep(60)
    assert len(floor.asked) == 60
    assert store.server("lima").skipped == 0
    assert max(gaps(floor)) < 10


async def test_other_failures_put_nothing_off() -> None:
    """A 500 may carry the header, too, and is no request to be left alone."""
    floor = Refusing(500, in_seconds(600))
    poller, _ = make(floor, Server("http://cms", name="lima"), 30)
    async with running(poller):
        await asyncio.sleep(60)
    assert len(floor.asked) == 60


async def test_polls_under_way_end_and_other_servers_go_on() -> None:
    """A pause holds back what has not begun, at the server that asked for it."""
    busy, idle = Refusing(429, in_seconds(300), takes=2.0), Floor()
    refused, refused_store = make(busy, Server("http://busy", name="busy"), 60)
    others, others_store = make(idle, Server("http://idle", name="idle"), 60)
    async with running(refused, others):
        await asyncio.sleep(300)
    under_way = len(busy.asked)
    assert 1 < under_way <= 8
    assert refused_store.server("busy").failures[Reason.RATE_LIMITED] == 1
    assert sum(state.polls for state in refused_store.states()) == under_way
    assert len(idle.asked) == 600
    assert others_store.server("idle").skipped == 0


async def test_metrics_show_that_polls_were_put_off() -> None:
    """Few requests, a late poll for every target, and due times that were skipped."""
    floor = Refusing(503, in_seconds(100))
    poller, store = make(floor, Server("http://cms", name="lima"), 10)
    async with running(poller):
        await asyncio.sleep(99)
        paused = own_metrics(store)
        await asyncio.sleep(31)
    resumed = own_metrics(store)
    requests = 'agent_rest_exporter_requests_total{cms="lima"}'
    on_time = 'agent_rest_exporter_poll_delay_seconds_bucket{cms="lima",le="30.0"}'
    delays = 'agent_rest_exporter_poll_delay_seconds_count{cms="lima"}'
    skipped = 'agent_rest_exporter_polls_skipped_total{cms="lima"}'
    assert (paused[requests], paused[delays]) == (1, 1)
    assert resumed[requests] == resumed[delays]
    assert resumed[delays] - resumed[on_time] >= 9, "nine targets waited for more than 30 s"
    assert resumed[skipped] > 0


async def test_a_pause_and_a_limit_together() -> None:
    """When it is over, requests start at the pace that the server bears, and in no burst."""
    floor = Refusing(429, in_seconds(60))
    server = Server("http://cms", name="lima", max_requests_per_second=2.0)
    poller, _ = make(floor, server, 50)
    async with running(poller):
        await asyncio.sleep(150)
    first, *later = gaps(floor)
    assert first == pytest.approx(60.0)
    assert min(later) >= 0.499


async def test_every_page_counts_against_the_limit() -> None:
    """A poll of three pages is three requests, at the same pace."""
    server = Server(
        "http://cms", name="lima", max_requests_per_second=4.0, page_size=1, timeout=20.0
    )

    class Paged(Floor):
        """Every poll has two rows, and so three pages of one."""

        async def __call__(self, request: httpx.Request) -> httpx.Response:
            await super().__call__(request)
            page = len(self.asked) % 3
            rows = [{"workNo": page}] if page else []
            detail = {"allowRestNum": 0, "onRestNum": 0, "waitRestNum": 0}
            return httpx.Response(
                200,
                json={
                    "resultCode": "0100000",
                    "resultDesc": {**detail, "agentsRestDetails": rows},
                },
            )

    floor = Paged()
    poller, store = make(floor, server, 1)
    async with running(poller):
        await asyncio.sleep(301)
    polls = sum(state.polls for state in store.states())
    assert polls == 10
    assert store.server("lima").requests == len(floor.asked) == 30
    assert min(gaps(floor)) >= 0.249
