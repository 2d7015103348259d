"""Flags: names, defaults, help and the environment variables that stand in for them.

One definition for each, from which the parser, the help and the tests of the documents are made.
Knows nothing of what a flag's value does.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn, cast

from exporter.logs import LogFormat

ENVIRONMENT_PREFIX: Final = "AGENT_REST_EXPORTER_"


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
    """One command: what it does, its flags, and what runs it."""

    name: str
    summary: str
    run: Callable[[argparse.Namespace], int]
    flags: tuple[Flag, ...] = field(default_factory=tuple)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, as an operator's log wants them."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def build(
    program: str, description: str, commands: Sequence[Command], environ: Mapping[str, str]
) -> Parser:
    """The parser for all commands. The environment's values become the flags' defaults."""
    parser = Parser(prog=program, description=description, allow_abbrev=False)
    parser.set_defaults(run=None)
    subparsers = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True
    )
    for command in commands:
        subparser = subparsers.add_parser(
            command.name,
            help=command.summary,
            description=f"{command.summary[0].upper()}{command.summary[1:]}.",
            allow_abbrev=False,
            epilog="Every flag can come from the environment: "
            f"{ENVIRONMENT_PREFIX}… with dots and dashes as underscores.",
        )
        subparser.set_defaults(run=command.run)
        for flag in command.flags:
            _add(subparser, flag, environ)
    return parser


def _add(parser: argparse.ArgumentParser, flag: Flag, environ: Mapping[str, str]) -> None:
    name, given = f"--{flag.name}", environ.get(flag.variable)
    if not flag.metavar:
        default = given not in {None, "", "0", "false"}
        parser.add_argument(
            name, dest=flag.attribute, action="store_true", default=default, help=flag.help
        )
        return
    default_text = flag.default if given is None else given
    options: dict[str, Any] = {
        "dest": flag.attribute,
        "type": _parser_of(flag, given),
        "default": default_text,
        "metavar": "{" + ",".join(flag.choices) + "}" if flag.choices else flag.metavar,
        "help": f"{flag.help} (default: {flag.default})" if flag.default else flag.help,
    }
    if flag.repeatable:
        options |= {
            "action": _Extend,
            "default": default_text if default_text is not None else [],
            "help": f"{options['help']}; repeatable",
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
