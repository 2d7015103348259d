"""The runbooks: a page for each alert, with valid queries and commands."""

import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import promql_parser
import pytest

from exporter.cli.commands import PROGRAM
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

ALERTS = alerts() | alerts_of_the_chart()
INDEX = RUNBOOKS / "README.md"
PAGES = sorted(RUNBOOKS / f"{name}.md" for name in ALERTS)
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
PATHS = {"/", "/metrics", "/-/healthy", "/-/reload"}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def blocks(page: Path, language: str) -> list[str]:
    """The lines of a page's code blocks in a language; each is one command or expression."""
    found = re.findall(
        rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return [line for block in found for line in block.splitlines()]


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    """And there is one index."""
    assert sorted(RUNBOOKS.iterdir()) == sorted([*PAGES, INDEX])


@each_page
def test_sections(page: Path) -> None:
    """The same four, none empty, below the alert's name, severity and time."""
    text = page.read_text(encoding="utf-8")
    alert = ALERTS[page.stem]
    hold = f"after {alert.hold.removesuffix('m')} minutes" if alert.hold else "at once"
    assert text.startswith(f"# {alert.name}\n\n**{alert.severity}**, {hold}")
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    assert parts[1::2] == SECTIONS
    assert all(part.strip() for part in parts[2::2])


@each_page
def test_diagnosis_has_something_to_type(page: Path) -> None:
    """Every page has a query for Prometheus."""
    assert blocks(page, "promql")


@each_page
def test_expressions_are_promql_of_metrics_that_exist(page: Path) -> None:
    """Each line of a PromQL block is one whole expression."""
    for line in blocks(page, "promql"):
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
    """The exporter's own parser accepts its commands and flags, and its URLs exist."""
    for line in blocks(page, "sh"):
        words = shlex.split(line)
        if words[0] == PROGRAM:
            parsed(words[1:])
        for word in words:
            parts = urlsplit(word)
            if parts.hostname == "localhost":
                assert parts.port == 10072
                assert parts.path in PATHS


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


def test_the_index_lists_every_alert_with_its_severity_and_time() -> None:
    """Both determine how the alert is routed."""
    rows = re.findall(
        r"^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \| [^|]+ \| ([^|]+) \|$",
        INDEX.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert sorted(rows) == sorted(
        (name, name, alert.severity, alert.hold.replace("m", " minutes") or "at once")
        for name, alert in ALERTS.items()
    )
