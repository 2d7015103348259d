"""Tables with a row for each VDN, joined from several queries. Knows no metric.

All queries must return the same labels: Grafana joins rows by the labels that queries share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Final

from grafana_foundation_sdk.builders import common, dashboard, table
from grafana_foundation_sdk.models import dashboard as model

from generator.panels import About, Look, Query, Shape, dressed, thresholds, words

_NARROWEST: Final = 90
"""Pixels of a column at least; Grafana's own default lets ten columns fill a screen."""
_SENTENCE: Final = 950


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its expression, and how its values are drawn."""

    query: Query
    look: Look
    sentences: bool = False
    """Whether its cells are long texts: they get most of the width, and no colour."""


def rows(
    about: About,
    key: Sequence[str],
    columns: Sequence[Column],
    links: Mapping[str, Sequence[dashboard.DashboardLink]],
    *,
    empty: str,
) -> table.Panel:
    """A table with a row for each combination of the labels `key`, the worst rows first.

    Args:
        about: its texts.
        key: the labels that every query returns; they are the first columns.
        columns: the other columns; rows are sorted by the first of them, highest first.
        links: the links of the columns of `key`.
        empty: the text of cells without a value.
    """
    names = [column.query.legend for column in columns]
    panel = (
        table.Panel()
        .height(10)
        .span(24)
        .no_value(empty)
        .filterable(filterable=True)
        .min_width(_NARROWEST)
        .sort_by([common.TableSortByFieldState().display_name(names[0]).desc(desc=True)])
        .with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(_arranged(key, names))
    )
    for column in columns:
        panel.override_by_name(column.query.legend, _cells(column))
    for label, targets in links.items():
        panel.override_by_name(
            label, [model.DynamicConfigValue("links", [link.build() for link in targets])]
        )
    queries = [column.query for column in columns]
    return dressed(panel, about, Look("short"), queries, Shape.TABLE)


def _arranged(key: Sequence[str], names: Sequence[str]) -> model.DataTransformerConfig:
    # Grafana names the values of query A "Value #A", and those of a single query "Value".
    values = (
        [f"Value #{letter}" for letter, _ in zip(ascii_uppercase, names, strict=False)]
        if len(names) > 1
        else ["Value"]
    )
    return model.DataTransformerConfig(
        id_val="organize",
        options={
            "excludeByName": {"Time": True},
            "indexByName": {name: place for place, name in enumerate([*key, *values])},
            "renameByName": dict(zip(values, names, strict=True)),
        },
    )


def _cells(column: Column) -> list[model.DynamicConfigValue]:
    look = column.look
    properties = [
        model.DynamicConfigValue("unit", look.unit),
        model.DynamicConfigValue("thresholds", thresholds(look).build()),
    ]
    if look.words:
        properties.append(model.DynamicConfigValue("mappings", [words(look)]))
    if column.sentences:
        properties.append(model.DynamicConfigValue("custom.align", "left"))
        properties.append(model.DynamicConfigValue("custom.minWidth", _SENTENCE))
    elif look.steps or look.words:
        properties.append(
            model.DynamicConfigValue("custom.cellOptions", {"type": "color-background"})
        )
    if look.decimals is not None:
        properties.append(model.DynamicConfigValue("decimals", look.decimals))
    return properties
