"""The two dashboards, built here and written to JSON by `generate.py`.

`floor` and `exporter` define the dashboards: what each panel shows and what to do about it. Their
largest rows are in `trouble` and `polling`. `promql` builds the expressions, `panels` and `tables`
the panels, `frame` the dashboard around them. `vocabulary` holds the names of the metrics and the
limits of the alerts.
"""

from generator.exporter import exporter
from generator.floor import floor

__all__ = ["exporter", "floor"]
