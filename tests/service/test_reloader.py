"""Reading a configuration again: what is noticed, what fails, and who is told."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from exporter.clock import Clock, Moment, system_clock
from exporter.config.load import Config, load
from exporter.polling.build import BuildError
from exporter.polling.fleet import Fleet, Plan
from exporter.service.reloader import Reloader
from exporter.service.systemd import Notifier
from exporter.store import ReloadStatus
from tests.support.stores import store_of

pytestmark = pytest.mark.anyio

GOOD = "cms: [{name: lima, url: 'http://lima', targets: [{ccId: 1, vdn: 1}]}]\n"
LARGER = "cms: [{name: lima, url: 'http://lima', targets: [{ccId: 1, vdn: 1-3}]}]\n"
FILES = "cms: [{name: lima, url: 'http://lima', target_files: ['*.targets']}]\n"


TWO = "{ccId: 1, vdn: 2}, {ccId: 1, vdn: 1}"


class Journal(Notifier):
    """A service manager that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def ready(self, status: str) -> None:
        self.told.append(f"ready: {status}")

    def reloading(self, now: float) -> None:
        self.told.append(f"reloading at {now:g}")


class World:
    """A configuration file, and everything that applies it but polls."""

    def __init__(self, folder: Path, clock: Clock = system_clock) -> None:
        self.path = folder / "config.yaml"
        self.path.write_text(GOOD, encoding="utf-8")
        self.loads = 0
        self.meanwhile: Callable[[], object] = lambda: None
        self.store = store_of([])
        self.fleet = Fleet(self.store, {}, clock)
        self.journal = Journal()
        self.reloader = Reloader(self.load, self.fleet, clock, self.journal)

    def load(self) -> Config:
        """Read the file; then something may happen before anybody looks at it again."""
        self.loads += 1
        config = load(self.path, {})
        self.meanwhile()
        return config

    def write(self, text: str) -> None:
        """Change the configuration."""
        self.path.write_text(text, encoding="utf-8")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what the watch does."""
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def watching(world: World, interval: float = 0.01) -> AsyncIterator[None]:
    """Watch the files during the block."""
    task = asyncio.create_task(world.reloader.watch(interval, settle=0.05))
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_success(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The answer, the log, the metric and the service manager agree."""
    times = [Moment(1000.0, 10.0, 10.0)]
    world = World(tmp_path, lambda: times[-1])
    before = world.reloader.config.digest
    assert world.reloader.status.last_success == 1000.0
    world.write(LARGER)
    times.append(Moment(2000.0, 20.0, 20.0))
    with caplog.at_level(logging.INFO, "exporter"):
        outcome = await world.reloader.reload()
    assert outcome.successful
    assert outcome.report == (
        "targets: 2 added, 0 removed, 0 changed, 1 unchanged; servers with changes: none"
    )
    assert world.journal.told == ["reloading at 20", f"ready: {outcome.report}"]
    assert world.reloader.status == ReloadStatus(successful=True, last_success=2000.0)
    assert world.reloader.config.digest != before
    (record,) = caplog.records
    assert getattr(record, "fields", {}) == {
        "config": world.reloader.config.digest[:12],
        "changes": outcome.report,
    }


async def test_a_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every problem in the answer and in the log; nothing else has changed."""
    times = [Moment(1000.0, 10.0, 10.0)]
    world = World(tmp_path, lambda: times[-1])
    before = world.reloader.config.digest
    world.write("cms: [{name: lima, url: 'http://lima', intervall: 1s, targets: []}]")
    times.append(Moment(2000.0, 20.0, 20.0))
    outcome = await world.reloader.reload()
    assert not outcome.successful
    assert outcome.report == (
        f"{world.path}:1:7: cms[0]: no targets: list them in targets or target_files\n"
        f'{world.path}:1:40: cms[0].intervall: unknown key; did you mean "interval"?'
    )
    assert world.journal.told == [
        "reloading at 20",
        "ready: the last reload failed, see the log",
    ]
    assert world.reloader.status == ReloadStatus(
        successful=False,
        last_success=1000.0,
        last_failure=2000.0,
        problems=tuple(outcome.report.splitlines()),
    )
    assert world.reloader.config.digest == before
    assert len(world.store) == 1
    assert [getattr(record, "fields", {}) for record in caplog.records] == [
        {"error": line} for line in outcome.report.splitlines()
    ]


async def test_the_log_has_the_first_fifty_problems(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A large file in which everything is wrong must not push all else out of the log."""
    world = World(tmp_path)
    caplog.clear()
    wrong = "".join(f"  zzz{number}: 1\n" for number in range(70))
    world.path.write_text(f"cms:\n- name: lima\n{wrong}", encoding="utf-8")
    outcome = await world.reloader.reload()
    problems = outcome.report.splitlines()
    assert len(problems) == 72
    assert [getattr(record, "fields", {})["error"] for record in caplog.records] == [
        *problems[:50],
        "and 22 more problems: agent-rest-exporter check lists them all",
    ]


async def test_one_reload_waits_and_the_others_share_it(tmp_path: Path) -> None:
    """Five hundred requests are two reloads; who asked before a change was read sees it."""
    world = World(tmp_path)
    reading, release = threading.Event(), threading.Event()

    def meanwhile() -> None:
        reading.set()
        assert release.wait(60)

    world.meanwhile = meanwhile
    first = asyncio.create_task(world.reloader.reload())
    await asyncio.to_thread(reading.wait, 60)
    world.write(LARGER)
    others = [asyncio.create_task(world.reloader.reload()) for _ in range(500)]
    await asyncio.sleep(0)
    abandoned, *waiting = others
    abandoned.cancel()
    release.set()
    assert "0 added" in (await first).report
    assert {outcome.report for outcome in await asyncio.gather(*waiting)} == {
        "targets: 2 added, 0 removed, 0 changed, 1 unchanged; servers with changes: none"
    }
    assert world.loads == 1 + 2


