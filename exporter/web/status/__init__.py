"""The status page: every target's state, trouble first. Pure, from states to HTML.

Works without JavaScript, refreshes itself with it, and loads nothing. Everything that comes from
elsewhere is escaped, and the page's own policy forbids the browser to run or load anything even if
it were not.
"""

from exporter.web.status.assets import HEADERS
from exporter.web.status.page import slices

__all__ = ["HEADERS", "slices"]
