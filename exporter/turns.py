"""A lock that is fair between clients: a flood from one delays another by a single turn.

A client is what the listening side takes for one: an address, mostly.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Hashable


class Turns:
    """One turn at a time. Of each client's tasks one waits among all, and the others behind it."""

    def __init__(self) -> None:
        self._next = asyncio.Lock()
        self._of_client: dict[Hashable, asyncio.Lock] = {}
        self.waiting: Counter[Hashable] = Counter()
        """How many of each client wait, or have their turn."""

    @contextlib.asynccontextmanager
    async def turn(self, client: Hashable) -> AsyncIterator[None]:
        """The block is this client's turn."""
        self.waiting[client] += 1
        try:
            async with self._of_client.setdefault(client, asyncio.Lock()), self._next:
                yield
        finally:
            self.waiting[client] -= 1
            if not self.waiting[client]:
                del self.waiting[client], self._of_client[client]
