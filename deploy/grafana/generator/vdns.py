"""How tables and lines show a VDN: its labels, and the links from them."""

from typing import Final

from generator.frame import vdn_links
from generator.tables import Label

VDN_LEGEND: Final = "{{cms}} {{cc_id}}/{{vdn}} {{name}}"
"""The legend of a line for each VDN."""

VDN_LABELS: Final = (
    Label("cms", "lima-north"),
    Label("cc_id", "65535"),
    Label("vdn", "5000", links=vdn_links("__data.fields")),
    Label("name", "back office 2"),
)
"""The first columns of a table with a row for each VDN."""
