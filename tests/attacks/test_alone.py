"""Attacks that keep both processors busy: `make attacks` runs them, one after the other.

What they are about has cheap tests elsewhere, which docs/reliability.md names.
"""

import asyncio
import contextlib
import gzip
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import bcrypt
import pytest

from tests.support.attacked import FIGURES, MAX_GROWTH, Attacked, assert_unharmed, attacked, watch
from tests.support.flood import Replies
from tests.support.hostile_server import ATTACKS, PAGED, serving_attacks
from tests.support.paths import ROOT
from tests.support.processes import started

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(FIGURES is None, reason="make attacks runs it"),
]

TOGETHER = 12 << 20
"""Bytes that the polls of each server may receive without waiting for each other."""
HOST = b" HTTP/1.1\r\nHost: localhost\r\n"
BOMB = gzip.compress(bytes(29_000_000))[:29_000].ljust(29_000, b"\0")
REQUESTS = {
    "Accept of 22 kB": b"GET /metrics" + HOST + 3 * (b"Accept: %b\r\n" % (b"," * 7500)) + b"\r\n",
    "Accept-Encoding of 22 kB": (
        b"GET /metrics" + HOST + 3 * (b"Accept-Encoding: %b\r\n" % (b"gzip," * 1500)) + b"\r\n"
    ),
    "path of 8000 slashes": b"GET " + b"/" * 8000 + HOST + b"\r\n",
    "compressed body": (
        b"POST /metrics" + HOST + b"Content-Encoding: gzip\r\nContent-Length: 29000\r\n\r\n" + BOMB
    ),
    "name that is not one": b"GET http://xn--a/metrics" + HOST + b"\r\n",
    "200 words to search for": b"GET /?limit=1000&q=" + b"a+" * 100 + HOST + b"\r\n",
    "HEAD": b"HEAD /metrics" + HOST + b"\r\n",
    "failed reload": b"POST /-/reload" + HOST + b"Content-Length: 0\r\n\r\n",
    "guessed password": b"GET /metrics" + HOST + b"Authorization: Basic YTpi\r\n\r\n",
}


@contextlib.asynccontextmanager
async def _flood(
    exporter: Attacked, request: bytes, connections: int, replies: Replies = Replies.READ
) -> AsyncIterator[None]:
    """The same request on many connections, again and again, beside the block."""
    arguments = str(exporter.address[1]), str(connections), replies, request.hex()
    async with started(sys.executable, "-m", "tests.support.flood", *arguments, cwd=ROOT) as flood:
        await asyncio.sleep(1)
        yield
        assert flood.handle.returncode is None, flood.lines


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
async def test_two_hundred_ask(tmp_path: Path, request_: bytes) -> None:
    """Requests that cost more than they seem to."""
    async with attacked(tmp_path, targets=300) as exporter:
        if request_ == REQUESTS["failed reload"]:
            wrong = "".join(f"  unknown{number}: 1\n" for number in range(3000))
            (tmp_path / "config.yaml").write_text(f"cms:\n- name: lima\n{wrong}", "utf-8")
        async with _flood(exporter, request_, 200):
            await watch(exporter)
        await assert_unharmed(exporter)


@pytest.mark.parametrize(
    "path", [b"/metrics", b"/-/healthy", b"/nothing"], ids=["metrics", "healthy", "nothing"]
)
async def test_fifteen_hundred_do_not_read(tmp_path: Path, path: bytes) -> None:
    """Of one address, more than there may be connections."""
    request = b"GET " + path + HOST + b"\r\n"
    async with attacked(tmp_path, targets=300, label_bytes=300) as exporter:
        async with _flood(exporter, request * 20, 1500, Replies.LEFT):
            await watch(exporter)
        await assert_unharmed(exporter)


async def test_passwords_are_guessed(tmp_path: Path) -> None:
    """By two hundred at a time, before Prometheus has scraped once: it waits its turn only."""
    await _while_passwords_are_guessed(tmp_path, Replies.READ)


async def test_passwords_are_guessed_by_clients_that_hang_up(tmp_path: Path) -> None:
    """A check that has begun goes on without its client, and no other begins beside it."""
    await _while_passwords_are_guessed(tmp_path, Replies.NOT_AWAITED)


async def _while_passwords_are_guessed(tmp_path: Path, replies: Replies) -> None:
    hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(10)).decode()
    web_config = tmp_path / "web.yaml"
    web_config.write_text(f"basic_auth_users: {{prometheus: {hashed}}}\n", encoding="utf-8")
    login = ("prometheus", "right")
    async with attacked(tmp_path, f"--web.config.file={web_config}", login=login) as exporter:
        web_config.write_text(  # another hash: nobody's password is remembered
            web_config.read_text("utf-8").replace(
                hashed, bcrypt.hashpw(b"right", bcrypt.gensalt(10)).decode()
            ),
            encoding="utf-8",
        )
        async with _flood(exporter, REQUESTS["guessed password"], 200, replies):
            await asyncio.sleep(4)
            await watch(exporter)
        await assert_unharmed(exporter)


EACH = [[name] for name in ATTACKS if name != "healthy"]


@pytest.mark.parametrize(
    "names", [*EACH, [each[0] for each in EACH]], ids=[*(each[0] for each in EACH), "all"]
)
async def test_hostile_servers(tmp_path: Path, names: list[str]) -> None:
    """Each with eight targets, beside a healthy server."""
    with serving_attacks(*names) as ports:
        await _beside(tmp_path, dict(zip(names, ports, strict=True)))


async def _beside(tmp_path: Path, hostile: Mapping[str, int]) -> None:
    async with attacked(tmp_path) as exporter:
        config = tmp_path / "config.yaml"
        blocks = [
            f"- name: {name}\n  url: http://127.0.0.1:{port}\n  interval: 2s\n  timeout: 1900ms\n"
            f"  targets: [{{ccId: 1, vdn: 1-8}}]\n"
            + ('  cti_version: "3.6"\n' if name in PAGED else "")
            for name, port in hostile.items()
        ]
        config.write_text(config.read_text("utf-8") + "".join(blocks), encoding="utf-8")
        await exporter.post("/-/reload")
        await watch(exporter, 5)
        await assert_unharmed(exporter, max(MAX_GROWTH, len(hostile) * TOGETHER))
