"""The alert rules and Alertmanager's configuration, checked by promtool and amtool.

promtool's unit tests are in fixtures/rules, one file for each alert. A test here proves that they
can fail: they do, if a rule fires a minute earlier or later.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.clock import system_clock
from exporter.config.model import Server
from exporter.durations import parse_duration
from exporter.errors import Reason
from exporter.metrics.exposition import Exposition, Format
from exporter.rest import Doubt, WaitReason
from tests.support.alert_rules import (
    RULES,
    RUNBOOKS,
    Alert,
    alerts,
    exposed_names,
    names_in,
    registry,
    rules,
)
from tests.support.paths import ROOT
from tests.support.processes import program

UNIT_TESTS = ROOT / "tests" / "fixtures" / "rules"
PROMETHEUS = ROOT / "deploy" / "prometheus" / "prometheus.yml"
ALERTMANAGER = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
RUNBOOK_BASE = "https://github.com/agent-rest-exporter/agent-rest-exporter/blob/main/docs/runbooks/"

ALERTS = alerts()
PROMISED = {
    "AgentRestTooManyResting": ("warning", "5m"),
    "AgentRestTooLong": ("warning", "5m"),
    "AgentRestOverdue": ("info", "5m"),
    "AgentRestApprovalsWaiting": ("warning", ""),
    "AgentRestLimitReached": ("info", "15m"),
    "AgentRestTargetDown": ("warning", "5m"),
    "AgentRestAllTargetsDown": ("critical", "5m"),
    "AgentRestDataStale": ("warning", ""),
    "AgentRestAuthRefused": ("critical", "5m"),
    "AgentRestNumbersDoubtful": ("warning", "15m"),
    "AgentRestClockSkew": ("warning", "15m"),
    "AgentRestReloadFailed": ("warning", "5m"),
    "AgentRestPollsLate": ("warning", "15m"),
    "AgentRestExporterDown": ("critical", "5m"),
}
OF_A_SERVER = {
    "AgentRestAllTargetsDown",
    "AgentRestAuthRefused",
    "AgentRestClockSkew",
    "AgentRestPollsLate",
}
OF_A_SERVER_OR_TARGET = {"AgentRestNumbersDoubtful"}
OF_THE_EXPORTER = {"AgentRestReloadFailed", "AgentRestExporterDown"}

each_alert = pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS)


def run(command: str, package: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A checker's verdict; what it says of errors and of the rest, in one text."""
    return subprocess.run(
        [program(command, package), *map(str, arguments)],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A verdict of promtool."""
    return run("promtool", "prometheus", *arguments)


def amtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A verdict of amtool."""
    return run("amtool", "prometheus-alertmanager", *arguments)


def test_names_severities_and_times_are_the_promised_ones() -> None:
    """Users' routes and silences are written against them."""
    assert {name: (alert.severity, alert.hold) for name, alert in ALERTS.items()} == PROMISED


@each_alert
def test_annotations(alert: Alert) -> None:
    """A fixed sentence as summary; a description that says where and how much; a runbook."""
    summary, description = alert.annotations["summary"], alert.annotations["description"]
    assert re.fullmatch(r"[A-Z][^.{]+\.", summary)
    assert description.endswith((".", "{{ end }}"))
    assert "$value" in description or "query" in description or "up{job=" in alert.expr
    held = {alert.hold, *re.findall(r"offset (\d+m)\b", alert.expr)}
    assert set(re.findall(r"for (\d+m)\b", description)) <= held
    if alert.name in OF_THE_EXPORTER:
        assert "$labels.instance" in description
    elif alert.name in OF_A_SERVER:
        assert "{{ $labels.cms }}" in description
    else:
        if alert.name in OF_A_SERVER_OR_TARGET:
            of_a_server, _, description = description.partition("{{- else }}")
            assert of_a_server.startswith("{{ if not $labels.vdn }}{{ $labels.cms }}: {{ $value }}")
        assert description.startswith("VDN {{ $labels.vdn }}")
        assert "of call center {{ $labels.cc_id }} at {{ $labels.cms }}: " in description
    assert alert.annotations["runbook_url"] == f"{RUNBOOK_BASE}{alert.name}.md"
    assert (RUNBOOKS / f"{alert.name}.md").is_file()


def test_rules_speak_of_metrics_that_exist() -> None:
    """In expressions and templates; names of recorded series are `level:metric:operations`."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    assert all(re.fullmatch(r"[a-z_]+:agent_rest_[a-z_]+:[a-z_]+5m", name) for name in recorded)
    text = yaml.safe_dump(list(rules()))
    assert names_in(text) <= exposed_names() | recorded
    assert set(re.findall(r"\w+:\w+:\w+", text)) == recorded


def test_rules_speak_of_reasons_that_exist() -> None:
    """The two labels `reason` have closed sets of values."""
    named = {
        reason
        for rule in rules()
        for texts in re.findall(r'reason=~?"([^"]+)"', rule["expr"])
        for reason in texts.split("|")
    }
    assert named
    assert named <= {*WaitReason, *Reason}


def test_doubts_are_explained_in_the_words_of_the_exporter() -> None:
    """All but single odd rows are alerts; page, log and alert say the same of each."""
    alert = ALERTS["AgentRestNumbersDoubtful"]
    named = set(re.findall(r'doubt="(\w+)"', alert.expr))
    assert named == {*Doubt} - {Doubt.UNUSABLE_BEGIN_TIMES}
    for doubt in map(Doubt, named):
        assert f"{doubt}: {doubt.sentence}." in alert.annotations["description"]


@pytest.mark.parametrize(
    ("name", "family", "default"),
    [
        ("AgentRestTooLong", "agent_rest_max_rest_seconds", "1h"),
        ("AgentRestApprovalsWaiting", "agent_rest_max_wait_seconds", "15m"),
    ],
)
def test_limits_are_those_of_the_configuration(name: str, family: str, default: str) -> None:
    """A rule and its description use the target's limit, and the same default without one."""
    alert = ALERTS[name]
    assert f"> {family} or" in alert.expr
    assert re.search(rf"> {parse_duration(default):g} unless {family}\)", alert.expr)
    limit = re.search(
        rf"with printf `{family}\{{[^}}]+\}}`.*?{{{{ else }}}}(\w+){{{{ end }}}}",
        alert.annotations["description"],
    )
    assert limit
    assert limit[1] == default


def test_the_bucket_for_late_polls_is_written_as_the_rule_has_it() -> None:
    """Prometheus compares `le` as text: 5.0 in both formats, not 5."""
    (bound,) = {bound for rule in rules() for bound in re.findall(r'le="([^"]+)"', rule["expr"])}
    line = f'agent_rest_exporter_poll_delay_seconds_bucket{{cms="lima",le="{bound}"}}'
    for form in Format:
        page = b"".join(Exposition(registry()).slices((), system_clock(), form)).decode()
        assert line in page


@pytest.mark.real
def test_promtool_accepts_the_rules() -> None:
    """With every lint as an error."""
    verdict = promtool("check", "rules", "--lint=all", "--lint-fatal", *sorted(RULES.iterdir()))
    assert verdict.returncode == 0, verdict.stdout
    assert verdict.stdout.count("SUCCESS") == len(list(RULES.iterdir()))


@pytest.mark.real
def test_promtool_accepts_the_configuration_and_finds_the_rules() -> None:
    """The configuration loads every rule file, and no other file."""
    verdict = promtool("check", "config", PROMETHEUS)
    assert verdict.returncode == 0, verdict.stdout
    assert f"SUCCESS: {len(list(RULES.iterdir()))} rule files found" in verdict.stdout


def test_prometheus_scrapes_the_job_that_the_rules_look_for() -> None:
    """`AgentRestExporterDown` would fire for ever if the names differed."""
    (job,) = yaml.safe_load(PROMETHEUS.read_text(encoding="utf-8"))["scrape_configs"]
    named = re.findall(r'job="([^"]+)"', ALERTS["AgentRestExporterDown"].expr)
    assert set(named) == {job["job_name"]}


def times(alert: Alert) -> list[str]:
    """What decides when an alert fires: its `for`, or the durations in its expression."""
    return ["for"] if alert.hold else sorted(set(re.findall(r"\b(\d+m|\d{3})\b", alert.expr)))


def test_every_alert_has_unit_tests() -> None:
    """Each alert fires and resolves; a failed poll, a reload and a restart leave it silent."""
    assert {file.stem for file in UNIT_TESTS.iterdir()} == set(ALERTS)
    for file in UNIT_TESTS.iterdir():
        names = [test["name"] for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]]
        for event in ("not a minute earlier, and resolves", "one failed poll", "reload", "restart"):
            assert any(event in name for name in names), (file.name, event)


