"""The two dashboards, as they are written to JSON.

`floor` and `exporter` say what is shown and what to do about it, and leave `trouble` and `polling`
their larger parts. `promql` knows how samples are picked, `panels` and `tables` how they look,
`frame` what stands around them, `vocabulary` the names and limits of the exporter and its alerts.
"""

from generator.exporter import exporter
from generator.floor import floor

__all__ = ["exporter", "floor"]
