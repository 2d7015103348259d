"""A proxy on a real socket that opens tunnels."""

import asyncio

from tests.support.cms_peer import http


class ConnectProxy:
    """A proxy that opens tunnels, or answers with a status instead.

    Attributes:
        heads: what it was asked, in the order in which it came.
    """

    def __init__(self, status: str = "200 Connection established") -> None:
        self.status = status
        self.heads: list[str] = []

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        if not self.status.startswith("2"):
            writer.write(http(b"", self.status))
            await reader.read()
            return
        host, _, port = head.split()[1].rpartition(":")
        writer.write(f"HTTP/1.1 {self.status}\r\n\r\n".encode())
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        back = asyncio.create_task(_pass_on(far_reader, writer))
        await _pass_on(reader, far_writer)
        await back


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(4096):
            writer.write(data)
    finally:
        writer.close()
