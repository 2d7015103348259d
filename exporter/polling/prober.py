"""Polls of one server that somebody asks for now: they share its gate with the schedule's polls.

Leaves the schedule its numbers and half of the slots: a probe tells its outcome to whoever asked,
and to the store only what it cost the server. Knows neither HTTP nor metrics.
"""

import asyncio
from typing import Final

from exporter.clock import Clock, Moment
from exporter.cms.client import Reading
from exporter.errors import PollError, Reason
from exporter.polling.gate import Gate
from exporter.store import ServerStats, Target, TargetState

MOST_WAITING: Final = 500
"""Probes that wait for one server: ten seconds of a server that hangs, asked for 1,500 targets in
every half minute. Those beyond would not come to their turn in time either."""


class Prober:
    """Probes targets of one server.

    At most half of the server's slots go to probes; of a single one, every other turn.

    Args:
        gate: the way to the server.
        stats: of the server.
        clock: its monotonic part must be the event loop's.
        most_waiting: probes that may wait for their turn at once.
    """

    def __init__(
        self, gate: Gate, stats: ServerStats, clock: Clock, most_waiting: int = MOST_WAITING
    ) -> None:
        self._gate = gate
        self._stats = stats
        self._clock = clock
        self._most_waiting = most_waiting
        self._waiting = 0
        self._under_way: set[asyncio.Timeout] = set()
        self._closed = False
        self.follow()

    def follow(self) -> None:
        """Go by the settings of the gate's client from the next probe on."""
        self._turns = asyncio.Semaphore(max(1, self._gate.client.server.max_concurrency // 2))

    async def probe(self, target: Target, within: float | None = None) -> TargetState | str:
        """Poll a target once, and forget it.

        Args:
            target: one of the server's.
            within: seconds for all of it, waiting included; None for the server's `timeout`.

        Returns:
            The target's state as if this had been its first poll, or what kept it from being
            polled.
        """
        server = self._gate.client.server
        gone = f"{server.name} is no longer polled: the exporter stops, or was reconfigured"
        if self._closed:
            return gone
        if self._waiting >= self._most_waiting:
            return (
                f"{self._waiting} probes wait for {server.name} already: scrape less often, or "
                "raise its max_concurrency"
            )
        seconds = server.timeout if within is None else within
        cut = asyncio.timeout(None)
        self._under_way.add(cut)
        try:
            async with cut:
                return await self._probe(target, seconds)
        except TimeoutError:
            return gone
        finally:
            self._under_way.discard(cut)

    def close(self) -> None:
        """Let no probe go on: its client is about to be closed."""
        self._closed = True
        for cut in self._under_way:
            cut.reschedule(0.0)

    async def _probe(self, target: Target, seconds: float) -> TargetState:
        asked, turns = self._clock(), self._turns
        self._waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await turns.acquire()
        except TimeoutError:
            return self._late(target, asked, seconds)
        finally:
            self._waiting -= 1
        try:
            return await self._poll(target, asked, seconds)
        finally:
            turns.release()

    async def _poll(self, target: Target, asked: Moment, seconds: float) -> TargetState:
        """One poll, by a probe whose turn has come."""
        begun = self._clock().monotonic
        # a slot held for longer would look to the schedule's watchdog as if it had stalled
        deadline = min(asked.monotonic + seconds, begun + self._gate.client.server.timeout)
        try:
            async with asyncio.timeout(deadline - begun):
                client = await self._gate.enter()
        except TimeoutError:
            return self._late(target, asked, seconds)
        _, cc_id, vdn = target.key
        started = self._clock()
        outcome: Reading | PollError
        try:
            outcome = await client.poll(cc_id, vdn, deadline - started.monotonic)
        except PollError as error:
            outcome = error
        finally:
            self._gate.leave(client)
        self._stats.requests += outcome.requests
        if outcome.clock_skew is not None:
            self._stats.clock_skew = outcome.clock_skew
        state, ended = TargetState(target), self._clock()
        if isinstance(outcome, PollError):
            return state.failed(started, ended, outcome)
        return state.succeeded(started, ended, outcome.snapshot)

    def _late(self, target: Target, asked: Moment, seconds: float) -> TargetState:
        error = PollError(
            Reason.TIMEOUT,
            f"the server's slots and pace left no turn within {seconds:g} s: raise "
            "max_concurrency or max_requests_per_second, or ask less often",
        )
        return TargetState(target).failed(asked, self._clock(), error)
