"""The line in front of one server: who may ask it next, and when.

Waits for what the pace says, and knows nothing of what is asked.
"""

import asyncio

from exporter.clock import Clock
from exporter.cms.pacing import Pace


class Turns:
    """First come, first served, at the server's pace.

    Whoever is cancelled while it waits takes nothing from those behind: a start is taken when it
    has come, by the one at the head of the line.

    Args:
        per_second: requests that may start in a second, or None for no limit.
        clock: its monotonic part must be the event loop's.
    """

    def __init__(self, per_second: float | None, clock: Clock) -> None:
        self._pace = Pace(per_second)
        self._clock = clock
        self._line = asyncio.Lock()

    async def wait(self) -> None:
        """Wait until one request may start."""
        async with self._line:
            asked = self._clock().monotonic
            delay = self._pace.delay(asked)
            while delay > 0:
                await asyncio.sleep(delay)
                now = self._clock().monotonic
                delay = self._pace.delay(now) if self._pace.paused(now) else 0.0
            self._pace.take(asked)

    def pause(self, seconds: float) -> None:
        """Let no request start for that long; also none of those who wait."""
        self._pace.pause(self._clock().monotonic, seconds)
