"""DNS for the connections to one server: lookups that can be cancelled, and that hold nobody up.

The system's own `getaddrinfo` blocks a thread, which nothing can cancel; asyncio has a handful of
threads for all servers, so that two names without an answer would hold up every other server.
c-ares asks the name servers itself. It reads /etc/hosts and /etc/resolv.conf (search domains,
options) and reuses answers for their TTL.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import aiodns
from aiodns.error import (
    ARES_EBADRESP,
    ARES_ECONNREFUSED,
    ARES_EFORMERR,
    ARES_ENOTIMP,
    ARES_EREFUSED,
    ARES_ESERVFAIL,
    ARES_ETIMEOUT,
)
from aiohttp.abc import AbstractResolver, ResolveResult

from exporter.cms.connections import Phase, current

if TYPE_CHECKING:
    import pycares


_ANSWERS: Final = {
    ARES_ETIMEOUT: "",
    ARES_ECONNREFUSED: "",
    ARES_EFORMERR: "FORMERR",
    ARES_ESERVFAIL: "SERVFAIL",
    ARES_ENOTIMP: "NOTIMP",
    ARES_EREFUSED: "REFUSED",
    ARES_EBADRESP: "a malformed answer",
}
"""The errors that say nothing of the name: how the name servers refused, or empty for silence."""
_PATIENCE: Final = 0.5
"""Seconds after which IPv4 addresses are looked up alone: some firewalls and old name servers drop
questions for IPv6 addresses, and the answer for the others would wait for them."""


class NameServerError(OSError):
    """The name servers refused to look up a name, or did not answer: it may well exist.

    Args:
        answer: how they refused, or empty if they did not answer.
    """

    def __init__(self, answer: str) -> None:
        super().__init__(None, answer or "no answer")
        self.answer = answer


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
        current.get().reached(Phase.RESOLVING, host)
        if self._dns is None:
            # made with the first name: most servers are given by their address
            self._dns = aiodns.DNSResolver(self._nameservers, asyncio.get_running_loop())
        try:
            answer = await self._lookup(self._dns, host, port, family)
        except aiodns.error.DNSError as error:
            if (said := _ANSWERS.get(error.args[0])) is not None:
                raise NameServerError(said) from None
            raise OSError(None, str(error.args[1])) from None
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

    @staticmethod
    async def _lookup(
        dns: aiodns.DNSResolver, host: str, port: int, family: socket.AddressFamily
    ) -> "pycares.AddrInfoResult":
        async def lookup(family: socket.AddressFamily) -> "pycares.AddrInfoResult":
            return await dns.getaddrinfo(host, family, port, type=socket.SOCK_STREAM)

        lookups = [asyncio.create_task(lookup(family))]
        try:
            done, _ = await asyncio.wait(lookups, timeout=_PATIENCE)
            if not done and family == socket.AF_UNSPEC:
                lookups.append(asyncio.create_task(lookup(socket.AF_INET)))
                await asyncio.wait(lookups, return_when=asyncio.FIRST_COMPLETED)
            # of those that have ended the one that succeeded, else the first one's error
            ended = [task for task in lookups if task.done() and task.exception() is None]
            return await (ended or lookups)[0]
        finally:
            for task in lookups:
                if not task.cancel() and not task.cancelled():
                    # so that asyncio does not report an error that nobody needs
                    task.exception()

    async def close(self) -> None:
        """Cancel what is under way."""
        if self._dns is not None:
            await self._dns.close()
