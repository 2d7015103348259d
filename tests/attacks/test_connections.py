"""Clients that only take up room: connections, descriptors, handshakes."""

import asyncio
import contextlib
import socket
import ssl
import time
from pathlib import Path

import pytest
import trustme

from tests.support.attacked import Attacked, assert_unharmed, attacked, closed, fill

pytestmark = pytest.mark.anyio


async def _visit(exporter: Attacked, stack: contextlib.ExitStack, count: int, sent: bytes) -> None:
    """Many connections that stay open, each with the beginning of a request."""
    for number in range(count):
        with contextlib.suppress(ConnectionError):
            fill(stack.enter_context(exporter.connect()), sent)
        if number % 50 == 0:
            await asyncio.sleep(0)


@pytest.mark.parametrize("descriptors", [128, None])
async def test_idle_visitors(tmp_path: Path, descriptors: int | None) -> None:
    """They are replaced by whoever comes; polls have descriptors of their own, and none fails."""
    async with attacked(tmp_path, descriptors=descriptors) as exporter:
        with contextlib.ExitStack() as stack:
            await _visit(exporter, stack, 1500, b"GET /metrics HT")
            polls = await _polls(exporter)
            async with asyncio.timeout(60):
                while await _polls(exporter) < polls + 40:
                    await asyncio.sleep(0.5)
        await assert_unharmed(exporter)


async def _polls(exporter: Attacked) -> float:
    samples = await exporter.scrape()
    return sum(value for name, value in samples.items() if name.startswith("agent_rest_polls"))


async def test_the_soft_limit_of_descriptors_is_raised(tmp_path: Path) -> None:
    """To what the process may have."""
    async with attacked(tmp_path) as exporter:
        limits = Path(f"/proc/{exporter.process.handle.pid}/limits").read_text(encoding="utf-8")
        (line,) = (line for line in limits.splitlines() if line.startswith("Max open files"))
        soft, hard = line.split()[3:5]
        assert soft == hard


async def test_handshakes_that_do_not_end(tmp_path: Path) -> None:
    """Six hundred half-open ones: others get through, and each ends after ten seconds."""
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "both.pem"
    )
    web_config = tmp_path / "web.yaml"
    web_config.write_text(
        "tls_server_config: {cert_file: both.pem, key_file: both.pem}\n", encoding="utf-8"
    )
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with attacked(tmp_path, f"--web.config.file={web_config}", tls=trusting) as exporter:
        with contextlib.ExitStack() as stack:
            await _visit(exporter, stack, 600, b"\x16\x03\x01")
            for _ in range(3):
                await exporter.scrape()
                await exporter.healthy()
            last = stack.enter_context(exporter.connect())
            before = time.monotonic()
            assert await asyncio.to_thread(closed, last)
            assert 5 < time.monotonic() - before < 60
            await _tls_visitors(exporter, stack, trusting, 520)
            await exporter.scrape()
        await assert_unharmed(exporter)


async def _tls_visitors(
    exporter: Attacked, stack: contextlib.ExitStack, trusting: ssl.SSLContext, count: int
) -> None:
    """Connections with a complete handshake that stay idle."""

    def visit() -> None:
        plain = socket.create_connection(exporter.address)
        stack.enter_context(trusting.wrap_socket(plain, server_hostname="127.0.0.1"))

    for _ in range(count):
        await asyncio.to_thread(visit)
