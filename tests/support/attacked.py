"""An exporter under attack from clients, and how it fares.

The exporter and the server that it polls are processes of their own; clients are sockets and
threads of the test. Everything is on 127.0.0.1, and bounded in number and time.

`make attacks` runs each attack alone and writes its figures down: ATTACKS names a folder, ATTACKED
the program, if it is another version to compare with.
"""

import asyncio
import contextlib
import json
import math
import os
import random
import re
import signal
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx

from tests.support.processes import COMMAND, PATIENCE, Process, started

MAX_GROWTH: int = 60 << 20
"""Bytes over what the exporter holds at rest, whatever clients do."""
FIGURES = os.environ.get("ATTACKS")
ANOTHER = os.environ.get("ATTACKED")
# Without `make attacks`, tests run side by side; another version is only measured.
ALONE = FIGURES is not None and ANOTHER is None
SCRAPE_WITHIN, HEALTH_WITHIN, STOP_WITHIN = (2.0, 1.0, 5.0) if ALONE else (10.0, 5.0, 15.0)

_WITH_DESCRIPTORS = """import os, resource, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
os.execv(sys.argv[2], sys.argv[2:])
"""

REQUEST = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass
class Figures:
    """How it fared. None for what could not be measured, infinite for what took too long."""

    memory: int | None = None
    """MiB over rest."""
    scrape: float = 0.0
    """Seconds of the slowest one."""
    health: float = 0.0
    stop: float | None = None
    """Seconds from SIGTERM to its end."""
    failed_polls: float | None = None
    """Of healthy servers."""


@dataclass
class Attacked:
    """The exporter, and what it held before anything happened."""

    process: Process
    address: tuple[str, int]
    rest: int = 0
    tls: ssl.SSLContext | None = None
    login: tuple[str, str] | None = None
    figures: Figures = field(default_factory=Figures)

    def memory(self, field: str = "VmRSS") -> int:
        """Bytes of resident memory; `VmHWM` is the most since the rest was measured."""
        status = Path(f"/proc/{self.process.handle.pid}/status").read_text(encoding="utf-8")
        found = re.search(rf"{field}:\s+(\d+) kB", status)
        assert found
        return int(found[1]) << 10

    def growth(self) -> int:
        """By how much its memory was over that at rest at most."""
        return self.memory("VmHWM") - self.rest

    def remember_rest(self) -> None:
        """Take what it holds now for its rest."""
        self.rest = self.memory()
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.process.handle.pid}/clear_refs").write_text("5", encoding="utf-8")

    def cpu(self) -> float:
        """Seconds of CPU that it has used."""
        fields = (
            Path(f"/proc/{self.process.handle.pid}/stat").read_text().rpartition(")")[2].split()
        )
        return (int(fields[11]) + int(fields[12])) / 100

    def connect(self, *, small_buffer: bool = False, source: str = "") -> socket.socket:
        """A client's connection, from an address of its own if it has one."""
        client = socket.socket()
        if source:
            client.bind((source, 0))
        if small_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(PATIENCE)
        client.connect(self.address)
        return client

    async def scrape(self) -> dict[str, float]:
        """What Prometheus gets, by sample, and that it gets it in time."""
        before = time.monotonic()
        asked = self.get("/metrics", SCRAPE_WITHIN, {"Accept-Encoding": "gzip"})
        try:
            text = await _in_time(asked)
        finally:
            self.figures.scrape = max(self.figures.scrape, time.monotonic() - before)
        lines = (line for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    async def healthy(self) -> None:
        """Assert that it says so in time."""
        before = time.monotonic()
        try:
            text = await _in_time(self.get("/-/healthy", HEALTH_WITHIN))
        finally:
            self.figures.health = max(self.figures.health, time.monotonic() - before)
        assert ANOTHER or "is healthy" in text

    async def get(
        self, path: str, within: float = PATIENCE, headers: dict[str, str] | None = None
    ) -> str:
        """A page, by a client that asks once more if it is told to."""
        scheme = "https" if self.tls else "http"
        base = f"{scheme}://{self.address[0]}:{self.address[1]}"
        async with (
            asyncio.timeout(within),
            httpx.AsyncClient(
                base_url=base,
                trust_env=False,
                verify=self.tls or False,
                timeout=within,
                auth=self.login,
            ) as client,
        ):
            reply = await client.get(path, headers=headers)
            assert reply.status_code == httpx.codes.OK, reply.text
            return reply.text

    async def post(self, path: str) -> str:
        """What is replied to a POST that succeeds."""
        base = f"http://{self.address[0]}:{self.address[1]}"
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=PATIENCE) as client:
            reply = await client.post(path)
            assert reply.status_code == httpx.codes.OK, reply.text
            return reply.text

    async def failed_polls(self) -> float:
        """Polls of the healthy server that failed."""
        samples = await self.scrape()
        failures = [
            value
            for name, value in samples.items()
            if name.startswith('agent_rest_exporter_poll_failures_total{cms="lima"')
        ]
        assert failures
        return sum(failures)


async def _in_time(reply: Coroutine[None, None, str]) -> str:
    """A reply. Another version need not give one."""
    try:
        return await reply
    except (TimeoutError, httpx.TransportError, AssertionError):
        if not ANOTHER:
            raise
        return ""


