"""When a listing in pages (CTI 3.6) has ended. Pure.

The vendor's reply has no total: the last page is the one with fewer rows than asked for. A server
that ignores `offset` sends the first page again and again; such a listing must end, too.
"""

from typing import Final

from exporter.cms.wire import Reply
from exporter.rest import Counters, Row

MAX_PAGES: Final = 500
"""50,000 agents of one VDN at 100 rows a page: more than any has."""


class Listing:
    """The pages of one listing, in the order read.

    Args:
        limit: rows asked for with each page, 1 to 100.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: set[int | str] = set()
        self._counters: set[Counters] = set()
        self.pages = 0
        self.rows: list[Row] = []

    @property
    def offset(self) -> int:
        """The `offset` of the next page, in rows."""
        return self._limit * self.pages

    @property
    def moved(self) -> bool:
        """Whether the counters differ between its pages: it changed while it was read."""
        return len(self._counters) > 1

    def add(self, reply: Reply) -> bool:
        """Add the next page. Returns whether it was the last one.

        The last page is a short one, or one without an agent who was not seen before.
        """
        before = len(self._seen)
        self._seen.update([row.work_no or _unnumbered(row) for row in reply.rows])
        repeated = len(self._seen) == before
        self._counters.add(reply.counters)
        # of the rows with one number the last one counts; those without would count twice
        self.rows.extend(row for row in reply.rows if row.work_no or not repeated)
        self.pages += 1
        return repeated or len(reply.rows) < self._limit


def _unnumbered(row: Row) -> str:
    """What tells a row without a number from others: all that it says.

    Text, because hashes of integers are known: a server could send rows that all have the same.
    """
    values = row.reason, row.begin_time, row.duration
    return "/".join("" if value is None else f"{value:x}" for value in values)
