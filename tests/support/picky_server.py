"""A CC-CMS that accepts signatures of one kind only, checked by the rules and not by the client."""

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from urllib.parse import quote

from exporter.clock import system_clock
from exporter.cms import signing
from tests.support.cms_peer import answer, http

PING = "/rest/cmsapp/v1/ping"


class Picky:
    """A server that accepts a signature over one host and one kind of query line only."""

    def __init__(
        self,
        host: Callable[[int], str] = "127.0.0.1:{}".format,
        *,
        query: tuple[str, ...] = (),
        key: str = "sk",
        ping: str = "200 OK",
        skew: float = 0.0,
        now: Callable[[], float] = lambda: system_clock().wall,
    ) -> None:
        self.now = now
        self.host, self.query, self.key, self.ping, self.skew = host, query, key, ping, skew
        self.paths: list[str] = []
        self.port = 0

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, value in (x.split(": ", 1) for x in lines)}
            body = await reader.readexactly(int(headers["content-length"]))
            path = line.split(" ")[1]
            self.paths.append(path)
            date = formatdate(self.now() + self.skew, usegmt=True)
            if path == PING and self.ping:
                writer.write(http(b"{}", self.ping, Date=date))
            elif self._accepts(path, headers, body):
                writer.write(http(answer(resting=1), Date=date))
            else:
                writer.write(http(b"", "401 Unauthorized", Date=date))

    def _accepts(self, path: str, headers: dict[str, str], body: bytes) -> bool:
        prefix, signature = headers["authorization"].rsplit("/", 1)
        expected = headers | {"host": self.host(self.port)}
        names = prefix.rsplit("/", 1)[1].split(";")
        fields = [f"{name}:{quote(expected[name], safe='')}" for name in names]
        lines = ["POST", path, *self.query, ";".join(names), *fields, quote(body, safe="")]
        return signing.authorization(self.key, prefix, "\n".join(lines)) == f"{prefix}/{signature}"
