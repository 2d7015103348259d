"""The table of the figures, and what they were measured on."""

import datetime as dt
import os
import platform
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.figures import Figure

_PACKAGES = ("aiohttp", "httpx", "msgspec", "prometheus-client", "uvloop")
_HEADER = """\
| figure | target | measured | lowest to highest | absolute | |
|---|---|---|---|---|---|
"""


def table(figures: Sequence[Figure]) -> str:
    """The figures in Markdown."""
    return _HEADER + "".join(map(_line, figures))


def machine() -> str:
    """The machine, its Python and the packages, and the date."""
    processor, memory = "", ""
    if found := re.search(r"model name\s*: (.*)", _read("/proc/cpuinfo")):
        processor = f"{found[1]}, "
    if found := re.search(r"MemTotal:\s*(\d+)", _read("/proc/meminfo")):
        memory = f"{int(found[1]) / 2**20:.0f} GiB, "
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return (
        f"{dt.datetime.now(dt.UTC).date()}: {processor}{os.cpu_count()} CPUs, {memory}"
        f"Linux {platform.release()}, {platform.python_implementation()} "
        f"{platform.python_version()}, {packages}."
    )


def met(figure: Figure) -> bool:
    """Whether a figure is what it must be."""
    return figure.limit is None or figure.value <= figure.limit


def _line(figure: Figure) -> str:
    target = "" if figure.limit is None else f"{figure.goal} ≤ {figure.limit:g}".strip()
    verdict = "" if figure.limit is None else "✓" if met(figure) else "✗"
    low, high = min(figure.values), max(figure.values)
    cells = (
        figure.what,
        f"{target} {figure.unit}".strip() if target else "",
        f"**{_number(figure.value)}** {figure.unit}".strip(),
        f"{_number(low)} to {_number(high)}" if len(figure.values) > 1 else "",
        figure.beside,
        verdict,
    )
    return f"| {' | '.join(cells)} |\n"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1 and value else f"{value:.3g}"


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")
