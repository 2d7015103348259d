"""Flags: names, defaults, help and the environment variables that stand in for them.

One definition for each, from which the parser, its help, the completion of shells, the manual and
the tests of the documents are made. Knows nothing of what a flag's value does.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.service.logs import LogFormat

ENVIRONMENT_PREFIX: Final = "AGENT_REST_EXPORTER_"
_GROUPS: Final = {"config": "configuration", "tls": "TLS"}


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
        """The title under which the help lists it, by what stands before its dot; or empty."""
        first, dot, _ = self.name.partition(".")
        return _GROUPS.get(first, first) if dot else ""

    @property
    def usage(self) -> str:
        """How it is written on the command line."""
        value = _one_of(self.choices) if self.choices else self.metavar
        return f"--{self.name}={value}" if self.metavar else f"--{self.name}"

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

    @property
    def metavar(self) -> str:
        """What the help calls it."""
        return _one_of(self.choices)


CONFIG_FILE: Final = Flag(
    "config.file", "the configuration", default="config.yaml", metavar="FILE", parse=Path
)
JSON: Final = Flag("json", "print what is found as JSON, for scripts", metavar="")
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
        flags = ["[FLAG ...]"] if self.flags else []
        return " ".join([self.name, *flags, *(argument.metavar for argument in self.arguments)])


def _one_of(choices: tuple[str, ...]) -> str:
    return "{" + ",".join(choices) + "}"
