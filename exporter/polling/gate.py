"""The way to one server: a slot, then the pace, and by which client.

Its client can be exchanged for one with other settings: the new one is asked once everybody who
went in to the old one has left, so that together they never exceed what the server is to bear.
Knows neither schedules nor targets.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable

from exporter.cms.client import CmsClient

Expect = Callable[[float], None]
"""Told, at each step of the way, within how many seconds it ends at the latest."""


class Gate:
    """Admits to one server whoever wants to poll it.

    Args:
        client: asks the server.
    """

    def __init__(self, client: CmsClient) -> None:
        self.client = client
        """The one that is asked from the next poll on."""
        self._former: list[CmsClient] = []
        self._inside = Counter[CmsClient]()
        self._left = asyncio.Event()
        self._closing = asyncio.Lock()
        self._waiting: set[asyncio.Timeout] = set()

    def exchange(self, client: CmsClient) -> None:
        """Let another client be asked. Whoever still waits for the one before turns to it."""
        self._former.append(self.client)
        self.client = client
        for waiting in self._waiting:
            if not waiting.expired():
                waiting.reschedule(0.0)

    async def enter(self, expect: Expect = lambda _: None) -> CmsClient:
        """Wait for a free slot and for the server's pace. `leave` gives the slot back.

        Args:
            expect: for a watchdog.
        """
        while True:
            await self.settle(expect)
            client = self.client
            # every poll ends by its deadline, and leaves
            expect(client.server.timeout)
            if await self._admitted(client, expect):
                self._inside[client] += 1
                return client

    def leave(self, client: CmsClient) -> None:
        """Give back the slot of a client that `enter` gave."""
        client.slots.release()
        self._inside[client] -= 1
        self._left.set()

    async def settle(self, expect: Expect = lambda _: None) -> None:
        """Wait until everybody has left the clients of earlier settings, and close those."""
        async with self._closing:
            while self._former:
                client = self._former[0]
                expect(client.server.timeout)
                while self._inside[client]:
                    self._left.clear()
                    await self._left.wait()
                await client.aclose()
                del self._inside[client]
                self._former.remove(client)

    async def aclose(self) -> None:
        """Close every client, whoever may still be inside."""
        for client in (*self._former, self.client):
            await client.aclose()

    async def _admitted(self, client: CmsClient, expect: Expect) -> bool:
        """Whether the way was free before the client was exchanged."""
        waiting = asyncio.timeout(None)
        self._waiting.add(waiting)
        try:
            async with waiting:
                await client.slots.acquire()
                # a pause that the server has asked for may be long, and is no stall
                expect(math.inf)
                try:
                    await client.turn()
                except asyncio.CancelledError:
                    client.slots.release()
                    raise
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(waiting)
        if client is self.client:
            return True
        client.slots.release()
        return False
