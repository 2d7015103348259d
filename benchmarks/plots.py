"""The two pictures: CPU of a poll and of a scrape against the number of targets."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from benchmarks.figures import Curve

_TEXT, _GZIP, _POLL, _MEMORY = "#1f6feb", "#d1671b", "#1f6feb", "#d1671b"

# the same figures make the same bytes
mpl.rcParams["svg.hashsalt"] = "agent-rest-exporter"


def draw(directory: Path, polls: Curve, scrapes: Curve) -> None:
    """Write `polls.svg` and `scrapes.svg`.

    Args:
        directory: where.
        polls: with `cpu` in seconds and `memory` in bytes.
        scrapes: with `text` and `gzip` in seconds.
    """
    canvas, left, right = _canvas("One poll, and the process's memory", "CPU of one poll, µs")
    _line(left, polls, "cpu", 1e6, "CPU of one poll", _POLL)
    left.set_ylim(bottom=0)
    _line(right, polls, "memory", 1e-6, "memory", _MEMORY)
    right.set_ylabel("resident memory, MB")
    right.set_ylim(bottom=0)
    _finish(canvas, directory / "polls.svg", left, right)

    canvas, left, right = _canvas("One scrape", "CPU of one scrape, ms")
    right.set_axis_off()
    _line(left, scrapes, "text", 1e3, "text", _TEXT)
    _line(left, scrapes, "gzip", 1e3, "OpenMetrics and gzip", _GZIP)
    left.set_yscale("log")
    _finish(canvas, directory / "scrapes.svg", left)


def _canvas(title: str, unit: str) -> tuple[Canvas, Axes, Axes]:
    canvas = Canvas(figsize=(7, 4), layout="constrained")
    axes = canvas.subplots()
    axes.set_title(title)
    axes.set_xscale("log")
    axes.set_xlabel("targets")
    axes.set_ylabel(unit)
    axes.grid(visible=True, which="major", alpha=0.3)
    return canvas, axes, axes.twinx()


def _line(  # noqa: PLR0913, PLR0917  # one for each thing that tells two lines apart
    axes: Axes, curve: Curve, name: str, scale: float, label: str, color: str
) -> None:
    values = [scale * value for value in curve.values[name]]
    axes.plot(curve.targets, values, marker="o", label=label, color=color)


def _finish(canvas: Canvas, path: Path, *axes: Axes) -> None:
    lines = [line for each in axes for line in each.get_lines()]
    axes[0].legend(lines, [str(line.get_label()) for line in lines], loc="upper center")
    axes[0].set_xticks([10, 100, 1000, 10_000, 50_000], ["10", "100", "1,000", "10,000", "50,000"])
    axes[0].minorticks_off()
    canvas.savefig(path, metadata={"Date": None})
