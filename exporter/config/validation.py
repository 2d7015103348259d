"""Validates a mapping of the file: pydantic's errors as our own messages."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from exporter.config.fields import EXPECTED
from exporter.config.model import Server, Shape, Target, shapes_by_key
from exporter.config.problems import Problem, Steps, closest, did_you_mean, listed
from exporter.config.reader import Reader
from exporter.config.yaml_document import Place

_S = TypeVar("_S", bound=Shape)
_Below = TypeVar("_Below", bound=Shape)

_UNKNOWN = "extra_forbidden"
# pydantic's error types, as what it had expected.
_WANTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}
# Or as a whole sentence.
_SENTENCES = {
    "missing": "is required",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
}
_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a decimal number",
    str: "text",
    list: "a list",
    dict: "a mapping",
}


@dataclass(frozen=True, slots=True)
class Block(Generic[_S]):
    """A mapping of a file: what is usable of it, and where to report what is wrong.

    Args:
        shape: the mapping, less what was wrong with it.
        place: of the mapping.
        reader: reads the files that it names, and collects the problems.
        broken: the keys under which something was wrong, so that no follow-up is reported.
        removed: where it was wrong, in steps below the mapping.
    """

    shape: _S
    place: Place
    reader: Reader
    broken: frozenset[str] = frozenset()
    removed: tuple[Steps, ...] = ()

    def items(self, key: str) -> Place:
        """The place of a list, less its wrong items."""
        if not self.removed:
            return self.place / key
        gone = {rest[0] for first, *rest in self.removed if first == key and rest}
        indices = sorted(index for index in gone if isinstance(index, int))
        return replace(self.place / key, gone=tuple(indices))

    def below(self, key: str, shape: _Below) -> "Block[_Below]":
        """The block of a mapping in this one."""
        removed = tuple(tuple(rest) for first, *rest in self.removed if first == key and rest)
        return Block(shape, self.place / key, self.reader, removed=removed)

    def report(self, key: str, message: str, *, on_key: bool = False) -> None:
        """Add a problem with the value of a key, or with the key."""
        self.reader.report(self.place / key, message, on_key=on_key)

    def value_or_path(self, key: str) -> tuple[Place, Any]:
        """The value of a key, or the path that its `_file` names, with the place of the one given.

        None instead if neither is given, or both, which is reported.
        """
        value, file = getattr(self.shape, key), getattr(self.shape, f"{key}_file")
        if file is None:
            return self.place / key, value
        place = self.place / f"{key}_file"
        if value is None:
            return place, self.reader.absolute(file)
        self.reader.report(place, f"set {key} or {key}_file, not both", on_key=True)
        return place, None


def validate(
    shape: type[_S],
    data: object,
    place: Place,
    reader: Reader,
    stand_ins: Mapping[str, object] | None = None,
) -> Block[_S] | None:
    """Check a mapping against its shape, and report what is wrong; None if nothing is usable.

    What is wrong is then removed, so that the rest can be checked further and all problems of a
    file are reported at once. `stand_ins` are values for required keys without a valid one.
    """
    try:
        return Block(shape.model_validate(data), place, reader)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    # from here on outside of the handler, whose error contains the values
    meant = {_meant(shape, wrong["loc"])[0] for wrong in errors if wrong["type"] == _UNKNOWN}
    reader.problems.extend(
        _problem(shape, wrong, place)
        for wrong in errors
        if not (wrong["type"] == "missing" and wrong["loc"] in meant)
    )
    if not isinstance(data, dict):
        return None
    removed = tuple(filter(None, (wrong["loc"] for wrong in errors)))
    data = _without(data, removed)
    try:
        rest = shape.model_validate({**(stand_ins or {}), **data})
    except ValidationError:
        return None
    broken = frozenset(str(first) for first, *_ in filter(None, [*removed, *meant]))
    return Block(rest, place, reader, broken, removed)


def _problem(shape: type[Shape], error: ErrorDetails, place: Place) -> Problem:
    location = error["loc"]
    for step in location:
        place /= step
    kind = error["type"]
    if kind == _UNKNOWN:
        return place.problem(f"unknown key{_meant(shape, location)[1]}", on_key=True)
    value = error["input"]
    if kind in _WANTED:
        quote = kind == "string_type" and isinstance(value, int | float)
        remedy = "; put it in quotes" if quote else ""
        return place.problem(f"must be {_WANTED[kind]}{_but_is(value)}{remedy}")
    if kind == "literal_error":
        return place.problem(_choice(error))
    message = _SENTENCES.get(kind, error["msg"])
    # A number that is out of range is still a number.
    if kind == EXPECTED and not ("number" in message and type(value) in {int, float}):
        message += _but_is(value)
    return place.problem(message)


def _meant(shape: type[Shape], location: Steps) -> tuple[Steps, str]:
    """Which key was probably meant by an unknown one, if any is likely, and words for it."""
    *above, last = location
    unknown = str(last)
    shapes = [shape]
    for step in above:
        below = shapes_by_key(shapes[-1]).get(str(step))
        shapes += [below] if below else []
    siblings = shapes_by_key(shapes.pop())
    for key, below in siblings.items():
        if below and unknown in shapes_by_key(below):
            return (*above, key), f'; it belongs under "{key}"'
    if shapes and unknown in shapes_by_key(shapes[-1]):
        return (*above[:-1], unknown), "; it belongs one level up: look at its indentation"
    if shape is Target and unknown in shapes_by_key(Server):
        return (), '; it belongs beside "targets" and applies to all of them'
    close = closest(unknown, siblings)
    return ((*above, close), f'; did you mean "{close}"?') if close else ((), "")


def _choice(error: ErrorDetails) -> str:
    words = re.findall("'(.*?)'", error["ctx"]["expected"])
    quoted = [f'"{word}"' for word in words]
    value = error["input"]
    more = did_you_mean(value, words) if isinstance(value, str) else _but_is(value)
    return f"must be {listed(quoted)}{more}"


def _but_is(value: object) -> str:
    return f", not {_KINDS.get(type(value), 'an empty value')}"


def _without(data: dict[Any, Any], locations: Iterable[Steps]) -> dict[Any, Any]:
    """A copy of a mapping without the values at these places; lists below it are shorter then."""
    gone: set[str | int] = set()
    below: dict[str | int, list[Steps]] = {}
    for step, *rest in locations:
        if rest and isinstance(data.get(step), dict | list):
            below.setdefault(step, []).append(tuple(rest))
        else:
            gone.add(step)
    left = {key: value for key, value in data.items() if key not in gone}
    for key in below.keys() & left.keys():
        value = left[key]
        if isinstance(value, list):
            left[key] = [*_without(dict(enumerate(value)), below[key]).values()]
        else:
            left[key] = _without(value, below[key])
    return left
