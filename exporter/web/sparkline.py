"""The last hour of one target as a picture: who rested as an area, who waited as a line. Pure.

A value holds for its minute, so the picture has steps. Minutes without a number are gaps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from exporter.history import Sample

HEIGHT: Final = 24
"""Of the picture, in its own units. Its width is one for each sample."""
_MARGIN: Final = 2
"""Above the highest value, so that its line is not cut off."""


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A picture, as the `d` of two paths of SVG, and what it shows in words."""

    width: int
    resting: str
    """A filled area."""
    waiting: str
    """A line."""
    top: int
    """The number of agents at the upper edge."""
    words: str


def of(samples: Sequence[Sample], current: Sample) -> Sparkline | None:
    """The picture of these samples, the oldest first, and of the present; None for nothing."""
    shown = [*samples, current]
    known = [each for each in shown if each is not None]
    if not samples or not known:
        return None
    resting, waiting = zip(*known, strict=True)
    top = max(*resting, *waiting, 1)
    return Sparkline(
        len(shown),
        _path([each and each[0] for each in shown], top, closed=True),
        _path([each and each[1] for each in shown], top, closed=False),
        top,
        f"last hour: {_range(resting)} resting, {_range(waiting)} waiting",
    )


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


def _path(values: Sequence[int | None], top: int, *, closed: bool) -> str:
    """Steps from left to right, each run of known values by itself."""
    parts: list[str] = []
    before: int | None = None
    for x, value in enumerate([*values, None]):
        if value == before:
            continue
        if before is not None:
            parts.append(f"H{x}")
        if value is None:
            if closed:
                parts.append(f"V{HEIGHT}Z")
        else:
            y = round(HEIGHT - (HEIGHT - _MARGIN) * value / top, 1)
            if before is not None:
                parts.append(f"V{y:g}")
            else:
                parts.append(f"M{x} {HEIGHT}V{y:g}" if closed else f"M{x} {y:g}")
        before = value
    return "".join(parts)
