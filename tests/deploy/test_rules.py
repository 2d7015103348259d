"""The alert rules and Alertmanager's configuration, checked by promtool and amtool.

promtool's unit tests are in fixtures/rules, one file for each alert. A test here proves that they
can fail: they do, if a rule fires a minute earlier or later.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from exporter.clock import system_clock
from exporter.config.model import Server
from exporter.durations import format_duration, parse_duration
from exporter.errors import Reason
from exporter.metrics.exposition import Exposition, Format
from exporter.rest import Doubt, WaitReason
from tests.support.alert_rules import (
    RULES,
    RUNBOOKS,
    TABLE,
    Alert,
    alerts,
    exposed_names,
    generator,
    names_in,
    registry,
    rules,
)
from tests.support.paths import ROOT
from tests.support.processes import program, version_of

pytestmark = pytest.mark.peers

UNIT_TESTS = ROOT / "tests" / "fixtures" / "rules"
PROMETHEUS = ROOT / "deploy" / "prometheus" / "prometheus.yml"
ALERTMANAGER = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
RUNBOOK_BASE = "https://github.com/agent-rest-exporter/agent-rest-exporter/blob/main/docs/runbooks/"

ALERTS = alerts()
GENERATOR = generator()
TABLE_OF_ALERTS = GENERATOR.Table(TABLE.read_text(encoding="utf-8")).alerts
# A bucket of a histogram, and the window of a rate: a minute more of it is hardly another rate.
NO_TIMES = {("AgentRestPollsLate", "late"), ("AgentRestFlapping", "window")}
PROMISED = {
    "AgentRestTooManyResting": ("floor", ("warning",), "5m"),
    "AgentRestTooLong": ("floor", ("warning",), "5m"),
    "AgentRestOverdue": ("floor", ("info",), "5m"),
    "AgentRestApprovalsWaiting": ("floor", ("warning",), ""),
    "AgentRestLimitReached": ("floor", ("info",), "15m"),
    "AgentRestTargetDown": ("platform", ("warning",), "5m"),
    "AgentRestAllTargetsDown": ("platform", ("critical",), "5m"),
    "AgentRestDataStale": ("platform", ("warning",), ""),
    "AgentRestAuthRefused": ("platform", ("critical", "warning"), "5m"),
    "AgentRestNumbersDoubtful": ("platform", ("warning",), "15m"),
    "AgentRestFlapping": ("platform", ("warning",), "30m"),
    "AgentRestCertificateExpires": ("platform", ("warning",), ""),
    "AgentRestCrashLooping": ("platform", ("critical",), ""),
    "AgentRestNoTargets": ("platform", ("warning",), "15m"),
    "AgentRestClockSkew": ("platform", ("warning",), "15m"),
    "AgentRestReloadFailed": ("platform", ("warning",), "5m"),
    "AgentRestPollsLate": ("platform", ("warning",), "15m"),
    "AgentRestExporterDown": ("platform", ("critical",), "5m"),
}
OF_A_SERVER = {
    "AgentRestAllTargetsDown",
    "AgentRestAuthRefused",
    "AgentRestCertificateExpires",
    "AgentRestClockSkew",
    "AgentRestPollsLate",
}
OF_A_SERVER_OR_TARGET = {"AgentRestNumbersDoubtful"}
OF_THE_EXPORTER = {
    "AgentRestReloadFailed",
    "AgentRestNoTargets",
    "AgentRestCrashLooping",
    "AgentRestExporterDown",
}

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


def test_names_teams_severities_and_times_are_the_promised_ones() -> None:
    """Users' routes and silences are written against them."""
    assert {
        name: (alert.team, alert.severities, alert.hold) for name, alert in ALERTS.items()
    } == PROMISED


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


def times() -> Iterator[tuple[str, str]]:
    """What decides when an alert fires: each duration that it has in the table."""
    for name, alert in TABLE_OF_ALERTS.items():
        for key, value in alert.items():
            timed = re.fullmatch(r"\d+[dhms]", str(value))
            if name in ALERTS and timed and (name, key) not in NO_TIMES:
                yield name, key


def test_every_alert_has_unit_tests() -> None:
    """Each alert fires and resolves; a failed poll, a reload and a restart leave it silent."""
    assert {file.stem for file in UNIT_TESTS.iterdir()} == set(ALERTS)
    for file in UNIT_TESTS.iterdir():
        names = [test["name"] for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]]
        for event in ("not a minute earlier, and resolves", "one failed poll", "reload", "restart"):
            assert any(event in name for name in names), (file.name, event)


