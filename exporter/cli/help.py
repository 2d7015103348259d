"""What `--help` says, from the definitions of commands and flags. Pure text.

Written instead of argparse's own, which crowds long names into a narrow column and knows nothing
of environment variables.
"""

import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

from exporter.cli.flags import Command, Flag

_WIDEST: Final = 100
"""Columns on a wide terminal: longer lines are hard to read."""
_HELP: Final = "-h, --help", ("show this help and exit",)
_ENVIRONMENT: Final = (
    "Every flag can come from the environment, by the variable beside it; one on the command line "
    "goes before it."
)


def overview(program: str, description: str, commands: Sequence[Command], width: int) -> str:
    """The help of the program itself.

    Args:
        program: its name.
        description: a sentence.
        commands: all of them, in order.
        width: columns of the terminal.
    """
    column = max(len(command.name) for command in commands)
    lines = [
        _wrapped(
            command.summary,
            width,
            first=f"  {command.name.ljust(column)}  ",
            others=" " * (column + 4),
        )
        for command in commands
    ]
    return _page(
        f"usage: {program} COMMAND [FLAG ...]",
        _wrapped(description, width),
        "\n".join(["commands:", *lines]),
        _section("options", [_HELP, ("--version", ("show the version and exit",))], width),
        f"{program} COMMAND --help tells a command's flags.",
    )


def page(program: str, command: Command, width: int) -> str:
    """The help of one command: its flags by group, each with default and variable."""
    groups: dict[str, list[Flag]] = {}
    for flag in command.flags:
        groups.setdefault(flag.group, []).append(flag)
    ungrouped = [_entry(flag) for flag in groups.pop("", [])]
    return _page(
        f"usage: {program} {command.usage}",
        _wrapped(command.description, width),
        *(
            _section("arguments", [(argument.metavar, (argument.help,))], width)
            for argument in command.arguments
        ),
        *(_section(title, map(_entry, flags), width) for title, flags in groups.items()),
        _section("options", [*ungrouped, _HELP], width),
        *([_wrapped(_ENVIRONMENT, width)] if command.flags else []),
    )


def _entry(flag: Flag) -> tuple[str, Sequence[str]]:
    return flag.usage, (flag.help, " ".join(f"[{note}]" for note in flag.notes))


def _section(title: str, entries: Iterable[tuple[str, Sequence[str]]], width: int) -> str:
    lines = [f"{title}:"]
    for head, paragraphs in entries:
        lines.append(f"  {head}")
        lines += [_wrapped(text, width, first=" " * 8, others=" " * 8) for text in paragraphs]
    return "\n".join(lines)


def _wrapped(text: str, width: int, first: str = "", others: str = "") -> str:
    return textwrap.fill(
        text,
        min(width, _WIDEST),
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _page(*parts: str) -> str:
    return "\n\n".join(parts) + "\n"
