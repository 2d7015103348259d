"""Which rows of a floor a page holds, on a sound CTI 3.6 and on three unsound ones.

Pure. A fault shows only where the rows fill a page: ask for small pages to see it.
"""

from exporter.simulator.floor import AgentRow
from exporter.simulator.scenarios import Fault

FIRST_PAGE = (0, 100)
"""What CTI 3.6 answers when neither offset nor limit is given."""

PAGING_FAULTS = frozenset({Fault.IGNORE_OFFSET, Fault.ENDLESS, Fault.OVERLAP})

_LARGEST_OVERLAP = 3
_FIRST_INVENTED = 10_000_000


def page_of(
    rows: tuple[AgentRow, ...], offset: int, limit: int, fault: Fault | None = None
) -> tuple[AgentRow, ...]:
    """The rows of one page.

    Args:
        rows: all rows of the floor.
        offset: rows before the page.
        limit: rows of a full page.
        fault: one of `PAGING_FAULTS`; any other leaves the page as it should be.
    """
    match fault:
        case Fault.IGNORE_OFFSET:
            offset = 0
        case Fault.OVERLAP:
            # pages stay without gaps and the last one is short, so that reading still ends
            offset -= offset // limit * min(_LARGEST_OVERLAP, limit // 2)
        case Fault.ENDLESS:
            last = rows[offset : offset + limit]
            invented = range(max(offset, len(rows)), offset + limit)
            return last + tuple(_invent(position) for position in invented)
        case _:
            pass
    return rows[offset : offset + limit]


def _invent(position: int) -> AgentRow:
    """An agent who is nobody, new at every position."""
    return AgentRow(f"Agent {position}", _FIRST_INVENTED + position, 0, 0, 0)