def configuration(folder: Path, url: str, targets: int, label_bytes: int, interval: str) -> Path:
    """Targets of one server, whose labels hardly compress: 27 samples each."""
    noise = random.Random(1)  # noqa: S311  # hides nothing
    lines = [
        f"  - {{ccId: {1 + vdn // 5000}, vdn: {1 + vdn % 5000}, "
        f"labels: {{noise: {noise.randbytes(label_bytes // 2).hex()}x}}}}"
        for vdn in range(targets)
    ]
    path = folder / "config.yaml"
    path.write_text(
        "\n".join(
            [
                "cms:",
                "- name: lima",
                f"  url: {url}",
                f"  interval: {interval}",
                "  timeout: 4s",
                "  targets:",
                *lines,
                "",
            ]
        ),
        encoding="utf-8",
    )
    return path


@contextlib.asynccontextmanager
async def attacked(
    folder: Path,
    *arguments: str,
    targets: int = 20,
    label_bytes: int = 20,
    interval: str = "5s",
    descriptors: int | None = None,
    tls: ssl.SSLContext | None = None,
    log: tuple[int, int] | None = None,
    login: tuple[str, str] | None = None,
) -> AsyncIterator[Attacked]:
    """An exporter at rest, which has polled all targets of a simulated server.

    Args:
        folder: for its configuration.
        arguments: more of the command line.
        targets: how many.
        label_bytes: how long a label of each of them is.
        interval: between two polls.
        descriptors: how many it may have.
        tls: trusts it, if it is served with TLS.
        log: both ends of a pipe for its log, which is not read once it has started.
        login: that it asks scrapers for.
    """
    simulate = [COMMAND, "simulate", "--listen-address=127.0.0.1:0", "--access-key="]
    async with started(*simulate) as server:
        url = (await server.wait_for(r"(http://127.0.0.1:\d+)"))[1]
        config = configuration(folder, url, targets, label_bytes, interval)
        serve = [
            ANOTHER or COMMAND,
            "serve",
            f"--config.file={config}",
            "--web.listen-address=127.0.0.1:0",
        ]
        if descriptors:
            serve = [sys.executable, "-c", _WITH_DESCRIPTORS, str(descriptors), *serve]
        async with started(
            *serve,
            *arguments,
            stderr=log[1] if log else asyncio.subprocess.STDOUT,
        ) as process:
            if log:
                process.lines += await asyncio.to_thread(_lines_until, log[0], "has started")
            match = await process.wait_for(r"has started.* listen\"?[=:]\s*\"?([^ \",]+)")
            host, _, port = match[1].rpartition(":")
            exporter = Attacked(process, (host, int(port)), tls=tls, login=login)
            async with asyncio.timeout(PATIENCE):
                while True:
                    with contextlib.suppress(AssertionError):
                        await exporter.get("/-/ready")
                        break
                    await asyncio.sleep(0.1)
            for _ in range(3):
                await exporter.scrape()
                await asyncio.sleep(1.1)
            exporter.remember_rest()
            exporter.figures = Figures()
            try:
                yield exporter
            finally:
                await _write_figures(exporter)


def _lines_until(descriptor: int, words: str) -> list[str]:
    text = ""
    while words not in text or not text.endswith("\n"):
        text += os.read(descriptor, 1 << 16).decode()
    return text.splitlines()


@contextlib.asynccontextmanager
async def going_on(attack: Callable[[], Coroutine[None, None, None]]) -> AsyncIterator[None]:
    """An attack beside the block, which it need not outlive."""
    task = asyncio.create_task(attack())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def watch(exporter: Attacked, times: int = 4) -> None:
    """Scrape it, and ask for its health, as a Prometheus and an orchestrator do."""
    for _ in range(times):
        await exporter.scrape()
        await exporter.healthy()
        await asyncio.sleep(1)


async def assert_unharmed(exporter: Attacked, max_growth: int = MAX_GROWTH) -> None:
    """Everyone else is served, every poll succeeds, memory is bounded, and SIGTERM ends it."""
    await exporter.healthy()
    exporter.figures.failed_polls = await exporter.failed_polls()
    exporter.figures.memory = exporter.growth() >> 20
    if not ANOTHER:
        assert exporter.figures.failed_polls == 0
        assert exporter.growth() <= max_growth, f"{exporter.figures.memory} MiB over rest"
    before = time.monotonic()
    status = await exporter.process.stop(signal.SIGTERM, within=STOP_WITHIN)
    exporter.figures.stop = time.monotonic() - before
    assert status == 0


async def _write_figures(exporter: Attacked) -> None:
    """A file for this test; of another version, with what can still be measured."""
    if FIGURES is None:
        return
    found = exporter.figures
    if ANOTHER and found.stop is None and exporter.process.handle.returncode is None:
        found.memory = exporter.growth() >> 20
        with contextlib.suppress(AssertionError, TimeoutError, httpx.TransportError):
            await assert_unharmed(exporter)
        if found.stop is None:
            found.stop = math.inf
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition("::")[2].rpartition(" ")[0]
    (Path(FIGURES) / f"{test}.json").write_text(json.dumps(asdict(found)), "utf-8")


@contextlib.contextmanager
def clients(count: int, connect: Callable[[], socket.socket]) -> Iterator[list[socket.socket]]:
    """Many connections, closed at the end of the block."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connect()) for _ in range(count)]


def closed(client: socket.socket) -> bool:
    """Whether the other side ends the connection, without another byte."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def fill(client: socket.socket, data: bytes) -> int:
    """Send until the other side takes no more."""
    client.setblocking(False)  # noqa: FBT003  # the socket's own signature
    sent = 0
    with contextlib.suppress(OSError):
        while sent < len(data):
            sent += client.send(data[sent:])
    return sent
