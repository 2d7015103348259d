"""Numbers as Prometheus' text formats write them. Pure."""

from typing import Final

SMALL: Final = 10_000
"""Integers from 0 to below this have their texts in `INTEGERS`."""
INTEGERS: Final = tuple(f"{number}.0" for number in range(SMALL))
"""For loops that save the call of `go_float` for a small count."""
_SPECIAL: Final = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
_EXPONENTS: Final = tuple(f"e+{digits - 1:02d}" for digits in range(18))
"""By the number of digits before the point: from 17 on, Python writes an exponent itself."""
_FIRST_WITH_EXPONENT: Final = 1_000_000
"""Go writes an exponent from here on, that is from seven digits before the point."""


def go_float(value: float) -> str:
    """A value as Go writes it: the same as prometheus_client's `floatToGoString`."""
    # Most samples are small counts.
    if type(value) is int and 0 <= value < SMALL:
        return INTEGERS[value]
    text = repr(float(value))
    if value >= _FIRST_WITH_EXPONENT:
        return _with_exponent(text)
    return text if "." in text else _SPECIAL.get(text, text)


def _with_exponent(text: str) -> str:
    """Rewrite Python's text of a value of a million or more."""
    point = text.find(".")
    if point <= 1:  # Python has already written an exponent, or the value is infinite
        return _SPECIAL.get(text, text)
    digits = f"{text[0]}.{text[1:point]}{text[point + 1 :]}"
    if digits.endswith("0"):
        digits = digits.rstrip("0.")
    return digits + _EXPONENTS[point]
