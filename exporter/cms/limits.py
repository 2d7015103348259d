"""How fast one server may be polled, and how much its replies may hold at a time.

Memory and time that a server can take are bounded where they arise: bytes as they come, rows before
they are decoded, and work that would hold the event loop goes to a thread.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Final, TypeVar, TypeVarTuple

from exporter.clock import Clock
from exporter.cms.body import TooLargeError, mended
from exporter.cms.wire import DecodeError, Reply, check_work_numbers
from exporter.rest import Asked, Counters, Row, Snapshot, reduce
from exporter.server import Api

Decode = Callable[[bytes | bytearray, Api], Reply]
"""From the body of a reply to counters and rows."""

MAX_REPLY_BYTES: Final = 8 * 2**20
"""Of one reply: 35,000 agents of one VDN, each listed twice as CC-CMS does."""
MAX_POLL_BYTES: Final = 32 * 2**20
"""Of all pages of one poll: 500 full pages take 12 MiB, and a listing may be read twice."""

_TOO_LARGE: Final = (
    "the pages of the listing are larger than {} together, far more than any VDN has: check that "
    "url leads to CC-CMS"
)

_TOGETHER: Final = 12 * 2**20
"""Bytes that all polls of a server may receive without waiting for each other."""
_MOST_ALONE: Final = 3 * 2**19
"""Of these for one poll: 6,000 agents."""
_QUICK_BYTES: Final = 2**16
"""Bytes that are decoded in the event loop, whatever they are: about half a millisecond."""
_QUICK_LISTING: Final = 2**19
"""Bytes that are decoded there ..."""
_QUICK_OBJECTS: Final = 2_500
"""... with as many JSON objects at most: half a millisecond, 1,200 agents listed twice."""
_QUICK_ROWS: Final = 1_200
"""Rows that are reduced in the event loop: about a millisecond."""

_Ts = TypeVarTuple("_Ts")
_T = TypeVar("_T")


class RateLimit:
    """First come, first served: evenly spaced requests, and pauses that the server asks for.

    The servers are fragile, and fifty requests at once every second are not fifty a second. A
    waiter that is cancelled takes nothing from those behind it: a start is taken when it has come,
    by the one at the head of the queue.

    Without `per_second` there is no limit. The clock's monotonic part must be the event loop's.
    """

    def __init__(self, per_second: float | None, clock: Clock) -> None:
        self.gap = 1 / per_second if per_second else 0.0
        """Seconds between two starts; 0 without a limit."""
        self.next_start = -math.inf
        """When the next request may start, in monotonic seconds; any time if that has passed."""
        self._paused_until = -math.inf
        self._clock = clock
        self._queue = asyncio.Lock()

    async def wait(self) -> None:
        """Wait until one request may start."""
        if not self.gap and self.next_start == -math.inf:
            return
        async with self._queue:
            asked = self._clock().monotonic
            delay = self.delay(asked)
            while delay > 0:
                await asyncio.sleep(delay)
                now = self._clock().monotonic
                delay = self.delay(now) if self.paused(now) else 0.0
            self.take(asked)

    def delay(self, now: float) -> float:
        """Seconds until the next request may start."""
        return max(now, self.next_start) - now

    def take(self, asked: float) -> None:
        """Use the next start, for a request that has waited since `asked`.

        Call it when the start has come: one that is taken early and then not used is lost.
        """
        self.next_start = max(asked, self.next_start) + self.gap

    def pause(self, now: float, seconds: float) -> None:
        """Let no request start for that long, including those that already wait."""
        self._paused_until = max(self._paused_until, now + seconds)
        self.next_start = max(self.next_start, self._paused_until)

    def paused(self, now: float) -> bool:
        """Whether a pause lasts: it also delays requests that were waiting before it began."""
        return now < self._paused_until


class Capacity:
    """What the polls of one server share."""

    def __init__(self, max_concurrency: int) -> None:
        self.free_bytes = min(_MOST_ALONE, _TOGETHER // max_concurrency)
        """Bytes that each poll may receive at any time. For more it must be the only large one."""
        self.large = asyncio.Lock()
        self._work = asyncio.Lock()

    async def decode(
        self, decode: Decode, body: bytes | bytearray, api: Api, *, first: bool = True
    ) -> Reply:
        """Decode the body of a listing's first page, or of another one."""
        try:
            reply = await self._decoded(decode, body, api)
        except DecodeError:
            again = await self._in_thread(mended, body)
            if again is None:
                raise
            reply = await self._decoded(decode, again, api)
        if not first:
            check_work_numbers(reply.rows)
        return reply

    async def _decoded(self, decode: Decode, body: bytes | bytearray, api: Api) -> Reply:
        if len(body) <= _QUICK_BYTES or (
            len(body) <= _QUICK_LISTING and body.count(b"{") <= _QUICK_OBJECTS
        ):
            return decode(body, api)
        return await self._in_thread(decode, body, api)

    async def reduce(
        self, counters: Counters, rows: Sequence[Row], server_time: float, asked: Asked
    ) -> Snapshot:
        """Reduce a listing."""
        if len(rows) <= _QUICK_ROWS:
            return reduce(counters, rows, server_time, asked)
        return await self._in_thread(reduce, counters, rows, server_time, asked)

    async def _in_thread(self, function: Callable[[*_Ts], _T], *args: *_Ts) -> _T:
        # one at a time for each server: the loop gets its share of the interpreter
        async with self._work:
            return await asyncio.to_thread(function, *args)


class Allowance:
    """What one poll may receive."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._received = 0
        self._is_large = False
        self.waits = False
        """Whether it waits for another large poll."""

    async def __call__(self, size: int) -> None:
        """Count more bytes, and wait until another large poll of the server has ended.

        Raises:
            TooLargeError: they exceed the limit of a poll.
        """
        self._received += size
        if self._received > MAX_POLL_BYTES:
            raise TooLargeError(MAX_POLL_BYTES, _TOO_LARGE)
        if self._received > self._capacity.free_bytes and not self._is_large:
            self.waits = True
            await self._capacity.large.acquire()
            self.waits, self._is_large = False, True

    def release(self) -> None:
        """The poll has ended, and holds nothing any more."""
        if self._is_large:
            self._is_large = False
            self._capacity.large.release()
