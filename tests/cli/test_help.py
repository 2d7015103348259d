"""What `--help` says, to the letter, at 80 columns; and that asking for it is quick.

`HELP=write pytest tests/cli/test_help.py` writes the files anew.
"""

import os
import subprocess
import sys

import pytest

from exporter.cli.commands import COMMANDS, PROGRAM
from tests.support.paths import FIXTURES
from tests.support.processes import clean_environment, run

HELP = FIXTURES / "help"
NAMES = [str(command.name) for command in COMMANDS]
HEAVY = {"aiohttp", "asyncio", "httpx", "msgspec", "prometheus_client", "pydantic", "rich", "yaml"}


@pytest.mark.parametrize("name", [PROGRAM, *NAMES])
def test_the_help_of_every_command(name: str) -> None:
    """As a file shows it: every flag with its group, its default and its variable."""
    done = run(*([] if name == PROGRAM else [name]), "--help", environ={"COLUMNS": "80"})
    assert (done.returncode, done.stderr) == (0, "")
    file = HELP / f"{name}.txt"
    if os.environ.get("HELP") == "write":
        file.write_text(done.stdout, encoding="utf-8")
    assert done.stdout == file.read_text(encoding="utf-8")
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_there_is_no_help_of_what_is_no_command() -> None:
    """A file that is left over is not believed."""
    assert {path.stem for path in HELP.iterdir()} == {PROGRAM, *NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_the_help_tells_of_every_flag(name: str) -> None:
    """With its variable and its default."""
    text = " ".join((HELP / f"{name}.txt").read_text(encoding="utf-8").split())
    [command] = [each for each in COMMANDS if each.name == name]
    for flag in command.flags:
        default = f"; default: {flag.written_default}" if flag.written_default else ""
        assert f" {flag.opts[0]} " in text.replace("[=", " [=")
        assert f"[env var: {flag.envvar}{default}" in text


@pytest.mark.parametrize(
    ("words", "same"),
    [
        (["-h"], ["--help"]),
        (["help"], ["--help"]),
        (["help", "serve"], ["serve", "--help"]),
        (["serve", "-h"], ["serve", "--help"]),
        (["-V"], ["--version"]),
    ],
)
def test_the_ways_to_ask(words: list[str], same: list[str]) -> None:
    """All the usual ones."""
    done, other = run(*words), run(*same)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", other.stdout)
    assert done.stdout


def test_without_a_command() -> None:
    """The help, to stderr and with status 2: a service that lost its command has failed."""
    done = run()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == run("--help").stdout


def test_a_wide_terminal_does_not_make_long_lines() -> None:
    """Longer ones are hard to read."""
    done = run("serve", "--help", environ={"COLUMNS": "300"})
    assert 80 < max(map(len, done.stdout.splitlines())) <= 100


def test_the_help_does_not_show_what_the_environment_has() -> None:
    """Defaults are the program's: a secret of the environment is not an example."""
    done = run("simulate", "--help", environ={"AGENT_REST_EXPORTER_SECRET_KEY": "canary-key"})
    assert done.returncode == 0
    assert "canary-key" not in done.stdout


@pytest.mark.parametrize(
    "words",
    [["--help"], ["serve", "--help"], ["healthcheck", "--url=http://127.0.0.1:1"], ["--version"]],
    ids=" ".join,
)
def test_quick_commands_import_little(words: list[str]) -> None:
    """A container's health check pays for every import, each time."""
    script = (
        "import sys; from exporter.cli import main; main(sys.argv[1:]);"
        f"print(sorted({HEAVY} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        capture_output=True,
        check=True,
        env=clean_environment(),
        text=True,
    )
    assert done.stderr.splitlines()[-1] == "[]"
