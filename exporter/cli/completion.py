"""`completion`: click's script for a shell, and the answers when such a script asks at a TAB."""

import glob
from pathlib import Path

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    shell_complete,
)

from exporter.cli.commands import COMPLETION_VARIABLE, PROGRAM, program
from exporter.cli.signals import Signals


class _WithEquals(ShellComplete):
    """Completes the value in --option=value too."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        # bash breaks --option=value into three words; other shells replace the one word as a whole
        words = [word for word in args if word != "="]
        items = super().get_completions(words, incomplete)
        option, equals, value = incomplete.partition("=")
        if not (equals and option.startswith("--")):
            return items
        values = [item.value for item in items if item.type == "plain"]
        if any(item.type == "file" for item in items):
            found = sorted(glob.glob(glob.escape(value) + "*"))  # noqa: PTH207  # as the user writes
            values += [path + "/" * Path(path).is_dir() for path in found]
        return [CompletionItem(f"{option}={each}") for each in values]


class _Bash(_WithEquals, BashComplete):
    pass


class _Zsh(_WithEquals, ZshComplete):
    pass


class _Fish(_WithEquals, FishComplete):
    # click's script would cut a description or a file's name at its first comma
    source_template = FishComplete.source_template.replace('split ","', 'split --max 1 ","')


def run(_signals: Signals, shell: str) -> int:
    """Print the script."""
    return complete(f"{shell}_source")


def complete(instruction: str) -> int:
    """Print a script (`SHELL_source`), or what such a script asks for (`SHELL_complete`)."""
    for kind in (_Bash, _Zsh, _Fish):
        add_completion_class(kind)
    return shell_complete(program(), {}, PROGRAM, COMPLETION_VARIABLE, instruction)
