"""The first moments of a process, and how a signal ends it."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter import __version__
from exporter.cli.signals import STOPS, Signals, Stopped, stop_event
from tests.support.processes import (
    COMMAND,
    MEASURED,
    PATIENCE,
    clean_environment,
    program,
    started,
    until,
)

pytestmark = pytest.mark.anyio

CONFIG = "cms: [{url: 'http://127.0.0.1:1', targets: [{ccId: 1, vdn: 1}]}]\n"
SERVE = (COMMAND, "serve", "--web.listen-address=127.0.0.1:0")
SIMULATE = (COMMAND, "simulate", "--listen-address=127.0.0.1:0")


HOLD = """
import pathlib, sys, time

class Hold:
    def find_spec(self, name, path=None, target=None):
        if name == "exporter.service.daemon":
            folder = pathlib.Path(__file__).parent
            (folder / "held").touch()
            while not (folder / "go").exists():
                time.sleep(0.01)

sys.meta_path.insert(0, Hold())
"""
"""Holds a start open while the daemon's modules are imported, until a file says to go on."""


@dataclass(frozen=True, slots=True)
class Start:
    """The start of the daemon, which is held open."""

    folder: Path

    @property
    def environ(self) -> dict[str, str | None]:
        """Variables for the process: it runs what is in the folder first."""
        folders = [str(self.folder), os.environ.get("PYTHONPATH", "")]
        return {**MEASURED, "PYTHONPATH": os.pathsep.join(filter(None, folders))}

    async def is_held(self) -> bool:
        """Whether the daemon's modules are about to be imported."""
        return (self.folder / "held").exists()

    def go_on(self) -> None:
        """Hold it no longer."""
        (self.folder / "go").touch()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the smallest configuration."""
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """A start that can be met by a signal, however fast or slow this machine is."""
    folder = tmp_path / "hold"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HOLD, encoding="utf-8")
    return Start(folder)


@pytest.fixture
def pid_namespace() -> list[str]:
    """The start of a command whose process is the first one of a PID namespace."""
    apart = [program("unshare", "util-linux"), "--fork", "--pid", "--kill-child"]
    if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a PID namespace needs rights that this user does not have")
    return apart


def handles(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal: from then on it cannot be killed by it."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    caught = re.search(r"^SigCgt:\s+([0-9a-f]+)$", status, re.MULTILINE)
    assert caught
    return bool(int(caught[1], 16) >> (number - 1) & 1)


async def test_a_hang_up_before_the_start_is_followed(folder: Path, start: Start) -> None:
    """It comes while modules are imported; the daemon reloads as soon as it is up."""
    async with started(*SERVE, cwd=folder, environ=start.environ) as process:
        await until(start.is_held)
        assert handles(process.handle.pid, signal.SIGHUP)
        process.handle.send_signal(signal.SIGHUP)
        start.go_on()
        await process.wait_for("has started")
        await process.wait_for("was reloaded")
        assert await process.stop() == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_a_stop_before_the_start(
    folder: Path, start: Start, number: signal.Signals, status: int
) -> None:
    """At once and without a word, although the daemon is not up yet."""
    async with started(*SERVE, cwd=folder, environ=start.environ) as process:
        await until(start.is_held)
        assert await process.stop(number) == status
        assert process.lines == []


async def test_a_stop_of_the_first_process_of_a_container(
    folder: Path, start: Start, pid_namespace: list[str]
) -> None:
    """The kernel drops a signal for which process 1 has no handler; this one is not lost."""
    command = (*pid_namespace, *SERVE)
    async with started(*command, cwd=folder, environ=start.environ) as process:
        await until(start.is_held)
        children = Path(f"/proc/{process.handle.pid}/task/{process.handle.pid}/children")
        os.kill(int(children.read_text(encoding="ascii")), signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            assert await process.handle.wait() == 143
        assert process.lines == []


async def test_a_hang_up_ends_a_command_that_does_not_reload(folder: Path) -> None:
    """Its terminal has gone."""
    async with started(*SIMULATE, cwd=folder, environ=MEASURED) as process:
        await process.wait_for("answers at")
        assert await process.stop(signal.SIGHUP) == -signal.SIGHUP


async def test_a_hang_up_that_is_ignored_stays_ignored(folder: Path) -> None:
    """As nohup wants it."""
    async with started("nohup", *SIMULATE, cwd=folder, environ=MEASURED) as process:
        await process.wait_for("answers at")
        process.handle.send_signal(signal.SIGHUP)
        await asyncio.sleep(0.2)
        assert await process.stop() == 0


def test_a_hang_up_that_came_early_ends_the_command_too() -> None:
    """As soon as it is known that it cannot reload."""
    received: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _: received.append(number))
    try:
        with Signals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not received
            signals.end_on_hang_up()
            assert received == [signal.SIGHUP]
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", STOPS)
def test_handlers_are_put_back(number: signal.Signals) -> None:
    """For whoever calls `main` in a process of its own."""
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as stop, Signals():
        os.kill(os.getpid(), number)
    assert stop.value.status == 128 + number
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", STOPS)
async def test_signals_that_stop(number: signal.Signals) -> None:
    """Both mean the same to a running loop."""
    stop = stop_event(Signals())
    assert not stop.is_set()
    os.kill(os.getpid(), number)
    async with asyncio.timeout(60):
        await stop.wait()


@pytest.mark.parametrize("closed", ["0", "1", "2", "012"])
async def test_descriptors_that_are_closed_at_the_start(folder: Path, closed: str) -> None:
    """They lead to /dev/null: libuv aborts when a socket gets one of their numbers."""
    redirect = " ".join(f"{number}>&-" for number in closed)
    script = f'exec "$@" {redirect}'
    address = folder / "web.sock"
    command = [COMMAND, "serve", f"--web.listen-address=unix:{address}"]
    async with started("sh", "-c", script, "sh", *command, cwd=folder, environ=MEASURED) as process:

        async def serves() -> bool:
            assert process.handle.returncode is None, process.lines
            return address.exists()

        await until(serves)
        links = {
            number: Path(f"/proc/{process.handle.pid}/fd/{number}").readlink() for number in "012"
        }
        assert all(str(links[number]) == "/dev/null" for number in closed)
        assert await process.stop() == 0


def test_the_package_can_be_run() -> None:
    """`python -m exporter` is the command."""
    done = subprocess.run(
        [sys.executable, "-m", "exporter", "--version"],
        capture_output=True,
        check=True,
        env=clean_environment(MEASURED),
        text=True,
    )
    assert done.stdout == f"agent-rest-exporter {__version__}\n"


async def test_a_reload_reads_the_files_that_were_named_at_the_start(tmp_path: Path) -> None:
    """Also if the working directory has been replaced; and problems have the names that were given.

    Deployments do that: the new release takes the place of the old one.
    """
    folder, old = tmp_path / "release", tmp_path / "old"
    for each, text in ((folder, CONFIG), (tmp_path / "new", "cms: []\n")):
        each.mkdir()
        (each / "config.yaml").write_text(text, encoding="utf-8")
    async with started(*SERVE, cwd=folder, environ=MEASURED) as process:
        await process.wait_for("has started")
        folder.rename(old)
        (tmp_path / "new").rename(folder)
        process.handle.send_signal(signal.SIGHUP)
        await process.wait_for(r'error="config\.yaml:1:6: cms: must list at least one server"')
        assert await process.stop() == 0
