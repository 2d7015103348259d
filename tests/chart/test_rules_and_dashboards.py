"""The chart's alerts and dashboards are those that the project ships."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.alert_rules import RULES, alerts
from tests.support.chart import Object, example, objects, of_kind
from tests.support.paths import ROOT

SHARDS = example("shards")
NAME = "rest-agent-rest-exporter"


def shipped() -> list[Any]:
    """The groups of the shipped rule files."""
    files = sorted(RULES.iterdir())
    return [
        group
        for file in files
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    ]


def rule_file(values: dict[str, Any], folder: Path) -> Path:
    """The rules that the operator would hand to Prometheus, as a file."""
    file = folder / "rules.yaml"
    file.write_text(yaml.safe_dump(of_kind(values, "PrometheusRule")["spec"]), encoding="utf-8")
    return file


def test_the_rules_are_the_shipped_ones() -> None:
    """Expression by expression, and none else with one process."""
    assert of_kind(example("one-process"), "PrometheusRule")["spec"]["groups"] == shipped()
    *groups, of_shards = of_kind(SHARDS, "PrometheusRule")["spec"]["groups"]
    assert groups == shipped()
    assert [rule["alert"] for rule in of_shards["rules"]] == ["AgentRestShardMissing"]


def test_alerts_can_be_left_out_and_changed() -> None:
    """The user's labels take precedence, and runbooks may be elsewhere."""
    rule = of_kind(example("everything"), "PrometheusRule")
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    *groups, own = rule["spec"]["groups"]
    assert [own] == example("everything")["prometheusRule"]["extraGroups"]
    rules = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    assert {rule["alert"] for rule in rules} == alerts().keys() - {"AgentRestOverdue"}
    for rule in rules:
        alert, labels = alerts()[rule["alert"]], rule["labels"]
        assert labels.pop("severity") in alert.severities
        assert labels == {"cluster": "lima", "team": alert.team}
        assert rule["annotations"]["runbook_url"] == (
            f"https://wiki.example/rests/{rule['alert']}.md"
        )


def test_a_second_release_does_not_repeat_the_shipped_alerts() -> None:
    """Only its own shards are counted."""
    groups = of_kind(example("second-release"), "PrometheusRule")["spec"]["groups"]
    assert [rule["alert"] for group in groups for rule in group["rules"]] == [
        "AgentRestShardMissing"
    ]
    assert 'namespace="agent-rest-cusco"' in groups[0]["rules"][0]["expr"]
    alone = {**example("one-process"), "prometheusRule": {"enabled": True, "shipped": False}}
    assert "PrometheusRule" not in {each["kind"] for each in objects(alone)}


@pytest.mark.parametrize("name", ["everything", "one-process", "second-release", "shards"])
def test_promtool_accepts_the_rules(name: str, promtool: str, tmp_path: Path) -> None:
    """With every lint as an error."""
    done = subprocess.run(
        [
            promtool,
            "check",
            "rules",
            "--lint=all",
            "--lint-fatal",
            rule_file(example(name), tmp_path),
        ],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


SERIES = f'up{{job="agent-rest-exporter",namespace="floor",pod="{NAME}-%s"}}'
MISSING = {
    "summary": "A shard of agent-rest-exporter is missing, and its targets are not polled.",
    "runbook_url": "https://github.com/agent-rest-exporter/agent-rest-exporter/blob/main/docs/"
    "runbooks/AgentRestShardMissing.md",
}


@pytest.mark.parametrize(
    ("series", "running"),
    [
        ({0: "1x30", 1: "1x30", 2: "1x30"}, None),
        ({0: "1x30", 1: "1x30", 2: "1x4 _x26"}, 2),
        ({0: "1x30", 1: "1x30", 2: "1x4 0x26"}, 2),
        ({0: "1x4 _x26", 1: "1x4 _x26", 2: "1x4 _x26"}, 0),
        ({0: "1x30", 1: "1x30", 2: "1x4 _x3 1x30"}, None),
    ],
    ids=["all", "gone", "down", "all-gone", "restarted"],
)
def test_a_missing_shard_is_an_alert(
    series: dict[int, str], running: int | None, promtool: str, tmp_path: Path
) -> None:
    """After five minutes, also if no shard is left; not for a restart, nor for other releases."""
    rules = rule_file(SHARDS, tmp_path)
    expected = {
        "exp_labels": {"severity": "critical", "team": "platform"},
        "exp_annotations": {
            **MISSING,
            "description": f"{running} of 3 shards of {NAME} in namespace floor have been scraped "
            "successfully for 5m.",
        },
    }
    test = {
        "rule_files": [str(rules)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    *(
                        {"series": SERIES % ordinal, "values": values}
                        for ordinal, values in series.items()
                    ),
                    # the same name in another namespace, and another release
                    {"series": (SERIES % 2).replace("floor", "other"), "values": "1x30"},
                    {"series": (SERIES % 2).replace(NAME, "cusco"), "values": "1x30"},
                ],
                "alert_rule_test": [
                    {"eval_time": "9m", "alertname": "AgentRestShardMissing", "exp_alerts": []},
                    {
                        "eval_time": "15m",
                        "alertname": "AgentRestShardMissing",
                        "exp_alerts": [] if running is None else [expected],
                    },
                ],
            }
        ],
    }
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump(test), encoding="utf-8")
    done = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def dashboards(values: dict[str, Any], label: str) -> list[Object]:
    """The ConfigMaps that Grafana's sidecar would find."""
    return [each for each in objects(values) if label in each["metadata"].get("labels", {})]


def test_the_dashboards_are_the_shipped_ones() -> None:
    """Byte by byte, under their file names, with the label that Grafana's sidecar looks for."""
    found = dashboards(example("one-process"), "grafana_dashboard")
    assert {name: text for each in found for name, text in each["data"].items()} == {
        path.name: path.read_text(encoding="utf-8")
        for path in (ROOT / "deploy/grafana").glob("*.json")
    }
    assert [each["metadata"]["labels"]["grafana_dashboard"] for each in found] == ["1", "1"]
    for each in found:
        # a larger object cannot be created by `kubectl apply`, which keeps it in an annotation
        assert len(json.dumps(each)) < 256 * 1024


def test_dashboards_can_be_put_where_grafana_looks() -> None:
    """In its namespace, with its label and annotations."""
    found = dashboards(example("everything"), "dashboard")
    assert len(found) == len(list((ROOT / "deploy/grafana").glob("*.json")))
    for each in found:
        assert each["metadata"]["namespace"] == "grafana"
        assert each["metadata"]["labels"]["dashboard"] == "yes"
        assert each["metadata"]["annotations"] == {"grafana_folder": "Agent rest"}
