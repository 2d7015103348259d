"""deploy/prometheus/alerts.yaml: the one place for the numbers of alerts."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.alert_rules import (
    PROMETHEUS,
    RULES,
    RUNBOOKS,
    TABLE,
    alerts,
    alerts_of_the_chart,
    generator,
)
from tests.support.paths import ROOT

GENERATOR = generator()
TEXT = TABLE.read_text(encoding="utf-8")


def changed(old: str, new: str) -> str:
    """The table with one change."""
    assert TEXT.count(old) == 1, old
    return TEXT.replace(old, new)


def generate(own: Path) -> subprocess.CompletedProcess[str]:
    """Write the rules of a table beside it."""
    script = str(PROMETHEUS / "generate.py")
    return subprocess.run(
        [sys.executable, script, f"--alerts={own}", f"--rules={own.parent}"],
        capture_output=True,
        check=False,
        text=True,
    )


def test_rules_are_what_is_generated() -> None:
    """They are neither edited by hand nor out of date."""
    rules = GENERATOR.Table(TEXT).rules()
    shipped = {path.name: path.read_text(encoding="utf-8") for path in RULES.iterdir()}
    assert rules == shipped, "run make rules"


def test_documents_are_what_is_generated() -> None:
    """The README, the runbooks and the install page."""
    documents = GENERATOR.Table(TEXT).documents()
    assert {
        ROOT / "README.md",
        ROOT / "docs" / "install.md",
        *RUNBOOKS.iterdir(),
    } == documents.keys()
    for path, text in documents.items():
        assert text == path.read_text(encoding="utf-8"), f"{path.name}: run make rules"


def test_the_alert_of_the_chart_is_as_in_the_table() -> None:
    """Its rule needs the number of shards, so the chart has it."""
    table = GENERATOR.Table(TEXT).alerts
    for name, alert in alerts_of_the_chart().items():
        assert (alert.team, *alert.severities, alert.hold) == (
            table[name]["team"],
            table[name]["severity"],
            table[name]["for"],
        )
    assert table.keys() == alerts().keys() | alerts_of_the_chart().keys()


def test_a_number_is_changed_once() -> None:
    """Rule, description, README and runbook follow."""
    table = GENERATOR.Table(changed("limit: 1h # where no max_rest is set", "limit: 1h30m"))
    rules = table.rules()["agent-rest-floor.yaml"]
    assert "agent_rest_longest_rest_seconds > 5400 unless agent_rest_max_rest_seconds" in rules
    assert "{{ else }}1h30m{{ end }}." in rules
    documents = table.documents()
    sentence = "exceeds `max_rest`, or 1 hour 30 minutes if none is set, for 5 minutes"
    for path in (ROOT / "README.md", RUNBOOKS / "README.md", RUNBOOKS / "AgentRestTooLong.md"):
        assert sentence in " ".join(documents[path].split())


def test_a_site_keeps_a_table_of_its_own(tmp_path: Path) -> None:
    """As the script's help says: other numbers, job and runbooks, outside this repository."""
    own = tmp_path / "alerts.yaml"
    own.write_text(
        re.sub(r"^runbooks: .*$", "runbooks: https://wiki.example", TEXT, flags=re.MULTILINE)
        .replace("job: agent-rest-exporter", "job: rests")
        .replace("limit: 14d", "limit: 30d"),
        encoding="utf-8",
    )
    assert generate(own).returncode == 0
    rules = yaml.safe_load((tmp_path / "agent-rest-exporter.yaml").read_text(encoding="utf-8"))
    by_name = {rule.get("alert"): rule for rule in rules["groups"][0]["rules"]}
    certificate = by_name["AgentRestCertificateExpires"]
    assert certificate["expr"].endswith("- time() < 2592000")
    assert certificate["annotations"]["runbook_url"] == (
        "https://wiki.example/AgentRestCertificateExpires.md"
    )
    assert 'up{job="rests"} == 0' in by_name["AgentRestExporterDown"]["expr"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "limit: 1h # where no max_rest is set",
            "limit: 1 hour",
            "AgentRestTooLong: limit: 1 hour: not a duration: write it as 30s, 1m30s or 500ms",
        ),
        (
            "for: 30m",
            "for: ever",
            "AgentRestFlapping: for: ever: not a duration: write it as 30s, 1m30s or 500ms",
        ),
        (
            "late: 5s #",
            "late: 7s #",
            (
                "AgentRestPollsLate: late: 7s: must be a bucket of the histogram: "
                "0.025s, 0.05s, 0.1s, 0.25s, 0.5s, 1s, 2.5s, 5s, 10s, 30s"
            ),
        ),
        (
            "most: 50%",
            "most: 0.5",
            "AgentRestAuthRefused: most: 0.5: must be a percentage, such as 25%",
        ),
        (
            "severity: {most: critical, some: warning}",
            "severity: {most: critical, some: page}",
            "AgentRestAuthRefused: severity: page: must be critical or warning or info",
        ),
        (
            "    starts: 3\n",
            "",
            "AgentRestCrashLooping: a template needs starts, which alerts.yaml does not have",
        ),
        (
            "severity: {most: critical, some: warning}",
            "severity: critical",
            "AgentRestAuthRefused: a template needs severity.most, which alerts.yaml does not have",
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_named(
    old: str, new: str, sentence: str, tmp_path: Path
) -> None:
    """One sentence with its place and what to write, and nothing is written."""
    own = tmp_path / "alerts.yaml"
    own.write_text(changed(old, new), encoding="utf-8")
    done = generate(own)
    assert (done.returncode, done.stderr) == (1, f"{own}: {sentence}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["alerts.yaml"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5m", "5 minutes"),
        ("1h", "1 hour"),
        ("1h30m", "1 hour 30 minutes"),
        ("14d", "14 days"),
        ("60s", "60 seconds"),
        ("500ms", "500 milliseconds"),
        ("25%", "25%"),
        ("3", "3"),
    ],
)
def test_durations_in_words(text: str, words: str) -> None:
    """As people say them; other numbers as they are."""
    assert GENERATOR.in_words(text) == words
