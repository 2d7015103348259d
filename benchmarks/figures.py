"""The figures: what is measured against what, and what it must come to.

Within each figure the exporter and what it is compared with take turns (A B A B), and a figure is
the median of the turns' ratios.
"""

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

from benchmarks.daemon import GZIP, Exporter, exporter, get, write_config
from benchmarks.peer import PAGE, Peer
from benchmarks.processes import (
    await_port,
    cpu_seconds,
    free_port,
    measured,
    resident_bytes,
    serving,
    started,
)

TARGETS = 10_000
INTERVAL = 30.0
TIMEOUT = 10.0
RATE = TARGETS / INTERVAL
"""Polls in a second."""
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure as it was measured."""

    what: str
    values: tuple[float, ...]
    """One for each turn."""
    limit: float | None = None
    """What it must not exceed; None where it is told for comparison only."""
    unit: str = "×"  # noqa: RUF001  # a ratio is written so
    goal: str = ""
    """How the limit is called where it is no must."""
    beside: str = ""
    """The absolute numbers behind it."""

    @property
    def value(self) -> float:
        """The median of the turns."""
        return median(self.values)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much time a run takes."""

    turns: int = 3
    window: float = 20.0
    """Seconds for which a daemon's CPU is measured."""
    minutes: float = 1.0
    """For which memory is watched."""
    sizes: tuple[int, ...] = (10, 100, 1000, 5000, 10_000, 50_000)
    """Numbers of targets for what depends on them."""
    requests: int = 5000


QUICK = Effort(turns=1, window=8.0, minutes=0.2, sizes=(10, 1000, 10_000), requests=2000)


@dataclass(slots=True)
class Curve:
    """What depends on the number of targets: for the plots."""

    targets: list[int] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, targets: int, **values: float) -> None:
        """The values at one number of targets."""
        self.targets.append(targets)
        for name, value in values.items():
            self.values.setdefault(name, []).append(value)


@contextmanager
def daemon(url: str, targets: int = TARGETS, interval: float = INTERVAL) -> Iterator[Exporter]:
    """A daemon in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        config = Path(directory) / "config.yaml"
        write_config(config, url, targets, interval)
        with exporter(config) as running:
            yield running


def poll_cpu(peer: Peer, effort: Effort, blackbox: str | None) -> list[Figure]:
    """CPU of one poll in the daemon, against those who only fetch."""
    ours, httpx, aiohttp, paced, probe = [], [], [], [], []
    client: list[float] = []
    for _ in range(effort.turns):
        with daemon(peer.rows20) as running:
            time.sleep(3)
            ours.append(cpu_per_poll(running, effort.window))
        fetch: dict[str, Any] = {"url": peer.rows20, "requests": effort.requests}
        httpx.append(_load("httpx", **fetch | {"requests": effort.requests // 5}))
        aiohttp.append(_load("aiohttp", **fetch))
        client.append(_load("client", **fetch))
        fetch["requests"] = round(RATE * effort.window / 2)
        paced.append(_load("aiohttp", **fetch, rate=RATE))
        if blackbox:
            probe.append(probe_cpu(blackbox, peer.rows20))
    name = "CPU of one poll, "
    figures = [
        Figure(
            f"{name}10,000 targets every 30 s / plain `httpx.AsyncClient`, 50 in flight",
            _ratios(ours, httpx),
            0.15,
            beside=f"{_us(ours)} / {_us(httpx)}",
        ),
        Figure(
            f"{name}10,000 targets every 30 s / bare aiohttp loop at the same pace",
            _ratios(ours, paced),
            2.0,
            goal="aim",
            beside=f"{_us(ours)} / {_us(paced)}",
        ),
        Figure(
            f"{name}10,000 targets every 30 s / bare aiohttp loop, 50 in flight",
            _ratios(ours, aiohttp),
            beside=f"{_us(ours)} / {_us(aiohttp)}",
        ),
        Figure(
            f"{name}client alone, 50 in flight / bare aiohttp loop, 50 in flight",
            _ratios(client, aiohttp),
            2.0,
            goal="aim",
            beside=f"{_us(client)} / {_us(aiohttp)}",
        ),
    ]
    if probe:
        figures.append(
            Figure(
                f"{name}10,000 targets every 30 s / one POST probe of blackbox_exporter",
                _ratios(ours, probe),
                beside=f"{_us(ours)} / {_us(probe)}",
            )
        )
    return figures


def cpu_per_poll(running: Exporter, seconds: float) -> float:
    """CPU of each poll of a daemon within so many seconds, everything in it."""
    polls, cpu = running.polls()[0], cpu_seconds(running.pid)
    time.sleep(seconds)
    spent = cpu_seconds(running.pid) - cpu
    return spent / (running.polls()[0] - polls)


_BLACKBOX = """\
modules:
  cms:
    prober: http
    http:
      method: POST
      headers: {Content-Type: "application/json; charset=UTF-8"}
      body: '{"queryParam":{"ccId":1,"vdn":1}}'
