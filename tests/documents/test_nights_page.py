"""docs/nights.md, which `make nights` writes, names what there is."""

import re

import pytest
import yaml

from tests.support.alert_rules import RUNBOOKS, alerts
from tests.support.paths import ROOT
from tests.support.runbook_pages import commands

PAGE = (ROOT / "docs" / "nights.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and "**" in line
]
ALERTS = alerts()
RECEIVERS = {
    receiver["name"]
    for receiver in yaml.safe_load(
        (ROOT / "deploy/alertmanager/alertmanager.yml").read_text(encoding="utf-8")
    )["receivers"]
}


def test_there_are_thirteen() -> None:
    """Each with another cause."""
    assert len({row[0] for row in ROWS}) == len(ROWS) == 13


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_night_is_of_today(row: list[str]) -> None:
    """Its alert goes to that receiver, and its command is the runbook's first one."""
    _happens, told, _words, command = row
    found = re.fullmatch(r"\*\*([\w-]+)\*\*<br>\[(\w+)\]\(runbooks/\2\.md\)(.*)", told)
    assert found
    receiver, name, held_back = found.groups()
    alert = ALERTS[name]
    assert receiver in {f"{alert.team}-{severity}" for severity in alert.severities} & RECEIVERS
    assert set(re.findall(r"AgentRest\w+", held_back)) <= ALERTS.keys()
    first = commands(RUNBOOKS / f"{name}.md")[0]
    typed = command.partition("<br>")[0].strip("`").replace("\\|", "|")
    assert re.sub(r"--cms=\w+", "--cms=lima", typed) == first
