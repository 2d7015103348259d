"""The committed dashboards, read as Grafana reads them: what is asked, and with which variables."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.support.paths import ROOT

GRAFANA: Final = ROOT / "deploy" / "grafana"
UIDS: Final = ("agent-rest-floor", "agent-rest-exporter")

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
