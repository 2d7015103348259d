"""A YAML text as plain data, and the way back from a value to its line and column.

Knows nothing of what a document is for.
"""

import re
from dataclasses import dataclass

import yaml

from exporter.config.problems import ConfigError, Problem, Steps, dotted, one_line
from exporter.config.yaml.nodes import Composer, ListNode, MappingNode, Node
from exporter.config.yaml.plain import NotPlainError, read_plain
from exporter.config.yaml.syntax import explain

# The C parser where PyYAML has it: ten times as fast.
_Parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# What the parsers refuse. It is looked for beforehand, because they count its place in bytes.
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


class Document:
    """One parsed text. See `parse`.

    Attributes:
        file: its name as the user would write it.
        data: mappings, lists, texts, numbers, booleans and None.
        problems: what did not keep it from being parsed.
    """

    __slots__ = ("_root", "_text", "data", "file", "problems")

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.problems: tuple[Problem, ...] = ()
        self._text = text
        self._root: Node | None = None
        try:
            self.data = read_plain(_Parser(text))
        except (NotPlainError, yaml.MarkedYAMLError):
            self.data = None
        if self.data is None:
            self.data = self._nodes().data

    def locate(self, steps: Steps, *, on_key: bool = False) -> tuple[Steps, int, int]:
        """The part of a path that a reader finds in the file, with line and column from 1.

        An index is left out where the file has a single value in a list's stead. What is missing
        stands where its nearest parent starts. `on_key` points at the key of the last step.
        """
        root = self._nodes()
        node: Node | None = root
        mark = root.mark
        shown: list[str | int] = []
        for step in steps:
            if isinstance(step, int):
                if not isinstance(node, ListNode):
                    continue
                node = node.items[step]
                mark = node.mark
            elif isinstance(node, MappingNode) and step in node.pairs:
                key_mark, node = node.pairs[step]
                mark = key_mark if on_key and len(shown) + 1 == len(steps) else node.mark
            else:
                node = None
            shown.append(step)
        return tuple(shown), *mark

    def _nodes(self) -> Node:
        """The top node, composed when it is first asked for."""
        if self._root is None:
            self._root, self.problems = _compose(self.file, self._text)
        return self._root


@dataclass(frozen=True, slots=True)
class Place:
    """A value's place in a document: cheap to make for every value, looked up when shown."""

    document: Document
    steps: Steps = ()

    def __truediv__(self, step: str | int) -> "Place":
        return Place(self.document, (*self.steps, step))

    def problem(self, message: str, *, on_key: bool = False) -> Problem:
        """What is wrong with this value, or with its key."""
        shown, line, column = self.document.locate(self.steps, on_key=on_key)
        return Problem(self.document.file, line, column, dotted(shown), one_line(message))

    def __str__(self) -> str:
        _, line, _ = self.document.locate(self.steps)
        return f"{self.document.file}:{line}"


def parse(file: str, text: str) -> Document:
    """The one YAML document of a text.

    Raises:
        ConfigError: if it is no YAML, holds no document or several, or uses what a configuration
            must not hold. Duplicate keys are left to `Document.problems`.
    """
    forbidden = _FORBIDDEN.search(text)
    if forbidden:
        before = text[: forbidden.start()]
        line, column = before.count("\n") + 1, forbidden.start() - before.rfind("\n")
        raise ConfigError([Problem(file, line, column, "", "a control character, not text")])
    return Document(file, text)


def _compose(file: str, text: str) -> tuple[Node, tuple[Problem, ...]]:
    composer = Composer(file)
    problem = None
    parser = _Parser(text)
    try:
        while not isinstance(event := parser.get_event(), yaml.StreamEndEvent):
            composer.feed(event)
    except yaml.MarkedYAMLError as error:
        problem = explain(file, text, error)
    if problem:  # raised out here, so that no traceback leads to the parser and its text
        raise ConfigError([*composer.problems, problem])
    if composer.root is None or composer.root.data is None:
        raise ConfigError([Problem(file, 1, 1, "", "the file is empty")])
    return composer.root, tuple(composer.problems)
