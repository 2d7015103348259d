"""Clients' connections: as many as there is room for, each with one request in progress.

aiohttp's own protocol lets a client cost more than its share: it takes any number of connections,
counts none that is still in its TLS handshake, buffers megabytes of headers and of requests that
were sent ahead, sends without waiting for the reader, and logs whatever is not HTTP. So sockets are
accepted here, and the protocol is given bounds.
"""

import asyncio
import contextlib
import resource
import socket
import ssl
from collections import Counter
from collections.abc import Iterable
from operator import itemgetter
from typing import Any, Final, cast

from aiohttp import hdrs, web

from exporter import log_messages
from exporter.errors import error_location
from exporter.web.listening.refusals import SERVER, Refusal, Refusals, refusal

MAX_CONNECTIONS: Final = 512
"""One connection costs some 15 kB, or 60 kB with TLS."""
MIN_CONNECTIONS: Final = 16
MAX_REQUEST_BYTES: Final = 32 * 1024
"""What a client may send before it has its reply: headers, a body, further requests."""
HANDSHAKE_TIMEOUT: Final = 10.0
SEND_TIMEOUT: Final = 60.0
"""Seconds for which a client may read nothing, and in which it must have read a whole reply."""

_SHARE: Final = 4
_ACCEPTED_AT_ONCE: Final = 16
_RETRY_ACCEPT: Final = 0.1
"""Seconds until the next try after a descriptor was missing."""
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
    """Accepts connections. If there are too many, the client that has most of them loses one.

    That is the one that has been idle for longest or, for another client, the oldest one. A quarter
    of all is too many for one client: more would delay everyone's turn in the event loop.

    After `idle_timeout` seconds a connection without a complete request is closed.
    """

    def __init__(
        self,
        server: web.Server,
        *,
        tls: ssl.SSLContext | None,
        idle_timeout: float,
        limit: int,
        refused: Refusals,
    ) -> None:
        self._server = server
        self._tls = tls
        self._idle_timeout = idle_timeout
        self._limit = limit
        self._share = max(MIN_CONNECTIONS, limit // _SHARE)
        self.refused = refused
        self._open: dict[Connection, None] = {}
        """The oldest first."""
        self._clients: Counter[str | bytes] = Counter()
        """How many each of them has."""
        self._idle: dict[Connection, None] = {}
        """From the one that has been idle for longest."""
        self._connecting: set[asyncio.Task[None]] = set()
        self._listening: set[socket.socket] = set()
        self._log_again_at = 0.0
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

    def listen(self, sockets: Iterable[socket.socket]) -> None:
        """Accept connections on these from now on. They belong to this object."""
        for each in sockets:
            each.setblocking(False)  # noqa: FBT003  # the socket's own signature
            self._listening.add(each)
            self._wait_for_connections(each)

    async def stop_listening(self) -> None:
        """Accept no more, and end what has not begun. Others are closed by aiohttp's runner."""
        loop = asyncio.get_running_loop()
        for each in self._listening:
            loop.remove_reader(each)
            each.close()
        self._listening.clear()
        for connection in self._open:
            if not connection.made:
                connection.cut()
        if self._connecting:
            await asyncio.wait(self._connecting)

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

    def _wait_for_connections(self, listening: socket.socket) -> None:
        if listening in self._listening:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                accepted, peer = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # no descriptor is left, although some were kept
                self._make_room("")
                loop = asyncio.get_running_loop()
                loop.remove_reader(listening)
                loop.call_later(_RETRY_ACCEPT, self._wait_for_connections, listening)
                return
            client = client_of(peer)
            if len(self._open) >= self._limit or self._clients[client] >= self._share:
                self.refused[Refusal.TOO_MANY_CONNECTIONS] += 1
                if not self._make_room(client):
                    accepted.close()
                    continue
            accepted.setblocking(False)  # noqa: FBT003  # the socket's own signature
            connection = Connection(self._server, self, accepted, client, self._idle_timeout)
            self._open[connection] = None
            self._clients[client] += 1
            self._idle[connection] = None
            task = asyncio.create_task(self._connect(connection, accepted))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect(self, connection: Connection, accepted: socket.socket) -> None:
        tls: dict[str, Any] = {}
        if self._tls is not None:
            tls = {"ssl": self._tls, "ssl_handshake_timeout": HANDSHAKE_TIMEOUT}
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):  # among them all of TLS, and timeouts
            await loop.connect_accepted_socket(lambda: connection, accepted, **tls)
        if not connection.made:
            self.refused[Refusal.TLS_HANDSHAKE] += 1
            self.forget(connection)

    def _make_room(self, client: str | bytes) -> bool:
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
