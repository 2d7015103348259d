"""A YAML parser's events as plain data, fast; what an unquoted scalar means, and how to write one.

Leaves aliases, tags, errors and the places of values to `nodes.py`, which reads the text again: a
load of ten thousand targets would spend most of its time on places that nobody asks for.

Scalars follow the core schema of YAML 1.2, less its traps. YAML 1.1, which the parser would apply,
reads `no` as false, `010` as 8 and `1:30` as 90. Here a site called `no` keeps its name, and what
could be read in two ways stays text.
"""

import json
import re
from typing import Any, Protocol

import yaml

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# No leading zeros, and no more digits than any key of ours could use.
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")

# Text that means the same without quotes: no comment and no key can begin in it.
_PLAIN = re.compile(r"[A-Za-z0-9/$][A-Za-z0-9 _./+:${}-]*[A-Za-z0-9_/}-]|[A-Za-z0-9/]")

# Far more than our own files need; `nodes.py` rejects deeper ones.
_DEEPEST = 20


class Parser(Protocol):
    """Either of PyYAML's parsers."""

    def get_event(self) -> Any:  # noqa: ANN401 -- its stubs know only what all events share
        """The next event."""
        ...


class NotPlainError(Exception):
    """The text uses more of YAML, or is not valid."""


def read_plain(parser: Parser) -> object:  # noqa: C901, PLR0912 -- calls would cost half of the time
    """The data of a text's only document; None if there is none.

    Raises:
        NotPlainError: if the text must be read by way of nodes.
        yaml.YAMLError: from the parser.
    """
    above: list[tuple[Any, str | None]] = []  # what is open, each with the key that waits in it
    current: Any = None
    key: str | None = None
    root: object = None
    documents = 0
    while True:
        event = parser.get_event()
        # By exact type, the most frequent first: this loop is what a load's time depends on.
        kind = type(event)
        awaits_key = key is None and type(current) is dict
        if kind is yaml.ScalarEvent:
            if event.tag is not None or event.anchor is not None:
                raise NotPlainError
            value: object = event.value
            if awaits_key:
                key = event.value
                if key in current or key == "<<":
                    raise NotPlainError
                continue
            if event.implicit[0]:
                value = resolve(event.value)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            if event.tag is not None or event.anchor is not None or awaits_key:
                raise NotPlainError
            above.append((current, key))
            current, key = ({} if kind is yaml.MappingStartEvent else []), None
            if len(above) > _DEEPEST:
                raise NotPlainError
            continue
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            value = current
            current, key = above.pop()
        elif kind is yaml.StreamEndEvent:
            return root
        else:
            documents += kind is yaml.DocumentStartEvent
            if documents > 1 or kind is yaml.AliasEvent:
                raise NotPlainError
            continue
        if current is None:
            root = value
        elif type(current) is list:
            current.append(value)
        else:
            current[key] = value
            key = None


def resolve(text: str) -> str | int | float | bool | None:
    """The value of a scalar without quotes: nothing, true or false, a number, or its text."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in "+-.0123456789":
        if _WHOLE.fullmatch(text):
            return int(text)
        if _DECIMAL.fullmatch(text):
            return float(text)
    return text


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
