"""The committed dashboards: generated, within the linter's rules, and helpful."""

import re
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import promql_parser
import pytest
import yaml

from exporter.metrics.families import FAMILIES
from exporter.rest import Doubt
from tests.support.dashboards import (
    GRAFANA,
    RULES,
    UIDS,
    Complaint,
    Json,
    matchers,
    nodes,
    panels,
    read,
    targets,
    variables,
)

RUNBOOKS = "https://github.com/agent-rest-exporter/agent-rest-exporter/blob/main/docs/runbooks/"
PANEL_TYPES = {"stat", "timeseries", "table", "bargauge"}
OF_TARGETS = {family.name for family in FAMILIES}
LABELS_OF_VDNS = {"cms", "cc_id", "vdn", "name"}

Entry = dict[str, str]


def exclusions() -> dict[str, dict[str, object]]:
    """The linter's own file of exceptions."""
    read_file = yaml.safe_load((GRAFANA / ".lint").read_text(encoding="utf-8"))
    excluded: dict[str, dict[str, object]] = read_file["exclusions"]
    return excluded


def excused(rule: str, dashboard: Json, found: Complaint) -> bool:
    """Whether a dashboard, or one of its panels, is exempt from a rule."""
    entries = exclusions().get(rule, {}).get("entries", [])
    assert isinstance(entries, list)
    whole = {"dashboard": dashboard["title"]}
    return whole in entries or whole | {"panel": found.panel} in entries


@pytest.mark.parametrize("uid", UIDS)
def test_committed_is_what_is_generated(uid: str, tmp_path: Path) -> None:
    """The JSON is neither edited by hand nor out of date."""
    script = GRAFANA / "generate.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{u}.json" for u in UIDS)
    generated = (tmp_path / f"{uid}.json").read_bytes()
    assert generated == (GRAFANA / f"{uid}.json").read_bytes(), "run make dashboards"


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("uid", UIDS)
def test_linter_has_no_complaint(uid: str, rule: str) -> None:
    """Every rule of the linter holds, but for the exceptions in its own file."""
    dashboard = read(uid)
    assert [one for one in RULES[rule](dashboard) if not excused(rule, dashboard, one)] == []


def test_every_exception_is_needed_and_says_why() -> None:
    """An exception that excuses nothing would hide the next mistake."""
    for rule, exception in exclusions().items():
        assert exception["reason"]
        entries = exception["entries"]
        assert isinstance(entries, list)
        complaints = [
            (read(uid)["title"], one.panel) for uid in UIDS for one in RULES[rule](read(uid))
        ]
        for entry in entries:
            panels_of_it = [panel for title, panel in complaints if title == entry["dashboard"]]
            assert panels_of_it
            assert "panel" not in entry or entry["panel"] in panels_of_it


def _panel(dashboard: Json) -> Json:
    return panels(dashboard)[0]


def _spoilt(target: Callable[[str], str]) -> Callable[[Json], None]:
    def spoil(dashboard: Json) -> None:
        one = next(t for p in panels(dashboard) for t in p["targets"] if "rate(" in t["expr"])
        one["expr"] = target(one["expr"])

    return spoil


