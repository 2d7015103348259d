"""Command lines that documents and deployments name, as the exporter itself understands them."""

from collections.abc import Sequence
from types import SimpleNamespace

from exporter.cli.commands import COMMANDS


def parsed(arguments: Sequence[str]) -> SimpleNamespace:
    """The command and the values of its flags. A command line that is wrong raises."""
    [command] = [each for each in COMMANDS if each.name == arguments[0]]
    with command.make_context(command.name, [*arguments[1:]]) as context:
        return SimpleNamespace(command=command.name, **context.params)


def variables() -> set[str]:
    """The environment variables of all flags."""
    return {flag.envvar for command in COMMANDS for flag in command.flags}
