"""The dashboard around the panels: variables, links, rows and the time range."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from generator.panels import DATASOURCE, RUNBOOKS, AnyPanel

FLOOR: Final = "agent-rest-floor"
EXPORTER: Final = "agent-rest-exporter"
_TAG: Final = "agent-rest"


@dataclass(frozen=True, slots=True)
class Choice:
    """A drop-down list above the panels, and what it offers.

    Args:
        name: the variable's name, in most cases that of the label.
        label: the text beside it.
        query: Grafana's query for the values.
        order: how the values are sorted.
        everything: the regular expression for *All*.
    """

    name: str
    label: str
    query: str
    order: model.VariableSort = model.VariableSort.ALPHABETICAL_ASC
    everything: str = ".+"


def label_choice(
    name: str,
    label: str,
    selector: str,
    order: model.VariableSort = model.VariableSort.ALPHABETICAL_ASC,
) -> Choice:
    """Offers the values that a label has in the series of `selector`."""
    return Choice(name, label, f"label_values({selector}, {name})", order)


def _narrowed(*names: str) -> str:
    chosen = ", ".join(f'{name}=~"${name}"' for name in names)
    return f"agent_rest_up{{{chosen}}}"


_KEY: Final = ("job", "cms", "cc_id", "vdn")
_KEY_CHOICES: Final = (
    label_choice("cms", "CMS", _narrowed("job")),
    label_choice("cc_id", "Call center", _narrowed("job", "cms"), model.VariableSort.NUMERICAL_ASC),
    label_choice("vdn", "VDN", _narrowed(*_KEY[:-1]), model.VariableSort.NUMERICAL_ASC),
)
VARIABLES: Final = (
    *_KEY_CHOICES,
    # The label is missing where the configuration sets no name; All includes those targets.
    Choice("name", "Name", f"label_values({_narrowed(*_KEY)}, name)", everything=".*"),
)
"""The choices that narrow the targets, on both dashboards."""


class Mark(model.AnnotationQuery):
    """Marks on the time axis of every graph: an annotation of the Prometheus data source.

    The SDK knows the fields that annotations of all data sources have; these are the others, as in
    Grafana's `AnnotationQuery<PromQuery>`.

    Args:
        name: the text of its switch.
        colour: Grafana's name of the colour.
        expr: marks are drawn where it has samples above 0, or, with `at_value`, at the times that
            are its values, in milliseconds.
        title: the title of a mark, with labels as in a legend.
        text: the text of a mark, likewise.
        at_value: see `expr`.
    """

    def __init__(  # noqa: PLR0913  # one for each field
        self, name: str, colour: str, expr: str, title: str, text: str, *, at_value: bool = False
    ) -> None:
        super().__init__(name=name, datasource=DATASOURCE, icon_color=colour, expr=expr)
        self._prometheus = {
            "titleFormat": title,
            "textFormat": text,
            "useValueForTime": at_value,
        }

    def build(self) -> "Mark":
        """Itself: the SDK takes builders."""
        return self

    def to_json(self) -> dict[str, object]:
        """All fields by the names that Grafana reads."""
        return super().to_json() | self._prometheus


class Board:
    """A dashboard under construction. Rows and panels are numbered in the order they are added.

    Args:
        uid: the stable ID that links use.
        title: the title.
        description: who the dashboard is for.
        since: the start of the default time range, as Grafana writes it.
        choices: the drop-down lists; each narrows the next.
    """

    def __init__(
        self,
        uid: str,
        title: str,
        description: str,
        *,
        since: str,
        choices: Sequence[Choice],
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
        for choice in choices:
            self._board.with_variable(_variable(choice))

    def row(self, title: str, *panels: AnyPanel) -> None:
        """Add a row."""
        self._number += 1
        self._board.with_row(dashboard.Row(title).id(self._number))
        for panel in panels:
            self._number += 1
            self._board.with_panel(panel.id(self._number))

    def mark(self, marks: Sequence[Mark]) -> None:
        """Add annotations."""
        for mark in marks:
            self._board.annotation(mark)

    def filter(self, note: str) -> None:
        """Add filters by the labels that the configuration gives to targets.

        Args:
            note: what a reader has to know of them.
        """
        self._board.with_variable(_own_labels(note))

    def build(self) -> model.Dashboard:
        """The dashboard as it is written."""
        return self._board.build()


def vdn_links(field: str) -> list[dashboard.DashboardLink]:
    """Links from a VDN's value to both dashboards, filtered by that VDN.

    Args:
        field: where Grafana finds the labels `cms`, `cc_id` and `vdn` of the clicked value.
    """
    chosen = "&".join(f"var-{name}=${{{field}.{name}:percentencode}}" for name in _KEY[1:])
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


def _variable(choice: Choice) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(choice.name)
        .label(choice.label)
        .datasource(DATASOURCE)
        .query(choice.query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(choice.order)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(choice.everything)
        .current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def _own_labels(note: str) -> dashboard.AdHocVariable:
    # Which labels the configuration gives to targets is not known here. Grafana offers those that
    # it finds, and adds the filters to every selector of every panel.
    return (
        dashboard.AdHocVariable("own_labels")
        .label("Own labels")
        .description(note)
        .datasource(DATASOURCE)
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
