"""`/sd`: what Prometheus discovers, and how fast that is for ten thousand targets."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from exporter.store import Store, Target, TargetKey, TargetState
from exporter.web.listening.addresses import Address
from exporter.web.listening.listener import listen
from exporter.web.probe import Note, discovered, group
from tests.support.example_application import example_application
from tests.support.stores import store_of

TARGETS = [
    Target(TargetKey("lima", 1, 2), name="sales", labels=(("site", "a"), ("floor", "ü\n"))),
    Target(TargetKey('q"/1', 65535, 5000)),
]


async def _never(_target: Target, _within: float | None, _note: Note | None) -> TargetState:
    raise NotImplementedError


@asynccontextmanager
async def serving(store: Store) -> AsyncIterator[str]:
    """The address of an exporter with these targets."""
    app = example_application(store=store)
    listener = await listen(app, [Address("127.0.0.1", 0)])
    try:
        yield listener.addresses[0]
    finally:
        await listener.close()


def test_a_group_leads_to_the_probe() -> None:
    """A scrape of it, as it is, is a probe of the target."""
    assert group(TARGETS[0], "exporter:10072") == {
        "targets": ["exporter:10072"],
        "labels": {
            "__metrics_path__": "/probe",
            "__param_cms": "lima",
            "__param_cc_id": "1",
            "__param_vdn": "2",
            "instance": "lima/1/2",
            "__meta_agent_rest_name": "sales",
            "__meta_agent_rest_label_site": "a",
            "__meta_agent_rest_label_floor": "ü\n",
        },
    }


@pytest.mark.parametrize("count", [0, 1, 2, 199, 200, 201, 401])
def test_slices_join_to_json(count: int) -> None:
    """However many targets there are, in the order of the configuration."""
    targets = [Target(TargetKey("lima", 1, vdn)) for vdn in range(1, count + 1)]
    pieces = list(discovered(targets, "a:1"))
    assert json.loads(b"".join(pieces)) == [group(target, "a:1") for target in targets]
    assert len(pieces) == 2 + -(-count // 200)


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["exporter.example:10072", "[2001:db8::1]:10072", "exporter"])
async def test_the_address_is_the_one_that_was_asked(host: str) -> None:
    """Whoever reaches /sd under it reaches /probe too."""
    async with serving(store_of(TARGETS)) as address, aiohttp.ClientSession() as client:
        reply = await client.get(f"http://{address}/sd", headers={"Host": host})
        assert await reply.json() == [group(target, host) for target in TARGETS]
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["Vary"] == "Host, Accept-Encoding"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "head",
    ["GET /sd HTTP/1.0\r\n", "GET /sd HTTP/1.1\r\nHost: a/b\r\n", "GET /sd HTTP/1.1\r\nHost: \r\n"],
)
async def test_without_an_address_there_is_nothing_to_discover(head: str) -> None:
    """A guess would lead Prometheus elsewhere."""
    async with serving(store_of(TARGETS)) as address:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"{head}Connection: close\r\n\r\n".encode())
        reply = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
    assert reply.split()[1] == "400"
    assert reply.endswith(
        "\r\n\r\n400: the Host header must be the host and port at which Prometheus reaches the "
        "exporter.\n"
    )


@pytest.mark.anyio
async def test_ten_thousand_targets_are_small_and_leave_the_loop_free() -> None:
    """Compressed for the wire, and made in slices between which polls go on."""
    targets = [Target(TargetKey("lima", 1 + n // 5000, 1 + n % 5000)) for n in range(10_000)]
    async with (
        serving(store_of(targets)) as address,
        aiohttp.ClientSession(auto_decompress=False) as client,
    ):
        reply = await client.get(f"http://{address}/sd", headers={"Accept-Encoding": "gzip"})
        body = await reply.read()
    assert len(body) < 300_000
    found = json.loads(zlib.decompress(body, zlib.MAX_WBITS | 16))
    assert len({each["labels"]["instance"] for each in found}) == 10_000
    assert len(list(discovered(targets, address))) == 52
