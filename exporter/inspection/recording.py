"""A transport that keeps what it sends and receives, for a person who looks at one poll.

Only `query --raw` and `query --record` use it. What it keeps contains keys, signatures and agents'
names as they went over the wire: nothing may show it before it was masked.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import httpx

from exporter.cms.transport import Transport
from exporter.server import Server

Headers = Sequence[tuple[bytes, bytes]]

_EXPLAINED: Final = 2**16
"""Bytes that are read of a reply that the client itself does not read, such as one with 401."""
_SOON: Final = 1.0
"""Seconds that are waited for them."""


@dataclass(slots=True)
class Recorded:
    """One request, and as much of its reply as was received."""

    method: str
    target: str
    """Of the request line: the path as it was sent."""
    request_headers: Headers = field(default=(), repr=False)
    """In the order sent, names and values as they were sent."""
    request_body: bytes = field(default=b"", repr=False)
    status: int | None = None
    """None if no reply came."""
    reply_headers: Headers = field(default=(), repr=False)
    """In the order received."""
    reply_body: bytearray = field(default_factory=bytearray, repr=False)
    """As received: still compressed, if it was."""
    complete: bool = False
    """Whether the body was received to its end."""


class RecordingTransport(Transport):
    """A transport that records. Raises as `Transport` does."""

    def __init__(self, server: Server, environ: Mapping[str, str]) -> None:
        super().__init__(server, environ)
        self.recorded: list[Recorded] = []
        """In the order in which the requests were sent."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request, and record it."""
        recorded = Recorded(request.method, request.extensions["target"].decode())
        self.recorded.append(recorded)
        recorded.request_body = await request.aread()
        try:
            response = await super().handle_async_request(request)
        finally:
            # a proxy's headers are added when it is sent
            recorded.request_headers = tuple(request.headers.raw)
        recorded.status = response.status_code
        recorded.reply_headers = tuple(response.headers.raw)
        response.stream = _Copied(cast("httpx.AsyncByteStream", response.stream), recorded)
        return response


class _Copied(httpx.AsyncByteStream):
    """The body of a reply, copied as it is read."""

    def __init__(self, stream: httpx.AsyncByteStream, recorded: Recorded) -> None:
        self._stream = stream
        self._chunks = aiter(stream)
        self._recorded = recorded

    def __aiter__(self) -> "_Copied":
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            self._recorded.complete = True
            raise
        self._recorded.reply_body += chunk
        return chunk

    async def aclose(self) -> None:
        """Give the connection back, once what explains a refusal was read."""
        try:
            if self._recorded.status != httpx.codes.OK:
                await self._read_explanation()
        finally:
            await self._stream.aclose()

    async def _read_explanation(self) -> None:
        # the poll's own failure matters, not how this ends
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_SOON):
                while len(self._recorded.reply_body) < _EXPLAINED:
                    await anext(self)
