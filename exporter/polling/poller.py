"""When to poll one server: due times, a bound on polls in flight, and what is skipped.

One poller for each CC-CMS, so that a dead server costs the others nothing. It waits until a target
is due and the server's gate lets it in; then a poll runs by itself. A poll that is still
running when its target is due again is skipped and counted, never queued: nothing piles up. Knows
neither the interface nor metrics; writes what happens into the store.
"""

import asyncio
import contextlib
import heapq
import math
from collections.abc import Iterable
from typing import Final

from exporter.clock import Clock, Moment
from exporter.cms.client import CmsClient, Reading
from exporter.errors import PollError
from exporter.polling.failure_log import Journal
from exporter.polling.gate import Gate
from exporter.polling.schedule import first_delay, next_due
from exporter.store import Store, TargetKey

STALLED_AFTER: Final = 30.0
"""Seconds by which the poller may miss what it waits for before it counts as stalled."""

_TOGETHER: Final = 0.02
"""Seconds by which a poll may start late so that it starts with others.

To wake an idle process costs more than a poll does: one by one, 333 polls a second take half as
much CPU again. It is less than the first bound of the delays that are counted.
"""


class Poller:
    """Polls the targets of one server for ever.

    Args:
        client: asks it.
        targets: keys of the targets to poll, all of them in the store.
        interval: seconds between two polls of a target.
        store: where states and stats are kept.
        clock: its monotonic part must be the event loop's.
    """

    def __init__(
        self,
        client: CmsClient,
        targets: Iterable[TargetKey],
        interval: float,
        store: Store,
        clock: Clock,
    ) -> None:
        self._store = store
        self._stats = store.server(client.server.name)
        self.gate = Gate(client)
        """The way to the server, also for those who poll it beside the schedule."""
        self._journal = Journal()
        self._clock = clock
        self._sooner = asyncio.Event()
        self._expected_by = clock().monotonic
        self._due: list[tuple[float, TargetKey]] = []
        self._taken: set[TargetKey] = set()
        self._targets: frozenset[TargetKey] = frozenset()
        self._interval = interval
        self.update(client, targets, interval)

    @property
    def client(self) -> CmsClient:
        """What asks the server, from the next poll on."""
        return self.gate.client

    def update(self, client: CmsClient, targets: Iterable[TargetKey], interval: float) -> None:
        """Follow a new configuration from the next poll on; polls under way end as they began.

        What stays keeps its place in time: it is given by the key and the interval alone. Another
        client is asked, and the one before it closed, once the polls under way have ended.
        """
        kept = {key: due for due, key in self._due} if interval == self._interval else {}
        now = self._clock()
        if client is not self.client:
            self.gate.exchange(client)
        self._targets = frozenset(targets)
        self._journal.recount(self._store.state(key) for key in self._targets)
        self._interval = interval
        self._due = [
            (kept[key] if key in kept else self._place(key, now), key)
            for key in self._targets - self._taken
        ]
        heapq.heapify(self._due)
        self._sooner.set()

    def _place(self, key: TargetKey, now: Moment) -> float:
        return now.monotonic + first_delay(key, self._interval, now.wall)

    def stalled(self, now: float) -> bool:
        """Whether the schedule has stopped: what it waits for should have come long ago.

        Args:
            now: on the monotonic clock.
        """
        return now > self._expected_by + STALLED_AFTER

    async def run(self) -> None:
        """Poll until cancelled. Polls in flight are cancelled with it, and connections closed."""
        try:
            async with asyncio.TaskGroup() as polls:
                while True:
                    due, key = await self._next()
                    # the one that it was due by: until the poll may start, there can be another
                    interval = self._interval
                    client = await self.gate.enter(self._expect)
                    if key in self._targets:
                        polls.create_task(self._poll(client, due, interval, key))
                    else:
                        self.gate.leave(client)
                        self._taken.discard(key)
        finally:
            await self.gate.aclose()

    def _expect(self, within: float) -> None:
        self._expected_by = self._clock().monotonic + within

    async def _next(self) -> tuple[float, TargetKey]:
        """Wait until a target is due, and take it."""
        while True:
            # also where nothing is due for long: connections of earlier settings are of no use
            await self.gate.settle(self._expect)
            now = self._clock().monotonic
            if self._due and self._due[0][0] <= now:
                due, key = heapq.heappop(self._due)
                self._taken.add(key)
                return due, key
            self._expected_by = self._wake_up()
            self._sooner.clear()
            with contextlib.suppress(TimeoutError):
                within = None if self._expected_by == math.inf else self._expected_by - now
                async with asyncio.timeout(within):
                    await self._sooner.wait()

    def _wake_up(self) -> float:
        """When to start what is due next."""
        if not self._due:
            return math.inf
        first = self._due[0][0]
        together = first + _TOGETHER
        # the second of a heap is one of these two
        return together if any(due <= together for due, _ in self._due[1:3]) else first

    async def _poll(self, client: CmsClient, due: float, interval: float, key: TargetKey) -> None:
        """One poll, from its start to its target's next due time."""
        stats = self._stats
        started = self._clock()
        stats.delay.observe(max(0.0, started.monotonic - due))
        stats.in_flight += 1
        outcome: Reading | PollError
        try:
            outcome = await client.poll(key.cc_id, key.vdn)
        except PollError as error:
            outcome = error
        finally:
            stats.in_flight -= 1
            self.gate.leave(client)
        ended = self._clock()
        stats.requests += outcome.requests
        if outcome.clock_skew is not None:
            stats.clock_skew = outcome.clock_skew
        stats.duration.observe(ended.monotonic - started.monotonic)
        if isinstance(outcome, PollError):
            stats.failures[outcome.reason] += 1
        self._taken.discard(key)
        if key not in self._targets:
            return
        self._record(key, started, ended, outcome)
        upcoming, skipped = next_due(due, interval, ended.monotonic)
        stats.skipped += skipped
        self._put(upcoming if interval == self._interval else self._place(key, ended), key)

    def _record(
        self, key: TargetKey, started: Moment, ended: Moment, outcome: Reading | PollError
    ) -> None:
        before = self._store.state(key)
        if isinstance(outcome, PollError):
            after = before.failed(started, ended, outcome)
        else:
            after = before.succeeded(started, ended, outcome.snapshot)
        self._store.record(after)
        self._journal.note(before, after, ended)

    def _put(self, due: float, key: TargetKey) -> None:
        heapq.heappush(self._due, (due, key))
        if self._due[0][1] == key:
            self._sooner.set()
