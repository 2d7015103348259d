"""The manual page, from the definitions of commands and flags.

`python -m exporter.cli.manual > docs/agent-rest-exporter.1` writes it. Pure text in roff's `man`
macros.
"""

import sys
from collections.abc import Iterator, Sequence

from exporter.cli import COMMANDS, DESCRIPTION, PROGRAM
from exporter.cli.flags import Command

_EXAMPLES = (
    ("Show metrics of a simulated call center.", "demo"),
    ("Check config.yaml, and ask every target once.", "check --live"),
    ("Serve another configuration's targets.", "serve --config.file=/etc/agent-rest.yaml"),
    ("Show what the server tells of one VDN, names masked.", "query --cc-id=1 --vdn=2"),
)
_STATUSES = (
    ("0", "Fine."),
    ("1", "A failure at run time: a server that does not answer, a port in use."),
    ("2", "Wrong usage, or a wrong configuration. Each problem is one line on stderr."),
    ("130", "Ended by Ctrl-C before the work was done."),
)


def page(program: str, description: str, commands: Sequence[Command]) -> str:
    """The whole page."""
    return "\n".join(_lines(program, description, commands)) + "\n"


def _lines(program: str, description: str, commands: Sequence[Command]) -> Iterator[str]:
    yield f'.TH {program.upper()} 1 "" {program} "User Commands"'
    # names of flags and variables must be found as they are: neither hyphenated nor stretched
    yield from (".nh", ".ad l")
    yield ".SH NAME"
    yield f"{_text(program)} \\- {_text(description.rstrip('.'))}"
    yield ".SH SYNOPSIS"
    for command in commands:
        if command is not commands[0]:
            yield ".br"
        yield f".B {_text(program)} {_text(command.name)}"
        yield _text(command.usage.removeprefix(command.name).strip())
    yield ".SH DESCRIPTION"
    yield (
        "Asks the CC\\-CMS servers of call centers which agents rest, which wait and why, and "
        "keeps the answers ready for Prometheus. Durations are written as there: 30s, 1m30s."
    )
    yield ".SH COMMANDS"
    for command in commands:
        yield f'.SS "{_text(command.usage)}"'
        yield _text(command.description)
        for argument in command.arguments:
            yield from _entry(argument.metavar, argument.help)
        for flag in command.flags:
            yield from _entry(flag.usage, flag.help)
            yield ".br"
            yield _text(" ".join(f"[{note}]" for note in flag.notes))
    yield ".SH ENVIRONMENT"
    yield (
        "Every flag can come from the environment, by the variable beside it. A flag on the "
        "command line goes before it. A flag without a value is set by anything but nothing, 0 "
        "and false."
    )
    yield ".SH EXIT STATUS"
    for status, meaning in _STATUSES:
        yield from (".TP", f".B {status}", _text(meaning))
    yield ".SH EXAMPLES"
    for meaning, words in _EXAMPLES:
        yield from (".TP", f".B {_text(f'{program} {words}')}", _text(meaning))
    yield ".SH SEE ALSO"
    yield ".BR prometheus (1)"


def _entry(head: str, meaning: str) -> Iterator[str]:
    yield from (".TP", f".B {_text(head)}", _text(f"{meaning[0].upper()}{meaning[1:]}."))


def _text(text: str) -> str:
    """A text that roff prints as it is: without requests, escapes, or typographic dashes."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return f"\\&{escaped}" if escaped.startswith(".") else escaped


if __name__ == "__main__":
    sys.stdout.write(page(PROGRAM, DESCRIPTION, COMMANDS))
