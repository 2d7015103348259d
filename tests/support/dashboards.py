"""The committed dashboards as Grafana reads them, and the rules of Grafana's dashboard-linter.

The rules are functions from a dashboard to complaints, and have the names of the linter's rules for
Prometheus. Where it checks some kinds of panels only, these check all of them. A complaint is the
title of the panel, empty for the dashboard as a whole, and a sentence.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import promql_parser

from tests.support.paths import ROOT

GRAFANA: Final = ROOT / "deploy" / "grafana"
UIDS: Final = ("agent-rest-floor", "agent-rest-exporter")

_DATASOURCES: Final = {"$datasource", "${datasource}"}
# An odd duration that nobody writes by hand stands for the variable.
_RATE_INTERVAL: Final = "8869990s"
_COUNTER_FUNCTIONS: Final = {"rate", "irate", "increase"}
_UNITS: Final = {"none", "short", "percentunit", "bytes", "s", "dthms", "dtdhms", "cpm", "reqps"}
"""Those of the linter's list that are used here."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """One expression of a panel."""

    uid: str
    panel: str
    expr: str
    instant: bool


def read(uid: str) -> Json:
    """A committed dashboard."""
    dashboard: Json = json.loads((GRAFANA / f"{uid}.json").read_text(encoding="utf-8"))
    return dashboard


def panels(dashboard: Json) -> list[Json]:
    """Its panels, without the rows that head them."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def variables(dashboard: Json) -> dict[str, Json]:
    """Its variables by name, in their order."""
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


def targets(uid: str) -> list[Target]:
    """Every expression of a dashboard."""
    return [
        Target(uid, panel["title"], target["expr"], target["instant"])
        for panel in panels(read(uid))
        for target in panel["targets"]
    ]


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text with its variables replaced, as `$name` and as `${name}`."""
    # The longest first, so that $job does not take the start of $job_name.
    for name in sorted(values, key=len, reverse=True):
        text = text.replace(f"${{{name}}}", values[name]).replace(f"${name}", values[name])
    return text


class Complaint(NamedTuple):
    """What a rule has found."""

    panel: str
    sentence: str


Rule = Callable[[Json], Iterator[Complaint]]


def parse(expr: str) -> promql_parser.Expr:
    """The expression as Prometheus sees it once Grafana has put the durations in.

    Raises:
        ValueError: it is no PromQL.
    """
    parsed: promql_parser.Expr = promql_parser.parse(
        filled(expr, {"__rate_interval": _RATE_INTERVAL, "__range": "6h"})
    )
    return parsed


def nodes(expr: str, kind: type) -> list[Any]:
    """Every node of one kind, an expression's own first."""
    found: list[Any] = []
    promql_parser.walk(
        parse(expr), lambda node: found.append(node) if isinstance(node, kind) else None
    )
    return found


def matchers(selector: Any) -> dict[str, tuple[Any, str]]:
    """A selector's matchers: operator and value by label."""
    return {matcher.name: (matcher.op, matcher.value) for matcher in selector.matchers.matchers}


def _expressions(dashboard: Json) -> Iterator[tuple[str, str]]:
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def _parseable(dashboard: Json) -> Iterator[tuple[str, str]]:
    for title, expr in _expressions(dashboard):
        try:
            parse(expr)
        except ValueError:
            continue  # target-promql-rule complains
        yield title, expr


def _template_datasource(dashboard: Json) -> Iterator[Complaint]:
    sources = [v for v in variables(dashboard).values() if v["type"] == "datasource"]
    if [(v["name"], v["label"]) for v in sources] != [("datasource", "Data source")]:
        yield Complaint("", "the one data source is not the variable datasource, 'Data source'")


def _template(name: str) -> Rule:
    def rule(dashboard: Json) -> Iterator[Complaint]:
        variable = variables(dashboard).get(name)
        if variable is None:
            yield Complaint("", f"there is no variable {name}")
            return
        wanted = {"type": "query", "label": name.title(), "multi": True, "allValue": ".+"}
        for key, value in wanted.items():
            if variable.get(key) != value:
                yield Complaint("", f"{key} of the variable {name} is not {value!r}")
        if variable["datasource"]["uid"] not in _DATASOURCES:
            yield Complaint("", f"the variable {name} does not ask the chosen data source")

    return rule


