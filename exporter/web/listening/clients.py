"""Clients' connections: how many, each with one request in progress, and what is refused.

aiohttp's own protocol lets a client cost more than its share: it takes any number of connections,
counts none that is still in its TLS handshake, buffers megabytes of headers and of requests that
were sent ahead, sends without waiting for the reader, and logs whatever is not HTTP. So sockets are
accepted by the listener, and the protocol is given bounds here.
"""

import asyncio
import contextlib
import resource
import socket
from collections import Counter
from enum import StrEnum
from operator import itemgetter
from typing import Any, Final, cast

from aiohttp import hdrs, web

from exporter import log_messages
from exporter.errors import error_location

SERVER: Final = "agent-rest-exporter"
"""In each reply, without versions."""
MAX_CONNECTIONS: Final = 512
"""One connection costs some 15 kB, or 60 kB with TLS."""
MIN_CONNECTIONS: Final = 16
MAX_REQUEST_BYTES: Final = 32 * 1024
"""What a client may send before it has its reply: headers, a body, further requests."""
SEND_TIMEOUT: Final = 60.0
"""Seconds for which a client may read nothing, and in which it must have read a whole reply."""

_SHARE: Final = 4
_LATE_REQUEST: Final = 1.0
"""Seconds after which a request that is too large is refused: a complete one has begun by then."""
_LINGER: Final = 2.0
_LOG_INTERVAL: Final = 60.0
"""Seconds between two log lines about requests that failed because of a defect."""
_LONGEST_PATH: Final = 200
"""Characters, without the query: aiohttp's time to look one up grows with its square."""


