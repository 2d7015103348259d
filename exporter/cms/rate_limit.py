"""How fast one server may be polled: evenly spaced requests, and pauses that it asks for."""

import asyncio
import math

from exporter.clock import Clock


class Pace:
    """The times at which requests may start: evenly spaced, never in bursts. Pure.

    The servers are fragile, and fifty requests at once every second are not fifty a second.
    """

    def __init__(self, per_second: float | None) -> None:
        self.gap = 1 / per_second if per_second else 0.0
        self.next_start = -math.inf
        """When the next request may start, in monotonic seconds; any time if that has passed."""
        self._paused_until = -math.inf

    def delay(self, now: float) -> float:
        """Seconds until the next request may start."""
        return max(now, self.next_start) - now

    def take(self, asked: float) -> None:
        """Use the next start, for a request that has waited since `asked`.

        Call it when the start has come: one that is taken early and then not used is lost.
        """
        self.next_start = max(asked, self.next_start) + self.gap

    def pause(self, now: float, seconds: float) -> None:
        """Let no request start for that long."""
        self._paused_until = max(self._paused_until, now + seconds)
        self.next_start = max(self.next_start, self._paused_until)

    def paused(self, now: float) -> bool:
        """Whether a pause lasts: it also delays requests that were waiting before it began."""
        return now < self._paused_until


class RateLimit:
    """First come, first served, at the server's pace.

    A waiter that is cancelled takes nothing from those behind it: a start is taken when it has
    come, by the one at the head of the queue.

    Without `per_second` there is no limit. The clock's monotonic part must be the event loop's.
    """

    def __init__(self, per_second: float | None, clock: Clock) -> None:
        self._pace = Pace(per_second)
        self._clock = clock
        self._queue = asyncio.Lock()

    @property
    def next_start(self) -> float:
        """When the next request may start, in monotonic seconds; any time if that has passed."""
        return self._pace.next_start

    @property
    def gap(self) -> float:
        """Seconds between two starts; 0 without a limit."""
        return self._pace.gap

    @property
    def is_open(self) -> bool:
        """Whether there is no limit, and no pause has been asked for yet."""
        return not self._pace.gap and self._pace.next_start == -math.inf

    async def wait(self) -> None:
        """Wait until one request may start."""
        if self.is_open:
            return
        async with self._queue:
            asked = self._clock().monotonic
            delay = self._pace.delay(asked)
            while delay > 0:
                await asyncio.sleep(delay)
                now = self._clock().monotonic
                delay = self._pace.delay(now) if self._pace.paused(now) else 0.0
            self._pace.take(asked)

    def pause(self, seconds: float) -> float:
        """Let no request start for that long, including those that already wait.

        Gives how long the pause lasts from now: a longer one may have been asked for before.
        """
        now = self._clock().monotonic
        self._pace.pause(now, seconds)
        return self._pace.delay(now)