@pytest.mark.parametrize("place", ["load", "prepare", "apply"])
async def test_what_nobody_foresaw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """It fails this reload, without its message, and neither the watch nor the next reload."""
    world = World(tmp_path)

    def fail(*_: object) -> Plan:
        raise KeyError("CANARY")

    async with watching(world, 0.0):
        with monkeypatch.context() as patch:
            if place == "load":
                world.meanwhile = fail
            else:
                patch.setattr(world.fleet, place, fail)
            world.reloader.request_reload()
            await world.until(lambda: len(world.journal.told) == 2)
            outcome = await world.reloader.reload()
        world.meanwhile = lambda: None
        assert not world.reloader.status.successful
        assert outcome.report.startswith("internal error in the exporter (KeyError at ")
        assert outcome.report.endswith("): please report it")
        assert "CANARY" not in outcome.report
        world.reloader.request_reload()
        await world.until(lambda: world.reloader.status.successful)


async def test_a_certificate_that_is_mended_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a refused configuration names is watched, and not what the old one did."""
    world = World(tmp_path)
    prepare = world.fleet.prepare

    def refuse(config: Config) -> Plan:
        if "broken" in (tmp_path / "ca.pem").read_text(encoding="utf-8"):
            raise BuildError(["cms lima: tls.ca_file: no CA certificate in PEM"])
        return prepare(config)

    monkeypatch.setattr(world.fleet, "prepare", refuse)
    (tmp_path / "ca.pem").write_text("broken", encoding="utf-8")
    async with watching(world):
        world.write(FILES.replace("*.targets", "ca.pem"))
        await world.until(lambda: not world.reloader.status.successful)
        (tmp_path / "ca.pem").write_text("[{ccId: 1, vdn: 7}]", encoding="utf-8")
        await world.until(lambda: world.reloader.status.successful)
    assert [state.target.key.vdn for state in world.store.states()] == [7]


async def test_what_changes_while_it_is_read_is_seen(tmp_path: Path) -> None:
    """Between the reading and the next look the content is another one."""
    world = World(tmp_path)

    def overtake() -> None:
        world.meanwhile = lambda: None
        world.write(LARGER)

    world.meanwhile = overtake
    async with watching(world):
        world.write(f"# changed\n{GOOD}")
        await world.until(lambda: len(world.store) == 3)


async def test_what_is_named_for_the_first_time_may_change_at_once(tmp_path: Path) -> None:
    """A look compares with what was read, not with what an earlier look has found."""
    (tmp_path / "a.targets").write_text("[{ccId: 1, vdn: 1}]", encoding="utf-8")
    world = World(tmp_path)

    def overtake() -> None:
        world.meanwhile = lambda: None
        (tmp_path / "a.targets").write_text("[{ccId: 1, vdn: 1-9}]", encoding="utf-8")

    world.meanwhile = overtake
    world.write(FILES)
    await world.reloader.reload()
    assert len(world.store) == 1
    async with watching(world):
        await world.until(lambda: len(world.store) == 9)


async def test_what_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    """One load for the start, one for a change; a requested one is not repeated by the watch."""
    world = World(tmp_path)
    assert world.loads == 1
    async with watching(world):
        world.write(LARGER)
        await world.until(lambda: len(world.store) == 3)
        await world.reloader.reload()
        reads = world.loads
        await asyncio.sleep(0.2)
        assert world.loads == reads
    assert reads == 3


async def test_an_unforeseen_failure_is_not_repeated(tmp_path: Path) -> None:
    """Each change is worth one try: the log of a defect must not fill the disk."""
    world = World(tmp_path)

    def fail() -> None:
        raise KeyError

    world.meanwhile = fail
    async with watching(world):
        world.write(LARGER)
        await world.until(lambda: not world.reloader.status.successful)
        tries = world.loads
        await asyncio.sleep(0.3)
        assert world.loads == tries
        world.meanwhile = lambda: None
        world.write(GOOD)
        await world.until(lambda: world.reloader.status.successful)


async def test_the_order_of_the_configuration_is_kept(tmp_path: Path) -> None:
    """Of servers and of targets, also when a reload changes it."""
    world = World(tmp_path)
    for names in (("zulu", "alpha", "mike"), ("mike", "zulu", "alpha")):
        blocks = [f"{{name: {name}, url: 'http://{name}', targets: [{TWO}]}}" for name in names]
        world.write(f"cms: [{', '.join(blocks)}]")
        await world.reloader.reload()
        assert [name for name, _ in world.store.servers()] == [*names]
        keys = [state.target.key for state in world.store.states()]
        assert keys == [(name, 1, vdn) for name in names for vdn in (2, 1)]


async def test_many_reloads_are_paced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten at once, then one every so often, which everyone who asks meanwhile shares."""
    monkeypatch.setattr("exporter.service.reloader._REFILL", 0.5)
    world = World(tmp_path)
    before = time.monotonic()
    for _ in range(10):
        await world.reloader.reload()
    assert world.loads == 1 + 10
    outcomes = await asyncio.gather(*(world.reloader.reload() for _ in range(20)))
    assert all(outcome.successful for outcome in outcomes)
    assert world.loads == 1 + 11
    assert time.monotonic() - before >= 0.5
    monkeypatch.setattr("exporter.service.reloader._REFILL", 1e6)
    world.write(LARGER)
    assert (await world.reloader.reload()).successful, "a changed file waits for nothing"
