"""DNS for the connections to one server: lookups that can be cancelled, and that hold nobody up.

The system's own `getaddrinfo` blocks a thread, which nothing can cancel; asyncio has a handful of
threads for all servers, so that two names without an answer would hold up every other server.
c-ares asks the name servers itself. It reads /etc/hosts and /etc/resolv.conf (search domains,
options) and reuses answers for their TTL.
"""

import asyncio
import socket
from collections.abc import Sequence

import aiodns
from aiodns.error import ARES_ECONNREFUSED, ARES_ETIMEOUT
from aiohttp.abc import AbstractResolver, ResolveResult

from exporter.cms.connections import Phase, current


class DnsSilentError(OSError):
    """No name server has answered."""


class Resolver(AbstractResolver):
    """Looks up names for one server.

    Args:
        nameservers: `address` or `address:port`; those of /etc/resolv.conf if there are none.
    """

    def __init__(self, nameservers: Sequence[str] = ()) -> None:
        self._nameservers = nameservers
        self._dns: aiodns.DNSResolver | None = None

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises `OSError` if there are none."""
        exchange = current.get()
        exchange.phase, exchange.peer = Phase.RESOLVING, host
        if self._dns is None:
            # made with the first name: most servers are given by their address
            self._dns = aiodns.DNSResolver(self._nameservers, asyncio.get_running_loop())
        try:
            answer = await self._dns.getaddrinfo(host, family, port, type=socket.SOCK_STREAM)
        except aiodns.error.DNSError as error:
            silent = error.args[0] in {ARES_ETIMEOUT, ARES_ECONNREFUSED}
            raise (DnsSilentError if silent else OSError)(None, str(error.args[1])) from None
        return [
            ResolveResult(
                hostname=host,
                host=node.addr[0].decode(),
                port=port,
                family=node.family,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for node in answer.nodes
        ]

    async def close(self) -> None:
        """Cancel what is under way."""
        if self._dns is not None:
            await self._dns.close()
