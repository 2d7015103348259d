"""When to poll the targets of one server: due times, a bound on polls under way, what is skipped.

One poller for each CC-CMS, so that a dead server does not affect the others. A poll that is still
running when its target is due again is skipped and counted, never queued: nothing piles up.
"""

import asyncio
import contextlib
import heapq
import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final

from exporter.clock import Clock, Moment
from exporter.cms.client import CmsClient
from exporter.errors import PollError, PollResult
from exporter.polling.failure_log import FailureLog
from exporter.polling.schedule import first_delay, next_due
from exporter.store import Store, TargetKey

STALLED_AFTER: Final = 30.0
"""Seconds after which the poller counts as stalled if what it waits for has not happened."""

_TOGETHER: Final = 0.02
"""Seconds by which a poll may start late so that it starts with others.

To wake an idle process costs more than a poll does: one by one, 333 polls a second take half as
much CPU again. It is less than the first bucket of the delay histogram.
"""


class Poller:
    """Polls the targets of one server until it is cancelled.

    Args:
        client: polls the server; the poller closes it.
        targets: keys of the targets to poll, all of them in the store.
        store: where states and stats are kept.
        clock: its monotonic part must be the event loop's.
    """

    def __init__(
        self, client: CmsClient, targets: Iterable[TargetKey], store: Store, clock: Clock
    ) -> None:
        self._client = client
        self._store = store
        self._stats = client.stats = store.server(client.server.name)
        self._stats.condition = client.condition
        client.on_doubt = self._take_back
        self._failure_log = FailureLog(client.server.name)
        self._clock = clock
        self._interval = client.server.interval
        self._most = client.server.max_concurrency
        self._changed = asyncio.Event()
        """Set when what `_next` waits for may have come."""
        self._wakes_by = clock().monotonic
        self._blocked_since: float | None = None
        """Since when a poll that is due waits for the end of another."""
        self._due: list[tuple[float, TargetKey]] = []
        self._taken: dict[TargetKey, float] = {}
        """Due times of polls that wait for their turn or are under way."""
        self._started: set[TargetKey] = set()
        """The polls of these that have started."""
        self._targets: frozenset[TargetKey] = frozenset()
        self.update(targets)

    def update(self, targets: Iterable[TargetKey]) -> None:
        """Poll these targets from now on. Those that stay keep their place in time."""
        kept = {key: due for due, key in self._due}
        now = self._clock()
        self._targets = frozenset(targets)
        self._failure_log.recount(self._store.state(key) for key in self._targets)
        self._due = [
            (kept[key] if key in kept else self._first_due(key, now), key)
            for key in self._targets - self._taken.keys()
        ]
        heapq.heapify(self._due)
        self._changed.set()

    def upcoming(self) -> Mapping[TargetKey, float]:
        """When each target's next poll starts, in monotonic seconds.

        Due times, delayed by the rate limit and by a pause that the server asked for; that all
        slots may be taken is not foreseen. A poll under way comes again an interval later.
        """
        dues = [(due, key) for due, key in self._due]
        for key, due in self._taken.items():
            dues.append((due + self._interval if key in self._started else due, key))
        limit = self._client.rate_limit
        if not limit.gap and limit.next_start <= self._clock().monotonic:
            return {key: due for due, key in dues}
        starts, next_start = {}, limit.next_start
        for due, key in sorted(dues):
            starts[key] = max(due, next_start)
            next_start = starts[key] + limit.gap
        return starts

    def stalled(self, now: float) -> bool:
        """Whether the schedule has stopped: what it waits for should have happened long ago.

        Args:
            now: on the monotonic clock.
        """
        since = self._blocked_since
        expected_by = self._wakes_by if since is None else self._client.free_by(since)
        return now > expected_by + STALLED_AFTER

    async def run(self) -> None:
        """Poll until cancelled. Polls under way are cancelled with it, and connections closed."""
        try:
            async with asyncio.TaskGroup() as polls:
                while True:
                    due, key = await self._next()
                    polls.create_task(self._poll(due, key))
        finally:
            await self._client.aclose()

    async def _next(self) -> tuple[float, TargetKey]:
        """Wait until a target is due and fewer than `max_concurrency` polls are under way."""
        while True:
            now = self._clock().monotonic
            if not self._due or self._due[0][0] > now:
                self._blocked_since = None
                self._wakes_by = self._wake_up()
                await self._change(self._wakes_by - now)
            elif len(self._taken) >= self._most:
                if self._blocked_since is None:
                    self._blocked_since = now
                await self._change(math.inf)
            else:
                self._blocked_since = None
                due, key = heapq.heappop(self._due)
                self._taken[key] = due
                return due, key

    async def _change(self, within: float) -> None:
        """Wait until something has changed, for so many seconds at most."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if within == math.inf else within):
                await self._changed.wait()

    def _wake_up(self) -> float:
        """When to start the poll that is due next."""
        if not self._due:
            return math.inf
        first = self._due[0][0]
        together = first + _TOGETHER
        # the second of a heap is one of these two
        return together if any(due <= together for due, _ in self._due[1:3]) else first

    async def _poll(self, due: float, key: TargetKey) -> None:
        """One poll, from its due time to its target's next one."""
        result = await self._client.poll(
            key.cc_id, key.vdn, on_start=partial(self._started.add, key)
        )
        self._stats.count(result, due)
        del self._taken[key]
        self._started.discard(key)
        if self._blocked_since is not None:
            self._changed.set()
        if key not in self._targets:
            return
        before = self._store.state(key)
        after = before.after(result)
        self._store.record(after)
        self._failure_log.note(before, after, result)
        upcoming, skipped = next_due(due, self._interval, result.ended.monotonic)
        self._stats.skipped += skipped
        heapq.heappush(self._due, (upcoming, key))
        if self._due[0][1] == key:
            self._changed.set()

    def _take_back(self, cc_id: int, vdn: int, ended: Moment, error: PollError) -> None:
        """Remove the numbers of a poll that may have been answered by another's reply."""
        key = TargetKey(self._client.server.name, cc_id, vdn)
        if key not in self._targets:
            return
        before, now = self._store.state(key), self._clock()
        after = before.without_numbers(ended, error, now)
        if after is not None:
            self._stats.failures[error.reason] += after.failures - before.failures
            self._store.record(after)
            self._failure_log.note(before, after, PollResult(now, now, None, error))

    def _first_due(self, key: TargetKey, now: Moment) -> float:
        return now.monotonic + first_delay(key, self._interval, now.wall)
