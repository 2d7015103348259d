"""A YAML parser's events as plain data: fast, or with nodes that remember where each value starts.

`read_plain` leaves aliases, tags, errors and the places of values to `Composer`, which is fed with
the text again: a load of ten thousand targets would spend most of its time on places that nobody
asks for. Neither is `yaml.compose`, which recurses in C and so crashes the process on deep nesting.

Scalars follow the core schema of YAML 1.2, less its traps. YAML 1.1, which the parser would apply,
reads `no` as false, `010` as 8 and `1:30` as 90. Here a site called `no` keeps its name, and what
could be read in two ways stays text.
"""

import re
from collections.abc import Callable
from typing import Any, NoReturn

import yaml

from exporter.config.problems import ConfigError, Problem, Steps, dotted

# The shape of our own files is six levels deep.
DEEPEST = 40
# Aliases can make a small text stand for any number of values ("billion laughs").
_MOST_VALUES = 1_000_000
_MERGE = "<<"
_TEXT_TAGS = frozenset({None, "!", "tag:yaml.org,2002:str"})
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# No leading zeros, and no more digits than any key of ours could use.
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")


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


class NotPlainError(Exception):
    """The text uses more of YAML, or is not valid."""


def read_plain(get_event: Callable[[], Any]) -> object:  # noqa: C901, PLR0912 -- calls would cost half of the time
    """The data of a text's only document, by a parser's method; None if there is none.

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
        event = get_event()
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
            if len(above) > DEEPEST:
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


#: Line and column, from 1.
Mark = tuple[int, int]


class Node:
    """A value and where it starts. Aliases share their anchor's node."""

    __slots__ = ("data", "mark", "size")

    def __init__(self, mark: Mark, data: object) -> None:
        self.mark = mark
        self.data = data
        self.size = 1


class ListNode(Node):
    """A list: its items' nodes, and the same as plain data."""

    __slots__ = ("items", "values")

    def __init__(self, mark: Mark) -> None:
        self.items: list[Node] = []
        self.values: list[object] = []
        super().__init__(mark, self.values)

    def add(self, node: Node) -> None:
        """Take the next item."""
        self.items.append(node)
        self.values.append(node.data)

    @property
    def step(self) -> int:
        """The index of the item that comes next."""
        return len(self.items)


class MappingNode(Node):
    """A mapping: for each key its mark and its value's node, and the same as plain data."""

    __slots__ = ("pairs", "values", "waiting")

    def __init__(self, mark: Mark) -> None:
        self.pairs: dict[str, tuple[Mark, Node]] = {}
        self.values: dict[str, object] = {}
        self.waiting: list[tuple[str, Mark]] = []  # the key that has no value yet, if there is one
        super().__init__(mark, self.values)

    def add(self, node: Node) -> None:
        """Take the value of the waiting key; the first one of equal keys stays."""
        self.put(*self.waiting.pop(), node)

    def put(self, key: str, mark: Mark, node: Node) -> None:
        """Set a key, unless it is set."""
        if key not in self.pairs:
            self.pairs[key] = (mark, node)
            self.values[key] = node.data

    @property
    def step(self) -> str:
        """The key whose value comes next."""
        return self.waiting[0][0]


class Composer:
    """Events in, nodes out; without recursion, because nesting is the file's to choose.

    Attributes:
        root: the top value, once it is complete.
        problems: duplicate keys and unusable merges, which do not stop the rest.
    """

    def __init__(self, file: str) -> None:
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._file = file
        self._open: list[ListNode | MappingNode] = []
        self._anchors: dict[str, Node] = {}

    def feed(self, event: yaml.Event) -> None:
        """Take the next event. Raises ConfigError for what is not for a configuration."""
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent):
            self._start(event, MappingNode(_mark(event)))
        elif isinstance(event, yaml.SequenceStartEvent):
            self._start(event, ListNode(_mark(event)))
        elif isinstance(event, yaml.CollectionEndEvent):
            node = self._open.pop()
            if isinstance(node, MappingNode) and _MERGE in node.pairs:
                self._merge(node)
            self._add(node)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent) and self.root:
            self._refuse(event, 'second document: "---" is only allowed at the top')

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        mark = _mark(event)
        text = event.value
        parent = self._open[-1] if self._open else None
        if isinstance(parent, MappingNode) and not parent.waiting:
            if text in parent.pairs:
                line = parent.pairs[text][0][0]
                steps = (*(node.step for node in self._open[:-1]), text)
                self._report(mark, f"duplicate key (first used on line {line})", steps)
            parent.waiting.append((text, mark))
            return
        if event.tag not in _TEXT_TAGS:
            self._refuse_tag(event)
        plain = event.tag is None and event.implicit[0]
        node = Node(mark, resolve(text) if plain else text)
        if event.anchor:
            self._anchors[event.anchor] = node
        self._add(node)

    def _start(self, event: yaml.CollectionStartEvent, node: ListNode | MappingNode) -> None:
        self._needs_value(event)
        if event.tag is not None:
            self._refuse_tag(event)
        if len(self._open) == DEEPEST:
            self._refuse(event, f"nested more than {DEEPEST} levels deep")
        if event.anchor:
            self._anchors[event.anchor] = node
        self._open.append(node)

    def _alias(self, event: yaml.AliasEvent) -> None:
        self._needs_value(event)
        node = self._anchors.get(event.anchor or "")
        if node is None:
            self._refuse(event, "no anchor with this name above; quote text that starts with *")
        if node in self._open:
            self._refuse(event, "an alias must not refer to a value that contains it")
        self._add(node)

    def _add(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        parent.add(node)
        parent.size += node.size
        if parent.size > _MOST_VALUES:
            self._report(node.mark, f"more than {_MOST_VALUES} values, counting aliases")
            raise ConfigError(self.problems)

    def _merge(self, node: MappingNode) -> None:
        """Take over what `<<: *anchor` brings, where the mapping has no value of its own."""
        _, merged = node.pairs.pop(_MERGE)
        del node.values[_MERGE]
        for source in merged.items if isinstance(merged, ListNode) else [merged]:
            if isinstance(source, MappingNode):
                for key, (mark, value) in source.pairs.items():
                    node.put(key, mark, value)
            else:
                self._report(source.mark, '"<<" expects a mapping or a list of mappings')

    def _needs_value(self, event: yaml.NodeEvent) -> None:
        parent = self._open[-1] if self._open else None
        if isinstance(parent, MappingNode) and not parent.waiting:
            self._refuse(event, "keys must be text; quote text that starts with *")

    def _refuse_tag(self, event: yaml.NodeEvent) -> NoReturn:
        self._refuse(event, "tags are not supported; quote text that starts with !")

    def _refuse(self, event: yaml.Event, message: str) -> NoReturn:
        self._report(_mark(event), message)
        raise ConfigError(self.problems)

    def _report(self, mark: Mark, message: str, steps: Steps = ()) -> None:
        self.problems.append(Problem(self._file, *mark, dotted(steps), message))


def _mark(event: yaml.Event) -> Mark:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)
