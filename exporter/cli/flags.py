"""Flags: names, defaults, help and the environment variables that stand in for them.

One definition for each, from which the parser, its help, the completion of shells, the manual and
the tests of the documents are made. Knows nothing of what a flag's value does.
"""

import argparse
import shutil
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, cast

from exporter.logs import LogFormat

ENVIRONMENT_PREFIX: Final = "AGENT_REST_EXPORTER_"
_GROUPS: Final = {"config": "configuration", "web": "web", "log": "log", "tls": "TLS"}
_WIDEST: Final = 100
"""Columns of the help on a wide terminal: longer lines are hard to read."""


class UsageError(Exception):
    """Flags that were read and cannot be used: one sentence that names the flag."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of one or more commands.

    Args:
        name: without its two dashes.
        help: one sentence, in lower case, without the default.
        default: as text, as a user would write it; None if the flag must be given or may be left
            out altogether.
        metavar: what its value is called in the help; empty for a flag without a value.
        parse: from text to value; raises ValueError with a sentence.
        choices: the only values allowed.
        repeatable: may be given several times, or once with commas; its value is a list.
        required: must be given, here or in the environment.
    """

    name: str
    help: str
    default: str | None = None
    metavar: str = "TEXT"
    parse: Callable[[str], object] = str
    choices: tuple[str, ...] = ()
    repeatable: bool = False
    required: bool = False

    @property
    def attribute(self) -> str:
        """Where its value is found in the namespace that the parser gives."""
        return self.name.translate(str.maketrans(".-", "__"))

    @property
    def variable(self) -> str:
        """The environment variable that stands in for the flag."""
        return ENVIRONMENT_PREFIX + self.attribute.upper()

    @property
    def group(self) -> str:
        """The title under which the help lists it, after what stands before its dot."""
        first, dot, _ = self.name.partition(".")
        return _GROUPS.get(first, first) if dot else "options"

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user must know of it beside its help, a few words each."""
        notes = [f"${self.variable}"]
        if self.repeatable:
            notes.insert(0, "repeatable")
        if self.required:
            notes.insert(0, "required")
        if self.default:
            notes.insert(0, f"default: {self.default}")
        return tuple(notes)


@dataclass(frozen=True, slots=True)
class Argument:
    """What a command is told without a flag."""

    name: str
    help: str
    choices: tuple[str, ...]


CONFIG_FILE: Final = Flag(
    "config.file", "the configuration", default="config.yaml", metavar="FILE", parse=Path
)
LOG_LEVEL: Final = Flag(
    "log.level", "log this and what is worse", "info", choices=("debug", "info", "warning", "error")
)
LOG_FORMAT: Final = Flag(
    "log.format",
    "how log lines on stderr are written",
    LogFormat.LOGFMT.value,
    parse=LogFormat,
    choices=tuple(LogFormat),
)


@dataclass(frozen=True, slots=True)
class Command:
    """One command: what it does, its flags, and what runs it.

    Args:
        name: as it is typed.
        summary: one line in lower case, without a full stop.
        run: gives the exit status.
        flags: in the order of the help.
        arguments: what it must be told beside them, in order.
    """

    name: str
    summary: str
    run: Callable[[argparse.Namespace], int]
    flags: tuple[Flag, ...] = ()
    arguments: tuple[Argument, ...] = ()

    @property
    def description(self) -> str:
        """The summary as a sentence."""
        return f"{self.summary[0].upper()}{self.summary[1:]}."

    @property
    def usage(self) -> str:
        """What stands behind the program's name."""
        words = (f"{{{','.join(argument.choices)}}}" for argument in self.arguments)
        return " ".join([self.name, "[FLAG ...]", *words])


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, as an operator's log wants them."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


class _Formatter(argparse.HelpFormatter):
    """Help below its flag, since the names of flags are long; its lines stay lines."""

    def __init__(self, prog: str) -> None:
        width = min(shutil.get_terminal_size().columns, _WIDEST)
        super().__init__(prog, max_help_position=8, width=width)

    def _split_lines(self, text: str, width: int) -> list[str]:
        wrapper = textwrap.TextWrapper(width, break_on_hyphens=False, break_long_words=False)
        return [part for line in text.splitlines() for part in wrapper.wrap(line)]


def build(
    program: str, description: str, commands: Sequence[Command], environ: Mapping[str, str]
) -> Parser:
    """The parser for all commands. The environment's values become the flags' defaults."""
    parser = Parser(
        prog=program,
        description=description,
        allow_abbrev=False,
        usage="%(prog)s COMMAND [FLAG ...]",
        epilog=f"{program} COMMAND --help tells a command's flags.",
    )
    parser.set_defaults(run=None)
    subparsers = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True, prog=program
    )
    for command in commands:
        subparser = subparsers.add_parser(
            command.name,
            help=_escaped(command.summary),
            description=_escaped(command.description),
            usage=_escaped(f"{program} {command.usage}"),
            allow_abbrev=False,
            formatter_class=_Formatter,
            epilog="Every flag can come from the environment, by the variable that stands with it; "
            "one on the command line goes before it.",
        )
        subparser.set_defaults(run=command.run)
        for argument in command.arguments:
            subparser.add_argument(
                argument.name, choices=argument.choices, help=_escaped(argument.help)
            )
        groups: dict[str, argparse._ActionsContainer] = {"options": subparser}
        for flag in command.flags:
            if flag.group not in groups:
                groups[flag.group] = subparser.add_argument_group(flag.group)
            _add(groups[flag.group], flag, environ)
    return parser


def _escaped(text: str) -> str:
    """A text that argparse shows as it is."""
    return text.replace("%", "%%")


def _add(parser: argparse._ActionsContainer, flag: Flag, environ: Mapping[str, str]) -> None:
    name, given = f"--{flag.name}", environ.get(flag.variable)
    explained = _escaped(f"{flag.help}\n{' '.join(f'[{note}]' for note in flag.notes)}")
    if not flag.metavar:
        default = given not in {None, "", "0", "false"}
        parser.add_argument(
            name, dest=flag.attribute, action="store_true", default=default, help=explained
        )
        return
    default_text = flag.default if given is None else given
    options: dict[str, Any] = {
        "dest": flag.attribute,
        "type": _parser_of(flag, given),
        "default": default_text,
        "metavar": "{" + ",".join(flag.choices) + "}" if flag.choices else flag.metavar,
        "help": explained,
    }
    if flag.repeatable:
        options |= {
            "action": _Extend,
            "default": default_text if default_text is not None else [],
        }
    elif flag.required:
        options["required"] = default_text is None
    parser.add_argument(name, **options)


class _Extend(argparse.Action):
    """Collects values; the first one given replaces the defaults instead of joining them."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        _option: str | None = None,
    ) -> None:
        before = getattr(namespace, self.dest)
        collected = [] if before is self.default else before
        setattr(namespace, self.dest, [*collected, *cast("list[object]", values)])


def _parser_of(flag: Flag, given: str | None) -> Callable[[str], object]:
    """What argparse calls with a flag's text, also with that of its default."""

    def one(text: str) -> object:
        if flag.choices and text not in flag.choices:
            raise ValueError(f"{text!r} is none of {', '.join(flag.choices)}")
        return flag.parse(text)

    def parse(text: str) -> object:
        try:
            return [one(part) for part in text.split(",")] if flag.repeatable else one(text)
        except ValueError as error:
            origin = f" (from {flag.variable})" if text == given else ""
            raise argparse.ArgumentTypeError(f"{error}{origin}") from None

    return parse
