"""The dashboard around the panels: variables, links, rows and the time range."""

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from generator.panels import DATASOURCE, RUNBOOKS, AnyPanel

FLOOR: Final = "agent-rest-floor"
EXPORTER: Final = "agent-rest-exporter"
_TAG: Final = "agent-rest"

_TARGETS: Final = 'agent_rest_up{job=~"$job"'
VARIABLES: Final = (
    ("cms", "CMS", f"{_TARGETS}}}", model.VariableSort.ALPHABETICAL_ASC),
    ("cc_id", "Call center", f'{_TARGETS}, cms=~"$cms"}}', model.VariableSort.NUMERICAL_ASC),
    (
        "vdn",
        "VDN",
        f'{_TARGETS}, cms=~"$cms", cc_id=~"$cc_id"}}',
        model.VariableSort.NUMERICAL_ASC,
    ),
)


class Board:
    """A dashboard under construction. Rows and panels are numbered in the order they are added.

    Args:
        uid: the stable ID that links use.
        title: the title.
        description: who the dashboard is for.
        since: the start of the default time range, as Grafana writes it.
        variables: name, label, selector and sort order of each label that can be selected; each
            narrows the choices of the next.
    """

    def __init__(
        self,
        uid: str,
        title: str,
        description: str,
        *,
        since: str,
        variables: Sequence[tuple[str, str, str, model.VariableSort]],
    ) -> None:
        self._number = 0
        self._board = (
            dashboard.Dashboard(title)
            .uid(uid)
            .description(description)
            .tags([_TAG])
            .timezone("browser")
            .time(since, "now")
            .refresh("30s")
            .readonly()
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .with_variable(_datasource())
            .link(_others())
            .link(_runbooks())
        )
        for name, label, selector, order in variables:
            self._board.with_variable(_choice(name, label, selector, order))

    def row(self, title: str, *panels: AnyPanel) -> None:
        """Add a row."""
        self._number += 1
        self._board.with_row(dashboard.Row(title).id(self._number))
        for panel in panels:
            self._number += 1
            self._board.with_panel(panel.id(self._number))

    def build(self) -> model.Dashboard:
        """The dashboard as it is written."""
        return self._board.build()


def vdn_links(field: str) -> list[dashboard.DashboardLink]:
    """Links from a VDN's value to both dashboards, filtered by that VDN.

    Args:
        field: where Grafana finds the labels `cms`, `cc_id` and `vdn` of the clicked value.
    """
    chosen = "&".join(f"var-{name}=${{{field}.{name}:percentencode}}" for name, *_ in VARIABLES)
    return [
        dashboard.DashboardLink(title).url(
            f"/d/{uid}?${{datasource:queryparam}}&${{job:queryparam}}&{chosen}&${{__url_time_range}}"
        )
        for title, uid in (("Show only this VDN", FLOOR), ("Show polling of this VDN", EXPORTER))
    ]


def _datasource() -> dashboard.DatasourceVariable:
    return (
        dashboard.DatasourceVariable("datasource")
        .label("Data source")
        .type("prometheus")
        .current(model.VariableOption(selected=True, text="default", value="default"))
    )


def _choice(
    name: str, label: str, selector: str, order: model.VariableSort
) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query(f"label_values({selector}, {name})")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(order)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".+")
        .current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def _others() -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink("Agent rest")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([_TAG])
        .include_vars(include_vars=True)
        .keep_time(keep_time=True)
    )


def _runbooks() -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink("Runbooks")
        .type(model.DashboardLinkType.LINK)
        .icon("doc")
        .tooltip("What each alert means and what to do about it")
        .url(RUNBOOKS)
        .target_blank(target_blank=True)
    )