@pytest.mark.real
def test_unit_tests(tmp_path: Path) -> None:
    """Each file passes in promtool."""
    shipped = {file.name: file.read_text(encoding="utf-8") for file in RULES.iterdir()}
    verdicts = unit_tested({name: (name, shipped) for name in ALERTS}, tmp_path)
    assert {name: said for name, said in verdicts.items() if "SUCCESS" not in said} == {}


def unit_tested(cases: dict[str, tuple[str, dict[str, str]]], folder: Path) -> dict[str, str]:
    """Run the unit tests of alerts against files of rules, all of them in one start of promtool.

    Rules of alerts that the unit tests do not name are left out: promtool evaluates every rule for
    every minute, which takes ten times as long.

    Args:
        cases: by a name of their own, an alert and the content of each file of rules.
        folder: where a folder is made for each case.

    Returns:
        What promtool says of each case.
    """
    files = {}
    for case, (name, contents) in cases.items():
        text = (UNIT_TESTS / f"{name}.yaml").read_text(encoding="utf-8")
        files[case] = folder / case / UNIT_TESTS.relative_to(ROOT) / f"{name}.yaml"
        files[case].parent.mkdir(parents=True)
        files[case].write_text(text, encoding="utf-8")
        reduced = folder / case / RULES.relative_to(ROOT)
        reduced.mkdir(parents=True)
        for file, content in contents.items():
            head, *found = re.split(r"(?=^      - (?:alert|record): )", content, flags=re.MULTILINE)
            kept = [
                rule for rule in found if rule.split()[1] == "record:" or rule.split()[2] in text
            ]
            rules_of_file = closed("".join([head, *kept])) if kept else ""
            (reduced / file).write_text(rules_of_file, encoding="utf-8")
    said = promtool("test", "rules", *files.values()).stdout
    parts = dict(
        re.findall(r"^Unit Testing:  (.+)\n((?:(?!Unit Testing).*\n)*)", said, re.MULTILINE)
    )
    assert parts.keys() == set(map(str, files.values())), said
    return {case: parts[str(file)] for case, file in files.items()}


def closed(rules: str) -> str:
    """Rules whose ranges contain a sample at their start, in any version of Prometheus.

    Prometheus 3 leaves it out: ranges are open on the left. The samples of the unit tests are
    exactly there, so an alert would come or go one sample earlier or later than with Prometheus 2.
    A millisecond more restores it. Real scrapes are never that punctual: there both versions agree.
    """
    if version_of(program("promtool", "prometheus")) < (3, 0):
        return rules
    return re.sub(r"\[(\d+[smhd])\]", r"[\g<1>1ms]", rules)


@pytest.mark.real
def test_only_a_sample_at_the_start_of_a_range_differs_by_version(tmp_path: Path) -> None:
    """What `closed` makes up for: in four intervals, Prometheus 2 counts five samples, 3 four."""
    file = tmp_path / "ranges.yaml"
    left_open = version_of(program("promtool", "prometheus")) >= (3, 0)
    test = {
        "interval": "30s",
        "input_series": [{"series": "a", "values": "0+1x10"}],
        "promql_expr_test": [
            {"expr": expr, "eval_time": "5m", "exp_samples": [{"labels": "{}", "value": value}]}
            for expr, value in (
                ("count_over_time(a[2m])", 4 if left_open else 5),
                ("count_over_time(a[2m1ms])", 5),
                # the rate of a counter is the same: both extrapolate to the length of the range
                ("round(30 * rate(a[2m]), 0.001)", 1),
            )
        ],
    }
    file.write_text(yaml.safe_dump({"evaluation_interval": "30s", "tests": [test]}), "utf-8")
    verdict = promtool("test", "rules", file)
    assert verdict.returncode == 0, verdict.stdout


@pytest.mark.real
def test_unit_tests_notice_a_minute(tmp_path: Path) -> None:
    """Each time of the table: an alert that fires a minute earlier or later does not pass."""
    assert_noticed(
        [
            (name, key, format_duration(parse_duration(TABLE_OF_ALERTS[name][key]) + 60 * minutes))
            for name, key in times()
            for minutes in (-1, 1)
        ],
        tmp_path,
    )


@pytest.mark.real
def test_unit_tests_notice_other_numbers(tmp_path: Path) -> None:
    """Shares and counts of the table count as well."""
    assert_noticed(
        [
            ("AgentRestAuthRefused", "most", "49%"),
            ("AgentRestAuthRefused", "most", "70%"),
            ("AgentRestFlapping", "share", "19%"),
            ("AgentRestFlapping", "share", "51%"),
            ("AgentRestCrashLooping", "starts", "2"),
            ("AgentRestCrashLooping", "starts", "4"),
        ],
        tmp_path,
    )


