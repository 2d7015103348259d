"""Bodies of replies: made one at a time, shared, and kept compressed until they are sent.

Ten thousand targets are 22 MB of text. Forty readers of as many renderings would hold a gigabyte,
so the same question is answered with the same bytes for a second, and what is kept is compressed,
once: a tenth of the text. A client that does not take gzip gets it decompressed on the way. It
shares a rendering with its like only.

One scrape may be kept as text, for clients that do not take gzip: nearly always it has been sent
before another body is made, and if not, it is compressed then.
"""

import asyncio
import heapq
import math
import zlib
from collections.abc import Callable, Hashable, Iterable, Iterator
from enum import IntEnum
from itertools import count
from typing import Final, cast

from aiohttp import hdrs, web

from exporter.web.listening.clients import Connection
from exporter.web.negotiation import accepts_gzip

SHARED_FOR: Final = 1.0
"""Seconds for which a rendering answers the same question, from when it was begun."""
MAX_HELD: Final = 16 << 20
"""Bytes that all renderings may hold. If one alone is larger, it is the only one."""

_LEVEL: Final = 1
"""zlib's fastest level: the default takes many times as long to save a few percent more."""
_GZIP: Final = zlib.MAX_WBITS | 16
_ZLIB: Final = zlib.MAX_WBITS
_TURN: Final = 0.002
"""Seconds for which a body is made before others have their turn."""
CHUNK: Final = 1 << 16
"""Bytes that are given to a connection at once."""
_COMPRESSED_CHUNK: Final = 1 << 13

Make = Callable[[], Iterable[bytes]]
"""Starts a rendering, whose slices are joined; some are empty."""


class Priority(IntEnum):
    """What is made first."""

    SCRAPE = 0
    SELECTION = 1
    """A scrape of some families, or discovery: there are as many as a client can think of."""
    PAGE = 2
    """For people: pages and searches."""


class Reply:
    """One reply in progress, from the question to the last byte."""

    def __init__(self, request: web.Request) -> None:
        self.request = request
        accepted = request.headers.getall(hdrs.ACCEPT_ENCODING, ())
        self.takes_gzip = accepts_gzip(",".join(accepted))
        self.waits_since = math.inf
        """Since when the reader has taken nothing; infinite while it need not."""

    @property
    def client(self) -> Hashable:
        """The client that sent the request, as `Turns` tells clients apart."""
        return getattr(self.request.protocol, "client", None)

    @property
    def present(self) -> bool:
        """Whether the connection is open."""
        return self.request.transport is not None

    def cut(self) -> None:
        """Close the connection, because the reader is slow or has left."""
        if self.present:
            cast("Connection", self.request.protocol).end_unread()

    async def write(self, response: web.StreamResponse, chunk: bytes | memoryview) -> None:
        """Send a piece, and wait until the kernel has taken it."""
        self.waits_since = asyncio.get_running_loop().time()
        await response.write(chunk)
        await self.request.writer.drain()
        self.waits_since = math.inf
        await asyncio.sleep(0)


