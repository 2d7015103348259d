"""The page about rehearsals: every alert has a way to make it fire, and every option exists."""

import re
import shlex

import pytest

from exporter.cli.commands import COMMANDS
from exporter.durations import parse_duration
from exporter.simulator.scenarios import KINDS, parse_scenario
from tests.support.alert_rules import alerts
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "rehearse.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(AgentRest\w+)` \| (.*) \| (\d+) min \|$", PAGE, re.MULTILINE)


def test_every_alert_can_be_rehearsed() -> None:
    """Each once, and no other."""
    assert sorted(name for name, _, _ in ROWS) == sorted(alerts())


@pytest.mark.parametrize(("name", "how", "minutes"), ROWS)
def test_an_alert_is_awaited_for_long_enough(name: str, how: str, minutes: str) -> None:
    """Longer than its rule waits; and each scenario exists."""
    hold = alerts()[name].hold
    assert int(minutes) * 60 > parse_duration(hold or "5m")
    for scenario in re.findall(r"--scenario (\S+?)[` ,]", f"{how} "):
        assert parse_scenario(scenario).kind in KINDS


def test_the_commands_have_these_options() -> None:
    """As they are typed."""
    known = {str(command.name): {flag.opts[0] for flag in command.flags} for command in COMMANDS}
    lines = re.findall(r"^ {4}agent-rest-exporter (.*)$", PAGE, re.MULTILINE)
    assert len(lines) >= 6
    for line in lines:
        words = [word for word in shlex.split(line) if word.startswith("--")]
        assert set(words) <= known[line.split()[0]]