def assert_noticed(changes: list[tuple[str, str, str]], folder: Path) -> None:
    """The unit tests of an alert fail with another value in the table.

    Args:
        changes: an alert, a key of it in the table, and the value.
        folder: for the files.
    """
    cases = {}
    for name, key, value in changes:
        table = GENERATOR.Table(TABLE.read_text(encoding="utf-8"))
        table.alerts[name][key] = value
        cases[f"{name} {key} {value}"] = (name, table.rules())
    verdicts = unit_tested(cases, folder)
    assert len(verdicts) == len(changes) > 0
    unnoticed = {
        case: said
        for case, said in verdicts.items()
        if "FAILED" not in said or cases[case][0] not in said
    }
    assert unnoticed == {}


@pytest.mark.real
def test_amtool_accepts_the_configuration() -> None:
    """Routes, receivers and inhibition rules."""
    verdict = amtool("check-config", ALERTMANAGER)
    assert verdict.returncode == 0, verdict.stdout
    assert " - 5 inhibit rules" in verdict.stdout


@pytest.mark.real
@each_alert
def test_alerts_are_routed_by_team_and_severity(alert: Alert) -> None:
    """Each pair of them has a receiver of its name."""
    for severity in alert.severities:
        assert_routed(
            f"{alert.team}-{severity}",
            f"alertname={alert.name}",
            f"severity={severity}",
            f"team={alert.team}",
            "cms=lima",
        )


@pytest.mark.parametrize(
    ("name", "rarely"),
    [
        ("AgentRestNumbersDoubtful", {"group_interval": "1h"}),
        ("AgentRestCertificateExpires", {"repeat_interval": "24h"}),
    ],
)
def test_some_alerts_are_sent_rarely(name: str, rarely: dict[str, str]) -> None:
    """An hour for those of many VDNs with one cause, a day for what has days of time."""
    tree = yaml.safe_load(ALERTMANAGER.read_text(encoding="utf-8"))["route"]
    _, platform = tree["routes"]
    assert {"matchers": [f'alertname="{name}"'], **rarely} in platform["routes"]
    assert "cms" in tree["group_by"]
    assert "vdn" not in tree["group_by"]


@pytest.mark.real
@pytest.mark.parametrize("labels", [[], ["team=platform"], ["team=other", "severity=critical"]])
def test_what_has_no_team_or_severity_is_not_lost(labels: list[str]) -> None:
    """It is routed like a warning for the operators."""
    assert_routed("platform-warning", "alertname=Other", *labels)


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
    """A critical alert is inhibited only by one with the same cause: silenced ones inhibit too."""
    config = yaml.safe_load(ALERTMANAGER.read_text(encoding="utf-8"))
    critical = []
    for rule in config["inhibit_rules"]:
        sources, targets = map(matched, (rule["source_matchers"], rule["target_matchers"]))
        assert sources | targets <= ALERTS.keys()
        assert not sources & targets
        assert {ALERTS[name].team for name in sources} == {ALERTS[name].team for name in targets}
        critical += [(*sources, name) for name in targets if "critical" in ALERTS[name].severities]
        assert set(rule["equal"]) <= {"cms", "cc_id", "vdn"}
    assert critical == [("AgentRestAuthRefused", "AgentRestAllTargetsDown")]


def test_warnings_wait_until_the_last_target_of_a_server_has_failed() -> None:
    """Otherwise the first ones are sent before `AgentRestAllTargetsDown` can inhibit them."""
    tree = yaml.safe_load(ALERTMANAGER.read_text(encoding="utf-8"))["route"]
    (platform,) = (route for route in tree["routes"] if route["receiver"] == "platform-warning")
    wait = parse_duration(platform.get("group_wait", tree["group_wait"]))
    clock = yaml.safe_load(PROMETHEUS.read_text(encoding="utf-8"))["global"]
    interval = Server.model_fields["interval"].default
    rounds = map(parse_duration, (clock["scrape_interval"], clock["evaluation_interval"]))
    assert wait > interval + sum(rounds)


def matched(matchers: list[str]) -> set[str]:
    """The alert names that matchers of an inhibition rule name."""
    matcher, *_severity = matchers
    names = re.fullmatch(r'alertname=~?"([^"]+)"', matcher)
    assert names
    return set(names[1].split("|"))
