"""A configuration as text, with comments: what `init` and `simulate --print-config` write. Pure.

`scalar` is how any text is written in YAML, for those that write their own.
"""

import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.config.yaml_events import resolve

_WIDTH: Final = 100
_INDENT: Final = "  "

# Text that means the same without quotes: no comment and no key can begin in it.
_PLAIN = re.compile(r"[A-Za-z0-9/$][A-Za-z0-9 _./+:${}-]*[A-Za-z0-9_/}-]|[A-Za-z0-9/]")

Scalar = str | int | bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a block.

    Args:
        key: as in the file.
        value: a scalar, a list of flow mappings as they are written, or the entries of a block
            below it.
        comment: what the reader should know; one line or more above the key.
        active: False comments a scalar's key out.
    """

    key: str
    value: "Scalar | list[str] | tuple[Entry, ...]"
    comment: str = ""
    active: bool = True


def written(head: Sequence[str], server: Sequence[Entry]) -> str:
    """A file with one server.

    Args:
        head: paragraphs of the comment at its beginning.
        server: the keys of its block; the first has no comment.
    """
    lines: list[str] = []
    for number, paragraph in enumerate(head):
        lines += [*(["#"] if number else []), *_comment(paragraph, "")]
    block = list(_block(server, _INDENT * 2))
    block[0] = f"{_INDENT}- {block[0].lstrip()}"
    return "\n".join([*lines, "", "cms:", *block]) + "\n"


def _block(entries: Sequence[Entry], indent: str) -> Iterator[str]:
    for entry in entries:
        yield from _comment(entry.comment, indent)
        start = f"{indent}{'' if entry.active else '#'}{entry.key}:"
        match entry.value:
            case tuple(below):
                yield start
                yield from _block(below, indent + _INDENT)
            case list(items):
                yield start
                for item in items:
                    yield f"{indent}{_INDENT}- {item}"
            case value:
                yield f"{start} {_scalar(value)}"


def _comment(text: str, indent: str) -> list[str]:
    return [f"{indent}# {line}" for line in textwrap.wrap(text, _WIDTH - len(indent) - 2)]


def _scalar(value: Scalar) -> str:
    return scalar(value) if isinstance(value, str) else json.dumps(value)


def scalar(text: str, *, in_flow: bool = False) -> str:
    """A text as it is read again: in quotes unless they cannot matter.

    `in_flow` is for one between brackets or braces.
    """
    plain = _PLAIN.fullmatch(text) and ": " not in text and isinstance(resolve(text), str)
    if plain and not (in_flow and set("{}") & set(text)):
        return text
    # JSON leaves as it is what YAML forbids, or reads as a line break
    return "".join(
        letter if letter.isprintable() else f"\\U{ord(letter):08x}"
        for letter in json.dumps(text, ensure_ascii=False)
    )
