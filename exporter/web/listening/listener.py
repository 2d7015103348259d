"""Serves an application on its listen addresses."""

import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from aiohttp import web

from exporter.web.listening.addresses import Address, Endpoint, ListenError, UnixAddress, written
from exporter.web.listening.sockets import bind_tcp, bind_unix, inherited

__all__ = ["Address", "Endpoint", "ListenError", "Listener", "UnixAddress", "listen"]

IDLE_TIMEOUT: Final = 120.0
"""Longer than the usual minute between two scrapes, so that Prometheus keeps its connection."""
DRAIN_TIMEOUT: Final = 3.0
"""Seconds for replies in progress to finish."""
_LINGER: Final = 2.0


class Listener:
    """A running server."""

    def __init__(
        self, runner: web.AppRunner, addresses: tuple[str, ...], files: Sequence[Path]
    ) -> None:
        self._runner = runner
        self._files = files
        self.addresses = addresses
        """The addresses as bound: `host:port`, with the actual port for 0, or `unix:path`."""

    async def close(self) -> None:
        """Stop listening, let replies finish for a few seconds, and close every connection."""
        for file in self._files:
            file.unlink(missing_ok=True)
        await self._runner.cleanup()


async def listen(
    app: web.Application,
    addresses: Sequence[Endpoint],
    *,
    tls: ssl.SSLContext | None = None,
    idle_timeout: float = IDLE_TIMEOUT,
) -> Listener:
    """Serve `app` on all of `addresses`, or on none of them.

    A connection without a complete request is closed after `idle_timeout` seconds.

    Raises:
        ListenError: an address cannot be listened on.
    """
    with ExitStack() as opened:
        sockets = []
        for address in addresses:
            async for each in _open(address):
                sockets.append(opened.enter_context(each))
                if isinstance(address, UnixAddress):
                    opened.callback(address.path.unlink, missing_ok=True)
        runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=idle_timeout,
            lingering_time=_LINGER,
            # aiohttp waits for it twice: before it cancels what still runs, and after
            shutdown_timeout=DRAIN_TIMEOUT / 2,
        )
        await runner.setup()
        for each in sockets:
            # serves Unix sockets too: it does nothing that needs TCP
            await web.SockSite(runner, each, ssl_context=tls).start()
        opened.pop_all()
    files = [each.path for each in addresses if isinstance(each, UnixAddress)]
    return Listener(runner, tuple(map(_name, sockets)), files)


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