@pytest.mark.real
@each_alert
def test_unit_tests(alert: Alert) -> None:
    """Each file passes in promtool."""
    verdict = promtool("test", "rules", UNIT_TESTS / f"{alert.name}.yaml")
    assert verdict.returncode == 0, verdict.stdout


@pytest.mark.real
@pytest.mark.parametrize("minutes", [-1, 1])
@pytest.mark.parametrize(
    ("alert", "time"),
    [(alert, time) for alert in ALERTS.values() for time in times(alert)],
    ids=lambda of: of.name if isinstance(of, Alert) else of,
)
def test_unit_tests_notice_a_minute(alert: Alert, time: str, minutes: int, tmp_path: Path) -> None:
    """A rule that fires a minute earlier or later does not pass."""
    changed = tmp_path / RULES.relative_to(ROOT)
    shutil.copytree(RULES, changed)
    for file in changed.iterdir():
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        for group in document["groups"]:
            for rule in group["rules"]:
                if rule.get("alert") == alert.name:
                    shift(rule, time, minutes)
        file.write_text(yaml.safe_dump(document), encoding="utf-8")
    unit_tests = tmp_path / UNIT_TESTS.relative_to(ROOT)
    unit_tests.mkdir(parents=True)
    copied = shutil.copy(UNIT_TESTS / f"{alert.name}.yaml", unit_tests)
    verdict = promtool("test", "rules", copied)
    assert verdict.returncode == 1
    assert "FAILED" in verdict.stdout
    assert f"alertname: {alert.name}" in verdict.stdout


