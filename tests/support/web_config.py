"""Web configurations for tests: their files, a small application behind one, and its clients.

Certificates are made anew in each run, so that none expires.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import indent
from typing import Self

import trustme
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256

from exporter.web.listening.addresses import Address
from exporter.web.listening.listener import listen
from exporter.webconfig.guard import Passwords, protect
from exporter.webconfig.web_config import LiveWebConfig
from tests.support.paths import FIXTURES

FOLDER = FIXTURES / "webconfig"
PATIENCE = 30.0

_PEM = serialization.Encoding.PEM
_PKCS8 = serialization.PrivateFormat.PKCS8


def chain(leaf: trustme.LeafCert) -> bytes:
    """A certificate and what it takes to verify it, as a server sends it."""
    return b"".join(blob.bytes() for blob in leaf.cert_chain_pems)


def key(leaf: trustme.LeafCert) -> bytes:
    """A certificate's key."""
    return leaf.private_key_pem.bytes()


def lay_out(folder: Path) -> None:
    """Put PEM files of every kind into a folder, and all the fixtures' files."""
    ca = trustme.CA()
    server, other = ca.issue_cert("localhost", "127.0.0.1"), ca.issue_cert("other.example")
    files = {
        "ca.pem": ca.cert_pem.bytes(),
        "server.pem": chain(server),
        "server.key": key(server),
        "both.pem": key(server) + chain(server),
        "other.key": key(other),
        "rsa.key": key(ca.issue_cert("rsa.example", key_type=trustme.KeyType.RSA)),
        "locked.key": _locked(key(server)),
        "weak.pem": weak_pair(),
        "junk.pem": b"CANARY\n",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "folder").mkdir()
    for fixture in FOLDER.glob("*/*.yaml"):
        text = fixture.read_text(encoding="utf-8")
        for name in ("server.pem", "server.key", "ca.pem"):
            text = text.replace(f"{{{name}}}", indent(files[name].decode(), "    "))
        (folder / f"{fixture.parent.name}-{fixture.name}").write_text(text, encoding="utf-8")


def _locked(pem: bytes) -> bytes:
    """The same key behind a password."""
    private = serialization.load_pem_private_key(pem, password=None)
    return private.private_bytes(_PEM, _PKCS8, serialization.BestAvailableEncryption(b"CANARY"))


def weak_pair() -> bytes:
    """A key of 1024 bits, and its certificate."""
    private = rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "weak.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(private, SHA256())
    )
    nothing = serialization.NoEncryption()
    return private.private_bytes(_PEM, _PKCS8, nothing) + certificate.public_bytes(_PEM)


async def _metrics(_: web.Request) -> web.StreamResponse:
    return web.Response(text="canary_metric 1\n", headers={"X-Frame-Options": "sameorigin"})


async def _fine(_: web.Request) -> web.StreamResponse:
    return web.Response(text="fine\n")


@contextlib.asynccontextmanager
async def served(
    live: LiveWebConfig,
    *,
    passwords: Passwords | None = None,
    idle_timeout: float = 60.0,
) -> AsyncIterator[int]:
    """Serve metrics and health pages on 127.0.0.1; gives the port."""
    app = web.Application()
    app.router.add_get("/metrics", _metrics)
    app.router.add_get("/-/healthy", _fine)
    app.router.add_get("/-/ready", _fine)
    protect(app, live, passwords=passwords)
    listener = await listen(app, [Address("127.0.0.1", 0)], tls=live.tls, idle_timeout=idle_timeout)
    try:
        yield int(listener.addresses[0].rpartition(":")[2])
    finally:
        await listener.close()


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: str


class Connection:
    """A kept-alive connection, used by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int, tls: ssl.SSLContext | None = None) -> Self:
        """Connect, with a TLS handshake or without one."""
        host = None if tls is None else "localhost"
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=host))

    @property
    def certificate(self) -> bytes:
        """What the server showed."""
        shown: bytes = self.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return shown

    @property
    def version(self) -> str:
        """Which TLS is spoken."""
        version: str = self.writer.get_extra_info("ssl_object").version()
        return version

    async def get(self, path: str = "/metrics", authorization: str = "") -> Reply:
        """Ask for a page.

        Raises:
            OSError: the server has closed the connection.
        """
        extra = f"Authorization: {authorization}\r\n" if authorization else ""
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{extra}\r\n".encode())
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        except asyncio.IncompleteReadError:
            raise ConnectionResetError from None
        lines = [line.partition(": ") for line in head[1:] if line]
        headers = {name: value for name, _, value in lines}
        body = await self.reader.readexactly(int(headers["Content-Length"]))
        return Reply(int(head[0].split()[1]), headers, body.decode())

    async def closed(self) -> bool:
        """Wait until the server has closed the connection."""
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(OSError):
                while await self.reader.read(65536):
                    pass
        return True

    async def close(self) -> None:
        """Leave."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def connected(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Connection]:
    """A connection for one block."""
    connection = await Connection.open(port, tls)
    try:
        yield connection
    finally:
        await connection.close()


async def ask(
    port: int, tls: ssl.SSLContext | None = None, path: str = "/metrics", authorization: str = ""
) -> Reply:
    """One request on a connection of its own.

    Raises:
        OSError: the server let no handshake or no request pass.
    """
    try:
        async with asyncio.timeout(PATIENCE), connected(port, tls) as connection:
            return await connection.get(path, authorization)
    except TimeoutError:  # an OSError, which must not pass for a refusal
        raise AssertionError("no answer") from None
