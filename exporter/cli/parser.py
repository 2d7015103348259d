"""From the definitions of commands and flags to a parser of command lines.

Knows argparse, and that the environment stands in for flags that are not given; not what a flag's
value does.
"""

import argparse
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn, cast

from exporter.cli import help as help_text
from exporter.cli.flags import Argument, Command, Flag


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, as an operator's log wants them.

    Args:
        explain: gives the text of `--help` for a terminal with so many columns.
        options: argparse's own.
    """

    def __init__(self, explain: Callable[[int], str], **options: Any) -> None:  # noqa: ANN401  # argparse's
        super().__init__(allow_abbrev=False, **options)
        self._explain = explain

    def format_help(self) -> str:
        """What `--help` says."""
        return self._explain(shutil.get_terminal_size().columns)

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def build(
    program: str, description: str, commands: Sequence[Command], environ: Mapping[str, str]
) -> Parser:
    """The parser for all commands. The environment's values become the flags' defaults."""
    parser = Parser(partial(help_text.overview, program, description, commands), prog=program)
    subparsers = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    for command in commands:
        explain = partial(help_text.page, program, command)
        subparser = subparsers.add_parser(command.name, explain=explain)
        subparser.set_defaults(run=command.run)
        for argument in command.arguments:
            subparser.add_argument(argument.name, type=_choice_of(argument))
        for flag in command.flags:
            _add(subparser, flag, environ)
    return parser


def _add(parser: argparse.ArgumentParser, flag: Flag, environ: Mapping[str, str]) -> None:
    name, given = f"--{flag.name}", environ.get(flag.variable)
    if not flag.metavar:
        default = given not in {None, "", "0", "false"}
        parser.add_argument(name, dest=flag.attribute, action="store_true", default=default)
        return
    default_text = flag.default if given is None else given
    options: dict[str, Any] = {
        "dest": flag.attribute,
        "type": _parser_of(flag, given),
        "default": default_text,
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
        return flag.parse(_chosen(text, flag.choices))

    def parse(text: str) -> object:
        try:
            return [one(part) for part in text.split(",")] if flag.repeatable else one(text)
        except ValueError as error:
            origin = f" (from {flag.variable})" if text == given else ""
            raise argparse.ArgumentTypeError(f"{error}{origin}") from None

    return parse


def _choice_of(argument: Argument) -> Callable[[str], str]:
    def parse(text: str) -> str:
        try:
            return _chosen(text, argument.choices)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse


def _chosen(text: str, choices: tuple[str, ...]) -> str:
    if choices and text not in choices:
        raise ValueError(f"{text!r} is none of {', '.join(choices)}")
    return text
