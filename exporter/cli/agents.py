"""The agents of a listing as they may be shown: each once, names masked unless asked for. Pure.

The only place where names become text. Nothing that a server sent keeps its control characters.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from exporter.cms.agent_names import NamedRow
from exporter.rest import BeginTimeUnit, WaitReason, once_each, usable_start
from exporter.secret import Secret

_MASK: Final = "***"
_LONGEST: Final = 60
_REASONS: Final = tuple(WaitReason)


@dataclass(frozen=True, slots=True)
class Agent:
    """One row, fit to be shown."""

    work_no: int | str | None
    name: str | None
    """Masked, or whole if that was asked for."""
    reason: WaitReason | None
    """Why the agent waits, if this is one who does: the server does not say who does."""
    reason_code: int | None
    start: float | None
    """Epoch seconds by the server's clock; None if `begin_time` cannot be believed."""
    begin_time: int | None
    """As sent."""
    requested: int | None
    """Seconds."""


def agents(
    rows: Iterable[NamedRow], server_time: float, unit: BeginTimeUnit, *, show_names: bool
) -> list[Agent]:
    """Every agent once, the oldest start first, those without one last.

    Args:
        rows: of every page, in the order sent.
        server_time: epoch seconds by the server's clock when it replied.
        unit: of `begin_time`.
        show_names: whole, not masked.
    """
    found = [
        Agent(
            work_no=_printable(row.work_no) if isinstance(row.work_no, str) else row.work_no,
            name=None if row.name is None else _shown(row.name, whole=show_names),
            reason=_reason(row.reason),
            reason_code=row.reason,
            start=usable_start(row.begin_time, server_time, unit),
            begin_time=row.begin_time,
            requested=row.duration,
        )
        for row in once_each(rows)
    ]
    return sorted(found, key=lambda agent: math.inf if agent.start is None else agent.start)


def _reason(code: int | None) -> WaitReason | None:
    return None if code is None or code < 0 else _REASONS[min(code, len(_REASONS) - 1)]


def _shown(name: Secret, *, whole: bool) -> str:
    text = _printable(name.reveal().strip())
    if whole:
        return text
    # of a name of one character the first one would be all of it
    return text[:1] + _MASK if len(text) > 1 else _MASK


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:_LONGEST])