def shift(rule: dict[str, Any], time: str, minutes: int) -> None:
    """Change one of the times that decide when a rule fires."""
    if time == "for":
        rule["for"] = f"{int(rule['for'].removesuffix('m')) + minutes}m"
    elif time.endswith("m"):
        rule["expr"] = rule["expr"].replace(time, f"{int(time.removesuffix('m')) + minutes}m")
    else:
        rule["expr"] = rule["expr"].replace(time, str(int(time) + 60 * minutes))


@pytest.mark.real
def test_amtool_accepts_the_configuration() -> None:
    """Routes, receivers and inhibition rules."""
    verdict = amtool("check-config", ALERTMANAGER)
    assert verdict.returncode == 0, verdict.stdout
    assert " - 3 inhibit rules" in verdict.stdout


@pytest.mark.real
@each_alert
def test_alerts_are_routed_by_severity(alert: Alert) -> None:
    """Each severity has a receiver of its name."""
    assert_routed(
        alert.severity, f"alertname={alert.name}", f"severity={alert.severity}", "cms=lima"
    )


@pytest.mark.parametrize("name", ["AgentRestNumbersDoubtful"])
def test_a_message_an_hour_is_enough(name: str) -> None:
    """For alerts of many VDNs of a server with one cause, which come and go with the agents."""
    tree = yaml.safe_load(ALERTMANAGER.read_text(encoding="utf-8"))["route"]
    (warning,) = (route for route in tree["routes"] if route["receiver"] == "warning")
    (rare,) = warning["routes"]
    assert rare == {"matchers": [f'alertname="{name}"'], "group_interval": "1h"}
    assert "cms" in tree["group_by"]
    assert "vdn" not in tree["group_by"]


@pytest.mark.real
def test_what_has_no_severity_is_not_lost() -> None:
    """It is routed like a warning."""
    assert_routed("warning", "alertname=Other")


def assert_routed(receiver: str, *labels: str) -> None:
    """Ask amtool where it routes an alert with these labels."""
    verdict = amtool(
        "config",
        "routes",
        "test",
        f"--config.file={ALERTMANAGER}",
        f"--verify.receivers={receiver}",
        *labels,
    )
    assert verdict.returncode == 0, verdict.stdout


def test_inhibition_rules_name_alerts_and_labels_that_exist() -> None:
    """A critical alert is never inhibited: a silenced alert would still inhibit it."""
    config = yaml.safe_load(ALERTMANAGER.read_text(encoding="utf-8"))
    for rule in config["inhibit_rules"]:
        sources, targets = map(matched, (rule["source_matchers"], rule["target_matchers"]))
        assert sources | targets <= ALERTS.keys()
        assert not sources & targets
        assert not [name for name in targets if ALERTS[name].severity == "critical"]
        assert set(rule["equal"]) <= {"cms", "cc_id", "vdn"}


def test_warnings_wait_until_the_last_target_of_a_server_has_failed() -> None:
    """Otherwise the first ones are sent before `AgentRestAllTargetsDown` can inhibit them."""
    tree = yaml.safe_load(ALERTMANAGER.read_text(encoding="utf-8"))["route"]
    (warning,) = (route for route in tree["routes"] if route["receiver"] == "warning")
    wait = parse_duration(warning.get("group_wait", tree["group_wait"]))
    clock = yaml.safe_load(PROMETHEUS.read_text(encoding="utf-8"))["global"]
    interval = Server.model_fields["interval"].default
    rounds = map(parse_duration, (clock["scrape_interval"], clock["evaluation_interval"]))
    assert wait > interval + sum(rounds)


def matched(matchers: list[str]) -> set[str]:
    """The alert names that matchers of an inhibition rule name."""
    (matcher,) = matchers
    names = re.fullmatch(r'alertname=~?"([^"]+)"', matcher)
    assert names
    return set(names[1].split("|"))
