"""Clients that ask for more than they read: memory stays bounded, and real scrapes are answered."""

import asyncio
import socket
from functools import partial
from pathlib import Path

import pytest

from tests.support.attacked import (
    FIGURES,
    REQUEST,
    Attacked,
    assert_unharmed,
    attacked,
    clients,
    fill,
    going_on,
    watch,
)

pytestmark = pytest.mark.anyio

TARGETS = 1000 if FIGURES else 300
large = partial(attacked, targets=TARGETS, label_bytes=300, interval="10s")
"""10 kB of metrics for each target, which hardly compress: far more for all clients than memory
may grow by."""


async def test_ten_thousand_requests_without_reading(tmp_path: Path) -> None:
    """Pipelined on four connections for each path; also bodies that no buffer holds up."""
    paths = ["/metrics", "/", "/api/v1/targets", "/-/healthy", "/nothing"]
    async with attacked(tmp_path, targets=5) as exporter:
        data = [(REQUEST.format(path) * 10_000).encode() for path in paths]
        with clients(20, lambda: exporter.connect(small_buffer=True)) as senders:

            async def send() -> None:
                sent = [0] * len(senders)
                while True:
                    for index, client in enumerate(senders):
                        sent[index] += fill(client, data[index % len(paths)][sent[index] :])
                    await asyncio.sleep(0.05)

            before = exporter.cpu()
            async with going_on(send):
                await watch(exporter, 12 if FIGURES else 4)
            assert exporter.cpu() - before < 10
        await assert_unharmed(exporter)


@pytest.mark.parametrize("readers", [60, 200])
async def test_readers_that_do_not_read(tmp_path: Path, readers: int) -> None:
    """Of a large body, each of them asking at another moment."""
    async with large(tmp_path) as exporter:
        with clients(readers, lambda: exporter.connect(small_buffer=True)) as slow:

            async def ask() -> None:
                for client in slow:
                    fill(client, REQUEST.format("/metrics").encode())
                    await asyncio.sleep(6 / readers)

            async with going_on(ask):
                await watch(exporter, 7)
        await assert_unharmed(exporter)


async def test_scrapers_that_leave(tmp_path: Path) -> None:
    """Three hundred of them, one after the other: what was made for them is not kept."""
    async with large(tmp_path) as exporter:

        async def ask_and_leave() -> None:
            for _ in range(300):
                with exporter.connect() as client:
                    fill(client, REQUEST.format("/metrics").encode())
                    await asyncio.sleep(0.01)

        async with going_on(ask_and_leave):
            await watch(exporter)
        await assert_unharmed(exporter)


async def test_questions_of_ones_own(tmp_path: Path) -> None:
    """Two hundred searches and choices of families, each another one."""
    async with large(tmp_path) as exporter:
        limit = f"limit={TARGETS}"
        paths = (f"/api/v1/targets?{limit}&q={{}}", f"/?{limit}&q={{}}", "/metrics?name[]=x{}")
        with clients(200, lambda: exporter.connect(small_buffer=True)) as curious:

            async def ask() -> None:
                for number, client in enumerate(curious):
                    path = paths[number % len(paths)].format(f"{number:x}")
                    fill(client, REQUEST.format(path).encode())
                    await asyncio.sleep(0.01)

            async with going_on(ask):
                await watch(exporter)
        await assert_unharmed(exporter)


async def _send(exporter: Attacked, count: int, data: bytes) -> None:
    def connect() -> socket.socket:
        return exporter.connect()

    with clients(count, connect) as senders:

        async def send() -> None:
            sent = [0] * count
            while True:
                for index, client in enumerate(senders):
                    sent[index] += fill(client, data[sent[index] :])
                    await asyncio.sleep(0)
                await asyncio.sleep(0.1)

        async with going_on(send):
            await watch(exporter)


async def test_headers_without_end(tmp_path: Path) -> None:
    """A megabyte from each of six hundred clients."""
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 8000) for number in range(125))
    async with attacked(tmp_path) as exporter:
        await _send(exporter, 600, b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + lines)
        await assert_unharmed(exporter)


async def test_bodies_that_nobody_asked_for(tmp_path: Path) -> None:
    """A megabyte of a hundred that were announced, from each of three hundred clients."""
    start = b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
    async with attacked(tmp_path) as exporter:
        await _send(exporter, 300, start + bytes(1 << 20))
        await assert_unharmed(exporter)