class _Text:
    """A body as it was made, and compressed piece by piece when its memory is needed."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._compressed = 0
        """How many of them are, from the first on."""

    def append(self, piece: bytes) -> None:
        """Add a piece at the end. Small ones become one: a packet for each would be wasteful."""
        if self._pieces and len(self._pieces[-1]) + len(piece) <= CHUNK:
            self._pieces[-1] += piece
        else:
            self._pieces.append(piece)

    def chunks(self) -> Iterator[bytes | memoryview]:
        """The body, also while it is being compressed."""
        for index in range(len(self._pieces)):
            piece = self._pieces[index]
            if index < self._compressed:
                yield from _decompressed(piece, _ZLIB)
            else:
                view = memoryview(piece)
                for start in range(0, len(piece), CHUNK):
                    yield view[start : start + CHUNK]

    def compress(self) -> Iterator[int]:
        """Compress the pieces that are not. Yields the compressed size of each."""
        while self._compressed < len(self._pieces):
            piece = zlib.compress(self._pieces[self._compressed], _LEVEL)
            self._pieces[self._compressed] = piece
            self._compressed += 1
            yield len(piece)


class Rendering:
    """One body: first waiting for its turn, then being made, then complete."""

    def __init__(
        self, question: Hashable | None, make: Make, priority: Priority, *, gzip: bool
    ) -> None:
        self.question = question
        self.make = make
        self.priority = priority
        self.gzip = gzip
        """Whether its readers take it compressed."""
        self.begun: float | None = None
        self.complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.readers: set[Reply] = set()
        self.text = _Text() if priority is Priority.SCRAPE and not gzip else None
        self.compressed = b""
        """The whole, unless it is kept as text."""
        self.held = 0
        """Compressed bytes, also while it is being made."""
        self.size = 0
        """Bytes of the text."""

    @property
    def wanted(self) -> bool:
        """Whether anyone who asked for it is still there."""
        return any(reader.present for reader in self.readers)

    @property
    def length(self) -> int:
        """Bytes that each reader gets."""
        return len(self.compressed) if self.gzip else self.size

    def chunks(self) -> Iterator[bytes | memoryview]:
        """The body as its readers take it, in pieces of at most `CHUNK` bytes."""
        if self.text is not None:
            return self.text.chunks()
        if self.gzip:
            return _chunks(self.compressed, CHUNK)
        return _decompressed(self.compressed, _GZIP)


def _chunks(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def _decompressed(data: bytes, form: int) -> Iterator[bytes]:
    decompressor = zlib.decompressobj(form)
    for some in _chunks(data, _COMPRESSED_CHUNK):
        rest = some
        while rest:
            yield decompressor.decompress(rest, CHUNK)
            rest = decompressor.unconsumed_tail
    yield decompressor.flush()


class Renderings:
    """All bodies that are waited for, being made, or being sent.

    One answers the same question for `shared_for` seconds; all of them hold `max_held` bytes, and
    at most one of them is text besides.
    """

    def __init__(self, shared_for: float = SHARED_FOR, max_held: int = MAX_HELD) -> None:
        self._shared_for = shared_for
        self._max_held = max_held
        self._shared: dict[tuple[Hashable, bool], Rendering] = {}
        """By the question, and by whether gzip is taken."""
        self._held: dict[Rendering, None] = {}
        """Those that have bytes, the oldest first."""
        self.held_bytes = 0
        self._as_text: Rendering | None = None
        """The one that is kept as text."""
        self._pending: dict[Rendering, None] = {}
        self._waiting: list[tuple[Priority, int, Rendering]] = []
        self._numbers = count()
        self._maker: asyncio.Task[None] | None = None

    async def get(
        self, question: Hashable | None, make: Make, priority: Priority, reader: Reply
    ) -> Rendering:
        """The answer to a question, for a reader that will be released; None is never shared.

        It is empty if every reader has left before it was made.
        """
        rendering = self._find(question, reader)
        if rendering is None:
            rendering = Rendering(question, make, priority, gzip=reader.takes_gzip)
            self._pending[rendering] = None
            if question is not None:
                self._shared[question, reader.takes_gzip] = rendering
            heapq.heappush(self._waiting, (priority, next(self._numbers), rendering))
            if self._maker is None:
                self._maker = asyncio.create_task(self._make_all())
        rendering.readers.add(reader)
        try:
            await asyncio.shield(rendering.complete)
        except BaseException:
            self.release(rendering, reader)
            raise
        return rendering

    def release(self, rendering: Rendering, reader: Reply) -> None:
        """It has been sent to this reader, or cannot be."""
        rendering.readers.discard(reader)
        self._drop_unused(rendering)

    def pending(self) -> list[Priority]:
        """The priorities of those that are waited for and shared: each takes a place."""
        return [
            each.priority for each in self._pending if each.question is not None and each.wanted
        ]

    def shares(self, question: Hashable, reader: Reply) -> bool:
        """Whether one more reader of this question costs no rendering."""
        return self._find(question, reader) is not None

    def _find(self, question: Hashable | None, reader: Reply) -> Rendering | None:
        rendering = self._shared.get((question, reader.takes_gzip))
        if rendering is None or rendering.begun is None:
            return rendering
        now = asyncio.get_running_loop().time()
        return rendering if now < rendering.begun + self._shared_for else None

    async def _make_all(self) -> None:
        try:
            while self._waiting:
                await self._make_next()
        finally:
            self._maker = None

    async def _make_next(self) -> None:
        """Make the one that comes first, and let everything else run, however small it was."""
        await self._make(heapq.heappop(self._waiting)[-1])
        await asyncio.sleep(0)

    async def _make(self, rendering: Rendering) -> None:
        """Make one body, and let everything else run between its slices."""
        loop = asyncio.get_running_loop()
        rendering.begun = loop.time()
        self._held[rendering] = None
        try:
            if rendering.wanted:
                await self._make_room()
                await self._fill(rendering)
                loop.call_at(rendering.begun + self._shared_for, self._forget, rendering)
            else:
                self._forget(rendering)
        except Exception as error:  # noqa: BLE001  # all who wait get the error
            rendering.complete.set_exception(error)
            rendering.complete.exception()  # there may be no one left
            self._forget(rendering)
        else:
            rendering.complete.set_result(None)
        finally:
            del self._pending[rendering]

    async def _fill(self, rendering: Rendering) -> None:
        compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        pieces = []
        loop = asyncio.get_running_loop()
        turn_ends = loop.time() + _TURN
        for piece in rendering.make():
            rendering.size += len(piece)
            if rendering.text is not None:
                rendering.text.append(piece)
            else:
                pieces.append(compressor.compress(piece))
                self._hold(rendering, len(pieces[-1]))
            if loop.time() < turn_ends:
                continue
            await asyncio.sleep(0)
            # a scrape does not wait for the rest of a page
            while self._waiting and self._waiting[0][0] < rendering.priority:
                await self._make_next()
            turn_ends = loop.time() + _TURN
        if rendering.text is not None:
            self._as_text = rendering
            return
        pieces.append(compressor.flush())
        self._hold(rendering, len(pieces[-1]))
        rendering.compressed = b"".join(pieces)

    async def _make_room(self) -> None:
        """Before another body is made: compress the text of the last one if it is still being read.

        If not, it is shared no longer.
        """
        rendering, self._as_text = self._as_text, None
        if rendering is None or rendering.text is None:
            return
        if not rendering.readers:
            self._forget(rendering)
            return
        for size in rendering.text.compress():
            self._hold(rendering, size)
            await asyncio.sleep(0)
            if rendering not in self._held:  # its last reader has finished
                return

    def _hold(self, rendering: Rendering, size: int) -> None:
        """Count more bytes, and make room for them: the oldest rendering goes first."""
        rendering.held += size
        self.held_bytes += size
        while self.held_bytes > self._max_held:
            oldest = next((each for each in self._held if each.complete.done()), None)
            if oldest is None:
                return
            for reader in [*oldest.readers]:
                reader.cut()
            oldest.readers.clear()
            self._forget(oldest)

    def _forget(self, rendering: Rendering) -> None:
        """Share it no longer."""
        if self._is_shared(rendering):
            del self._shared[rendering.question, rendering.gzip]
        self._drop_unused(rendering)

    def _drop_unused(self, rendering: Rendering) -> None:
        unused = not rendering.readers and not self._is_shared(rendering)
        if rendering in self._held and unused:
            del self._held[rendering]
            self.held_bytes -= rendering.held
            if rendering is self._as_text:
                self._as_text = None

    def _is_shared(self, rendering: Rendering) -> bool:
        return self._shared.get((rendering.question, rendering.gzip)) is rendering
