"""CPU of one scrape, against the library, and for how long it holds the loop."""

import tempfile
import time
from pathlib import Path

from benchmarks.daemon import GZIP, get, write_config
from benchmarks.figures import INTERVAL, TARGETS, Curve, Effort, Figure, milliseconds, ratios
from benchmarks.peer import Peer
from benchmarks.processes import cpu_seconds, measured, serving


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
            ratios(text_turns, library),
            0.08,
            beside=f"{milliseconds(text_turns)} / {milliseconds(library)}",
        ),
        Figure(
            f"{name}OpenMetrics and gzip / `prometheus_client.generate_latest`, text",
            ratios(gzip_turns, library),
            0.10,
            beside=f"{milliseconds(gzip_turns)} / {milliseconds(library)}",
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
