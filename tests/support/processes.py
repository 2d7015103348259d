"""Real processes for tests: the exporter's own command, and Prometheus beside it.

Every process listens on 127.0.0.1 only, and is stopped when its block is left.
"""

import asyncio
import contextlib
import functools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.support.warm_command import warm_command

COMMAND = str(Path(sys.executable).with_name("agent-rest-exporter"))
PATIENCE = 60.0
"""Seconds to wait for what must happen: far more than it takes, for slow machines."""

_COVERAGE = "COVERAGE_PROCESS_CONFIG"
MEASURED: Mapping[str, str | None] = {_COVERAGE: os.environ.get(_COVERAGE)}
"""For processes with lines that no test runs in its own process: measured, they start half as slow
again, and work takes three times as long."""

_OF_THE_INTERPRETER = ("PYTHON", "COVERAGE", "LC_", "LANG")

_PORTS = range(15_000, 32_000)
"""Below the ports of outgoing connections, which could take one before the process listens."""


def program(name: str, package: str) -> str:
    """The path of the program `name`, which the Debian package `package` installs.

    The folder in the variable PEERS comes first: other versions than the installed ones. A machine
    without the program skips the tests that need it and says why; in CI that is a failure.
    """
    path = _found(name)
    if path is None:
        reason = f"{name} is not on the PATH: install the Debian package {package}"
        if os.environ.get("CI") or _peers():
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def optional_program(name: str, package: str) -> str:
    """The same for a program that CI does not install either.

    A machine without it skips the tests that need it, unless PEERS names a folder: whoever sets it
    wants them.
    """
    path = _found(name)
    if path is None and not _peers():
        pytest.skip(f"{name} is not on the PATH: see `make peers` in CONTRIBUTING.md")
    return path or program(name, package)


def version_of(path: str) -> tuple[int, ...]:
    """The version of Prometheus, Alertmanager or one of their tools."""
    told = subprocess.run([path, "--version"], capture_output=True, check=True, text=True)
    match = re.search(r"version (\d+)\.(\d+)", told.stdout + told.stderr)
    assert match is not None, told
    return tuple(map(int, match.groups()))


def peers_found() -> str:
    """The versions of Prometheus, Alertmanager and their tools, of those that are there."""
    names = ("prometheus", "promtool", "prometheus-alertmanager", "amtool")
    paths = {name: path for name in names if (path := _found(name))}
    return ", ".join(
        f"{name} {'.'.join(map(str, version_of(path)))}" for name, path in paths.items()
    )


def _peers() -> Path | None:
    return Path(folder) if (folder := os.environ.get("PEERS")) else None


def _found(name: str) -> str | None:
    peers = _peers()
    places = [None] if peers is None else [str(peers), str(peers / "usr" / "bin"), None]
    return next((path for place in places if (path := shutil.which(name, path=place))), None)


