"""What `--help` says: readable at 80 columns, and complete."""

import pytest

from exporter.cli import COMMANDS, PROGRAM
from exporter.cli import help as help_text
from exporter.cli.flags import Argument, Command, Flag
from tests.support.processes import run

COLUMNS = {"COLUMNS": "80"}


def nothing(_: object) -> int:
    """Stands for what a command does."""
    return 0


PAINT = Command(
    "paint",
    "paint a wall",
    nothing,
    (
        Flag("web.colour", "which one; 100% of the wall gets it", "red", choices=("red", "blue")),
        Flag("wall", "where", metavar="FILE", required=True, repeatable=True),
        Flag("log.loud", "say so", metavar=""),
    ),
    (Argument("brush", "what with", ("broad", "thin")),),
)


def test_the_overview() -> None:
    """Commands in their order, with their summaries in a column."""
    done = run("--help", environ={"COLUMNS": "70"})
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:7] == [
        "usage: agent-rest-exporter COMMAND [FLAG ...]",
        "",
        "Prometheus exporter for agents' rests in Huawei AICC/CEC call centers.",
        "",
        "commands:",
        "  serve        poll the configured targets and serve their metrics",
        "  check        validate the configuration and predict the load it",
    ]
    assert lines[7] == "               makes"
    assert lines[-1] == "agent-rest-exporter COMMAND --help tells a command's flags."


def test_the_page_of_a_command() -> None:
    """Flags by group, each with its default, what else holds, and its variable."""
    assert help_text.page("wall", PAINT, 60) == (
        "usage: wall paint [FLAG ...] {broad,thin}\n"
        "\n"
        "Paint a wall.\n"
        "\n"
        "arguments:\n"
        "  {broad,thin}\n"
        "        what with\n"
        "\n"
        "web:\n"
        "  --web.colour={red,blue}\n"
        "        which one; 100% of the wall gets it\n"
        "        [default: red] [$AGENT_REST_EXPORTER_WEB_COLOUR]\n"
        "\n"
        "log:\n"
        "  --log.loud\n"
        "        say so\n"
        "        [$AGENT_REST_EXPORTER_LOG_LOUD]\n"
        "\n"
        "options:\n"
        "  --wall=FILE\n"
        "        where\n"
        "        [required] [repeatable] [$AGENT_REST_EXPORTER_WALL]\n"
        "  -h, --help\n"
        "        show this help and exit\n"
        "\n"
        "Every flag can come from the environment, by the variable\n"
        "beside it; one on the command line goes before it.\n"
    )


def test_a_wide_terminal_does_not_make_long_lines() -> None:
    """100 columns are the most that anybody reads with ease."""
    assert max(map(len, help_text.page(PROGRAM, COMMANDS[0], 300).splitlines())) <= 100


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_help_of_every_command_fits_a_terminal(command: Command) -> None:
    """And tells of every flag its default and its variable."""
    done = run(command.name, "--help", environ=COLUMNS)
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    for flag in command.flags:
        assert f"  {flag.usage}\n" in done.stdout
        assert f"[${flag.variable}]" in done.stdout
        assert not flag.default or f"[default: {flag.default}]" in done.stdout
    assert ("Every flag can come from the environment" in done.stdout) == bool(command.flags)


def test_the_help_does_not_show_what_the_environment_holds() -> None:
    """Defaults are the program's: a secret of the environment is nobody's example."""
    done = run("simulate", "--help", environ={"AGENT_REST_EXPORTER_SECRET_KEY": "canary-key"})
    assert done.returncode == 0
    assert "canary-key" not in done.stdout


def test_an_unknown_command_names_those_that_there_are() -> None:
    """In one line, with status 2."""
    done = run("server")
    names = ", ".join(repr(command.name) for command in COMMANDS)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"agent-rest-exporter: argument COMMAND: invalid choice: 'server' (choose from {names}); "
        "see agent-rest-exporter --help\n"
    )
