"""A YAML text as plain data, and the way back from a value to its line and column."""

import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, replace

import yaml

from exporter.config.problems import ConfigError, Problem, Steps, dotted, one_line
from exporter.config.yaml_events import (
    DEEPEST,
    Composer,
    ListNode,
    MappingNode,
    Node,
    NotPlainError,
    read_plain,
)

_TAB = "tab in the indentation: YAML allows only spaces"
_UNEXPECTED_COLON = 'unexpected ":": wrong indentation above, or text that must be quoted'
_INDENTATION = 'wrong indentation, a list item without "- ", or text after a closing quote'
# What a parser complains of, in plain sentences. Each key is a part of what libyaml or PyYAML's own
# parser says; their words are never repeated, because they can contain a piece of the text.
_SENTENCES = {
    "mapping values are not allowed": _UNEXPECTED_COLON,
    "could not find expected ':'": 'missing ":" after a key, or text that must be quoted',
    "did not find expected key": _INDENTATION,
    "'-' indicator": _INDENTATION,
    "expected <block end>": _INDENTATION,
    "cannot start any token": "text that starts with this character must be quoted",
    "expected ',' or ']'": 'missing "," or "]" in a list',
    "expected ',' or '}'": 'missing "," or "}" in a mapping',
    "node content": "a value is missing here",
    "Unicode character escape": (
        'half of a character: "\\u" escapes from d800 to dfff come in pairs'
    ),
    "escape": 'unknown "\\" escape: in single quotes, "\\" is an ordinary character',
    "tab character": _TAB,
    # newer parsers give up by themselves, before the first bracket reaches the composer
    "nesting depth": f"nested more than {DEEPEST} levels deep",
}

# The C parser where PyYAML has it: ten times as fast.
_Parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# What the parsers reject. It is searched for beforehand, because they count its place in bytes.
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)

# A tab, or what editors show like a space or not at all: of the categories Zs and Cf.
_ODD_INDENTATION = re.compile(
    " *(?P<character>[\t\xa0\xad\u1680\u180e\u2000-\u200f\u202a-\u202f"
    "\u205f-\u2064\u2066-\u206f\u3000])"
)

# How JSON writes a character beyond U+FFFF: 12 characters, where YAML has an escape of ten.
_PAIR = re.compile(
    r"(?<!\\)(?P<before>(?:\\\\)*)"
    r"\\u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})"
)


class Document:
    """One parsed text. See `parse`.

    Attributes:
        file: its name as the user would write it.
        data: mappings, lists, texts, numbers, booleans and None.
        problems: duplicate keys, which do not keep it from being parsed.
    """

    __slots__ = ("_joined", "_root", "_text", "data", "file", "problems")

    def __init__(self, file: str, text: str, *, join_pairs: bool = False) -> None:
        self.file = file
        self.problems: tuple[Problem, ...] = ()
        self._joined: list[tuple[int, int]] = []  # line and column of each pair, from 1
        self._text = self._join_pairs(text) if join_pairs else text
        self._root: Node | None = None
        try:
            self.data = read_plain(_Parser(self._text).get_event)
        except (NotPlainError, yaml.MarkedYAMLError):
            self.data = None
        if self.data is None:
            self.data = self._nodes().data

    def locate(self, steps: Steps, *, on_key: bool = False) -> tuple[Steps, int, int]:
        """The part of a path that a reader finds in the file, with line and column from 1.

        An index is left out where the file has a single value instead of a list. A missing value is
        located where its nearest parent starts. `on_key` points at the key of the last step.
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
        line, column = mark
        return tuple(shown), line, self._column(line, column)

    def _nodes(self) -> Node:
        """The top node, composed when it is first asked for."""
        if self._root is None:
            self._root, found = _compose(self.file, self._text)
            self.problems = tuple(
                replace(problem, column=self._column(problem.line, problem.column))
                for problem in found
            )
        if self._root is None:
            raise ConfigError(self.problems)
        return self._root

    def _join_pairs(self, text: str) -> str:
        lines = text.splitlines(keepends=True)
        for index, line in enumerate(lines):
            self._joined += [(index + 1, pair.end("before") + 1) for pair in _PAIR.finditer(line)]
            lines[index] = _PAIR.sub(_join, line)
        return "".join(lines)

    def _column(self, line: int, column: int) -> int:
        """A column of the text as it was before pairs were joined."""
        for at_line, at_column in self._joined:
            if at_line == line and at_column < column:
                column += 2
        return column


@dataclass(frozen=True, slots=True)
class Place:
    """A value's place in a document: cheap to make for every value, looked up when shown.

    `gone` are the indices of items that were taken out of a list, ascending: those that are left
    are counted without them.
    """

    document: Document
    steps: Steps = ()
    gone: tuple[int, ...] = ()

    def __truediv__(self, step: str | int) -> "Place":
        if isinstance(step, int):
            for index in self.gone:
                step += index <= step
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
        ConfigError: if it is not valid YAML, is empty, has several documents, or uses features that
            are not supported. Duplicate keys are in `Document.problems`.
    """
    forbidden = _FORBIDDEN.search(text)
    if forbidden:
        before = text[: forbidden.start()]
        line, column = before.count("\n") + 1, forbidden.start() - before.rfind("\n")
        raise ConfigError([Problem(file, line, column, "", "control characters are not allowed")])
    if not _PAIR.search(text):
        return Document(file, text)
    # only double quotes have escapes
    with suppress(ConfigError):
        return Document(file, text)
    return Document(file, text, join_pairs=True)


