"""Alerts: the table of those that are active, and marks where alerts, reloads and starts were.

A table of Prometheus' own series, rather than Grafana's alert list, follows the selections above
the panels, and needs no access to the rules of the data source.
"""

from typing import Final

from grafana_foundation_sdk.builders import dashboard, table
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import units

from generator.frame import Mark
from generator.panels import RUNBOOKS, About, Look, Query
from generator.promql import of_alerts, times_of_reloads, times_of_starts
from generator.tables import Column, Label, rows

FLOOR_TEAM: Final = "floor"
PLATFORM_TEAM: Final = "platform"

_LABELS: Final = "severity, alertname, cms, cc_id, vdn, name, instance"
_STATES: Final = {2: ("firing", "red"), 1: ("pending", "orange")}
_SEVERITIES: Final = {"critical": "dark-red", "warning": "orange", "info": "blue"}


def active(team: str, runbooks: tuple[str, ...] = ()) -> table.Panel:
    """The alerts of a team that are firing or pending.

    Args:
        team: the value of the label `team`.
        runbooks: alerts whose runbooks the panel links to.
    """
    firing = of_alerts("ALERTS", team, 'alertstate="firing"')
    pending = of_alerts("ALERTS", team, 'alertstate="pending"')
    since = of_alerts("ALERTS_FOR_STATE", team)
    runbook = (
        dashboard.DashboardLink("Runbook")
        .type(model.DashboardLinkType.LINK)
        .url(f"{RUNBOOKS}${{__value.raw}}.md")
        .target_blank(target_blank=True)
    )
    return rows(
        About(
            "Alerts",
            f"Alerts of the team {team} that are firing, and those that are about to, as "
            "Prometheus has them.",
            "Click an alert for its runbook, which says what to do. If alerts that you expect are "
            "missing, see in Prometheus under Status whether its rules are loaded.",
            runbooks,
        ),
        (
            Label("severity", "critical", colours=_SEVERITIES),
            Label("alertname", "AgentRestCertificateExpires", links=[runbook]),
            Label("cms", "lima-north"),
            Label("cc_id", "65535"),
            Label("vdn", "5000"),
            Label("name", "back office 2"),
            Label("instance", "exporter-0.example:10072"),
        ),
        (
            Column(
                Query(
                    f"2 * max by ({_LABELS}) ({firing})\nor max by ({_LABELS}) ({pending})", "state"
                ),
                Look("none", words=_STATES),
            ),
            Column(
                Query(f"time() - min by ({_LABELS}) ({since})", "active for"),
                Look(units.DurationInDaysHoursMinutesSeconds),
                widest="12 d 10:00:00",
            ),
        ),
        empty="no alerts",
        height=8,
    )


def marks(team: str) -> list[Mark]:
    """Where alerts of the team fired, and where exporters loaded a configuration or started."""
    return [
        Mark(
            "Alerts",
            "red",
            of_alerts("ALERTS", team, 'alertstate="firing"', 'severity!="info"'),
            "{{alertname}}",
            "{{cms}} {{cc_id}}/{{vdn}} {{name}} {{instance}}",
        ),
        Mark(
            "Reloads",
            "blue",
            times_of_reloads(),
            "Configuration loaded",
            "{{instance}}",
            at_value=True,
        ),
        Mark(
            "Starts",
            "purple",
            times_of_starts(),
            "Exporter started",
            "{{instance}}",
            at_value=True,
        ),
    ]
