"""Prometheus durations, such as `30s` or `1m30s`, as seconds and back. Pure."""

import re

_UNITS = {  # milliseconds of each unit, in the order in which they must be written
    "y": 365 * 24 * 3600 * 1000,
    "w": 7 * 24 * 3600 * 1000,
    "d": 24 * 3600 * 1000,
    "h": 3600 * 1000,
    "m": 60 * 1000,
    "s": 1000,
    "ms": 1,
}
# As in Prometheus: days that are not whole years are written as days, never "1y1d".
_WHOLE_ONLY = frozenset({"y", "w"})
# The longest duration that Prometheus can represent: 2^63 nanoseconds, about 292 years.
_LONGEST_MS = 2**63 // 1_000_000

#: Anchored, for the JSON Schema too: at least one of the units, each at most once.
PATTERN = r"^(0|(?=.)" + "".join(f"([0-9]+{unit})?" for unit in _UNITS) + ")$"
_SHAPE = re.compile("".join(f"(?:(?P<{unit}>[0-9]+){unit})?" for unit in _UNITS))


def parse_duration(text: str) -> float:
    """Seconds of a Prometheus duration.

    Units are `y w d h m s ms`, in this order, each at most once; `0` needs no unit. A year has 365
    days (Prometheus, `model.ParseDuration`). Raises ValueError with a sentence that does not repeat
    the text.
    """
    if text == "0":
        return 0.0
    match = _SHAPE.fullmatch(text)
    if not text or match is None:
        raise ValueError("not a duration: write it as 30s, 1m30s or 500ms")
    counts = {unit: digits for unit, digits in match.groupdict().items() if digits is not None}
    # Check the number of digits first, because int() rejects more than a few thousand of them.
    if all(len(digits) <= len(str(_LONGEST_MS)) for digits in counts.values()):
        total = sum(int(digits) * _UNITS[unit] for unit, digits in counts.items())
        if total <= _LONGEST_MS:
            return total / 1000
    raise ValueError("longer than 292 years")


def format_duration(seconds: float) -> str:
    """A duration in Prometheus' notation, to the nearest millisecond; zero is `0s`.

    Raises ValueError if it is negative, not a number, or longer than 292 years.
    """
    if not 0 <= seconds * 1000 <= _LONGEST_MS:
        raise ValueError("a duration is 0 or more, and not longer than 292 years")
    left = round(seconds * 1000)
    parts = []
    for unit, size in _UNITS.items():
        count, rest = divmod(left, size)
        if count and not (unit in _WHOLE_ONLY and rest):
            parts.append(f"{count}{unit}")
            left = rest
    return "".join(parts) or "0s"
