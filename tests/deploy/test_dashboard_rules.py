"""The dashboards against rules of our own: foreign series, widths of tables, names of lines."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.dashboard_rules import OWN_RULES, expressions, widths_of
from tests.support.dashboards import GRAFANA, UIDS, Json, filled, panels, read, variables


@pytest.mark.parametrize("rule", OWN_RULES)
@pytest.mark.parametrize("uid", UIDS)
def test_dashboards_keep_the_rules(uid: str, rule: str) -> None:
    """No series of other jobs, no unknown metric, no cut table, no two lines or ticks alike."""
    assert list(OWN_RULES[rule](read(uid))) == []


def _panel(dashboard: Json, title: str) -> Json:
    (panel,) = [one for one in panels(dashboard) if one["title"] == title]
    return panel


def _expr(title: str, old: str, new: str) -> Callable[[Json], None]:
    def spoil(dashboard: Json) -> None:
        target = _panel(dashboard, title)["targets"][0]
        assert old in target["expr"]
        target["expr"] = target["expr"].replace(old, new)

    return spoil


def _widest_without_width(dashboard: Json) -> None:
    for override in _panel(dashboard, "Doubtful numbers")["fieldConfig"]["overrides"]:
        if override["matcher"]["options"] == "doubt":
            override["properties"] = [{"id": "custom.minWidth", "value": 600}]


def _narrow_title(dashboard: Json) -> None:
    for override in _panel(dashboard, "Failing targets")["fieldConfig"]["overrides"]:
        if override["matcher"]["options"] == "reason":
            override["properties"] = [{"id": "custom.minWidth", "value": 50}]


JOIN = " and on (job, instance) agent_rest_exporter_build_info"
MISTAKES: dict[str, list[tuple[Callable[[Json], object], str]]] = {
    "foreign series": [
        (
            _expr("Memory", JOIN, " or agent_rest_exporter_build_info"),
            "can select series of other jobs",
        ),
        (_expr("CPU", "on (job, instance)", "on (job)"), "can select series of other jobs"),
        (_expr("Open files", " and on", " unless on"), "can select series of other jobs"),
        (
            _expr("Scrape duration", '{job="agent-rest-exporter", ', "{"),
            "can select series of other jobs",
        ),
        (
            _expr("Exporters", "on (job, instance)", "on (instance)"),
            "can select series of other jobs",
        ),
        (_expr("Alerts", 'alertname=~"AgentRest.+", ', ""), "can select series of other jobs"),
        (
            lambda d: d["annotations"]["list"][2].update(expr="process_start_time_seconds"),
            "can select series of other jobs",
        ),
        (
            lambda d: variables(d)["job"].update(query="label_values(up, job)"),
            "can select series of other jobs",
        ),
    ],
    "unknown metric": [
        (_expr("Targets polled", "_targets{", "_vdns{"), "the exporter has no family agent_rest_"),
    ],
    "wide table": [
        (_widest_without_width, "needs "),
        (_narrow_title, "cuts the title 'reason'"),
        (lambda d: _panel(d, "Failing targets")["gridPos"].update(w=8), "needs "),
    ],
    "alike series": [
        (
            lambda d: _panel(d, "Clock skew")["targets"][0].update(legendFormat="{{cms}}"),
            "names no",
        ),
        (
            lambda d: _panel(d, "Poll delay")["targets"][0].update(legendFormat="{{cms}} 90 %"),
            "has",
        ),
        (
            lambda d: _panel(d, "CPU")["fieldConfig"]["defaults"]["color"].update(
                mode="palette-classic-by-name"
            ),
            "can give two lines a colour",
        ),
    ],
    "alike ticks": [
        (
            lambda d: _panel(d, "Memory")["fieldConfig"]["defaults"].update(decimals=0),
            "rounds the labels of its axis (decimals)",
        ),
        (
            lambda d: _panel(d, "Pauses")["fieldConfig"]["defaults"].update(unit="dtdurations"),
            "rounds the labels of its axis (dtdurations)",
        ),
    ],
}


@pytest.mark.parametrize("rule", OWN_RULES)
def test_each_rule_finds_its_mistakes(rule: str) -> None:
    """A rule that never complains would prove nothing."""
    assert MISTAKES[rule]
    for spoil, sentence in MISTAKES[rule]:
        dashboard = read("agent-rest-exporter")
        spoil(dashboard)
        assert any(sentence in found.sentence for found in OWN_RULES[rule](dashboard))


def test_prometheus_parses_every_expression(promtool: str, tmp_path: Path) -> None:
    """With Prometheus' own parser, as recording rules; the other tests use one in Rust."""
    values = dict.fromkeys(("job", "instance", "cms", "cc_id", "vdn", "name"), ".+")
    values |= {"__rate_interval": "1m", "__range": "6h"}
    rules = [
        {"record": f"panel:{number}", "expr": filled(expr, values)}
        for number, (_, expr) in enumerate(one for uid in UIDS for one in expressions(read(uid)))
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}), encoding="utf-8")
    command = [promtool, "check", "rules", str(file)]
    checked = subprocess.run(command, capture_output=True, check=False, text=True)
    assert checked.returncode == 0, checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout


