"""CC-CMS as tests play it: replies, and servers on real sockets that send them or fail to.

Independent of the simulator, so that neither can hide a fault of the other.
"""

import asyncio
import contextlib
import json
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from aiohttp.client_reqrep import ConnectionKey

from exporter.clock import Clock, system_clock
from exporter.cms.client import CmsClient
from exporter.cms.transport import Transport
from exporter.errors import PollResult, Reason
from exporter.rest import Snapshot
from exporter.server import Server

NAME = "Zhang San"
"""An agent's name: it stands in every row, and must come out nowhere."""

CONNECTION_KEY = ConnectionKey(
    host="cms.example.com",
    port=28443,
    is_ssl=True,
    ssl=True,
    proxy=None,
    proxy_auth=None,
    proxy_headers_hash=None,
)
"""What aiohttp's errors know of a connection to https://cms.example.com:28443."""

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answer(
    *work_nos: int, approved: int = 0, resting: int = 0, waiting: int = 0, code: str = "0100000"
) -> bytes:
    """The body of a reply about these agents."""
    detail = {
        "allowRestNum": approved,
        "onRestNum": resting,
        "waitRestNum": waiting,
        "agentsRestDetails": [{"agentName": NAME, "workNo": number} for number in work_nos],
    }
    return json.dumps({"result": "0", "resultCode": code, "resultDesc": detail}).encode()


def http(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """A reply on the wire."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True, slots=True)
class Step:
    """What a peer does with one request: what it sends, and what it does then."""

    data: bytes = b""
    then: Literal["listen", "hang up", "hang"] = "listen"


@dataclass(slots=True)
class Peer:
    """A server that does one step for each request, and the last one for all that follow."""

    steps: tuple[Step, ...]
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    """Head and body of each, in the order in which they came."""

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            step = self.steps[min(len(self.requests), len(self.steps) - 1)]
            self.requests.append(head + body)
            writer.write(step.data)
            if step.then == "hang up":
                return
            if step.then == "hang":
                await reader.read()


@contextlib.asynccontextmanager
async def serving(
    handler: Handler,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[int]:
    """Serve every connection by a handler. Gives the port; leaves nothing behind."""
    conversations: list[tuple[asyncio.Task[None], asyncio.StreamWriter]] = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        conversations.append((task, writer))
        with contextlib.suppress(EOFError, OSError):
            await handler(reader, writer)
        writer.close()

    server = await asyncio.start_server(converse, host, port, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for _, writer in conversations:
            writer.transport.abort()
        await asyncio.gather(*(task for task, _ in conversations))
        await server.wait_closed()


@contextlib.asynccontextmanager
async def listening(
    *steps: Step,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[Peer]:
    """A peer, on a port of its own if none is given."""
    peer = Peer(steps)
    async with serving(peer.converse, tls, host, port) as peer.port:
        yield peer


class RestingClient(CmsClient):
    """A client that can wait until its connections may be used again."""

    longest_poll = 0.0
    """Seconds, on the loop's clock, by which connections measure their exchanges."""

    async def poll(self, *args: Any, **options: Any) -> PollResult:
        """Poll, and note how long that took."""
        now = asyncio.get_running_loop().time
        began = now()
        try:
            return await super().poll(*args, **options)
        finally:
            self.longest_poll = max(self.longest_poll, now() - began)

    async def rested(self) -> None:
        """Sleep until every kept connection has rested: for as long as its slowest exchange took.

        However slow this machine is: no exchange took longer than the slowest poll.
        """
        await asyncio.sleep(self.longest_poll + 0.01)


@contextlib.asynccontextmanager
async def connected(
    url: str,
    *,
    environ: Mapping[str, str] = MappingProxyType({}),
    nameservers: Sequence[str] = (),
    clock: Clock = system_clock,
    max_reply_bytes: int = 2**20,
    **facts: Any,
) -> AsyncIterator[RestingClient]:
    """A client on real sockets. `facts` are the server's."""
    server = Server(url, **facts)
    transport = Transport(server, environ, nameservers)
    client = RestingClient(server, transport, clock, max_reply_bytes=max_reply_bytes)
    try:
        yield client
    finally:
        await client.aclose()


class Reading(NamedTuple):
    """What a poll that succeeded has brought."""

    snapshot: Snapshot
    requests: int
    clock_skew: float | None


class Failed(NamedTuple):
    """Why a poll failed, and after how many requests."""

    reason: Reason
    message: str
    requests: int


def read(result: PollResult) -> Reading:
    """A poll that must have succeeded."""
    assert result.error is None, result.error
    assert result.snapshot is not None
    return Reading(result.snapshot, result.requests, result.clock_skew)


def failed(result: PollResult) -> Failed:
    """A poll that must have failed."""
    assert result.error is not None
    assert result.snapshot is None
    return Failed(result.error.reason, result.error.message, result.requests)


async def reading(url: str, **how: Any) -> Reading:
    """One poll over a real socket that succeeds."""
    async with connected(url, **how) as client:
        return read(await client.poll(1, 1))


async def failure(url: str, **how: Any) -> Failed:
    """One poll over a real socket that fails."""
    async with connected(url, **how) as client:
        return failed(await client.poll(1, 1))


def said(error: Failed, port: int) -> tuple[Reason, str]:
    """The reason and the sentence, whatever the port."""
    return error.reason, error.message.replace(str(port), "PORT")
