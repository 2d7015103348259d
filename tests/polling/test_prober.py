"""Polls that somebody asks for now, beside the schedule's: on virtual time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest

from exporter.clock import Moment
from exporter.cms.client import CmsClient
from exporter.errors import ProbeRefusedError, Reason
from exporter.polling.prober import Prober
from exporter.server import Server
from exporter.store import Target, TargetKey, TargetState
from tests.support import scripted_fleet
from tests.support.scripted_fleet import Network, World
from tests.support.scripted_server import Floor, Handler, client_of, make, reply, running
from tests.support.virtual_time import EPOCH, virtual_clock

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]
network = scripted_fleet.network

TARGET = Target(TargetKey("lima", 1, 7), name="sales")


def now() -> float:
    """Virtual seconds since the test began."""
    return asyncio.get_running_loop().time()


class Probed:
    """A server, and a prober of it."""

    def __init__(self, handler: Handler, most_waiting: int = 500, **facts: object) -> None:
        settings = {"name": "lima", "timeout": 10.0} | facts
        server = Server("http://cms.example.com", **settings)  # type: ignore[arg-type]  # a test's facts
        self.client = CmsClient(server, httpx.MockTransport(handler), virtual_clock)
        self.stats = self.client.stats
        self.prober = Prober(self.client, most_waiting)

    async def probe(self, within: float | None = None) -> TargetState:
        """A probe that is made."""
        return await self.prober.probe(TARGET, within)

    @contextlib.asynccontextmanager
    async def scheduled(self, polls: int) -> AsyncIterator[None]:
        """With so many other polls under way."""
        tasks = [asyncio.create_task(self.client.poll(1, vdn)) for vdn in range(1, polls + 1)]
        await asyncio.sleep(0)
        yield
        await asyncio.gather(*tasks)


def reason(state: TargetState) -> Reason | None:
    """Why it failed, if it did."""
    return state.failure.reason if state.failure else None


async def test_a_probe_tells_of_itself_alone() -> None:
    """Its state is that of a first poll, whatever was before."""

    async def floor(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(2)
        answer = reply(resting=3)
        answer.headers["Date"] = "Sun, 15 Jun 2025 15:07:42 GMT"
        return answer

    probed = Probed(floor)
    for _ in range(2):
        began = now()
        state = await probed.probe()
        assert state.snapshot is not None
        assert state == TargetState(
            TARGET,
            polls=1,
            last_attempt=EPOCH + began,
            last_success=Moment(EPOCH + now(), now(), now()),
            duration=2.0,
            snapshot=state.snapshot,
            replied=now(),
        )
        assert state.snapshot.resting == 3
    assert probed.stats.requests == 2
    assert probed.client.condition.clock_skew == pytest.approx(
        1_750_000_062.5 - EPOCH - 4, abs=0.001
    )


async def test_a_probe_that_fails_is_an_answer() -> None:
    """With the reason, and what it cost the server."""

    async def refusing(_: httpx.Request) -> httpx.Response:
        return httpx.Response(401)

    probed = Probed(refusing)
    state = await probed.probe()
    assert (state.polls, state.failures, reason(state)) == (1, 1, Reason.AUTH)
    assert probed.stats.requests == 1
    assert not any(probed.stats.failures.values())
    assert probed.stats.in_flight == 0


@pytest.mark.parametrize(
    ("within", "ended"), [(9.5, 9.5), (0.25, 0.25), (None, 10.0), (3600.0, 10.0)]
)
async def test_a_server_that_hangs_is_a_timeout_in_time(within: float | None, ended: float) -> None:
    """The scrape's deadline, and the server's own where that is sooner."""
    probed = Probed(Floor(takes=1e9))
    state = await probed.probe(within)
    assert now() == ended
    assert reason(state) is Reason.TIMEOUT
    assert probed.stats.requests == 1
    assert probed.stats.in_flight == 0


async def test_waiting_is_part_of_the_time() -> None:
    """All slots are taken by the schedule: the probe gives up without a request."""
    floor = Floor(takes=9.0)
    probed = Probed(floor, max_concurrency=2)
    async with probed.scheduled(2):
        state = await probed.probe(4.0)
        assert now() == 4.0
        assert (reason(state), state.duration) == (Reason.TIMEOUT, 4.0)
        assert len(floor.asked) == 2
    assert state.failure is not None
    assert state.failure.message == (
        "no free slot for a poll within 4 s: raise max_concurrency or max_requests_per_second, or "
        "poll less often"
    )


async def test_waiting_for_other_probes_is_part_of_the_time_too() -> None:
    """The one before it hangs: both end in time, and only one has asked."""
    probed = Probed(Floor(takes=1e9), max_concurrency=1)
    states = await asyncio.gather(probed.probe(4.0), probed.probe(4.0))
    assert now() == 4.0
    assert [reason(state) for state in states] == [Reason.TIMEOUT] * 2
    assert probed.stats.requests == 1


async def test_what_is_left_of_the_time_is_the_polls() -> None:
    """A slot is free after 3 of 4 seconds; the server takes 3 more."""
    probed = Probed(Floor(takes=3.0), max_concurrency=1)
    async with probed.scheduled(1):
        assert reason(await probed.probe(4.0)) is Reason.TIMEOUT
        assert now() == 4.0
        assert probed.stats.requests == 2


@pytest.mark.parametrize(("slots", "share"), [(8, 4), (3, 1), (1, 1)])
async def test_probes_leave_the_schedule_its_slots(slots: int, share: int) -> None:
    """Half of them, or one: however many ask, no more are under way."""
    floor = Floor(takes=1.0)
    probed = Probed(floor, max_concurrency=slots)
    states = await asyncio.gather(*(probed.probe(30.0) for _ in range(12)))
    assert not any(reason(state) for state in states)
    assert floor.most_in_flight == share
    assert now() == 12 / share


async def test_probes_keep_the_pace() -> None:
    """Two requests a second, whoever makes them."""
    floor = Floor()
    probed = Probed(floor, max_requests_per_second=2.0)
    await asyncio.gather(*(probed.probe(30.0) for _ in range(5)))
    assert [at for at, _ in floor.asked] == [0.0, 0.5, 1.0, 1.5, 2.0]


async def test_probes_during_a_pause_put_nothing_off() -> None:
    """A minute of probes that all give up: when the pause ends, the next poll is due at once."""
    answers = iter([httpx.Response(429, headers={"Retry-After": "60"}), reply()])
    floor = Floor()
    floor.answers = answers
    probed = Probed(floor, max_requests_per_second=1.0)
    assert reason(await probed.probe()) is Reason.RATE_LIMITED
    for _ in range(11):
        assert reason(await probed.probe(5.0)) is Reason.RATE_LIMITED
    assert reason(await probed.probe(9.0)) is None
    assert [at for at, _ in floor.asked] == [0.0, 60.0]


async def test_no_more_than_some_wait() -> None:
    """Three wait behind one: the fifth is sent away at once, and those before it are served."""
    probed = Probed(Floor(takes=1.0), most_waiting=3, max_concurrency=1)
    probing = [asyncio.create_task(probed.probe(30.0)) for _ in range(4)]
    await asyncio.sleep(0.5)
    with pytest.raises(ProbeRefusedError) as caught:
        await probed.probe(30.0)
    assert str(caught.value) == (
        "3 probes already wait for lima: scrape less often, or raise its max_concurrency"
    )
    assert now() == 0.5
    assert not any(reason(state) for state in await asyncio.gather(*probing))
    assert reason(await probed.probe()) is None


async def test_whoever_goes_away_leaves_its_place() -> None:
    """Cancelled while it waits, and while it polls."""
    probed = Probed(Floor(takes=5.0), most_waiting=1, max_concurrency=1)
    probing = [asyncio.create_task(probed.probe(30.0)) for _ in range(2)]
    await asyncio.sleep(1)
    for task in probing:
        task.cancel()
    await asyncio.gather(*probing, return_exceptions=True)
    assert reason(await probed.probe()) is None
    assert probed.stats.in_flight == 0


async def test_a_reload_gives_probes_their_new_share(network: Network) -> None:
    """Of two slots instead of eight, probes get one."""
    floor = network.floor("http://lima")
    world = World()
    world.follow(scripted_fleet.server("lima", max_concurrency=8))
    world.follow(scripted_fleet.server("lima", max_concurrency=2))
    floor.takes = 1.0
    target = Target(TargetKey("lima", 1, 1))
    async with world.fleet.working():
        await asyncio.gather(*(world.fleet.probe(target, 3.5) for _ in range(3)))
    probes = [at for at, vdn in floor.asked if vdn == 1]
    assert probes[:3] == [0.0, 1.0, 2.0]


async def test_the_schedule_goes_on() -> None:
    """Ten minutes of probes without a pause: no poll is skipped, none but the server's counted."""
    floor = Floor(takes=0.5)
    server = Server("http://cms", name="lima", max_concurrency=2)
    client = client_of(floor, server)
    poller, store = make(client, server, 20)
    prober = Prober(client)
    probes = 0
    async with running(poller):
        while now() < 600:
            states = await asyncio.gather(*(prober.probe(TARGET, 30.0) for _ in range(4)))
            probes += len(states)
    stats = store.server("lima")
    assert probes == pytest.approx(1200, abs=8)
    assert stats.skipped == 0
    assert sum(state.polls for state in store.states()) == 400
    assert stats.requests == 400 + probes
    assert sum(stats.duration.counts) == 400
    assert floor.most_in_flight == 2
    assert not poller.stalled(now())


async def test_a_server_that_goes_cuts_its_probes_off(network: Network) -> None:
    """They are told so at once; the configuration's other servers answer as before."""
    network.floor("http://lima").takes = 1e9
    world = World()
    world.follow(scripted_fleet.server("lima"), scripted_fleet.server("quito"))
    target = Target(TargetKey("lima", 1, 1))
    async with world.fleet.working():
        probing = asyncio.create_task(world.fleet.probe(target, 9.5))
        await asyncio.sleep(1)
        world.follow(scripted_fleet.server("quito"))
        gone = "{} is no longer polled: the exporter is stopping, or its configuration was changed"
        with pytest.raises(ProbeRefusedError) as caught:
            await probing
        assert str(caught.value) == gone.format("lima")
        assert now() == 1.0
        other = Target(TargetKey("quito", 1, 1))
        state = await world.fleet.probe(other, 9.5)
        assert reason(state) is None
    with pytest.raises(ProbeRefusedError) as caught:
        await world.fleet.probe(other, 9.5)
    assert str(caught.value) == gone.format("quito")
    assert not network.open()
