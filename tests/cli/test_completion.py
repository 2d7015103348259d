"""Completion, in real shells on real terminals: what a TAB makes of a line."""

import re
import shlex
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exporter.cli.commands import COMMANDS, COMPLETION_VARIABLE, PROGRAM
from tests.support.processes import COMMAND, MEASURED, clean_environment, program, run
from tests.support.terminal import Terminal, terminal

pytestmark = pytest.mark.anyio

SHELLS = {
    "bash": (["bash", "--norc", "-i"], f"source <({PROGRAM} completion bash)"),
    "zsh": (
        ["zsh", "-f", "-i"],
        f"autoload -U compinit; compinit -u -D; source <({PROGRAM} completion zsh)",
    ),
}


@asynccontextmanager
async def shell(name: str, folder: Path) -> AsyncIterator[Terminal]:
    """A shell that has loaded its script, in a folder with a file."""
    (folder / "my config.yaml").touch()
    command, load = SHELLS[name]
    # each TAB starts the command; what it then runs is measured with fish
    environ = clean_environment({"HOME": str(folder), "PS1": "> "})
    environ["PATH"] = f"{Path(COMMAND).parent}:{environ['PATH']}"
    async with terminal(
        program(command[0], command[0]), *command[1:], cwd=folder, environ=environ
    ) as found:
        found.type(f"{load}; echo load''ed\n")
        await found.wait_for("loaded")
        yield found


@pytest.mark.parametrize("name", SHELLS)
async def test_a_tab_completes(name: str, tmp_path: Path) -> None:
    """Commands, flags with dots in their names, values in both spellings, files with spaces."""
    async with shell(name, tmp_path) as found:
        for typed, completed in (
            ("heal", "healthcheck "),
            ("help heal", "help healthcheck "),
            ("--vers", "--version "),
            ("serve --log.f", "serve --log.format "),
            ("serve --log.level d", "serve --log.level debug "),
            ("serve --log.level=w", "serve --log.level=warning "),
            ("simulate --scenario gz", "simulate --scenario gzip-bomb "),
            ("completion fi", "completion fish "),
            ("check m", r"check my\ config.yaml "),
            ("check --config.file m", r"check --config.file my\ config.yaml "),
            ("check --config.file=m", r"check --config.file=my\ config.yaml "),
        ):
            found.type(f"{PROGRAM} {typed}\t")
            assert await found.wait_for(re.escape(f"{PROGRAM} {completed}"))
            found.type("\x15")  # Ctrl-U: an empty line


async def test_bash_offers_what_there_is(tmp_path: Path) -> None:
    """All commands in the order of the help, and all flags that begin like that."""
    async with shell("bash", tmp_path) as found:
        found.type(f"{PROGRAM} \t\t")
        for command in COMMANDS:
            await found.wait_for(str(command.name))
        found.type(f"\x15{PROGRAM} serve --log.\t\t")
        await found.wait_for(r"--log\.level +--log\.format")


def test_fish_completes(tmp_path: Path) -> None:
    """It can be asked without a terminal."""
    (tmp_path / "a, b.yaml").touch()
    (tmp_path / "my config.yaml").touch()
    (tmp_path / "my folder").mkdir()
    offers = {
        "heal": ["healthcheck\tCheck whether a running exporter is healthy, for containers."],
        "serve --log.f": ["--log.format\tFormat of log lines on stderr."],
        "serve --log.level d": ["debug"],
        "serve --log.level=w": ["--log.level=warning"],
        "check a": ["a, b.yaml"],
        "check --config.file=my": ["--config.file=my config.yaml", "--config.file=my folder/"],
    }
    script = f"{PROGRAM} completion fish | source\n" + "".join(
        f"complete -C {shlex.quote(f'{PROGRAM} {words}')}; echo\n" for words in offers
    )
    environ = clean_environment({**MEASURED, "HOME": str(tmp_path)})
    environ["PATH"] = f"{Path(COMMAND).parent}:{environ['PATH']}"
    done = subprocess.run(
        [program("fish", "fish"), "--no-config", "-c", script],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        env=environ,
        text=True,
    )
    found = [part.strip("\n").split("\n") for part in done.stdout.split("\n\n") if part]
    assert found == [*offers.values()]


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_script_is_clicks(name: str) -> None:
    """The variable is the one that click's documentation names."""
    done = run("completion", name)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{COMPLETION_VARIABLE}={name}_complete" in done.stdout
    assert run(environ={COMPLETION_VARIABLE: f"{name}_source"}).stdout == done.stdout


def test_a_shell_that_is_not_known() -> None:
    """Names those that are."""
    done = run("completion", "tcsh")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "agent-rest-exporter completion: invalid value for 'SHELL': 'tcsh' is not one of "
        "'bash', 'zsh', 'fish'; see agent-rest-exporter completion --help\n"
    )
