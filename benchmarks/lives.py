"""Punctuality, memory and times of daemons from their start on."""

import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.daemon import GZIP, Exporter, exporter, get, write_config
from benchmarks.figures import (
    INTERVAL,
    MEGABYTE,
    RATE,
    TARGETS,
    TIMEOUT,
    Curve,
    Effort,
    Figure,
    cpu_per_poll,
    daemon,
)
from benchmarks.peer import Peer
from benchmarks.processes import resident_bytes


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
                late_by_reload += running.polls().late - before.late
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
    late = (after.late - before.late) / (after.started - before.started)
    return 100 * late, after.skipped - before.skipped, memory


def sizes(peer: Peer, effort: Effort) -> tuple[list[Figure], Curve]:
    """Memory and CPU against the number of targets, at the same pace of polls."""
    curve = Curve()
    for targets in effort.sizes:
        interval = max(1.0, targets / RATE)
        with daemon(peer.rows20, targets, interval) as running:
            running.await_first_round(targets, 2 * interval)
            cpu = cpu_per_poll(running, effort.window / 2)
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