def run(
    *arguments: str, cwd: Path | None = None, environ: Mapping[str, str | None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end.

    A fresh interpreter is started only for variables that matter when it starts.
    """
    if not any(name.startswith(_OF_THE_INTERPRETER) for name in environ or {}):
        return warm_command().run([COMMAND, *arguments], cwd, clean_environment(environ), PATIENCE)
    return subprocess.run(
        [COMMAND, *arguments],
        capture_output=True,
        check=False,
        cwd=cwd,
        env=clean_environment(environ),
        text=True,
        timeout=PATIENCE,
    )


def clean_environment(more: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """This process's environment, without what would change the exporter's behaviour or speed.

    Args:
        more: variables to set, or, with None, to leave out.
    """
    kept: dict[str, str | None] = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AGENT_REST_EXPORTER_", _COVERAGE))
        and not name.lower().endswith("_proxy")
    }
    return {name: value for name, value in (kept | dict(more or {})).items() if value is not None}


@dataclass
class Process:
    """A running process, and what it has written so far."""

    handle: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)
    address: str = ""
    """What it listens on, as host:port."""

    async def wait_for(self, pattern: str) -> re.Match[str]:
        """The first line, past or to come, that matches."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for line in self.lines:
                    if match := re.search(pattern, line):
                        return match
                if self.handle.returncode is not None:
                    raise AssertionError("the process has ended: " + "\n".join(self.lines))
                await asyncio.sleep(0.02)

    async def stop(self, number: signal.Signals = signal.SIGTERM, within: float = PATIENCE) -> int:
        """Send a signal, and give the exit status."""
        self.handle.send_signal(number)
        async with asyncio.timeout(within):
            return await self.handle.wait()


@contextlib.asynccontextmanager
async def started(
    *command: str,
    cwd: Path | None = None,
    environ: Mapping[str, str | None] | None = None,
    stderr: int = asyncio.subprocess.STDOUT,
) -> AsyncIterator[Process]:
    """Start a process, and kill it when the block is left if it has not ended.

    Args:
        command: with its arguments.
        cwd: where it starts; by default here.
        environ: variables to set, or, with None, to leave out.
        stderr: a descriptor of its own; by default its lines are read with those of stdout.
    """
    handle = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env=clean_environment(environ),
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
    )
    process = Process(handle)
    reader = asyncio.create_task(_read(handle, process.lines))
    try:
        yield process
    finally:
        if handle.returncode is None:
            handle.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(10):
                    await handle.wait()
        if handle.returncode is None:
            handle.kill()
        await reader
        await handle.wait()


async def _read(handle: asyncio.subprocess.Process, lines: list[str]) -> None:
    assert handle.stdout is not None
    async for line in handle.stdout:
        lines.append(line.decode(errors="replace").rstrip("\n"))  # noqa: PERF401  # seen as they come


@contextlib.asynccontextmanager
async def serving_exporter(
    config: Path, *arguments: str, environ: Mapping[str, str | None] | None = None
) -> AsyncIterator[Process]:
    """`serve` on a free port."""
    command = [
        COMMAND,
        "serve",
        f"--config.file={config}",
        "--web.listen-address=127.0.0.1:0",
        *arguments,
    ]
    async with started(*command, environ=environ) as process:
        match = await process.wait_for(r"has started.* listen\"?[=:]\s*\"?([^ \",]+)")
        process.address = match[1]
        yield process


def polled_each_second(cms: str, url: str, *more: str) -> str:
    """A server of a configuration; `more` are lines for other keys."""
    lines = [f"name: {cms}", f"url: {url}", "interval: 1s", "timeout: 900ms", *more]
    return "  - " + "\n    ".join(lines) + "\n"


@contextlib.asynccontextmanager
async def scraping_prometheus(folder: Path, config: str) -> AsyncIterator[httpx.AsyncClient]:
    """A real Prometheus on a free port; gives a client of its API."""
    binary = program("prometheus", "prometheus")
    folder.mkdir(exist_ok=True)
    file = folder / "prometheus.yml"
    file.write_text(config, encoding="utf-8")
    command = [
        binary,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--log.level=warn",
    ]
    async with answering(*command, flag="--web.listen-address", cwd=folder) as client:
        yield client


@contextlib.asynccontextmanager
async def answering(
    *command: str, flag: str, page: str = "/-/ready", cwd: Path | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A program that serves HTTP, once its page says that it is ready; gives a client of it.

    Args:
        command: with its arguments, except for the address.
        flag: the one that takes the address.
        page: succeeds when it is ready.
        cwd: where it starts; by default here.
    """
    address = f"127.0.0.1:{free_port()}"
    async with (
        started(*command, f"{flag}={address}", cwd=cwd) as process,
        httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client,
    ):

        async def answers() -> bool:
            assert process.handle.returncode is None, process.lines
            with contextlib.suppress(httpx.TransportError):
                return (await client.get(page)).is_success
            return False

        await until(answers)
        yield client


async def query(
    client: httpx.AsyncClient, promql: str, at: float | None = None
) -> dict[frozenset[tuple[str, str]], float]:
    """An instant query, now or at an epoch time: value by labels, without the metric's name."""
    moment = {} if at is None else {"time": at}
    reply = await client.get("/api/v1/query", params={"query": promql, **moment})
    reply.raise_for_status()
    return {
        frozenset((k, v) for k, v in item["metric"].items() if k != "__name__"): float(
            item["value"][1]
        )
        for item in reply.json()["data"]["result"]
    }


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until an asynchronous condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():
            await asyncio.sleep(0.1)


def free_port() -> int:
    """A port of 127.0.0.1 that is not in use, for a program that cannot choose one itself.

    No other test gets it, also if nothing listens there yet, or ever.
    """
    for port in _ports_of_this_worker():
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


@functools.cache
def _ports_of_this_worker() -> Iterator[int]:
    """Each port once. From a random one on: another run of the suite can go on beside this one."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = _PORTS[worker :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    first = random.randrange(len(own))  # noqa: S311  # hides nothing
    return iter([*own[first:], *own[:first]])
