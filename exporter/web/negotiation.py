"""What a request's headers ask for: the format, and whether compressed. Pure.

Weights follow RFC 9110, section 12: absent means 1, 0 means never, and an item with a malformed
weight is ignored. Only the first kilobyte of a header counts, so that a long one costs little.
"""

import re
from collections.abc import Iterator
from typing import Final

from exporter.metrics.exposition import Format

_LONGEST: Final = 1000
"""Characters: Prometheus sends 250, browsers 150."""
_WEIGHT: Final = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")
_OPENMETRICS: Final = "application/openmetrics-text"
_VERSIONS: Final = {Format.TEXT: "0.0.4", Format.OPENMETRICS: "1.0.0"}


def exposition_format(accept: str) -> Format:
    """The format for an `Accept` header: OpenMetrics 1.0 if it is named and weighs no less.

    A wildcard does not ask for OpenMetrics: browsers and old scrapers get the text format.
    """
    wanted: dict[str, float] = {}
    for value, parameters, weight in _items(accept):
        served = Format.OPENMETRICS if value == _OPENMETRICS else Format.TEXT
        if parameters.get("version", _VERSIONS[served]) == _VERSIONS[served]:
            wanted[value] = max(weight, wanted.get(value, 0.0))
    # The most specific matching range decides, even if its weight is 0.
    text = next((wanted[each] for each in ("text/plain", "text/*", "*/*") if each in wanted), 0.0)
    openmetrics = wanted.get(_OPENMETRICS, 0.0)
    return Format.OPENMETRICS if openmetrics > 0 and openmetrics >= text else Format.TEXT


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an `Accept-Encoding` header allows gzip, and does not prefer `identity`."""
    weights = {value: weight for value, _, weight in _items(accept_encoding)}
    gzip = next((weights[each] for each in ("gzip", "x-gzip", "*") if each in weights), 0.0)
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _items(header: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """The value, parameters and weight of each of a header's comma-separated items."""
    for item in header[:_LONGEST].split(","):
        value, *rest = (part.strip().lower() for part in item.split(";"))
        parameters = {
            name.strip(): text.strip().strip('"')
            for name, _, text in (part.partition("=") for part in rest)
        }
        weight = parameters.get("q", "1")
        if _WEIGHT.fullmatch(weight):
            yield value, parameters, float(weight)
