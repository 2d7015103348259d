"""How a number is written in an exposition. Pure."""

from typing import Final

_SMALL: Final = 10_000
_INTEGERS: Final = tuple(f"{number}.0" for number in range(_SMALL))
_SPECIAL: Final = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
_EXPONENTS: Final = tuple(f"e+{digits - 1:02d}" for digits in range(18))
"""By digits before the point: from 17 on Python writes an exponent of its own."""
_FIRST_WITH_EXPONENT: Final = 1_000_000
"""From here up, which is from seven digits before the point, Go writes an exponent."""


def go_float(value: float) -> str:
    """A value as prometheus_client's `floatToGoString` writes it, which follows Go's habits."""
    # Most samples are small counts.
    if type(value) is int and 0 <= value < _SMALL:
        return _INTEGERS[value]
    text = repr(float(value))
    if value >= _FIRST_WITH_EXPONENT:
        return _with_exponent(text)
    return text if "." in text else _SPECIAL.get(text, text)


def _with_exponent(text: str) -> str:
    """For a text of Python's, of a value of a million or more."""
    whole, point, fraction = text.partition(".")
    if len(whole) == 1 or not point:  # Python has written one already, or the value is infinite
        return _SPECIAL.get(text, text)
    digits = f"{whole[1:]}{fraction}".rstrip("0")
    return f"{whole[0]}{'.' if digits else ''}{digits}{_EXPONENTS[len(whole)]}"
