"""A DNS server as tests play it: it answers for some names, and never for others."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import cast

_A, _SERVFAIL, _NXDOMAIN = 1, 2, 3
FAILS = "fails"
"""In place of an address: the server cannot look for it."""


@dataclass(slots=True)
class DnsPeer(asyncio.DatagramProtocol):
    """Answers over UDP with IPv4 addresses."""

    addresses: Mapping[str, str | None]
    """By name; None for a name that does not exist. No answer for all others."""
    ttl: int = 60
    ipv4_only: bool = False
    """Whether questions for anything else get no answer."""
    asked: list[str] = field(default_factory=list)
    """The names whose IPv4 address was asked for."""
    port: int = 0
    transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to listen."""
        # uvloop's is no subclass
        self.transport = cast("asyncio.DatagramTransport", transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one question."""
        labels, position = [], 12
        while length := data[position]:
            labels.append(data[position + 1 : position + 1 + length].decode())
            position += 1 + length
        end = position + 5
        name, (kind,) = ".".join(labels).lower(), struct.unpack_from(">H", data, position + 1)
        if kind == _A:
            self.asked.append(name)
        if name not in self.addresses or (self.ipv4_only and kind != _A):
            return
        address = self.addresses[name]
        found = address not in {None, FAILS} and kind == _A
        code = {None: _NXDOMAIN, FAILS: _SERVFAIL}.get(address, 0)
        reply = data[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, int(found), 0, 0) + data[12:end]
        if address is not None and found:
            numbers = bytes(map(int, address.split(".")))
            reply += struct.pack(">HHHIH", 0xC00C, _A, 1, self.ttl, 4) + numbers
        assert self.transport is not None
        self.transport.sendto(reply, addr)


@contextlib.asynccontextmanager
async def naming(
    addresses: Mapping[str, str | None], *, ttl: int = 60, ipv4_only: bool = False
) -> AsyncIterator[DnsPeer]:
    """A DNS server on a port of its own."""
    loop = asyncio.get_running_loop()
    transport, peer = await loop.create_datagram_endpoint(
        lambda: DnsPeer(addresses, ttl, ipv4_only), local_addr=("127.0.0.1", 0)
    )
    try:
        yield peer
    finally:
        transport.close()
