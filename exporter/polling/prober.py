"""Polls of one server that somebody asks for now, for `/probe`.

Their results are not stored, and they leave half of the slots to the schedule.
"""

import asyncio
from functools import partial
from typing import Final

from exporter.cms.client import CmsClient
from exporter.cms.progress import Note, Steps
from exporter.errors import PollResult, ProbeRefusedError
from exporter.store import Target, TargetState

MOST_WAITING: Final = 500
"""Probes that wait for one server: ten seconds of a server that hangs, with 1,500 targets probed
every half minute. Later ones would time out before their turn."""


class Prober:
    """Probes targets of one server.

    At most half of the server's slots go to probes; of a single one, every other turn.
    """

    def __init__(self, client: CmsClient, most_waiting: int = MOST_WAITING) -> None:
        self._client = client
        self._most_waiting = most_waiting
        self._slots = max(1, client.server.max_concurrency // 2)
        self._share = asyncio.Semaphore(self._slots)
        self._polls: set[asyncio.Task[PollResult]] = set()
        self._closed = False

    async def probe(
        self, target: Target, within: float | None = None, note: Note | None = None
    ) -> TargetState:
        """Poll a target once: its state as if this had been its first poll.

        Args:
            target: one of the server's.
            within: seconds for all of it, waiting included; None for the server's `timeout`.
            note: called with each step of the poll, which then uses new connections.

        Raises:
            ProbeRefusedError: too many probes wait, or the server is no longer polled.
        """
        server = self._client.server
        if self._closed:
            raise self._gone()
        waiting = len(self._polls) - self._slots
        if waiting >= self._most_waiting:
            raise ProbeRefusedError(
                f"{waiting} probes already wait for {server.name}: scrape less often, or raise its "
                "max_concurrency"
            )
        ask = self._client.poll
        if note is not None:
            steps = Steps(note)
            ask = partial(ask, decode=steps.decode, exchange=steps.exchange)
        poll = asyncio.create_task(
            ask(
                target.key.cc_id,
                target.key.vdn,
                within=server.timeout if within is None else within,
                share=self._share,
            )
        )
        self._polls.add(poll)
        try:
            return TargetState(target).after(await poll)
        except asyncio.CancelledError:
            if self._closed:
                raise self._gone() from None
            raise
        finally:
            self._polls.discard(poll)

    def close(self) -> None:
        """Cancel the probes under way, because the client is about to be closed."""
        self._closed = True
        for poll in self._polls:
            poll.cancel()

    def _gone(self) -> ProbeRefusedError:
        return ProbeRefusedError(
            f"{self._client.server.name} is no longer polled: the exporter is stopping, or its "
            "configuration was changed"
        )
