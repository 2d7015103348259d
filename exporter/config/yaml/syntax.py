"""What a YAML parser complains of, in plain sentences.

Knows the complaints of both of PyYAML's parsers. It never repeats their words, for these can hold
a piece of the text.
"""

import yaml

from exporter.config.problems import Problem

_TAB = "a tab in the indentation: YAML takes spaces only"
_DEFAULT = "no valid YAML from here on"

_COLON = 'a ":" where no key can stand: wrong indentation above, or text that needs quotes'
_INDENTATION = 'wrong indentation, a list item without its "- ", or text after a closing quote'

# In this order; each is a part of what libyaml or PyYAML's own parser says.
_SENTENCES = (
    ("mapping values are not allowed", _COLON),
    ("could not find expected ':'", 'a key without a ":" after it, or text that needs quotes'),
    ("did not find expected key", _INDENTATION),
    ("'-' indicator", _INDENTATION),
    ("expected <block end>", _INDENTATION),
    ("cannot start any token", "text that starts with this character needs quotes"),
    ("expected ',' or ']'", 'a list in brackets lacks a "," or its "]"'),
    ("expected ',' or '}'", 'a mapping in braces lacks a "," or its "}"'),
    ("node content", "a value must stand here"),
    ("escape", 'an unknown "\\" sequence: in single quotes a "\\" is an ordinary character'),
    ("tab character", _TAB),
)


def explain(file: str, text: str, error: yaml.MarkedYAMLError) -> Problem:
    """A parser's error as a problem, at the place that has to be mended."""
    complaint = error.problem or ""
    mark = error.problem_mark
    if "quoted scalar" in (error.context or "") and "escape" not in complaint:
        # The end of the file says little: what counts is where the quote was opened.
        mark = error.context_mark or mark
        message = "this quote is never closed"
    else:
        message = next((say for part, say in _SENTENCES if part in complaint), _DEFAULT)
    lines = text.splitlines() or [""]
    at_line, column = (mark.line, mark.column) if mark else (0, 0)
    if at_line >= len(lines):
        at_line, column = len(lines) - 1, len(lines[-1])
    indentation = lines[at_line][: len(lines[at_line]) - len(lines[at_line].lstrip())]
    if "\t" in indentation:
        message, column = _TAB, indentation.index("\t")
    return Problem(file, at_line + 1, column + 1, "", message)
