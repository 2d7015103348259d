"""docs/workbench.md: its commands exist, and its numbers are the program's."""

import re
import shlex

import pytest

from exporter.cli.check_live import FEW
from exporter.cli.commands import COMMANDS
from exporter.cli.query import REMEMBERED, SHORTEST, parse_interval
from tests.support.command_line import parsed
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "workbench.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())
LINES = re.findall(r"^ {4}agent-rest-exporter (.*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("line", LINES)
def test_commands_are_understood(line: str) -> None:
    """With all of their options."""
    words = shlex.split(line.partition(" | ")[0])
    assert parsed(words).command == words[0]


def test_every_option_of_the_workbench_is_shown() -> None:
    """What `query` can do beside its table, and `check --live` of one server."""
    shown = " ".join(LINES)
    for flag in ("--live", "--cms", "--watch", "--raw", "--record", "--explain-signature"):
        assert flag in shown


def test_the_numbers_are_the_programs() -> None:
    """How many, how often, how long."""
    [query] = [command for command in COMMANDS if command.name == "query"]
    [watch] = [flag for flag in query.flags if flag.opts[0] == "--watch"]
    assert f"more than {FEW} targets shows only what is wrong" in TEXT
    assert f"every {parse_interval(watch.flag_value):g} seconds by default" in TEXT
    assert (SHORTEST, REMEMBERED) == (1.0, 10)
    assert "at most once a second" in TEXT
    assert "with the last ten polls" in TEXT
