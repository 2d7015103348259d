"""Every metric's name, type, help text and meaning: nothing outside this package knows them.

Names are promises to dashboards and alert rules. Knows nothing of how samples are written down
or sent, nor of how polls are made.
"""

from exporter.metrics.collector import TargetCollector, metric
from exporter.metrics.exporter_families import ExporterCollector, own_registry
from exporter.metrics.families import (
    FAMILIES,
    Data,
    DataFamily,
    Family,
    Reading,
    ReasonFamily,
    TargetFamily,
    labels,
    read,
    value_of,
)

__all__ = [
    "FAMILIES",
    "Data",
    "DataFamily",
    "ExporterCollector",
    "Family",
    "Reading",
    "ReasonFamily",
    "TargetCollector",
    "TargetFamily",
    "labels",
    "metric",
    "own_registry",
    "read",
    "value_of",
]
