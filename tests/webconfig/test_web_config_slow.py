"""Five hundred connections that come to stay: scrapes do not notice, and each one is closed."""

import asyncio
import base64
import contextlib
import ssl
from pathlib import Path

import bcrypt
import pytest
import trustme

from exporter.webconfig.web_config import LiveWebConfig
from tests.support.web_config import Connection, chain, connected, key, served

pytestmark = pytest.mark.anyio

PASSWORD = "Basic " + base64.b64encode(b"alice:secret").decode()
IDLE = 3.0
"""Seconds after which a connection without a whole request is closed, in this test."""


@pytest.fixture
def client(tmp_path: Path) -> ssl.SSLContext:
    """TLS and a password; gives a client of the server."""
    ca = trustme.CA()
    leaf = ca.issue_cert("localhost")
    (tmp_path / "server.pem").write_bytes(chain(leaf))
    (tmp_path / "server.key").write_bytes(key(leaf))
    (tmp_path / "web.yaml").write_text(
        "tls_server_config: {cert_file: server.pem, key_file: server.key}\n"
        f"basic_auth_users: {{alice: {bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}}}\n",
        encoding="utf-8",
    )
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


async def drip(connection: Connection, text: bytes) -> None:
    """Send a byte now and then, for as long as the server listens."""
    with contextlib.suppress(OSError):
        for byte in text:
            connection.writer.write(bytes([byte]))
            await connection.writer.drain()
            await asyncio.sleep(IDLE / 10)


async def scrape(port: int, client: ssl.SSLContext, done: asyncio.Event) -> int:
    """Scrape on one connection, as Prometheus does. Each scrape is fine; gives their number."""
    scrapes = 0
    async with connected(port, client) as prometheus:
        while not done.is_set():
            assert (await prometheus.get(authorization=PASSWORD)).status == 200
            scrapes += 1
            await asyncio.sleep(IDLE / 60)  # on a busy machine it takes longer, but not sixty times
    return scrapes


async def test_idle_and_slow_connections(
    tmp_path: Path, client: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the handshake, in it, after it, and in a request that never ends."""
    monkeypatch.setattr("asyncio.constants.SSL_HANDSHAKE_TIMEOUT", IDLE)
    hello = b"\x16\x03\x01\x02\x00" + b"\x01" * 512
    request = f"GET /metrics HTTP/1.1\r\nX-Slow: {'x' * 500}".encode()
    done = asyncio.Event()
    async with (
        served(LiveWebConfig(tmp_path / "web.yaml"), idle_timeout=IDLE) as port,
        contextlib.AsyncExitStack() as stack,
    ):
        scrapes = asyncio.create_task(scrape(port, client, done))
        strangers, drips = [], []
        for number in range(500):
            tls, drips_too = client if number % 4 < 2 else None, number % 2
            strangers.append(await stack.enter_async_context(connected(port, tls)))
            if drips_too:
                text = request if tls else hello
                drips.append(asyncio.create_task(drip(strangers[-1], text)))
        assert all(await asyncio.gather(*(stranger.closed() for stranger in strangers)))
        done.set()
        assert await scrapes > 1
        await asyncio.gather(*drips)
