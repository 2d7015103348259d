"""Serves an application on its listen addresses."""

import socket
import ssl
from collections.abc import AsyncIterator, Sequence
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
from exporter.web.listening.clients import Connections, connection_limit
from exporter.web.listening.refusals import Refusals, no_refusals

IDLE_TIMEOUT: Final = 120.0
"""Longer than the usual minute between two scrapes, so that Prometheus keeps its connection."""
DRAIN_TIMEOUT: Final = 3.0
"""Seconds for replies in progress to finish."""


class Listener:
    """A running server."""

    def __init__(
        self,
        runner: web.AppRunner,
        connections: Connections,
        addresses: tuple[str, ...],
        files: Sequence[SocketFile],
    ) -> None:
        self._runner = runner
        self._connections = connections
        self._files = files
        self.addresses = addresses
        """The addresses as bound: `host:port`, with the actual port for 0, or `unix:path`."""

    async def close(self) -> None:
        """Stop listening, let replies finish for a few seconds, and close every connection."""
        for file in self._files:
            file.remove()
        await self._connections.stop_listening()
        await self._runner.cleanup()


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
    connections = Connections(
        runner.server,
        tls=tls,
        idle_timeout=idle_timeout,
        limit=connection_limit() if max_connections is None else max_connections,
        refused=no_refusals() if refused is None else refused,
    )
    names = tuple(map(_name, sockets))
    connections.listen(sockets)
    return Listener(runner, connections, names, files)


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