def _template_label_promql(dashboard: Json) -> Iterator[Complaint]:
    for name, variable in variables(dashboard).items():
        if variable["type"] != "query":
            continue
        query = variable["query"]
        selector, _, label = query.removeprefix("label_values(").rpartition(",")
        if not query.startswith("label_values(") or label.strip() != f"{name})":
            yield Complaint("", f"the variable {name} does not ask for values of its label")
            continue
        try:
            parse(selector)
        except ValueError as error:
            yield Complaint("", f"the variable {name} does not parse: {error}")


def _template_reload(dashboard: Json) -> Iterator[Complaint]:
    for name, variable in variables(dashboard).items():
        if variable["type"] == "query" and variable["refresh"] != 2:
            yield Complaint("", f"the variable {name} is not read again when the time changes")


def _panel_datasource(dashboard: Json) -> Iterator[Complaint]:
    for panel in panels(dashboard):
        asked = [panel, *panel.get("targets", ())]
        if any(one.get("datasource", {}).get("uid") not in _DATASOURCES for one in asked):
            yield Complaint(panel["title"], "does not ask the chosen data source")


def _panel_title_description(dashboard: Json) -> Iterator[Complaint]:
    for panel in panels(dashboard):
        if not panel.get("title") or not panel.get("description"):
            yield Complaint(panel.get("title", ""), "lacks a title or a description")


def _panel_units(dashboard: Json) -> Iterator[Complaint]:
    for panel in panels(dashboard):
        config = panel["fieldConfig"]
        used = [config["defaults"].get("unit")] + [
            one["value"]
            for override in config["overrides"]
            for one in override["properties"]
            if one["id"] == "unit"
        ]
        if not _UNITS.issuperset(used):
            yield Complaint(panel["title"], "has no unit, or one that Grafana does not know")


def _panel_no_targets(dashboard: Json) -> Iterator[Complaint]:
    for panel in panels(dashboard):
        if not panel.get("targets"):
            yield Complaint(panel["title"], "asks nothing")


def _target_promql(dashboard: Json) -> Iterator[Complaint]:
    for title, expr in _expressions(dashboard):
        try:
            parse(expr)
        except ValueError as error:
            yield Complaint(title, f"{expr!r} does not parse: {error}")


def _target_rate_interval(dashboard: Json) -> Iterator[Complaint]:
    interval = promql_parser.parse_duration(_RATE_INTERVAL)
    for title, expr in _parseable(dashboard):
        ranges = [
            call.args[0].range
            for call in nodes(expr, promql_parser.Call)
            if call.func.name in _COUNTER_FUNCTIONS
        ]
        if any(one != interval for one in ranges):
            yield Complaint(title, f"{expr!r} has a range other than $__rate_interval")


def _target_matcher(label: str) -> Rule:
    def rule(dashboard: Json) -> Iterator[Complaint]:
        for title, expr in _parseable(dashboard):
            for selector in nodes(expr, promql_parser.VectorSelector):
                if matchers(selector).get(label) != (promql_parser.MatchOp.Re, f"${label}"):
                    yield Complaint(title, f'{selector.name} lacks {label}=~"${label}"')

    return rule


def _target_counter_agg(dashboard: Json) -> Iterator[Complaint]:
    counters = ("_total", "_bucket", "_count", "_sum")
    for title, expr in _parseable(dashboard):
        rated = [
            call.args[0].vector_selector.name
            for call in nodes(expr, promql_parser.Call)
            if call.func.name in _COUNTER_FUNCTIONS
        ]
        asked = [selector.name for selector in nodes(expr, promql_parser.VectorSelector)]
        if sorted(name for name in asked if name.endswith(counters)) != sorted(rated):
            yield Complaint(title, f"{expr!r} takes a counter as it is, or the rate of a gauge")


def _uneditable(dashboard: Json) -> Iterator[Complaint]:
    if dashboard["editable"]:
        yield Complaint("", "can be edited, and the change would be lost")


RULES: Final[dict[str, Rule]] = {
    "template-datasource-rule": _template_datasource,
    "template-job-rule": _template("job"),
    "template-instance-rule": _template("instance"),
    "template-label-promql-rule": _template_label_promql,
    "template-on-time-change-reload-rule": _template_reload,
    "panel-datasource-rule": _panel_datasource,
    "panel-title-description-rule": _panel_title_description,
    "panel-units-rule": _panel_units,
    "panel-no-targets-rule": _panel_no_targets,
    "target-promql-rule": _target_promql,
    "target-rate-interval-rule": _target_rate_interval,
    "target-job-rule": _target_matcher("job"),
    "target-instance-rule": _target_matcher("instance"),
    "target-counter-agg-rule": _target_counter_agg,
    "uneditable-dashboard": _uneditable,
}