"""


def probe_cpu(program: str, url: str, probes: int = 300) -> float:
    """CPU that blackbox_exporter takes for one POST probe."""
    port = free_port()
    path = f"/probe?module=cms&target={quote(url + '/probe')}"
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as config:
        config.write(_BLACKBOX)
        config.flush()
        options = (f"--config.file={config.name}", f"--web.listen-address=127.0.0.1:{port}")
        with started(program, *options, "--log.level=error") as process:
            await_port(port, process)
            for _ in range(20):
                get(port, path)
            before = cpu_seconds(process.pid)
            for _ in range(probes):
                get(port, path)
            return (cpu_seconds(process.pid) - before) / probes


def scrape(effort: Effort) -> tuple[list[Figure], Curve]:
    """CPU of one scrape, against the library."""
    curve = Curve()
    for targets in effort.sizes:
        text, gzipped = _scrapes(targets, 3)
        curve.add(targets, text=text, gzip=gzipped)
    text_turns, gzip_turns, library = [], [], []
    for _ in range(effort.turns):
        text, gzipped = _scrapes(TARGETS, 5)
        text_turns.append(text)
        gzip_turns.append(gzipped)
        library.append(measured("benchmarks.library", targets=TARGETS)["cpu"])
    name = "Scrape of 10,000 targets, "
    return [
        Figure(
            f"{name}text / `prometheus_client.generate_latest`",
            _ratios(text_turns, library),
            0.08,
            beside=f"{_ms(text_turns)} / {_ms(library)}",
        ),
        Figure(
            f"{name}OpenMetrics and gzip / `prometheus_client.generate_latest`, text",
            _ratios(gzip_turns, library),
            0.10,
            beside=f"{_ms(gzip_turns)} / {_ms(library)}",
        ),
    ], curve


def _scrapes(targets: int, times: int) -> tuple[float, float]:
    """CPU of one scrape over HTTP as text, and as Prometheus asks."""
    with serving("benchmarks.pages", targets=targets) as server:

        def cpu(headers: dict[str, str]) -> float:
            get(server.port, "/metrics", headers)
            before = cpu_seconds(server.process.pid)
            for _ in range(times):
                get(server.port, "/metrics", headers)
            return (cpu_seconds(server.process.pid) - before) / times

        return cpu({}), cpu(GZIP)


def held(peer: Peer, effort: Effort) -> list[Figure]:
    """How long the loop is held at once while it polls and is scraped."""
    scrapes, collections, polls = [], [], []
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        config = Path(directory) / "config.yaml"
        write_config(config, peer.rows20, TARGETS, INTERVAL)
        with serving("benchmarks.held", config=str(config)) as server:
            time.sleep(INTERVAL if effort.turns > 1 else 5)
            for headers in [{}, GZIP] * max(3, effort.turns):
                server.ask("reset")
                time.sleep(1)
                polls.append(server.ask("reset")["held"])
                get(server.port, "/metrics", headers)
                report = server.ask("report")
                scrapes.append(report["held"])
                collections.append(report["collection"])
    return [
        Figure(
            "Longest hold of the loop by one scrape of 10,000 targets, while polling",
            tuple(1000 * each for each in (max(scrapes), *scrapes)),
            50,
            "ms",
            beside=f"longest garbage collection in it {1000 * max(collections):.0f} ms; without "
            f"a scrape {1000 * max(polls):.0f} ms",
        )
    ]


def life(peer: Peer, effort: Effort) -> list[Figure]:
    """One daemon from its start over a reload: punctuality, memory, times."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        config = Path(directory) / "config.yaml"
        write_config(config, peer.rows20, TARGETS, INTERVAL)
        with exporter(config) as running:
            running.await_first_round(TARGETS, INTERVAL + TIMEOUT)
            first_round = time.monotonic() - begun
            late, skipped, memory = _watched(running, effort.minutes)
            reloads, late_by_reload = [], 0.0
            for turn in range(max(2, effort.turns)):
                write_config(config, peer.rows20, TARGETS, INTERVAL, renamed=f"renamed {turn}")
                before = running.polls()
                asked = time.monotonic()
                get(running.port, "/-/reload", method="POST")
                reloads.append(time.monotonic() - asked)
                time.sleep(2)
                late_by_reload += _late(before, running.polls())
        starts = [running.listening_after]
        for _ in range(effort.turns - 1):
            with exporter(config) as again:
                starts.append(again.listening_after)
    growth = (memory[-1] - memory[0]) / MEGABYTE
    return [
        Figure("Polls started later than 250 ms", (late,), 1, "%"),
        Figure("Polls skipped", (skipped,), 0, ""),
        Figure(
            f"Memory after {effort.minutes:g} min of polls and scrapes, against its beginning",
            (growth,),
            unit="MB",
            beside=f"{memory[0] / MEGABYTE:.1f} to {memory[-1] / MEGABYTE:.1f} MB",
        ),
        Figure("Start to listening, 10,000 targets listed one by one", tuple(starts), 1, "s"),
        Figure("Start to first full round", (first_round,), INTERVAL + TIMEOUT, "s"),
        Figure("Reload with 10,000 targets, one changed", tuple(reloads), 1, "s"),
        Figure("Polls later than 250 ms during the reloads", (late_by_reload,), 0, ""),
    ]


