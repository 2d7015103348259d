"""JSON that a strict parser refuses, although its numbers are clear. Pure.

Agents' names are the usual cause: in GBK, cut in the middle of a character, with a tab or half of
an emoji. Other causes are UTF-16, NUL bytes after the text, and `NaN` in a field that nobody needs.
No number is guessed: Python's json module and most other parsers accept all of it.
"""

import json
from collections.abc import Iterator
from typing import Final

_LONGEST: Final = 2**20
"""Bytes: 4,000 agents, each listed twice."""
_CHARSETS: Final = ("gb18030", "latin-1")
"""Of servers that do not use Unicode. Where text is in another one, only names are misread."""


def mended(body: bytes | bytearray) -> bytes | None:
    """The same JSON as strict UTF-8, or None if it is not JSON in any character set.

    Args:
        body: that a strict parser has refused.
    """
    if len(body) > _LONGEST:
        return None
    for text in _readings(bytes(body)):
        try:
            found = json.loads(text.strip("\0 \t\r\n"), strict=False, parse_constant=_nothing)
        except (ValueError, RecursionError):
            continue
        return json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")
    return None


def _readings(body: bytes) -> Iterator[str]:
    for charset in (json.detect_encoding(body), *_CHARSETS):
        try:
            yield body.decode(charset)
        except UnicodeDecodeError:
            continue


def _nothing(_constant: str) -> None:
    """`NaN` and `Infinity` are not valid values."""
