"""Tables with a row for each VDN, joined from several queries. Knows no metric.

All queries must return the same labels: Grafana joins rows by the labels that queries share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Final

from grafana_foundation_sdk.builders import common, dashboard, table
from grafana_foundation_sdk.models import dashboard as model

from generator.panels import About, Look, Query, Shape, dressed, thresholds, words

_LETTER: Final = 8
"""Pixels of a letter, with a little to spare: fonts differ between machines."""
_PADDING: Final = 26
"""Pixels around the text of a cell, and for the icon in a header."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label that is a column.

    Args:
        name: the label.
        widest: the widest value that must be legible without widening the column.
        links: where its values lead to.
        colours: colours of some values.
    """

    name: str
    widest: str
    links: Sequence[dashboard.DashboardLink] = ()
    colours: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Column:
    """A column with the values of an expression.

    Args:
        query: the expression, and the title of the column.
        look: how its values are drawn.
        widest: the widest text that must be legible without widening the column.
        sentences: whether its cells are long texts: they are wrapped, and have no colour.
    """

    query: Query
    look: Look
    widest: str = ""
    sentences: bool = False


def rows(
    about: About, key: Sequence[Label], columns: Sequence[Column], *, empty: str, height: int = 10
) -> table.Panel:
    """A table with a row for each combination of the labels `key`, the worst rows first.

    Args:
        about: its texts.
        key: the labels that every query returns; they are the first columns.
        columns: the other columns; rows are sorted by the first of them, highest first.
        empty: the text of a table without rows, and of cells without a value. A label that a row
            does not have stays empty.
        height: in Grafana's units, about 30 pixels each.
    """
    names = [column.query.legend for column in columns]
    panel = (
        table.Panel()
        .height(height)
        .span(24)
        .no_value(empty)
        .filterable(filterable=True)
        .sort_by([common.TableSortByFieldState().display_name(names[0]).desc(desc=True)])
        .with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(_arranged([label.name for label in key], names))
    )
    for label in key:
        panel.override_by_name(label.name, _label_cells(label))
    for column in columns:
        panel.override_by_name(column.query.legend, _cells(column))
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


def _width(*texts: str) -> model.DynamicConfigValue:
    # Wider screens share their rest among the columns. Grafana's own minimum, 150 pixels for every
    # column, would push the last columns of a large table off the screen.
    pixels = _PADDING + _LETTER * max(map(len, texts))
    return model.DynamicConfigValue("custom.minWidth", pixels)


def _label_cells(label: Label) -> list[model.DynamicConfigValue]:
    properties = [
        _width(label.name, label.widest),
        model.DynamicConfigValue("noValue", ""),
    ]
    if label.links:
        links = [link.build() for link in label.links]
        properties.append(model.DynamicConfigValue("links", links))
    if label.colours:
        results = {
            value: model.ValueMappingResult(color=colour) for value, colour in label.colours.items()
        }
        properties.append(model.DynamicConfigValue("mappings", [model.ValueMap(results)]))
        properties.append(_coloured())
    return properties


def _cells(column: Column) -> list[model.DynamicConfigValue]:
    look = column.look
    properties = [
        _width(column.query.legend, column.widest),
        model.DynamicConfigValue("unit", look.unit),
        model.DynamicConfigValue("thresholds", thresholds(look).build()),
    ]
    if look.words:
        properties.append(model.DynamicConfigValue("mappings", [words(look)]))
    if column.sentences:
        wrapped = {"type": "auto", "wrapText": True}
        properties.append(model.DynamicConfigValue("custom.align", "left"))
        properties.append(model.DynamicConfigValue("custom.cellOptions", wrapped))
    elif look.steps or look.words:
        properties.append(_coloured())
    if look.decimals is not None:
        properties.append(model.DynamicConfigValue("decimals", look.decimals))
    return properties


def _coloured() -> model.DynamicConfigValue:
    return model.DynamicConfigValue("custom.cellOptions", {"type": "color-background"})