MISTAKES: dict[str, Callable[[Json], object]] = {
    "template-datasource-rule": lambda d: variables(d)["datasource"].update(name="prometheus"),
    "template-job-rule": lambda d: variables(d)["job"].update(allValue=".*"),
    "template-instance-rule": lambda d: d["templating"]["list"].remove(variables(d)["instance"]),
    "template-label-promql-rule": lambda d: variables(d)["vdn"].update(
        query="label_values(agent_rest_up{, vdn)"
    ),
    "template-on-time-change-reload-rule": lambda d: variables(d)["vdn"].update(refresh=1),
    "panel-datasource-rule": lambda d: _panel(d)["targets"][0].update(datasource={"uid": "mine"}),
    "panel-title-description-rule": lambda d: _panel(d).update(description=""),
    "panel-units-rule": lambda d: _panel(d)["fieldConfig"]["defaults"].update(unit="agents"),
    "panel-no-targets-rule": lambda d: _panel(d).update(targets=[]),
    "target-promql-rule": _spoilt(lambda expr: f"{expr})"),
    "target-rate-interval-rule": _spoilt(lambda expr: expr.replace("$__rate_interval", "5m")),
    "target-job-rule": _spoilt(lambda expr: expr.replace('job=~"$job", ', "")),
    "target-instance-rule": _spoilt(lambda expr: expr.replace('"$instance"', '"a"')),
    "target-counter-agg-rule": _spoilt(
        lambda expr: expr.replace("rate(", "").replace("[$__rate_interval])", "")
    ),
    "uneditable-dashboard": lambda d: d.update(editable=True),
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_finds_its_mistake(rule: str) -> None:
    """A rule that never complains would prove nothing."""
    dashboard = read("agent-rest-exporter")
    MISTAKES[rule](dashboard)
    complaining = [
        name
        for name, check in RULES.items()
        if any(not excused(name, dashboard, one) for one in check(dashboard))
    ]
    assert complaining == [rule]


@pytest.mark.parametrize(
    ("expr", "complaint"),
    [
        ("label_values(agent_rest_up, cms)", "the variable vdn does not ask for values"),
        ("query_result(agent_rest_up)", "the variable vdn does not ask for values"),
    ],
)
def test_a_variable_asks_for_its_own_label(expr: str, complaint: str) -> None:
    """Anything else would offer values that no matcher matches."""
    dashboard = read("agent-rest-exporter")
    variables(dashboard)["vdn"]["query"] = expr
    (found,) = RULES["template-label-promql-rule"](dashboard)
    assert found.sentence.startswith(complaint)


def test_a_variable_asks_the_chosen_data_source() -> None:
    """A fixed one would offer another system's values."""
    dashboard = read("agent-rest-exporter")
    variables(dashboard)["job"]["datasource"] = {"uid": "mine"}
    (found,) = RULES["template-job-rule"](dashboard)
    assert found.sentence == "the variable job does not ask the chosen data source"


@pytest.mark.parametrize("uid", UIDS)
def test_each_variable_narrows_the_next(uid: str) -> None:
    """From left to right: each query is filtered by the selections before it."""
    names = [name for name, one in variables(read(uid)).items() if one["type"] == "query"]
    every = ("job", "instance", "cms", "cc_id", "vdn", "name")
    assert names == [name for name in every if name in names]
    assert set(every) - {"instance"} <= set(names)
    # An instance is one of the exporters; the targets may be scraped by another way, /probe.
    chain = [name for name in names if name != "instance"]
    for place, name in enumerate(chain):
        query = variables(read(uid))[name]["query"]
        assert re.findall(r'(\w+)=~"\$\1"', query) == chain[:place]


@pytest.mark.parametrize("uid", UIDS)
def test_choices_reach_every_expression(uid: str) -> None:
    """Families of a VDN are filtered by its labels; families of a CMS by cms."""
    for target in targets(uid):
        for selector in nodes(target.expr, promql_parser.VectorSelector):
            of_alerts = str(selector.name).startswith("ALERTS")
            # an alert about a server has no vdn, so its label may be empty
            empty = "|" if of_alerts else ""
            chosen = {
                label
                for label, (op, value) in matchers(selector).items()
                if (op, value) == (promql_parser.MatchOp.Re, f"${label}{empty}")
            }
            every = selector.name in OF_TARGETS or of_alerts
            wanted = LABELS_OF_VDNS if every else {"cms"} & chosen
            assert chosen & LABELS_OF_VDNS == wanted, f"{target.panel}: {selector.name}"


@pytest.mark.parametrize("uid", UIDS)
def test_panels_are_current_named_and_numbered(uid: str) -> None:
    """No deprecated panel types; each panel has its own title, id and legend."""
    dashboard = read(uid)
    found = panels(dashboard)
    assert {panel["type"] for panel in found} <= PANEL_TYPES
    assert len({panel["title"] for panel in found}) == len(found)
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
    for panel in found:
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
        assert all(target["legendFormat"] for target in panel["targets"]), panel["title"]
        if panel["type"] == "timeseries":
            assert panel["options"]["legend"]["showLegend"] is True


@pytest.mark.parametrize("uid", UIDS)
def test_panels_tile_the_page(uid: str) -> None:
    """No panels overlap or leave the page, and every line is full."""
    boxes = [panel["gridPos"] for panel in read(uid)["panels"]]
    assert all(box["x"] >= 0 and box["x"] + box["w"] <= 24 for box in boxes)
    for one, other in combinations(boxes, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart
    height = max(box["y"] + box["h"] for box in boxes)
    assert sum(box["w"] * box["h"] for box in boxes) == 24 * height


@pytest.mark.parametrize("uid", UIDS)
def test_descriptions_say_what_to_do(uid: str) -> None:
    """Each says in whole sentences what the panel shows, and then what to do if values are bad."""
    for panel in panels(read(uid)):
        shows, _, act = panel["description"].partition("\n\n**What to do:** ")
        assert re.fullmatch(r"[A-Z].*\.", shows, re.DOTALL), panel["title"]
        assert re.fullmatch(r"[A-Z].*\.", act, re.DOTALL), panel["title"]


@pytest.mark.parametrize("uid", UIDS)
def test_dashboards_lead_to_each_other(uid: str) -> None:
    """By their common tag, keeping selections and time range."""
    dashboard = read(uid)
    assert dashboard["uid"] == uid
    (link,) = [link for link in dashboard["links"] if link["type"] == "dashboards"]
    assert link["tags"] == dashboard["tags"]
    assert (link["includeVars"], link["keepTime"]) == (True, True)


@pytest.mark.parametrize("uid", UIDS)
def test_rows_of_tables_lead_to_their_vdn(uid: str) -> None:
    """To both dashboards, filtered by the labels of the row, with the same time range."""
    tables = [panel for panel in panels(read(uid)) if panel["type"] == "table"]
    tables = [table for table in tables if table["title"] != "Alerts"]  # which lead to runbooks
    assert tables
    for table in tables:
        (urls,) = [
            [link["url"] for link in one["value"]]
            for override in table["fieldConfig"]["overrides"]
            if override["matcher"] == {"id": "byName", "options": "vdn"}
            for one in override["properties"]
            if one["id"] == "links"
        ]
        assert [url.partition("?")[0] for url in urls] == [f"/d/{one}" for one in UIDS]
        for url in urls:
            assert url.endswith("&${__url_time_range}")
            for label in ("cms", "cc_id", "vdn"):
                assert f"var-{label}=${{__data.fields.{label}:percentencode}}" in url
        columns = table["transformations"][1]["options"]["indexByName"]
        assert [columns[name] for name in ("cms", "cc_id", "vdn", "name")] == [0, 1, 2, 3]


def alerts() -> dict[str, str]:
    """The shipped alerts: expression by name."""
    return {
        rule["alert"]: rule["expr"]
        for file in (GRAFANA.parent / "prometheus" / "rules").glob("*.yaml")
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }


@pytest.mark.parametrize(
    ("alert", "title"),
    [
        ("AgentRestTooLong", "Longest rests"),
        ("AgentRestOverdue", "Longest overdue"),
        ("AgentRestDataStale", "Oldest success"),
        ("AgentRestDataStale", "Age of the last success"),
        ("AgentRestClockSkew", "Clock skew"),
        ("AgentRestFlapping", "Share of failed polls"),
        ("AgentRestCertificateExpires", "Next certificate to expire"),
    ],
)
def test_colours_turn_where_alerts_fire(alert: str, title: str) -> None:
    """A green number beside a firing alert would make people doubt both."""
    (panel,) = [one for uid in UIDS for one in panels(read(uid)) if one["title"] == title]
    assert f"{RUNBOOKS}{alert}.md" in {link["url"] for link in panel["links"]}
    limits = {literal.val for literal in nodes(alerts()[alert], promql_parser.NumberLiteral)}
    limits -= {0}  # not a limit, but whether something happened at all
    steps = {step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]}
    assert limits
    assert limits <= steps


@pytest.mark.parametrize(
    ("alert", "title", "families"),
    [
        ("AgentRestTooLong", "Rests too long", {"longest_rest_seconds", "max_rest_seconds"}),
        (
            "AgentRestApprovalsWaiting",
            "Waits too long",
            {"longest_wait_seconds", "max_wait_seconds"},
        ),
    ],
)
def test_counts_turn_red_where_alerts_fire(alert: str, title: str, families: set[str]) -> None:
    """Where VDNs have limits of their own, a panel counts VDNs as the alert does; 1 is red."""
    (panel,) = [one for one in panels(read("agent-rest-floor")) if one["title"] == title]
    assert f"{RUNBOOKS}{alert}.md" in {link["url"] for link in panel["links"]}
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [(step["value"], step["color"]) for step in steps] == [(None, "green"), (1, "red")]
    (target,) = panel["targets"]
    wanted = {f"agent_rest_{family}" for family in families}
    compared = [limits_of(expr, wanted) for expr in (alerts()[alert], target["expr"])]
    assert compared[0] == compared[1]
    assert len(compared[0]) == 1


def limits_of(expr: str, families: set[str]) -> set[float]:
    """The numbers that an expression compares these families with, if it uses all of them."""
    used = {selector.name for selector in nodes(expr, promql_parser.VectorSelector)}
    assert families <= used
    return {
        comparison.rhs.val
        for comparison in nodes(expr, promql_parser.BinaryExpr)
        if isinstance(comparison.rhs, promql_parser.NumberLiteral)
        and families
        & {one.name for one in nodes(str(comparison.lhs), promql_parser.VectorSelector)}
        and comparison.rhs.val > 0
    }


def test_each_doubt_is_a_row_with_the_exporters_own_words() -> None:
    """Meaning and remedy as on the status page; the value of a query names the doubt."""
    title = "Doubtful numbers"
    (panel,) = [one for one in panels(read("agent-rest-exporter")) if one["title"] == title]
    (words,) = [
        one["value"][0]["options"]
        for override in panel["fieldConfig"]["overrides"]
        for one in override["properties"]
        if one["id"] == "mappings"
    ]
    numbers = re.findall(
        r'(\d) \* agent_rest_doubt\{[^}]*doubt="(\w+)"\}', panel["targets"][0]["expr"]
    )
    assert {doubt: words[number]["text"] for number, doubt in numbers} == {
        doubt.value: doubt.sentence for doubt in Doubt
    }


def test_every_alert_has_a_panel_that_leads_to_its_runbook() -> None:
    """And every link to a runbook leads to a page that is there."""
    linked = {
        link["url"]
        for uid in UIDS
        for panel in panels(read(uid))
        for link in panel["links"]
        if "Runbook" in link["title"]
    }
    assert linked == {f"{RUNBOOKS}{alert}.md" for alert in alerts()}
    pages = GRAFANA.parent.parent / "docs" / "runbooks"
    assert [alert for alert in alerts() if not (pages / f"{alert}.md").is_file()] == []


def test_grafana_is_provisioned_with_what_dashboards_ask() -> None:
    """One Prometheus, scraping as often as the shipped one, and dashboards from files."""
    provisioning = GRAFANA / "provisioning"
    source = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text("utf-8"))
    (prometheus,) = source["datasources"]
    assert (prometheus["type"], prometheus["isDefault"]) == ("prometheus", True)
    shipped = yaml.safe_load((GRAFANA.parent / "prometheus/prometheus.yml").read_text("utf-8"))
    assert prometheus["jsonData"]["timeInterval"] == shipped["global"]["scrape_interval"]
    boards = yaml.safe_load((provisioning / "dashboards/agent-rest.yaml").read_text("utf-8"))
    (provider,) = boards["providers"]
    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)
