"""The pollers of all servers through one configuration after another: on virtual time."""

import asyncio
import contextlib
import itertools
import math
from collections.abc import AsyncIterator
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from exporter.clock import Moment
from exporter.metrics.exposition import Exposition, Format
from exporter.polling import build
from exporter.polling.build import BuildError
from exporter.polling.fleet import Changes, Plan
from exporter.polling.poller import STALLED_AFTER
from exporter.polling.schedule import phase
from exporter.store import ServerCondition, TargetKey
from tests.support import scripted_fleet
from tests.support.scripted_fleet import Block, Network, World, config, server
from tests.support.scripted_server import Floor, reply
from tests.support.virtual_time import EPOCH, virtual_clock

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]
network = scripted_fleet.network


@contextlib.asynccontextmanager
async def working(*blocks: Block) -> AsyncIterator[World]:
    """A fleet that polls these servers."""
    world = World()
    world.follow(*blocks)
    async with world.fleet.working():
        yield world


@pytest.mark.usefixtures("network")
async def test_what_changed() -> None:
    """Counted by target; a target is changed if its server is, in whatever."""
    world = World()
    assert world.follow(server("lima"), server("quito")) == Changes(
        added=4, servers=("lima", "quito")
    )
    assert world.follow(server("lima"), server("quito")) == Changes(unchanged=4)
    changes = world.follow(server("lima", (2, 3)), server("cusco", (1,)))
    assert changes == Changes(added=2, removed=3, unchanged=1, servers=("cusco", "quito"))
    assert str(changes) == (
        "targets: 2 added, 3 removed, 0 changed, 1 unchanged; servers with changes: cusco, quito"
    )
    assert str(Changes()) == (
        "targets: 0 added, 0 removed, 0 changed, 0 unchanged; servers with changes: none"
    )


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("settings", [{"interval": 20.0}, {"timeout": 5.0}, {"url": "http://b"}])
async def test_a_setting_of_the_server_changes_its_targets(settings: dict[str, Any]) -> None:
    """Also where nothing of it shows in a label."""
    world = World()
    world.follow(server("lima"))
    assert world.follow(server("lima", **settings)) == Changes(changed=2, servers=("lima",))


@pytest.mark.usefixtures("network")
async def test_other_labels_are_no_other_server() -> None:
    """One target has changed, and nothing else."""
    world = World()
    world.follow(server("lima"))
    renamed = server("lima", names=(None, "sales"))
    assert world.follow(renamed) == Changes(changed=1, unchanged=1)