def connection_limit() -> int:
    """How many connections may be open: half of the process's descriptors are kept for polls."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, max(MIN_CONNECTIONS, soft // 2))


class Refusal(StrEnum):
    """Why a request or a connection was refused or ended."""

    MALFORMED = "malformed"
    """Not valid HTTP, or larger than 32 kB."""
    BUSY = "busy"
    """503: too many requests were in progress."""
    SLOW_READER = "slow_reader"
    """The reply was not read in time, or its place or memory was needed."""
    TOO_MANY_CONNECTIONS = "too_many_connections"
    """A connection of the client that has most of them, closed for a new one; or the new one."""
    TLS_HANDSHAKE = "tls_handshake"
    """It failed, or took longer than 10 seconds."""


Refusals = Counter[str]
"""How often each was the case."""


def no_refusals() -> Refusals:
    """A count of none, in which each reason is present."""
    return Counter({str(each): 0 for each in Refusal})


def refusal(status: int, sentence: str) -> web.Response:
    """A reply that ends the connection."""
    response = web.Response(
        text=f"{status}: {sentence}.\n", status=status, headers={hdrs.SERVER: SERVER}
    )
    response.force_close()
    return response


class Connection(web.RequestHandler):
    """One connection, which is handed one request after the other.

    Nothing is sent ahead of the reader: the next write waits until the kernel has taken the last.
    """

    def __init__(
        self,
        server: web.Server,
        among: "Connections",
        accepted: socket.socket,
        client: str | bytes,
        idle_timeout: float,
    ) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(
            server,
            loop=loop,
            access_log=cast("Any", None),  # there is none
            keepalive_timeout=idle_timeout,
            lingering_time=_LINGER,
            # 32 kB can be 32 MB when decompressed, and nothing reads a body
            auto_decompress=False,
        )
        self.client = client
        self._among = among
        self._clock = loop
        self._wire: asyncio.Transport | None = None
        self._handshake: socket.socket | None = accepted
        self._watchdog: asyncio.TimerHandle | None = None
        self._received = 0
        self._full = False
        self._ended = False
        self.in_progress = False

    @property
    def made(self) -> bool:
        """Whether its handshake, if any, has succeeded."""
        return self._wire is not None

    def cut(self) -> None:
        """End it at once, whatever was not sent."""
        self._ended = True
        if self._wire is not None:
            self._wire.abort()
        elif self._handshake is not None:
            with contextlib.suppress(OSError):  # the client has left
                self._handshake.shutdown(socket.SHUT_RDWR)

    def end_unread(self) -> None:
        """End it because its reply is not read. It is counted once."""
        if not self._ended:
            self._among.refused[Refusal.SLOW_READER] += 1
            self.cut()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over from the handshake."""
        self._wire = cast("asyncio.Transport", transport)
        self._handshake = None
        self._wire.set_write_buffer_limits(high=1, low=0)
        super().connection_made(transport)
        if self._ended:
            # before it reads what was sent meanwhile
            self._wire.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget it."""
        self._among.forget(self)
        self._stop_watching()
        super().connection_lost(exc)
        self._messages.clear()

    def pause_writing(self) -> None:
        """Give the reader some time for what was written."""
        super().pause_writing()
        self._watchdog = self._clock.call_later(SEND_TIMEOUT, self.end_unread)

    def resume_writing(self) -> None:
        """The kernel has taken all that was written."""
        self._stop_watching()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Take up to `MAX_REQUEST_BYTES` for each reply; no more will be read after that."""
        if not data or self._full:
            # aiohttp passes nothing to have what it holds parsed further
            super().data_received(b"")
            return
        room = MAX_REQUEST_BYTES - self._received
        self._received += len(data)
        if len(data) > room:
            self._full = True
            if self._wire is not None:
                self._wire.pause_reading()
            self._clock.call_later(_LATE_REQUEST, self._refuse_large)
        super().data_received(data[:room])

    async def start(self) -> None:
        """Answer one request after the other."""
        try:
            await super().start()
        except Exception:  # noqa: BLE001  # valid for the parser, and still nothing to ask for
            self._refuse("400 Bad Request", "not a valid HTTP request")

    def begin(self) -> None:
        """A request is complete."""
        self.in_progress = True
        self._among.busy(self)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the rest of the reply, and close the connection if too much came meanwhile."""
        if self._full and not resp.prepared:
            resp.force_close()
        try:
            if self._messages:
                # from Python 3.12 on, aiohttp answers all requests that were sent ahead in one go
                await asyncio.sleep(0)
            return await super().finish_response(request, resp, start_time)
        finally:
            self.in_progress = False
            self._received = 0
            self._among.idle(self)
            if self._full:
                self.close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # it quotes the request
    ) -> web.StreamResponse:
        """Reply to invalid HTTP, which is counted, or to an internal error, which is logged."""
        if status == 400:  # noqa: PLR2004  # HTTP's
            self._among.refused[Refusal.MALFORMED] += 1
            sentence = "not a valid HTTP request"
        else:
            self._among.log_defect(exc)
            sentence = "the request failed because of a defect in the exporter: see its log"
        if request.writer.output_size > 0:
            raise ConnectionError
        return refusal(status, sentence)

    def _refuse_large(self) -> None:
        if not self.in_progress:
            self._refuse("431 Request Header Fields Too Large", "the request is too large")

    def _refuse(self, status: str, sentence: str) -> None:
        """Reply without a request."""
        wire = self._wire
        if wire is None or wire.is_closing():
            return
        self._among.refused[Refusal.MALFORMED] += 1
        text = f"{status[:3]}: {sentence}.\n"
        wire.write(
            f"HTTP/1.1 {status}\r\nServer: {SERVER}\r\nConnection: close\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(text)}\r\n\r\n{text}".encode()
        )
        self.force_close()

    def _stop_watching(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None


def guard(server: web.Server) -> None:
    """Refuse requests that would cost too much, and tell a connection when one begins."""
    make = server.request_factory

    def begin(message: Any, payload: Any, protocol: Any, *rest: Any) -> web.BaseRequest:  # noqa: ANN401  # aiohttp's own
        protocol.begin()
        return make(message, payload, protocol, *rest)

    server.request_factory = begin
    answer = server.request_handler

    async def check(request: web.BaseRequest) -> web.StreamResponse:
        if len(request.rel_url.raw_path) > _LONGEST_PATH:
            return refusal(414, f"the path is longer than {_LONGEST_PATH} characters")
        if request.headers.get(hdrs.EXPECT, "100-continue").lower() != "100-continue":
            return refusal(417, "Expect must be 100-continue")
        try:
            return await answer(request)
        finally:
            # nothing else takes a body, which would last until its request is collected
            if request.content.exception() is None:
                request.content.read_nowait(-1)

    server.request_handler = check


def client_of(peer: object) -> str | bytes:
    """What counts as one client: an IPv4 address, or the first half of an IPv6 address.

    Args:
        peer: as `socket.accept` gives it; all clients of a Unix socket count as one.
    """
    host = peer[0] if isinstance(peer, tuple) else ""
    if ":" not in host or "." in host:  # an IPv4 address may be written as an IPv6 one
        return host
    return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])[:8]


class Connections:
    """Those that are open. If there are too many, the client that has most of them loses one.

    That is the one that has been idle for longest or, for another client, the oldest one. A quarter
    of all is too many for one client: more would delay everyone's turn in the event loop.
    """

    def __init__(self, limit: int, refused: Refusals) -> None:
        self._limit = limit
        self._share = max(MIN_CONNECTIONS, limit // _SHARE)
        self.refused = refused
        self._open: dict[Connection, None] = {}
        """The oldest first."""
        self._clients: Counter[str | bytes] = Counter()
        """How many each of them has."""
        self._idle: dict[Connection, None] = {}
        """From the one that has been idle for longest."""
        self._log_again_at = 0.0

    def admit(self, client: str | bytes) -> bool:
        """Whether a client may have one more, if need be in place of another connection."""
        if len(self._open) < self._limit and self._clients[client] < self._share:
            return True
        self.refused[Refusal.TOO_MANY_CONNECTIONS] += 1
        return self.make_room(client)

    def add(self, connection: Connection) -> None:
        """One has been accepted."""
        self._open[connection] = None
        self._clients[connection.client] += 1
        self._idle[connection] = None

    def cut_handshakes(self) -> None:
        """End those that have not begun."""
        for connection in self._open:
            if not connection.made:
                connection.cut()

    def busy(self, connection: Connection) -> None:
        """A request is in progress."""
        self._idle.pop(connection, None)

    def idle(self, connection: Connection) -> None:
        """Its request has been answered: it is the one that has been idle for the shortest time."""
        if connection in self._open:
            self._idle[connection] = None

    def forget(self, connection: Connection) -> None:
        """It has ended."""
        self._idle.pop(connection, None)
        if connection in self._open:
            del self._open[connection]
            self._clients[connection.client] -= 1
            self._clients += Counter()  # without those that have none

    def log_defect(self, error: BaseException | None) -> None:
        """Log that a request failed, now and then: strangers must not be able to fill the log."""
        now = asyncio.get_running_loop().time()
        if now >= self._log_again_at:
            self._log_again_at = now + _LOG_INTERVAL
            place = "a timeout" if error is None else error_location(error)
            log_messages.REQUEST_FAILED.log({"exception": place})

    def make_room(self, client: str | bytes) -> bool:
        """Close a connection, if there is one that may be closed for this client."""
        crowd, most = max(self._clients.items(), key=itemgetter(1), default=("", 0))
        if self._clients[client] >= most:
            crowd = client
        idle = (each for each in self._idle if each.client == crowd)
        busy = (each for each in self._open if each.client == crowd != client)
        connection = next(idle, None) or next(busy, None)
        if connection is None:
            return False
        self.forget(connection)
        connection.cut()
        return True
