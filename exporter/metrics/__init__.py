"""Every metric's name, type, help text and meaning, and the text in which they are exposed.

Names are promises to dashboards and alert rules.
"""

from exporter.metrics.exporter_families import ExporterCollector, own_registry
from exporter.metrics.families import (
    FAMILIES,
    LabelledFamily,
    Reading,
    TargetFamily,
    labels,
    read,
    value_of,
)

__all__ = [
    "FAMILIES",
    "ExporterCollector",
    "LabelledFamily",
    "Reading",
    "TargetFamily",
    "labels",
    "own_registry",
    "read",
    "value_of",
]