def _watched(running: Exporter, minutes: float) -> tuple[float, float, list[int]]:
    """Percent of polls late, polls skipped, and memory, with a scrape every ten seconds."""
    get(running.port, "/metrics", GZIP)
    before, memory = running.polls(), [resident_bytes(running.pid)]
    until = time.monotonic() + 60 * minutes
    while time.monotonic() < until:
        time.sleep(10)
        get(running.port, "/metrics", GZIP)
        memory.append(resident_bytes(running.pid))
    after = running.polls()
    return 100 * _late(before, after) / (after[0] - before[0]), after[2] - before[2], memory


def _late(before: tuple[float, float, float], after: tuple[float, float, float]) -> float:
    """Polls that started late between two counts of `Exporter.polls`."""
    return (after[0] - before[0]) - (after[1] - before[1])


def sizes(peer: Peer, effort: Effort) -> tuple[list[Figure], Curve]:
    """Memory and CPU against the number of targets, at the same pace of polls."""
    curve = Curve()
    for targets in effort.sizes:
        interval = max(1.0, targets / 500)
        with daemon(peer.rows20, targets, interval) as running:
            begun = running.polls()[0], cpu_seconds(running.pid)
            running.await_first_round(targets, 2 * interval)
            if interval < 10:  # noqa: PLR2004  # a round is too short to be measured
                begun = running.polls()[0], cpu_seconds(running.pid)
                time.sleep(10)
            spent = cpu_seconds(running.pid) - begun[1]
            cpu = spent / max(1.0, running.polls()[0] - begun[0])
            for _ in range(3):
                get(running.port, "/metrics", GZIP)
            curve.add(targets, memory=resident_bytes(running.pid), cpu=cpu)
    memory = dict(zip(curve.targets, curve.values["memory"], strict=True))
    return [
        Figure("Memory, 10 targets", (memory[10] / MEGABYTE,), 80, "MB"),
        Figure("Memory, 10,000 targets", (memory[TARGETS] / MEGABYTE,), 150, "MB"),
        *_growth(memory),
    ], curve


def _growth(memory: dict[int, float]) -> Iterator[Figure]:
    """Memory of one more target, from each number of targets to the next."""
    counts = [count for count in memory if count >= min(1000, TARGETS)]
    for fewer, more in itertools.pairwise(counts):
        growth = (memory[more] - memory[fewer]) / (more - fewer) / 1000
        yield Figure(f"Memory of one more target, {fewer:,} to {more:,}", (growth,), unit="kB")


def rows(peer: Peer, effort: Effort) -> list[Figure]:
    """CPU of big listings, against a small one."""
    small, big, paged = [], [], []
    for _ in range(max(3, effort.turns)):
        small.append(_load("client", url=peer.rows20, requests=effort.requests))
        big.append(_load("client", url=peer.rows1000, requests=effort.requests // 5))
        many = effort.requests // 10
        paged.append(_load("client", url=peer.paged, requests=many, page_size=PAGE))
    return [
        Figure(
            "CPU of a 1,000-row reply (3.8) / the 20-row poll",
            _ratios(big, small),
            4,
            beside=f"{_us(big)} / {_us(small)}",
        ),
        Figure(
            "CPU of 1,000 rows in ten pages (3.6) / the 20-row poll",
            _ratios(paged, small),
            14,
            beside=f"{_us(paged)} / {_us(small)}",
        ),
    ]


def _load(load: str, **facts: str | float) -> float:
    cpu: float = measured("benchmarks.loads", load=load, **facts)["cpu"]
    return cpu


def _ratios(ours: list[float], theirs: list[float]) -> tuple[float, ...]:
    return tuple(a / b for a, b in zip(ours, theirs, strict=True))


def _us(seconds: list[float]) -> str:
    return f"{1e6 * median(seconds):,.0f} µs"


def _ms(seconds: list[float]) -> str:
    return f"{1e3 * median(seconds):,.0f} ms"


Step = Callable[[], None]
