"""Rules for the dashboards that Grafana's linter does not have.

Like the linter's in `dashboards`, they are functions from a dashboard to complaints.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import promql_parser

from tests.support.alert_rules import exposed_names
from tests.support.dashboards import Complaint, Json, Rule, nodes, panels, parse, variables

_OWN: Final = "agent_rest_"
_BUILD_INFO: Final = "agent_rest_exporter_build_info"
_SHIPPED_JOB: Final = ("job", promql_parser.MatchOp.Equal, "agent-rest-exporter")
_OWN_ALERTS: Final = ("alertname", promql_parser.MatchOp.Re, "AgentRest.+")
_OF_PROMETHEUS: Final = {"up", "scrape_duration_seconds", "ALERTS", "ALERTS_FOR_STATE"}

_SCREEN: Final = 1600
_COLUMNS: Final = 24
_PAGE: Final = 32
"""Pixels left and right of the panels."""
_PANEL: Final = 40
"""Pixels left and right of the table in its panel, with a scroll bar."""
_LETTER: Final = 7.2
"""Pixels of an average letter of a title."""
_CELL: Final = 16
"""Pixels left and right of a text in its cell."""

_DISTINCT: Final = {"short", "s", "bytes", "percentunit", "cpm", "reqps"}
"""Units with as many digits as the ticks of an axis need.

Units such as `dtdurations` round: an axis up to two hours reads 1 hour, 1 hour, 2 hours.
"""


def expressions(dashboard: Json) -> Iterator[tuple[str, str]]:
    """The expressions of panels and annotations, each with the title of where it is."""
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


def _selectors_of_variables(dashboard: Json) -> Iterator[tuple[str, str]]:
    for name, variable in variables(dashboard).items():
        if variable["type"] == "query":
            inside = variable["query"].removeprefix("label_values(")
            yield f"variable {name}", inside.rpartition(",")[0]


def _foreign(dashboard: Json) -> Iterator[Complaint]:
    everywhere = [*expressions(dashboard), *_selectors_of_variables(dashboard)]
    for title, expr in everywhere:
        for selector in _could_be_foreign(parse(expr)):
            yield Complaint(title, f"{selector} can select series of other jobs")


def _could_be_foreign(node: Any) -> Iterator[str]:
    """The selectors that nothing ties to this exporter."""
    if isinstance(node, promql_parser.VectorSelector):
        if not _is_own(node):
            yield str(node.prettify())
    elif not (isinstance(node, promql_parser.BinaryExpr) and _tied_to_exporters(node)):
        for child in _children(node):
            yield from _could_be_foreign(child)


def _is_own(selector: Any) -> bool:
    matchers = [(one.name, one.op, one.value) for one in selector.matchers.matchers]
    names = [selector.name or ""] + [value for name, _, value in matchers if name == "__name__"]
    if all(part.startswith(_OWN) for name in names if name for part in name.split("|")):
        return True
    return _SHIPPED_JOB in matchers or (
        str(selector.name).startswith("ALERTS") and _OWN_ALERTS in matchers
    )


def _tied_to_exporters(node: Any) -> bool:
    """Whether it is `… and on (job, instance) agent_rest_exporter_build_info`."""
    matching = node.modifier.matching if node.modifier else None
    return (
        str(node.op) == "and"
        and matching is not None
        and matching.type == promql_parser.LabelModifierType.Include
        and sorted(matching.labels) == ["instance", "job"]
        and {one.name for one in nodes(str(node.rhs), promql_parser.VectorSelector)}
        == {_BUILD_INFO}
    )


def _children(node: Any) -> list[Any]:
    if isinstance(node, promql_parser.MatrixSelector):
        return [node.vector_selector]
    if isinstance(node, promql_parser.BinaryExpr):
        return [node.lhs, node.rhs]
    if isinstance(node, promql_parser.Call):
        return list(node.args)
    return [node.expr] if hasattr(node, "expr") else []


def _unknown_metric(dashboard: Json) -> Iterator[Complaint]:
    known = exposed_names() | _OF_PROMETHEUS
    for title, expr in expressions(dashboard):
        for selector in nodes(expr, promql_parser.VectorSelector):
            if selector.name not in known:
                yield Complaint(title, f"the exporter has no family {selector.name}")


def _wide_table(dashboard: Json) -> Iterator[Complaint]:
    for panel in panels(dashboard):
        if panel["type"] != "table":
            continue
        widths = widths_of(panel)
        place = (_SCREEN - _PAGE) * panel["gridPos"]["w"] / _COLUMNS - _PANEL
        if sum(widths.values()) > place:
            need = sum(widths.values())
            yield Complaint(panel["title"], f"needs {need} of {place:.0f} pixels")
        for title, width in widths.items():
            if width < _CELL + _LETTER * len(title):
                yield Complaint(panel["title"], f"cuts the title {title!r}")


def widths_of(table: Json) -> dict[str, int]:
    """The least width of each column, by its title; Grafana's own is 150 pixels."""
    options = table["transformations"][1]["options"]
    titles = [options["renameByName"].get(name, name) for name in options["indexByName"]]
    minimum = {
        override["matcher"]["options"]: one["value"]
        for override in table["fieldConfig"]["overrides"]
        for one in override["properties"]
        if one["id"] == "custom.minWidth"
    }
    return {title: minimum.get(title, 150) for title in titles}


def _alike_series(dashboard: Json) -> Iterator[Complaint]:
    for panel in panels(dashboard):
        if panel["type"] == "table":
            continue
        legends = [target["legendFormat"] for target in panel["targets"]]
        if len(set(legends)) < len(legends):
            yield Complaint(panel["title"], "has two queries with the same legend")
        for target in panel["targets"]:
            missing = _labels(parse(target["expr"])) - set(
                re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            )
            if missing:
                yield Complaint(panel["title"], f"names no {', '.join(sorted(missing))}")
        if panel["type"] == "timeseries":
            colour = panel["fieldConfig"]["defaults"]["color"]["mode"]
            if colour != "palette-classic":
                yield Complaint(panel["title"], f"can give two lines a colour, by {colour}")


def _labels(node: Any) -> set[str]:
    """The labels that tell the series of an expression apart."""
    if isinstance(node, promql_parser.AggregateExpr):
        if node.modifier is not None:
            return set(node.modifier.labels)
        return _labels(node.expr) if str(node.op) in {"topk", "bottomk"} else set()
    if isinstance(node, promql_parser.Call) and node.func.name == "histogram_quantile":
        return _labels(node.args[1]) - {"le"}
    return {label for child in _children(node) for label in _labels(child)}


def _alike_ticks(dashboard: Json) -> Iterator[Complaint]:
    for panel in panels(dashboard):
        if panel["type"] != "timeseries":
            continue
        defaults = panel["fieldConfig"]["defaults"]
        if defaults["unit"] not in _DISTINCT:
            yield Complaint(panel["title"], f"rounds the labels of its axis ({defaults['unit']})")
        # Grafana leaves out the labels of half a count, but rounds those of other units.
        if "decimals" in defaults and defaults["unit"] != "short":
            yield Complaint(panel["title"], "rounds the labels of its axis (decimals)")


OWN_RULES: Final[dict[str, Rule]] = {
    "foreign series": _foreign,
    "unknown metric": _unknown_metric,
    "wide table": _wide_table,
    "alike series": _alike_series,
    "alike ticks": _alike_ticks,
}
