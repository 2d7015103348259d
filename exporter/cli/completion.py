"""`completion`: a script that teaches a shell the commands and their flags.

Generated from the definitions, so that it knows what the parser knows.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from exporter.cli import completion_bash, completion_fish, completion_zsh
from exporter.cli.flags import Argument, Command

SCRIPTS: Final[Mapping[str, Callable[[str, Sequence[Command]], str]]] = MappingProxyType(
    {
        "bash": completion_bash.script,
        "zsh": completion_zsh.script,
        "fish": completion_fish.script,
    }
)
"""What makes each shell's script, from the program's name and its commands."""


def command(program: str, others: Sequence[Command]) -> Command:
    """The command, which completes itself and the others."""

    def run(arguments: argparse.Namespace) -> int:
        print(SCRIPTS[arguments.shell](program, (*others, itself)), end="")
        return 0

    itself = Command(
        "completion",
        "print a script that completes commands and flags in a shell",
        run,
        arguments=(Argument("shell", "the shell it is for", tuple(SCRIPTS)),),
    )
    return itself
