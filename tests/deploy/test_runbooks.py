"""The runbooks: a page for each alert, with valid queries and commands."""

import re
import shlex
from pathlib import Path

import promql_parser
import pytest

from exporter.errors import Reason
from tests.support.alert_rules import (
    RUNBOOKS,
    alerts,
    alerts_of_the_chart,
    exposed_names,
    names_in,
    rules,
)
from tests.support.command_line import parsed
from tests.support.runbook_pages import PAGES, blocks, commands, definitions_text, prose

ALERTS = alerts() | alerts_of_the_chart()
INDEX = RUNBOOKS / "README.md"
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
# The first command of each page about a target or a server asks it now.
ASK_THE_SERVER = "exporter check --live --cms=lima"
ASK_THE_TARGET = "exporter query --cms=lima --cc-id=1 --vdn=2"
FIRST = {
    "AgentRestReloadFailed": "exporter check",
    "AgentRestNoTargets": "exporter check --shard=1/2",
    "AgentRestCrashLooping": "logs | grep --before-context=3 'has started' | tail --lines=40",
    "AgentRestShardMissing": (
        "kubectl --namespace=agent-rest get pods "
        "--selector=app.kubernetes.io/name=agent-rest-exporter --output=wide"
    ),
    "AgentRestExporterDown": "systemctl status --no-pager agent-rest-exporter",
}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    """And there is one index."""
    assert sorted(RUNBOOKS.iterdir()) == sorted([*PAGES, INDEX])


@each_page
def test_sections(page: Path) -> None:
    """The same four, none empty, below the alert's name, team and condition."""
    text = page.read_text(encoding="utf-8")
    alert = ALERTS[page.stem]
    assert text.startswith(
        f"# {alert.name}\n\n<!-- make rules: alert -->\n"
        f"**{'** or **'.join(alert.severities)}**, for the {alert.team} team: "
    )
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    assert parts[1::2] == SECTIONS
    assert all(part.strip() for part in parts[2::2])


@each_page
def test_the_first_command_asks(page: Path) -> None:
    """The target or the server itself; pages about the exporter look at the exporter."""
    first = FIRST.get(page.stem)
    assert commands(page)[0] in ([first] if first else [ASK_THE_SERVER, ASK_THE_TARGET])
    text = page.read_text(encoding="utf-8")
    assert text.count(definitions_text()) == 1
    assert blocks(text, "promql")


@each_page
def test_numbers_are_not_written_by_hand(page: Path) -> None:
    """Limits and times come from the table of alerts, above the first section."""
    written = prose(page).replace("within 30 seconds", "").replace("within 30\nseconds", "")
    assert not re.findall(r"\b(?:\d+|five|ten|an)\s(?:seconds?|minutes?|hours?|days?)\b", written)


@each_page
def test_expressions_are_promql_of_metrics_that_exist(page: Path) -> None:
    """Each line of a PromQL block is one whole expression."""
    for line in blocks(page.read_text(encoding="utf-8"), "promql"):
        promql_parser.parse(line)
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    text = re.sub(
        r"\w+:\w+:\w+",
        lambda name: "" if name[0] in recorded else name[0],
        page.read_text(encoding="utf-8"),
    )
    assert names_in(text) <= exposed_names()
    assert not re.findall(r"\w+:agent_rest\w*:\w+", text)


@each_page
def test_commands_exist(page: Path) -> None:
    """The exporter's own parser accepts them. tests/deploy/test_runbook_commands.py runs them."""
    for line in commands(page):
        words = shlex.split(line)
        if words[0] == "exporter":
            parsed(words[1:])


@each_page
def test_alerts_that_a_page_names_exist(page: Path) -> None:
    """No page refers to an alert that was renamed."""
    named = re.findall(r"\bAgentRest\w+", page.read_text(encoding="utf-8"))
    assert set(named) <= ALERTS.keys()


def test_a_target_that_is_down_is_explained_for_every_reason() -> None:
    """The table of AgentRestTargetDown says what to do about each failure reason."""
    page = (RUNBOOKS / "AgentRestTargetDown.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(cells))) == sorted(Reason)
