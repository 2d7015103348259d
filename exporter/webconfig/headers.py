"""Further headers of each answer: which ones may be set, and to what.

The names are those of exporter-toolkit, in its spelling: a file that works here works with every
other exporter.
"""

from typing import Any, Final

from exporter.config.problems import did_you_mean
from exporter.config.yaml.document import Place
from exporter.webconfig.reading import Reading

# Each with the values that it may have, where these are few.
ALLOWED: Final[dict[str, tuple[str, ...]]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}


def header_lines(
    headers: dict[str, Any], place: Place, reading: Reading
) -> tuple[tuple[str, str], ...]:
    """Names and values that are to be set. An empty value sets nothing.

    Args:
        headers: the mapping of the file.
        place: of the mapping.
        reading: takes the problems.
    """
    lines = []
    for name, value in headers.items():
        text = _text(value)
        problem = _problem(name, text)
        if problem:
            reading.say(place / name, problem, on_key=name not in ALLOWED)
        elif text:
            lines.append((name, text))
    return tuple(lines)


def _text(value: object) -> str | None:
    if type(value) is int:
        return str(value)  # `X-XSS-Protection: 1` is usual
    return value if isinstance(value, str) else "" if value is None else None


def _problem(name: str, text: str | None) -> str | None:
    if name not in ALLOWED:
        *most, last = ALLOWED
        known = f"{', '.join(most)} and {last}"
        return f"no header that can be set here; these can: {known}{did_you_mean(name, ALLOWED)}"
    if text is None:
        return "must be text"
    values = ALLOWED[name]
    if values and text not in values:
        return f"must be {' or '.join(values)}"
    if not (text.isascii() and (text.isprintable() or not text)):
        return "must be plain ASCII without line breaks or control characters"
    return None
