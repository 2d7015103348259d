"""Serves an application where it was told to. Knows nothing of what is served."""

import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from aiohttp import web

from exporter.web.listening.activation import inherited
from exporter.web.listening.addresses import Address, Endpoint, ListenError, UnixAddress, written
from exporter.web.listening.tcp import bind_tcp
from exporter.web.listening.unix import bind_unix

__all__ = ["Address", "Endpoint", "ListenError", "Listener", "UnixAddress", "listen"]

IDLE_TIMEOUT: Final = 120.0
"""Longer than the usual minute between two scrapes, so that Prometheus keeps its connection."""
DRAIN_TIMEOUT: Final = 3.0
"""Seconds that replies under way are given to end."""
_LINGER: Final = 2.0


class Listener:
    """An application that is being served."""

    def __init__(
        self, runner: web.AppRunner, addresses: tuple[str, ...], files: Sequence[Path]
    ) -> None:
        self._runner = runner
        self._files = files
        self.addresses = addresses
        """What is really listened on: `host:port`, with the port that was found for 0, or
        `unix:path`."""

    async def close(self) -> None:
        """Accept no more, let replies finish for a few seconds, and close every connection."""
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
    """Serve `app` on every one of `addresses`, or on none.

    Args:
        app: what to serve.
        addresses: where.
        tls: None for plain HTTP.
        idle_timeout: seconds after which a connection without a whole request is closed.

    Raises:
        ListenError: an address cannot be had.
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
            # it passes twice: once before what still runs is asked to end, and once after
            shutdown_timeout=DRAIN_TIMEOUT / 2,
        )
        await runner.setup()
        for each in sockets:
            # also for sockets of files: nothing of TCP is asked of them
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
