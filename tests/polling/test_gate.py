"""The way to one server: slots, the pace, and the exchange of its client. On virtual time."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.cms.client import CmsClient
from exporter.cms.server import Server
from exporter.errors import PollError
from exporter.polling.gate import Gate
from tests.support.virtual_time import VirtualTimeLoop, virtual_clock

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Every test of this module runs on virtual time."""
    return "asyncio", {"loop_factory": VirtualTimeLoop}


class Line(httpx.AsyncBaseTransport):
    """Connections that know when they were closed. The server behind them asks for a pause."""

    def __init__(self) -> None:
        self.closed_at: list[float] = []

    async def handle_async_request(self, _: httpx.Request) -> httpx.Response:
        return httpx.Response(429, headers={"Retry-After": "600"})

    async def aclose(self) -> None:
        self.closed_at.append(asyncio.get_running_loop().time())


def make_client(line: Line | None = None, slots: int = 1) -> CmsClient:
    """A client with so many slots, on that line."""
    server = Server("http://cms", max_concurrency=slots, timeout=10.0)
    return CmsClient(server, line or Line(), virtual_clock)


@contextlib.asynccontextmanager
async def waiting_at(gate: Gate) -> AsyncIterator[asyncio.Task[CmsClient]]:
    """Somebody who has come to the gate and waits there."""
    task = asyncio.create_task(gate.enter())
    await asyncio.sleep(0.001)
    assert not task.done()
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def paused_client(line: Line | None = None) -> CmsClient:
    """A client whose server has asked for ten minutes of peace."""
    client = make_client(line)
    with pytest.raises(PollError):
        await client.poll(1, 1)
    return client


async def test_an_idle_client_is_exchanged_at_once() -> None:
    """Nobody is inside: the next one to come asks the new client, and the old one is closed."""
    line, new = Line(), make_client()
    gate = Gate(make_client(line))
    gate.exchange(new)
    assert gate.client is new
    assert await gate.enter() is new
    assert line.closed_at == [0.0]


async def test_the_new_client_waits_for_the_last_poll_of_the_old_one() -> None:
    """One who waits for a slot of the old one turns to the new one, when both slots are free."""
    line, new = Line(), make_client()
    old = make_client(line, slots=2)
    gate = Gate(old)
    await gate.enter()
    await gate.enter()
    async with waiting_at(gate) as third:
        gate.exchange(new)
        await asyncio.sleep(1)
        gate.leave(old)
        await asyncio.sleep(1)
        assert not third.done(), "one poll is still under way"
        assert not line.closed_at
        gate.leave(old)
        assert await third is new
    assert line.closed_at == [pytest.approx(2.001)]


async def test_a_pause_ends_with_the_client_it_was_asked_of() -> None:
    """What is exchanged may have another address: it is not put off by what the old one said."""
    new = make_client()
    gate = Gate(await paused_client())
    async with waiting_at(gate) as task:
        gate.exchange(new)
        assert await task is new
    assert asyncio.get_running_loop().time() == pytest.approx(0.001)


async def test_two_exchanges_at_once() -> None:
    """The one in between is never asked, and closed nevertheless."""
    between, last = Line(), make_client()
    old = await paused_client()
    gate = Gate(old)
    async with waiting_at(gate) as task:
        gate.exchange(make_client(between))
        asyncio.get_running_loop().call_soon(gate.exchange, last)
        assert await task is last
    assert between.closed_at == [pytest.approx(0.001)]
    assert not old.slots.locked()


async def test_an_exchange_between_the_slot_and_its_taking() -> None:
    """The slot that became free in the same moment goes back: none is lost."""
    old, new = make_client(), make_client()
    gate = Gate(old)
    await gate.enter()
    async with waiting_at(gate) as task:
        gate.leave(old)
        gate.exchange(new)
        assert await task is new
    assert not old.slots.locked()


async def test_who_gives_up_takes_no_slot_along() -> None:
    """Cancelled during a pause."""
    client = await paused_client()
    async with waiting_at(Gate(client)):
        assert client.slots.locked()
    assert not client.slots.locked()


async def test_many_wait_for_the_same_end() -> None:
    """A poller and probes settle together; each former client is closed once."""
    line = Line()
    old = make_client(line)
    gate = Gate(old)
    await gate.enter()
    gate.exchange(make_client(slots=3))
    tasks = [asyncio.create_task(gate.enter()) for _ in range(3)]
    await asyncio.sleep(5)
    gate.leave(old)
    await asyncio.gather(*tasks)
    assert line.closed_at == [5.0]


async def test_closing_closes_every_client() -> None:
    """Also those whose polls have not ended."""
    first, second = Line(), Line()
    gate = Gate(make_client(first))
    await gate.enter()
    gate.exchange(make_client(second))
    await gate.aclose()
    assert (first.closed_at, second.closed_at) == ([0.0], [0.0])


async def test_a_watchdog_hears_what_is_waited_for() -> None:
    """A slot comes within the timeout of a poll; a pause may last for ever."""
    told: list[float] = []
    gate = Gate(make_client())
    await gate.enter(told.append)
    assert told == [10.0, math.inf]


class Crowd:
    """Comes, leaves and gives up at a gate whose client is exchanged time and again."""

    slots = 2

    def __init__(self) -> None:
        self.lines = [Line()]
        self.clients = [make_client(self.lines[0], self.slots)]
        self.gate = Gate(self.clients[0])
        self.inside: list[CmsClient] = []
        self.tasks: list[asyncio.Task[None]] = []

    def do(self, step: str) -> None:
        """One of the steps, if it can be done."""
        match step:
            case "enter":
                self.tasks.append(asyncio.create_task(self._enter()))
            case "leave" if self.inside:
                self.gate.leave(self.inside.pop())
            case "exchange":
                self.lines.append(Line())
                self.clients.append(make_client(self.lines[-1], self.slots))
                self.gate.exchange(self.clients[-1])
            case "give up" if self.tasks:
                self.tasks.pop().cancel()

    async def _enter(self) -> None:
        self.inside.append(await self.gate.enter())
        assert len(set(self.inside)) == 1, "two clients are asked at once"
        assert len(self.inside) <= self.slots

    async def go_home(self) -> None:
        """Let everybody in and out; then every slot is free, and every former client closed."""
        while not all(task.done() for task in self.tasks) or self.inside:
            while self.inside:
                self.do("leave")
            await asyncio.sleep(0.001)
        assert [task.exception() for task in self.tasks] == [None] * len(self.tasks)
        await self.gate.settle()
        assert [len(line.closed_at) for line in self.lines[:-1]] == [1] * (len(self.lines) - 1)
        assert not self.lines[-1].closed_at
        for client in self.clients:
            async with asyncio.timeout(1):
                for _ in range(self.slots):
                    await client.slots.acquire()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["enter", "leave", "exchange", "give up"]),
            st.sampled_from([None, 0.0, 0.001]),
        ),
        max_size=40,
    )
)
@settings(deadline=None)
def test_whatever_happens_at_the_gate(steps: list[tuple[str, float | None]]) -> None:
    """Never two clients asked at once, never more than there are slots, and none of them lost."""

    async def play() -> None:
        crowd = Crowd()
        for step, pause in steps:
            crowd.do(step)
            if pause is not None:
                await asyncio.sleep(pause)
        async with asyncio.timeout(60):
            await crowd.go_home()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(play())