async def test_a_plan_that_fails_changes_nothing(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither targets nor connections."""
    async with working(server("lima")) as world:

        def refuse(*_: object) -> list[object]:
            raise BuildError(["cms quito: tls.ca_file: not a CA certificate in PEM"])

        monkeypatch.setattr(build, "clients", refuse)
        with pytest.raises(BuildError):
            world.follow(server("quito"))
        assert list(world.polls()) == ["lima"]
        await asyncio.sleep(61)
        assert world.polls() == {"lima": 4}
        assert len(network.lines) == 1


async def test_an_unchanged_server_keeps_its_connections(network: Network) -> None:
    """Whatever happens to its targets and to other servers."""
    async with working(server("lima")) as world:
        await asyncio.sleep(31)
        (line,) = network.lines
        world.follow(server("quito"), server("lima", (2, 3, 4)))
        await asyncio.sleep(31)
        assert network.open() == ["lima", "quito"]
        assert not line.closed
        assert [each.server.name for each in network.lines] == ["lima", "quito"]
    assert network.open() == []


async def test_servers_come_and_go(network: Network) -> None:
    """A new one is polled within one interval; the polls of one that goes end at once."""
    network.floor("http://lima").takes = 1e9
    async with working(server("lima", range(1, 50))) as world:
        await asyncio.sleep(5)
        assert network.floor("http://lima").in_flight > 0
        world.follow(server("quito"))
        await asyncio.sleep(30)
        assert network.floor("http://lima").in_flight == 0
        assert world.polls() == {"quito": 2}
        assert network.open() == ["quito"]
        world.follow()
        await asyncio.sleep(1)
        assert network.open() == []


async def test_a_server_that_comes_back_starts_anew(network: Network) -> None:
    """While the old one's connections are still being closed."""
    async with working(server("lima")) as world:
        await asyncio.sleep(31)
        world.follow()
        world.follow(server("lima"))
        assert world.polls() == {"lima": 0}
        await asyncio.sleep(30)
        assert world.polls() == {"lima": 2}
        assert network.open() == ["lima"]
        assert world.store.server("lima").requests == 2


async def test_a_server_with_other_settings_is_asked_by_a_new_client(network: Network) -> None:
    """By those settings, on new connections; counters go on."""
    async with working(server("lima")) as world:
        await asyncio.sleep(31)
        world.follow(server("lima", url="http://elsewhere"))
        await asyncio.sleep(30)
        assert world.polls() == {"lima": 4}
        assert world.store.server("lima").requests == 4
        assert len(network.floor("http://elsewhere").asked) == 2
        assert [line.closed for line in network.lines] == [True, False]


@pytest.mark.parametrize("settings", [{"interval": 20.0}, {"max_concurrency": 1}])
async def test_a_changed_server_is_a_new_server(network: Network, settings: dict[str, Any]) -> None:
    """Polls that hang end at once, and every target is polled anew within one interval."""
    old = network.floor("http://lima")
    old.takes = 1e9
    async with working(server("lima", range(1, 31))) as world:
        await asyncio.sleep(31)
        assert old.in_flight == 8
        old.takes, asked = 0.0, len(old.asked)
        world.follow(server("lima", range(1, 31), **settings))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert old.in_flight == 0
        assert world.store.server("lima").in_flight == 0
        interval = settings.get("interval", 30.0)
        await asyncio.sleep(interval)
        assert sorted(vdn for _, vdn in old.asked[asked:]) == list(range(1, 31))
        for at, vdn in old.asked[asked:]:
            due = phase(TargetKey("lima", 1, vdn), interval)
            assert (EPOCH + at - due) % interval == pytest.approx(0.0, abs=0.021)
        assert world.fleet.stalled() == []
        assert network.open() == ["lima"]


async def test_a_pause_ends_with_the_server_that_asked_for_it(network: Network) -> None:
    """The changed one may have another address: it is polled within one interval."""
    network.floor("http://lima").answers = iter(
        [httpx.Response(503, headers={"Retry-After": "600"})]
    )
    async with working(server("lima")) as world:
        await asyncio.sleep(100)
        assert len(network.floor("http://lima").asked) == 1
        world.follow(server("lima", url="http://elsewhere"))
        await asyncio.sleep(31)
        assert {vdn for _, vdn in network.floor("http://elsewhere").asked} == {1, 2}


async def test_nothing_is_known_of_a_server_with_other_settings(network: Network) -> None:
    """It may be another machine: no certificate, pause, skew or surplus reply is its own.

    The polls of its predecessor end after it has begun, and their findings are not its own either.
    """
    assert network.open() == []
    async with working(server("lima"), server("cusco")) as world:
        known = {name: world.store.server(name).condition for name in ("lima", "cusco")}
        for condition in known.values():
            condition.certificate_expiry, condition.clock_skew = 1.0, 90.0
            condition.paused_until = condition.single_use_until = math.inf
        requests = world.store.server("lima").requests
        world.follow(server("lima", url="http://elsewhere"), server("cusco"))
        known["lima"].certificate_expiry = 2.0

        assert world.store.server("lima").condition == ServerCondition()
        assert world.store.server("lima").requests == requests
        assert world.store.server("cusco").condition is known["cusco"]


async def test_surplus_replies_are_remembered_while_the_url_stays(network: Network) -> None:
    """Other settings do not change the gateway that sends them."""
    assert network.open() == []
    async with working(server("lima")) as world:
        world.store.server("lima").condition.single_use_until = math.inf
        world.follow(server("lima", timeout=3))
        assert world.store.server("lima").condition == ServerCondition(single_use_until=math.inf)


@pytest.mark.parametrize("after", ["removed", "changed", "without the target"])
async def test_a_reply_that_has_come_when_its_target_is_removed(
    network: Network, after: str
) -> None:
    """The poll ends before it can be cancelled: nobody is told, and everything else goes on."""
    arrived = asyncio.Event()

    class Waiting(Floor):
        async def __call__(self, request: httpx.Request) -> httpx.Response:
            answered = await super().__call__(request)
            await arrived.wait()
            return answered

    network.floors["http://lima"] = Waiting()
    async with working(server("lima"), server("cusco")) as world:
        while len(network.floor("http://lima").asked) < 2:
            await asyncio.sleep(1)
        arrived.set()
        stays = {
            "removed": [],
            "changed": [server("lima", (1,), timeout=3)],
            "without the target": [server("lima", (1,))],
        }
        world.follow(*stays[after], server("cusco"))
        before = world.polls()
        await asyncio.sleep(31)
        polls = world.polls()
        assert polls["cusco"] == before["cusco"] + 2
        assert set(polls) == ({"cusco"} if after == "removed" else {"lima", "cusco"})


async def test_a_server_that_is_changed_time_and_again_loses_nothing(network: Network) -> None:
    """Twenty reloads, each in the middle of polls: one set of connections is open in the end."""
    network.floor("http://lima").takes = 2.0
    async with working(server("lima", range(1, 20))) as world:
        for timeout in range(3, 23):
            await asyncio.sleep(7)
            world.follow(server("lima", range(1, 20), timeout=float(timeout)))
        network.floor("http://lima").most_in_flight = 0
        await asyncio.sleep(61)
        assert network.open() == ["lima"]
        assert world.store.server("lima").in_flight <= 8
        assert network.floor("http://lima").most_in_flight <= 8
        assert all(state.failure is None and state.polls for state in world.store.states())


async def test_nobody_starts_while_the_fleet_stops(network: Network) -> None:
    """A reload that ends too late is followed without a poll: nothing holds the end up."""
    late: list[Changes] = []
    world = World()
    world.follow(server("lima"))
    async with asyncio.timeout(100), world.fleet.working():
        await asyncio.sleep(31)
        follow = asyncio.get_running_loop().call_soon
        follow(lambda: late.append(world.follow(server("lima"), server("quito"))))
    await asyncio.sleep(60)
    world.follow(server("cusco"))
    assert late == [Changes(added=2, unchanged=2, servers=("quito",))]
    assert not network.floor("http://quito").asked


@pytest.mark.usefixtures("network")
async def test_a_schedule_that_stands_still_has_a_name() -> None:
    """Nobody has stalled while all work; a fleet whose work has ended has."""
    world = World()
    world.follow(server("lima"), server("quito", ()))
    async with world.fleet.working():
        for _ in range(20):
            await asyncio.sleep(30)
            assert world.fleet.stalled() == []
    await asyncio.sleep(30 + STALLED_AFTER + 1)
    assert world.fleet.stalled() == ["lima"]


@pytest.mark.usefixtures("network")
async def test_how_long_a_round_takes() -> None:
    """The slowest server's interval and the timeout of its last poll; nothing for no server."""
    world = World()
    assert world.fleet.first_round() == 0.0
    world.follow(server("lima", interval=20.0, timeout=5.0), server("quito", interval=60.0))
    assert world.fleet.first_round() == 70.0


async def foreseen(world: World, network: Network, name: str, seconds: float) -> None:
    """What `next_polls` says of every target is what the server then sees."""
    next_poll = world.fleet.next_polls()
    keys = [state.target.key for state in world.store.states() if state.target.key.cms == name]
    said = {key.vdn: next_poll(key) for key in keys}
    floor = network.floor(f"http://{name}")
    asked = len(floor.asked)
    await asyncio.sleep(seconds)
    seen: dict[int, float] = {}
    for at, vdn in floor.asked[asked:]:
        seen.setdefault(vdn, at)
    # polls that are due within 20 ms start together
    assert said == pytest.approx(seen, abs=0.0211)


async def test_when_targets_are_polled_next(network: Network) -> None:
    """At their phase; a poll under way comes again an interval later."""
    network.floor("http://lima").takes = 5.0
    async with working(server("lima", range(1, 41), max_concurrency=40)) as world:
        await asyncio.sleep(47)
        assert network.floor("http://lima").in_flight > 0
        await foreseen(world, network, "lima", 31)
        assert world.fleet.next_polls()(TargetKey("quito", 1, 1)) is None
        assert world.fleet.next_polls()(TargetKey("lima", 1, 99)) is None


async def test_numbers_are_sampled_every_minute(network: Network) -> None:
    """For the sparklines: one sample a minute, whatever the interval is."""
    assert network.open() == []
    key = TargetKey("lima", 1, 1)
    async with working(server("lima", (1,), interval=7.0)) as world:
        await asyncio.sleep(10.5 * 60)
        rests = world.store.rests.of(key)
        assert sum(sample is not None for sample in rests) in {10, 11}
        snapshot = world.store.state(key).snapshot
        assert snapshot is not None
        assert rests[-1] == (snapshot.resting, snapshot.waiting)
    taken = world.store.rests.of(key)
    await asyncio.sleep(120)
    assert world.store.rests.of(key) == taken, "it ends with the fleet"


async def test_a_clock_step_does_not_move_the_schedule(network: Network) -> None:
    """The wall clock jumps by an hour and some seconds: due times are on the monotonic one."""
    step = 0.0

    def clock() -> Moment:
        return virtual_clock()._replace(wall=virtual_clock().wall + step)

    world = World(clock)
    world.follow(server("lima", range(1, 21)))
    async with world.fleet.working():
        await asyncio.sleep(40)
        step = 3607.0
        await foreseen(world, network, "lima", 31)


async def test_a_host_that_was_suspended_for_an_hour_shows_no_hour_old_number(
    network: Network,
) -> None:
    """The monotonic clock stands still while a host is suspended, as on Linux; boot time goes on.

    Where a rest is known to go on, its age includes the hour.
    """
    suspended = 0.0

    def clock() -> Moment:
        now = virtual_clock()
        return Moment(now.wall + suspended, now.monotonic, now.boot + suspended)

    def scraped() -> str:
        slices = Exposition().slices(world.store.states(), clock(), Format.TEXT)
        return b"".join(slices).decode()

    def answer() -> httpx.Response:
        row = {"workNo": 55001, "beginTime": int(EPOCH) * 1000, "restDuration": 600}
        detail = {"allowRestNum": 0, "onRestNum": 1, "waitRestNum": 0, "agentsRestDetails": [row]}
        date = formatdate(clock().wall, usegmt=True)
        content = {"resultCode": "0100000", "resultDesc": detail}
        return httpx.Response(200, json=content, headers={"Date": date})

    network.floor("http://lima").answers = (answer() for _ in itertools.count())
    labels = '{cc_id="1",cms="lima",vdn="1"}'
    longest = f"agent_rest_longest_rest_seconds{labels} "
    world = World(clock)
    world.follow(server("lima", (1,)))
    async with world.fleet.working():
        await asyncio.sleep(61)
        assert f"agent_rest_resting_agents{labels} 1.0" in scraped()
        suspended = 3600.0
        assert "agent_rest_resting_agents{" not in scraped()
        assert world.store.state(TargetKey("lima", 1, 1)).fresh(clock()) is None
        await asyncio.sleep(30)
        assert f"agent_rest_up{labels} 1.0" in scraped()
        age = float(scraped().partition(longest)[2].partition("\n")[0])
        assert age == pytest.approx(3691.0, abs=1.0)


async def test_a_pause_is_part_of_what_is_foreseen(network: Network) -> None:
    """Targets that were due in it are polled at its end, the others in their time."""
    busy = httpx.Response(503, headers={"Retry-After": "47"})
    network.floor("http://lima").answers = itertools.chain([busy], map(reply, itertools.count()))
    async with working(server("lima", range(1, 21), max_concurrency=30)) as world:
        await asyncio.sleep(20)
        assert len(network.floor("http://lima").asked) == 1
        await foreseen(world, network, "lima", 78)


async def test_a_rate_limit_is_part_of_what_is_foreseen(network: Network) -> None:
    """Half as many requests as are due: some wait in line, others are due later."""
    limited = server("lima", range(1, 41), max_requests_per_second=0.7, max_concurrency=4)
    async with working(limited) as world:
        await asyncio.sleep(13)
        await foreseen(world, network, "lima", 75)


@pytest.mark.usefixtures("network")
async def test_a_plan_is_made_by_what_is_at_work() -> None:
    """It has clients for those servers alone that need one."""
    world = World()
    world.follow(server("lima"), server("quito"))
    plan: Plan = world.fleet.prepare(config(server("lima"), server("quito", timeout=3.0)))
    assert list(plan.clients) == ["quito"]
    assert [each.name for each in plan.servers] == ["lima", "quito"]
