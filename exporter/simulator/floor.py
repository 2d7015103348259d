"""What one VDN's floor looks like at one moment, as the stand-in server tells it.

Knows the vendor's vocabulary and nothing else: not where a floor comes from, not how it is sent.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One agent who waits for a rest, has one approved, or rests.

    Args:
        name: a person's name. Made up, but treat it as the personal data that it stands for.
        work_no: agent ID, unique in a call center.
        cant_rest_reason: 0 to 4 for a waiting agent. For the others it means nothing: 0, since an
            unset integer is 0 on the wire, or None to leave it out.
        begin_time: milliseconds since the epoch. The rest's start for a resting agent, the start
            that was asked for or approved for the others.
        rest_duration: seconds asked for.
    """

    name: str
    work_no: int
    cant_rest_reason: int | None
    begin_time: int
    rest_duration: int


@dataclass(frozen=True, slots=True)
class Floor:
    """The three counters and the rows behind them.

    Args:
        approved: agents whose rest is approved and who are still at work (allowRestNum).
        resting: agents resting (onRestNum).
        waiting: agents who have applied and wait (waitRestNum).
        rows: one for each of these agents. A test may pass rows that disagree with the counters.
    """

    approved: int
    resting: int
    waiting: int
    rows: tuple[AgentRow, ...] = ()


FloorSource = Callable[[int, int, float], Floor]
"""The floor of (ccId, vdn) at a time, in seconds since the epoch."""