def test_the_largest_table_shows_its_texts_at_1600_pixels() -> None:
    """Fifteen columns: durations, problems and names are legible, without scrolling sideways."""
    widths = widths_of(_panel(read("agent-rest-floor"), "VDNs"))
    assert len(widths) == 15
    # measured with Grafana's font: 7.2 pixels a letter and 16 around the text
    for title, text in (
        ("problem", "rest too long"),
        ("longest rest", "00:59:46"),
        ("longest wait", "00:15:40"),
        ("name", "back office 2"),
    ):
        assert widths[title] >= 16 + 7.2 * len(text)
    assert sum(widths.values()) <= 1528


@pytest.mark.parametrize("uid", UIDS)
def test_own_labels_filter_every_panel(uid: str) -> None:
    """Their names are the configuration's, so Grafana adds the filters to the expressions."""
    variable = variables(read(uid))["own_labels"]
    assert (variable["type"], variable["label"]) == ("adhoc", "Own labels")
    assert variable["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert "labels that the exporter's configuration gives to targets" in variable["description"]


@pytest.mark.parametrize(("uid", "team"), list(zip(UIDS, ("floor", "platform"), strict=True)))
def test_alerts_of_one_team_are_listed_and_marked(uid: str, team: str) -> None:
    """Firing and pending ones in the table, with their runbooks; firing ones in graphs."""
    dashboard = read(uid)
    table = _panel(dashboard, "Alerts")
    for target in table["targets"]:
        assert target["expr"].count(f'team="{team}"') == target["expr"].count("alertname=~")
    assert 'alertstate="firing"' in table["targets"][0]["expr"]
    (links,) = [
        one["value"]
        for override in table["fieldConfig"]["overrides"]
        if override["matcher"]["options"] == "alertname"
        for one in override["properties"]
        if one["id"] == "links"
    ]
    assert [link["url"].rpartition("/")[2] for link in links] == ["${__value.raw}.md"]
    marks = {one["name"]: one for one in dashboard["annotations"]["list"]}
    assert list(marks) == ["Alerts", "Reloads", "Starts"]
    assert f'team="{team}"' in marks["Alerts"]["expr"]
    assert [one["useValueForTime"] for one in marks.values()] == [False, True, True]
    for mark in marks.values():
        assert mark["datasource"]["uid"] == "${datasource}"
        assert mark["enable"]
        assert mark["titleFormat"]
        assert mark["expr"].startswith("1000 * ") is mark["useValueForTime"]


def test_teams_of_the_dashboards_are_those_of_the_rules() -> None:
    """Every alert is on one of the two dashboards."""
    teams = {
        rule["labels"].get("team")
        for file in (GRAFANA.parent / "prometheus" / "rules").glob("*.yaml")
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    assert teams == {"floor", "platform"}


@pytest.mark.parametrize("uid", UIDS)
def test_pictures_are_small_and_said_to_be_drawn(uid: str) -> None:
    """The READMEs show them, and say that they are not from a Grafana server."""
    picture = GRAFANA / f"{uid}.png"
    assert 50_000 < picture.stat().st_size < 300_000
    header = picture.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(header[16:20], "big") == 1600
    for page in (GRAFANA / "README.md", GRAFANA.parent.parent / "README.md"):
        text = " ".join(page.read_text(encoding="utf-8").split())
        assert re.search(rf"!\[[^]]+\]\((deploy/grafana/)?{uid}\.png\)", text)
        assert "A script rendered both pictures" in text
        assert "Grafana 11.6's panel libraries" in text
        assert "without a Grafana server" in text
