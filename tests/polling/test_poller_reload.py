"""A poller whose targets change: on virtual time, exact to the millisecond."""

import asyncio
import itertools
import json
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.polling.poller import Poller
from exporter.polling.schedule import phase
from exporter.server import Server
from exporter.store import Target, TargetKey
from tests.support.scripted_server import Floor, client_of, reply, running
from tests.support.stores import store_of
from tests.support.virtual_time import EPOCH, VirtualTimeLoop, virtual_clock

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]


def now() -> float:
    """The running loop's time."""
    return asyncio.get_running_loop().time()


def keys(*vdns: int) -> list[TargetKey]:
    """Keys of these VDNs."""
    return [TargetKey("lima", 1, vdn) for vdn in vdns]


class Change:
    """One poller, its store and its server, changed as a reload would."""

    def __init__(
        self, *vdns: int, takes: float = 0.0, interval: float = 30.0, slots: int = 8
    ) -> None:
        self.floor = Floor(takes)
        self.interval = interval
        server = Server("http://cms", name="lima", timeout=25.0, max_concurrency=slots)
        client = client_of(self.answer, server, interval)
        self.store = store_of(map(Target, keys(*vdns)), ["lima"])
        self.poller = Poller(client, keys(*vdns), self.store, virtual_clock)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """By the floor that there is now: a test may replace it."""
        return await self.floor(request)

    def to(self, *vdns: int) -> None:
        """Apply a configuration with these targets."""
        self.store.replace(map(Target, keys(*vdns)), ["lima"])
        self.poller.update(keys(*vdns))

    def polled(self, vdn: int) -> list[float]:
        """When a VDN was asked for."""
        return [at for at, asked in self.floor.asked if asked == vdn]

    def polls(self, vdn: int) -> int:
        """How many polls of a target ended."""
        return self.store.state(*keys(vdn)).polls


def first(vdn: int, interval: float = 30.0) -> float:
    """When a VDN is due first."""
    (key,) = keys(vdn)
    return (phase(key, interval) - EPOCH) % interval


async def until(moment: float) -> None:
    """Sleep up to a time of the loop."""
    await asyncio.sleep(moment - now())


async def test_what_stays_keeps_its_place_and_its_numbers() -> None:
    """Targets come and go every seven seconds: the others' polls are to the millisecond on time."""
    change = Change(1, 2, 3)
    async with running(change.poller):
        for further in range(4, 90):
            await asyncio.sleep(7)
            change.to(1, 2, 3, further)
        await until(900)
    for vdn in (1, 2, 3):
        due = [first(vdn) + 30.0 * nth for nth in range(30)]
        assert change.polled(vdn) == pytest.approx(due, abs=0.001)
        assert change.polls(vdn) == 30
    assert change.store.server("lima").skipped == 0


async def test_a_target_that_is_added_is_polled_at_its_place() -> None:
    """No sooner than its phase says, and within one interval; one that is removed, never again."""
    change = Change(1)
    async with running(change.poller):
        await until(100)
        change.to(2)
        await until(200)
    due = next(at for at in itertools.count(first(2), 30.0) if at >= 100)
    assert change.polled(2)[0] == pytest.approx(due)
    assert max(change.polled(1)) < 100


async def test_the_first_target_of_a_server_wakes_its_poller() -> None:
    """It sleeps without a due time until then."""
    change = Change()
    async with running(change.poller):
        await until(100)
        change.to(1)
        await until(131)
    assert change.polls(1) == 1


async def test_removed_while_in_flight() -> None:
    """Its reply has nowhere to go; the request was sent and counts."""
    change = Change(1, takes=5.0)
    async with running(change.poller):
        await until(first(1) + 1)
        change.to()
        await until(120)
    assert len(change.polled(1)) == 1
    assert not list(change.store.states())
    stats = change.store.server("lima")
    assert (stats.requests, stats.in_flight) == (1, 0)


