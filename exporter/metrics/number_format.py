"""How a number is written in an exposition. Pure."""

from typing import Final

SMALL: Final = 10_000
"""Integers from 0 up to here have their texts in `INTEGERS`."""
INTEGERS: Final = tuple(f"{number}.0" for number in range(SMALL))
"""For those who write so many small counts that a call for each is worth saving."""
_SPECIAL: Final = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
_EXPONENTS: Final = tuple(f"e+{digits - 1:02d}" for digits in range(18))
"""By digits before the point: from 17 on Python writes an exponent of its own."""
_FIRST_WITH_EXPONENT: Final = 1_000_000
"""From here up, which is from seven digits before the point, Go writes an exponent."""


def go_float(value: float) -> str:
    """A value as prometheus_client's `floatToGoString` writes it, which follows Go's habits."""
    # Most samples are small counts.
    if type(value) is int and 0 <= value < SMALL:
        return INTEGERS[value]
    text = repr(float(value))
    if value >= _FIRST_WITH_EXPONENT:
        return _with_exponent(text)
    return text if "." in text else _SPECIAL.get(text, text)


def _with_exponent(text: str) -> str:
    """For a text of Python's, of a value of a million or more."""
    point = text.find(".")
    if point <= 1:  # Python has written an exponent already, or the value is infinite
        return _SPECIAL.get(text, text)
    digits = f"{text[0]}.{text[1:point]}{text[point + 1 :]}"
    if digits.endswith("0"):
        digits = digits.rstrip("0.")
    return digits + _EXPONENTS[point]
