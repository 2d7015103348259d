"""Serves an application on its listen addresses: accepts connections, and ends them."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import ExitStack
from typing import Final

from aiohttp import web

from exporter.web.listening.addresses import (
    Address,
    Endpoint,
    SocketFile,
    UnixAddress,
    bind_tcp,
    bind_unix,
    inherited,
    written,
)
from exporter.web.listening.clients import (
    Connection,
    Connections,
    Refusal,
    Refusals,
    client_of,
    connection_limit,
    guard,
    no_refusals,
)

IDLE_TIMEOUT: Final = 120.0
"""Longer than the usual minute between two scrapes, so that Prometheus keeps its connection."""
DRAIN_TIMEOUT: Final = 3.0
"""Seconds for replies in progress to finish."""
HANDSHAKE_TIMEOUT: Final = 10.0
_ACCEPTED_AT_ONCE: Final = 16
_RETRY_ACCEPT: Final = 0.1
"""Seconds until the next try after a descriptor was missing."""


class Listener:
    """A running server, which accepts connections."""

    def __init__(  # noqa: PLR0913  # by name
        self,
        runner: web.AppRunner,
        server: web.Server,
        *,
        sockets: Iterable[socket.socket],
        files: Sequence[SocketFile],
        tls: ssl.SSLContext | None,
        idle_timeout: float,
        connections: Connections,
    ) -> None:
        self._runner = runner
        self._server = server
        self._sockets = [*sockets]
        self._files = files
        self._tls = tls
        self._idle_timeout = idle_timeout
        self._connections = connections
        self._connecting: set[asyncio.Task[None]] = set()
        self.addresses = tuple(map(_name, self._sockets))
        """The addresses as bound: `host:port`, with the actual port for 0, or `unix:path`."""
        for each in self._sockets:
            each.setblocking(False)  # noqa: FBT003  # the socket's own signature
            self._wait_for_connections(each)

    async def close(self) -> None:
        """Stop listening, let replies finish for a few seconds, and close every connection."""
        for file in self._files:
            file.remove()
        loop = asyncio.get_running_loop()
        for each in self._sockets:
            loop.remove_reader(each)
            each.close()
        self._sockets.clear()
        self._connections.cut_handshakes()
        if self._connecting:
            await asyncio.wait(self._connecting)
        await self._runner.cleanup()

    def _wait_for_connections(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                accepted, peer = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # no descriptor is left, although some were kept
                self._connections.make_room("")
                loop = asyncio.get_running_loop()
                loop.remove_reader(listening)
                loop.call_later(_RETRY_ACCEPT, self._wait_for_connections, listening)
                return
            client = client_of(peer)
            if not self._connections.admit(client):
                accepted.close()
                continue
            accepted.setblocking(False)  # noqa: FBT003  # the socket's own signature
            connection = Connection(
                self._server, self._connections, accepted, client, self._idle_timeout
            )
            self._connections.add(connection)
            task = asyncio.create_task(self._connect(connection, accepted))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect(self, connection: Connection, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):  # among them all of TLS, and timeouts
            await loop.connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else HANDSHAKE_TIMEOUT,
            )
        if not connection.made:
            self._connections.refused[Refusal.TLS_HANDSHAKE] += 1
            self._connections.forget(connection)


async def listen(  # noqa: PLR0913  # bounds that tests lower
    app: web.Application,
    addresses: Sequence[Endpoint],
    *,
    tls: ssl.SSLContext | None = None,
    idle_timeout: float = IDLE_TIMEOUT,
    max_connections: int | None = None,
    refused: Refusals | None = None,
) -> Listener:
    """Serve `app` on all of `addresses`, or on none of them.

    After `idle_timeout` seconds a connection without a complete request is closed. The process's
    descriptors limit connections unless `max_connections` does.

    Raises:
        ListenError: an address cannot be listened on.
    """
    with ExitStack() as opened:
        sockets, files = [], []
        for address in addresses:
            async for each in _open(address):
                sockets.append(opened.enter_context(each))
                if isinstance(address, UnixAddress):
                    files.append(SocketFile(address.path))
                    opened.callback(files[-1].remove)
        runner = web.AppRunner(
            app,
            # nothing is waited for on behalf of a client that has left
            handler_cancellation=True,
            # aiohttp waits for it twice: before it cancels what still runs, and after
            shutdown_timeout=DRAIN_TIMEOUT / 2,
        )
        await runner.setup()
        opened.pop_all()
    assert runner.server is not None  # noqa: S101  # it is there after its set-up
    guard(runner.server)
    return Listener(
        runner,
        runner.server,
        sockets=sockets,
        files=files,
        tls=tls,
        idle_timeout=idle_timeout,
        connections=Connections(
            connection_limit() if max_connections is None else max_connections,
            no_refusals() if refused is None else refused,
        ),
    )


async def _open(address: Endpoint) -> AsyncIterator[socket.socket]:
    if isinstance(address, Address):
        async for each in bind_tcp(address):
            yield each
    elif isinstance(address, UnixAddress):
        yield bind_unix(address.path)
    else:
        yield inherited(address.descriptor)


def _name(each: socket.socket) -> str:
    place = each.getsockname()
    return f"unix:{place}" if each.family == socket.AF_UNIX else written(*place[:2])