async def test_removed_and_added_again_while_in_flight() -> None:
    """The poll under way is its first one: nobody asks twice at once, and its place stays."""
    change = Change(1, takes=5.0, interval=10.0)
    async with running(change.poller):
        await until(first(1, 10.0) + 1)
        change.to()
        change.to(1)
        await until(first(1, 10.0) + 21)
        assert change.polls(1) == 2
    assert change.polled(1) == pytest.approx([first(1, 10.0) + after for after in (0, 10, 20)])
    assert change.floor.most_in_flight == 1


def blocked() -> tuple[Change, int, int]:
    """A poller of one slot; the VDN that takes it for 20 s, and the one that waits for it."""
    taking, waiting = sorted([1, 2], key=first)
    return Change(1, 2, takes=20.0, slots=1), taking, waiting


async def test_removed_while_it_waits_for_a_slot() -> None:
    """It is not polled any more, and leaves its slot to others."""
    change, other, waiting = blocked()
    async with running(change.poller):
        await until(first(other) + 19)
        change.to(other)
        await until(first(other) + 200)
    assert not change.polled(waiting)
    assert len(change.polled(other)) == 7


async def test_removed_and_added_again_while_it_waits_for_a_slot() -> None:
    """It starts anew: it is polled at its next place, or when the slot is free after that."""
    change, other, waiting = blocked()
    async with running(change.poller):
        await until(first(other) + 19)
        change.to(other)
        change.to(1, 2)
        await until(first(waiting) + 29.9)
        assert not change.polled(waiting)
        await until(first(waiting) + 50)
        assert len(change.polled(waiting)) == 1
    assert change.floor.most_in_flight == 1


class Watched(Floor):
    """A floor that notes which VDN was asked for twice at once."""

    def __init__(self, durations: list[float]) -> None:
        super().__init__()
        self.durations: Iterator[float] = itertools.cycle(durations)
        self.now_asked: list[int] = []
        self.twice: list[int] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        vdn = json.loads(request.content)["queryParam"]["vdn"]
        self.asked.append((now(), vdn))
        self.twice += [vdn] if vdn in self.now_asked else []
        self.now_asked.append(vdn)
        self.most_in_flight = max(self.most_in_flight, len(self.now_asked))
        try:
            await asyncio.sleep(next(self.durations))
        finally:
            self.now_asked.remove(vdn)
        return reply()


@given(
    durations=st.lists(st.sampled_from([0.0, 0.3, 2.0, 9.0, 40.0]), min_size=1, max_size=5),
    changes=st.lists(st.tuples(st.floats(0.0, 20.0), st.sets(st.integers(1, 8))), max_size=15),
)
@settings(deadline=None, max_examples=60)
def test_whatever_changes(durations: list[float], changes: list[tuple[float, set[int]]]) -> None:
    """No target twice at once, no more polls than slots, and in the end all is as if made anew."""

    async def play() -> None:
        change = Change(1, 2, 3, slots=2)
        change.floor = floor = Watched(durations)
        async with running(change.poller):
            for wait, vdns in changes:
                await asyncio.sleep(wait)
                change.to(*vdns)
            await asyncio.sleep(100)
            floor.durations = itertools.repeat(0.0)
            settled = now()
            await asyncio.sleep(300)
            kept = [state.target.key for state in change.store.states()]
            for key in kept:
                expected = phase(key, change.interval)
                after = [at for at in change.polled(key.vdn) if at > settled + 100]
                assert len(after) >= 200 // change.interval
                assert [(EPOCH + at) % change.interval for at in after] == pytest.approx(
                    [expected] * len(after), abs=0.001
                )
            assert {vdn for at, vdn in floor.asked if at > settled + 100} == {
                key.vdn for key in kept
            }
        assert not floor.twice
        assert floor.most_in_flight <= 2
        assert change.store.server("lima").in_flight == 0

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(play())
