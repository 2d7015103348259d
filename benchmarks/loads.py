"""Requests to the peer, by the exporter's client and by those that it is compared with.

Run as a process of its own: takes its facts as JSON, prints CPU seconds for each request as JSON.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import httpx

from benchmarks.processes import own_cpu_seconds
from exporter.cli.signals import run_loop
from exporter.clock import system_clock
from exporter.cms.client import CmsClient
from exporter.cms.transport import Transport
from exporter.cms.wire import request_body
from exporter.secret import Secret
from exporter.server import Api, Server, Signature

IN_FLIGHT = 50
_WARM_UP = 4 * IN_FLIGHT
_QUESTION = request_body(1, 1)

One = Callable[[], Awaitable[object]]
"""Sends one request, or one poll's requests."""


async def httpx_loop(facts: dict[str, Any]) -> float:
    """What one writes first: one `httpx.AsyncClient` for everything."""
    url = facts["url"] + Api.AGENT_REST_INFOS.path
    async with httpx.AsyncClient() as client:
        return await _saturated(lambda: client.post(url, content=_QUESTION), facts["requests"])


async def aiohttp_loop(facts: dict[str, Any]) -> float:
    """Only fetches: no signature, no decoding, no schedule."""
    url = facts["url"] + Api.AGENT_REST_INFOS.path
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def fetch() -> None:
            async with session.post(url, data=_QUESTION) as response:
                await response.read()

        if "rate" in facts:
            return await _paced(fetch, facts["requests"], facts["rate"])
        return await _saturated(fetch, facts["requests"])


async def client_loop(facts: dict[str, Any]) -> float:
    """The exporter's client by itself, without its schedule: sign, send, decode, reduce."""
    server = Server(
        facts["url"],
        auth=Signature(Secret("AKEXAMPLE0001"), Secret("example")),
        page_size=facts.get("page_size"),
        max_concurrency=IN_FLIGHT,
    )
    client = CmsClient(server, Transport(server, {}), system_clock)
    try:
        return await _saturated(lambda: client.poll(1, 1), facts["requests"])
    finally:
        await client.aclose()


async def _saturated(one: One, requests: int) -> float:
    """CPU of each request with `IN_FLIGHT` of them under way all the time."""

    async def many(count: int) -> None:
        for _ in range(count // IN_FLIGHT):
            await one()

    await asyncio.gather(*(many(_WARM_UP) for _ in range(IN_FLIGHT)))
    before = own_cpu_seconds()
    await asyncio.gather(*(many(requests) for _ in range(IN_FLIGHT)))
    return (own_cpu_seconds() - before) / (requests // IN_FLIGHT * IN_FLIGHT)


async def _paced(one: One, requests: int, rate: float) -> float:
    """CPU of each request with `rate` of them started in a second, evenly."""
    now = asyncio.get_running_loop().time
    await one()
    before, start = own_cpu_seconds(), now()
    async with asyncio.TaskGroup() as group:
        for number in range(requests):
            await asyncio.sleep(max(0.0, start + number / rate - now()))
            group.create_task(_finished(one))
    return (own_cpu_seconds() - before) / requests


async def _finished(one: One) -> None:
    await one()


_LOADS: dict[str, Callable[[dict[str, Any]], Awaitable[float]]] = {
    "httpx": httpx_loop,
    "aiohttp": aiohttp_loop,
    "client": client_loop,
}


async def _main(facts: dict[str, Any]) -> None:
    cpu = await _LOADS[facts["load"]](facts)
    print(json.dumps({"cpu": cpu}))


if __name__ == "__main__":
    _facts = json.loads(sys.argv[1])
    # people write asyncio.run(); the others get the loop that the exporter runs on
    (asyncio.run if _facts["load"] == "httpx" else run_loop)(_main(_facts))
