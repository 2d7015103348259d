"""Where the exporter listens: addresses read, bound and served. Knows nothing of what is served.

An address that cannot be had is an operator's problem, so that each such error is a sentence that
names the address and the remedy.
"""

import asyncio
import errno
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final, Self

from aiohttp import web

_VALUE: Final = re.compile(r"(?:\[(?P<ipv6>[^\[\]]*)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]{1,5})")
_HIGHEST_PORT: Final = 65_535
_UNAVAILABLE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

IDLE_TIMEOUT: Final = 120.0
"""Longer than the usual minute between two scrapes, so that Prometheus keeps its connection."""
DRAIN_TIMEOUT: Final = 3.0
_LINGER: Final = 2.0


class ListenError(Exception):
    """An address that cannot be listened on.

    Args:
        message: a sentence that names the address and the remedy.
        in_use: whether another process has it.
    """

    def __init__(self, message: str, *, in_use: bool = False) -> None:
        super().__init__(message)
        self.in_use = in_use


@dataclass(frozen=True, slots=True)
class Address:
    """One value of --web.listen-address."""

    host: str
    """Empty for every address of this host; an IPv6 address has no brackets."""
    port: int
    """0 for any free one."""

    @classmethod
    def parse(cls, value: str) -> Self:
        """Read `[HOST]:PORT`; an IPv6 address stands in brackets.

        Raises:
            ValueError: the message is a sentence.
        """
        match = _VALUE.fullmatch(value)
        if match is None:
            raise ValueError(
                f"the listen address {value!r} is not [HOST]:PORT: write it like :10072, "
                "127.0.0.1:10072 or [::1]:10072"
            )
        port = int(match["port"])
        if port > _HIGHEST_PORT:
            raise ValueError(f"the listen address {value!r} has a port above {_HIGHEST_PORT}")
        if match["ipv6"] is None:
            return cls(match["host"], port)
        try:
            IPv6Address(match["ipv6"])
        except ValueError:
            raise ValueError(
                f"the listen address {value!r} has no IPv6 address between its brackets"
            ) from None
        return cls(match["ipv6"], port)


class Listener:
    """An application that is being served."""

    def __init__(self, runner: web.AppRunner, addresses: tuple[str, ...]) -> None:
        self._runner = runner
        self.addresses = addresses
        """What is really listened on, as `host:port`, with the port that was found for 0."""

    async def close(self) -> None:
        """Accept no more, let replies finish for a few seconds, and close every connection."""
        await self._runner.cleanup()


async def listen(
    app: web.Application,
    addresses: Sequence[Address],
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
        sockets = [
            opened.enter_context(each) for address in addresses async for each in _bind(address)
        ]
        runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=idle_timeout,
            lingering_time=_LINGER,
            shutdown_timeout=DRAIN_TIMEOUT,
        )
        await runner.setup()
        for each in sockets:
            await web.SockSite(runner, each, ssl_context=tls).start()
        opened.pop_all()
    return Listener(runner, tuple(_written(*each.getsockname()[:2]) for each in sockets))


async def _bind(address: Address) -> AsyncIterator[socket.socket]:
    """Every socket that an address stands for: a name may have several addresses."""
    port, bound, unavailable = address.port, False, None
    for family, host in await _candidates(address.host):
        try:
            # One socket of both families takes `[::]` and IPv4 under the same free port.
            server = socket.create_server(
                (host, port),
                family=family,
                dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6(),
            )
        except OSError as error:
            unavailable = _refusal(error, host if address.host else "this host", port)
            # `localhost` names ::1 even where IPv6 is switched off: what else it names will do.
            if error.errno not in _UNAVAILABLE:
                raise unavailable from error
        else:
            bound, port = True, server.getsockname()[1]
            yield server
            if not address.host:
                return
    if unavailable is not None and not bound:
        raise unavailable


async def _candidates(host: str) -> list[tuple[socket.AddressFamily, str]]:
    """Families and addresses to bind. For no host, the first one that is to be had serves all."""
    if not host:
        ipv4 = [(socket.AF_INET, "0.0.0.0")]  # noqa: S104 - every address is what was asked for
        return [(socket.AF_INET6, "::"), *ipv4] if socket.has_dualstack_ipv6() else ipv4
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise ListenError(
            f"the host name {host!r} cannot be resolved to listen on it: check its spelling in "
            "--web.listen-address, or give an IP address"
        ) from error
    return list(dict.fromkeys((family, str(place[0])) for family, _, _, _, place in found))


def _refusal(error: OSError, host: str, port: int) -> ListenError:
    remedy = "choose another address with --web.listen-address"
    if error.errno == errno.EADDRINUSE:
        return ListenError(
            f"port {port} is already in use on {host}: stop the other process or {remedy}",
            in_use=True,
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return ListenError(
            f"no permission to listen on port {port} of {host}: choose a port above 1023 with "
            "--web.listen-address, or grant the process CAP_NET_BIND_SERVICE"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return ListenError(f"{host} is not an address of this host: {remedy}")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return ListenError(f"cannot listen on {_written(host, port)}: {reason}: {remedy}")


def _written(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
