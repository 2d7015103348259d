"""What is measured, and what it must come to.

Within each figure the exporter and what it is compared with take turns (A B A B), and a figure is
the median of the turns' ratios.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.daemon import Exporter, exporter, write_config
from benchmarks.processes import cpu_seconds

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
def daemon(
    url: str, targets: int = TARGETS, interval: float = INTERVAL, server: str = ""
) -> Iterator[Exporter]:
    """A daemon in a directory of its own. `server` is more of its configuration."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        config = Path(directory) / "config.yaml"
        write_config(config, url, targets, interval, server=server)
        with exporter(config) as running:
            yield running


def cpu_per_poll(running: Exporter, seconds: float) -> float:
    """CPU of each poll of a daemon within so many seconds, everything in it."""
    polls, cpu = running.polls().started, cpu_seconds(running.pid)
    time.sleep(seconds)
    spent = cpu_seconds(running.pid) - cpu
    return spent / (running.polls().started - polls)


def ratios(ours: list[float], theirs: list[float]) -> tuple[float, ...]:
    """Turn by turn."""
    return tuple(a / b for a, b in zip(ours, theirs, strict=True))


def microseconds(seconds: list[float]) -> str:
    """The median, for people."""
    return f"{1e6 * median(seconds):,.0f} µs"


def milliseconds(seconds: list[float]) -> str:
    """The median, for people."""
    return f"{1e3 * median(seconds):,.0f} ms"
