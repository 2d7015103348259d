"""A log that nobody reads, strangers who would fill it, and reloads without end."""

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.attacked import FIGURES, Attacked, assert_unharmed, attacked, fill

pytestmark = pytest.mark.anyio

PREFIX = "agent_rest_exporter_"


async def _malformed(exporter: Attacked, count: int) -> None:
    for number in range(count):
        with exporter.connect() as client:
            fill(client, b"\x00 malformed\r\n\r\n")
        if number % 20 == 0:
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def _pipe() -> AsyncIterator[tuple[int, int]]:
    """Both ends of a pipe."""
    reads, writes = os.pipe()
    try:
        yield reads, writes
    finally:
        for each in (reads, writes):
            with contextlib.suppress(OSError):
                os.close(each)


async def test_strangers_do_not_write_the_log(tmp_path: Path) -> None:
    """Five thousand requests that are not HTTP: they are counted, and there is no line of them."""
    async with attacked(tmp_path) as exporter:
        lines = len(exporter.process.lines)
        await _malformed(exporter, 5000)
        counted = f'{PREFIX}web_refused_total{{reason="malformed"}}'
        async with asyncio.timeout(60):
            while (await exporter.scrape())[counted] < 4500:
                await asyncio.sleep(0.2)
        assert len(exporter.process.lines) == lines
        await assert_unharmed(exporter)


async def test_a_log_that_nobody_reads(tmp_path: Path) -> None:
    """Polls go on, health and scrapes are answered, lines are counted, and SIGTERM ends it."""
    async with _pipe() as (reads, writes), attacked(tmp_path, log=(reads, writes)) as exporter:
        os.set_blocking(writes, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writes, b"x" * 4096)
        os.set_blocking(writes, True)
        await _malformed(exporter, 600)
        wrong = "".join(f"  unknown{number}: 1\n" for number in range(300))
        for number in range(25):  # each has three hundred problems, and a line for fifty of them
            (tmp_path / "config.yaml").write_text(
                f"# {number}\ncms:\n- name: lima\n{wrong}", encoding="utf-8"
            )
            with pytest.raises(AssertionError, match="unknown299"):
                await exporter.post("/-/reload")
        await exporter.healthy()
        samples = await exporter.scrape()
        assert samples[f"{PREFIX}log_lines_dropped_total"] > 0
        await assert_unharmed(exporter)


async def test_a_log_without_a_reader(tmp_path: Path) -> None:
    """EPIPE is no reason to stop."""
    async with _pipe() as (reads, writes), attacked(tmp_path, log=(reads, writes)) as exporter:
        os.close(reads)
        (tmp_path / "config.yaml").write_text("cms: []\n", encoding="utf-8")
        with pytest.raises(AssertionError):
            await exporter.post("/-/reload")
        async with asyncio.timeout(60):
            while (await exporter.scrape())[f"{PREFIX}log_lines_dropped_total"] == 0:
                await asyncio.sleep(0.1)
        await assert_unharmed(exporter)


async def test_five_hundred_abandoned_reloads(tmp_path: Path) -> None:
    """They are a few reloads, and no core is busy after them."""
    async with attacked(tmp_path, targets=2000 if FIGURES else 500) as exporter:
        before = exporter.cpu()
        await exporter.post("/-/reload")
        one = exporter.cpu() - before
        request = b"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        before = exporter.cpu()
        for number in range(500):
            with exporter.connect() as client:
                fill(client, request)
            if number % 50 == 0:
                await asyncio.sleep(0)
        await exporter.post("/-/reload")
        await exporter.healthy()
        assert exporter.cpu() - before < 2 + 20 * one
        await assert_unharmed(exporter)


async def test_any_bytes_are_answered_and_no_defect(tmp_path: Path) -> None:
    """Paths, queries and headers of random bytes: not one of them is a failure of the exporter."""
    noise = random.Random(12)  # noqa: S311  # hides nothing
    paths = ["/", "/metrics", "/api/v1/targets", "/probe", "/sd", "/-/reload", "/nothing"]
    names = ["q", "cms", "name[]", "state", "page", "limit", "cc_id", "vdn"]
    async with attacked(tmp_path) as exporter:
        for number in range(400):
            junk = noise.randbytes(12).translate(bytes(range(256)), b"\r\n \0\t")
            escaped = "".join(f"%{byte:02x}" for byte in noise.randbytes(6)).encode()
            line = b"GET %s?%s=%s HTTP/1.1\r\n" % (
                noise.choice(paths).encode() + (escaped if number % 5 == 0 else b""),
                noise.choice(names).encode(),
                escaped if number % 2 else junk,
            )
            head = b"%s: %s\r\n" % (noise.choice([b"Accept", b"X", b"Authorization"]), junk)
            host = b"Host: x\r\nConnection: close\r\n\r\n"
            with exporter.connect() as client:
                client.sendall(line + head + host)
                reply = b""
                while part := await asyncio.to_thread(client.recv, 1 << 16):
                    reply += part
            assert not reply.startswith((b"HTTP/1.1 500", b"HTTP/1.1 504")), line
        assert not [line for line in exporter.process.lines if "level=error" in line]
        await assert_unharmed(exporter)
