"""Sockets of TCP, opened for an address, and a sentence for each failure."""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator
from typing import Final

from exporter.web.listening.addresses import Address, ListenError, written

_UNAVAILABLE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


async def bind_tcp(address: Address) -> AsyncIterator[socket.socket]:
    """Every socket that an address stands for: a name may have several addresses.

    Raises:
        ListenError: the address cannot be had.
    """
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
    return ListenError(f"cannot listen on {written(host, port)}: {reason}: {remedy}")
