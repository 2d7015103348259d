"""Panels: single numbers, bars and lines. Knows no metric and no threshold.

Every panel needs a text that says what it shows and what to do if the values are bad.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from string import ascii_uppercase
from typing import Final, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, dashboard, stat, table, timeseries
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE: Final = model.DataSourceRef("prometheus", "${datasource}")
RUNBOOKS: Final = (
    "https://github.com/agent-rest-exporter/agent-rest-exporter/blob/main/docs/runbooks/"
)

AnyPanel = stat.Panel | timeseries.Panel | table.Panel | bargauge.Panel
_P = TypeVar("_P", stat.Panel, timeseries.Panel, table.Panel, bargauge.Panel)


@dataclass(frozen=True, slots=True)
class About:
    """The texts of a panel."""

    title: str
    shows: str
    """What it shows, in one or two sentences."""
    act: str
    """What to do if the values are bad."""
    alerts: tuple[str, ...] = ()
    """The alerts on the same values; the panel links to their runbooks."""


@dataclass(frozen=True, slots=True)
class Query:
    """An expression, and the legend of its series; in a table, the title of its column."""

    expr: str
    legend: str
    dashed: bool = False
    """Whether its lines are dashed, like those of thresholds."""


@dataclass(frozen=True, slots=True)
class Look:
    """How values are drawn.

    Args:
        unit: Grafana's name for the unit.
        steps: each value with the colour from there on.
        base: the colour below the first step.
        decimals: digits after the point; None lets Grafana choose.
        words: texts to show in place of values, with their colours.
    """

    unit: str
    steps: tuple[tuple[float, str], ...] = ()
    base: str = "green"
    decimals: int | None = None
    words: Mapping[int, tuple[str, str]] = field(default_factory=dict)


class Shape(Enum):
    """What a query returns."""

    NOW = auto()
    """The value at the end of the time range."""
    COURSE = auto()
    """The values over the time range."""
    TABLE = auto()
    """Like `NOW`, with a row for each series."""


def single(
    about: About, look: Look, query: Query, *, empty: str = "no data", width: int = 4
) -> stat.Panel:
    """One number for each series, or the text `empty` if there is none."""
    panel = (
        stat.Panel()
        .height(4)
        .span(width)
        .no_value(empty)
        .graph_mode(options.BigValueGraphMode.NONE)
        .color_mode(options.BigValueColorMode.BACKGROUND_SOLID)
        .reduce_options(_last())
    )
    return dressed(panel, about, look, [query], Shape.NOW)


def bars(
    about: About, look: Look, query: Query, links: Sequence[dashboard.DashboardLink]
) -> bargauge.Panel:
    """A bar for each series, from 0 to 100 %. Above that only the number grows."""
    panel = (
        bargauge.Panel()
        .height(9)
        .span(8)
        .min(0)
        .max(1)
        .orientation(options.VizOrientation.HORIZONTAL)
        .display_mode(options.BarGaugeDisplayMode.BASIC)
        .reduce_options(_last())
        .text(common.VizTextDisplayOptions().title_size(14).value_size(16))
        .data_links(list(links))
    )
    return dressed(panel, about, look, [query], Shape.NOW)


def course(
    about: About,
    look: Look,
    *queries: Query,
    width: int = 8,
    stacked: bool = False,
    links: Sequence[dashboard.DashboardLink] = (),
) -> timeseries.Panel:
    """Lines over time, with the thresholds as dashed lines. Missing samples stay gaps.

    Args:
        about: its texts.
        look: how values are drawn.
        queries: the expressions; each can return several lines.
        width: in 24ths of the page.
        stacked: whether to stack the lines, because their sum is meaningful.
        links: the links of each line.
    """
    panel = (
        timeseries.Panel()
        .height(9)
        .span(width)
        .axis_soft_min(0)
        .show_points(options.VisibilityMode.NEVER)
        .fill_opacity(30 if stacked else 0)
        .tooltip(
            common.VizTooltipOptions()
            .mode(options.TooltipDisplayMode.MULTI)
            .sort(options.SortOrder.DESCENDING)
        )
        .legend(
            common.VizLegendOptions()
            .show_legend(show_legend=True)
            .display_mode(options.LegendDisplayMode.TABLE)
            .placement(options.LegendPlacement.BOTTOM)
            .calcs(["lastNotNull", "max"])
            .sort_by("Last *")
            .sort_desc(sort_desc=True)
        )
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL))
    if look.steps:
        panel.thresholds_style(
            common.GraphThresholdsStyleConfig().mode(options.GraphThresholdsStyleMode.DASHED)
        )
    # Each line has a colour of its own; thresholds are drawn as dashed lines. By name, two lines of
    # a panel can have the same colour.
    panel.color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
    panel.data_links(list(links))
    dashes = model.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [10, 10]})
    for letter, query in zip(ascii_uppercase, queries, strict=False):
        if query.dashed:
            panel.override_by_query(letter, [dashes])
    return dressed(panel, about, look, queries, Shape.COURSE)


def dressed(panel: _P, about: About, look: Look, queries: Sequence[Query], shape: Shape) -> _P:
    """Add texts, links, colours and queries to a panel, and return it.

    Args:
        panel: of any kind; it is changed in place.
        about: its texts.
        look: how values are drawn.
        queries: the expressions.
        shape: what the expressions return.
    """
    panel.title(about.title).description(f"{about.shows}\n\n**What to do:** {about.act}")
    panel.datasource(DATASOURCE).unit(look.unit).thresholds(thresholds(look))
    panel.links(
        [
            dashboard.DashboardLink(f"Runbook: {alert}")
            .type(model.DashboardLinkType.LINK)
            .url(f"{RUNBOOKS}{alert}.md")
            .target_blank(target_blank=True)
            for alert in about.alerts
        ]
    )
    if look.decimals is not None:
        panel.decimals(look.decimals)
    if look.words:
        panel.mappings([words(look)])
    for letter, query in zip(ascii_uppercase, queries, strict=False):
        target = Dataquery().ref_id(letter).datasource(DATASOURCE)
        target.expr(query.expr).legend_format(query.legend)
        if shape is Shape.TABLE:
            target.format(PromQueryFormat.TABLE)
        panel.with_target(target.range() if shape is Shape.COURSE else target.instant())
    return panel


def thresholds(look: Look) -> dashboard.ThresholdsConfig:
    """The colours of `look`, in the form that every kind of panel takes."""
    steps = [model.Threshold(None, look.base)]
    steps += [model.Threshold(value, colour) for value, colour in look.steps]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def words(look: Look) -> model.ValueMap:
    """The words of `look`, in the form that every kind of panel takes."""
    return model.ValueMap(
        {
            str(value): model.ValueMappingResult(text=text, color=colour)
            for value, (text, colour) in look.words.items()
        }
    )


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"])