def _join(pair: re.Match[str]) -> str:
    letter = 0x10000 + ((int(pair["high"], 16) - 0xD800) << 10) + int(pair["low"], 16) - 0xDC00
    return f"{pair['before']}\\U{letter:08x}"


def _compose(file: str, text: str) -> tuple[Node | None, list[Problem]]:
    """The top node, if there is a usable one, and all problems."""
    composer = Composer(file)
    parser = _Parser(text)
    try:
        while not isinstance(event := parser.get_event(), yaml.StreamEndEvent):
            composer.feed(event)
    except ConfigError:
        return None, composer.problems
    except yaml.MarkedYAMLError as error:
        # not raised, so that no traceback leads to the parser and its text
        return None, [*composer.problems, _explain(file, text, error)]
    if composer.root is None or composer.root.data is None:
        return None, [Problem(file, 1, 1, "", "the file is empty")]
    return composer.root, composer.problems


def _explain(file: str, text: str, error: yaml.MarkedYAMLError) -> Problem:
    """A parser's error as a problem, at the place that has to be fixed."""
    complaint = error.problem or ""
    mark = error.problem_mark
    if "quoted scalar" in (error.context or "") and "escape" not in complaint:
        # Not at the end of the file, but where the quote was opened.
        mark = error.context_mark or mark
        message = "unclosed quote"
    else:
        found = (sentence for part, sentence in _SENTENCES.items() if part in complaint)
        message = next(found, "not valid YAML from here on")
    lines = text.splitlines() or [""]
    at_line, column = (mark.line, mark.column) if mark else (0, 0)
    if at_line >= len(lines):
        at_line, column = len(lines) - 1, len(lines[-1])
    suspects = [at_line]
    if message == _UNEXPECTED_COLON:
        # of a text that began on the line above, because that one does not count as indented
        suspects += [line for line in range(at_line - 1, -1, -1) if lines[line].strip()][:1]
    for line in suspects:
        odd = _ODD_INDENTATION.match(lines[line])
        if odd:
            at_line, column = line, odd.start("character")
            message = _odd_indentation(odd["character"])
    return Problem(file, at_line + 1, column + 1, "", message)


def _odd_indentation(character: str) -> str:
    if character == "\t":
        return _TAB
    name = unicodedata.name(character, f"U+{ord(character):04X}").lower()
    return f"invisible character ({name}) in the indentation: YAML allows only spaces"
