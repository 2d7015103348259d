"""A server that tests script, and pollers of it: on virtual time, without sockets."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import replace

import httpx

from exporter.cms.client import CmsClient
from exporter.polling.poller import Poller
from exporter.server import Server
from exporter.store import Store, Target, TargetKey
from tests.support.stores import store_of
from tests.support.virtual_time import virtual_clock

Handler = Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]


def reply(resting: int = 0) -> httpx.Response:
    """An ordinary reply."""
    detail = {"allowRestNum": 0, "onRestNum": resting, "waitRestNum": 0, "agentsRestDetails": []}
    return httpx.Response(200, json={"resultCode": "0100000", "resultDesc": detail})


class Floor:
    """A server that notes when it was asked for which VDN, and answers as it is told."""

    def __init__(self, takes: float = 0.0) -> None:
        self.takes = takes
        self.asked: list[tuple[float, int]] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.answers: Iterator[httpx.Response] | None = None

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        vdn = json.loads(request.content)["queryParam"]["vdn"]
        self.asked.append((asyncio.get_running_loop().time(), vdn))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.takes)
        finally:
            self.in_flight -= 1
        return next(self.answers) if self.answers else reply()


def client_of(
    handler: Handler | httpx.AsyncBaseTransport, server: Server, interval: float = 30.0
) -> CmsClient:
    """A client of a scripted server."""
    transport = (
        handler if isinstance(handler, httpx.AsyncBaseTransport) else httpx.MockTransport(handler)
    )
    return CmsClient(replace(server, interval=interval), transport, virtual_clock)


def make(
    handler: Handler | CmsClient, server: Server, vdns: int, interval: float = 30.0
) -> tuple[Poller, Store]:
    """A poller of VDNs 1 up to `vdns`, and its store."""
    keys = [TargetKey(server.name, 1, vdn) for vdn in range(1, vdns + 1)]
    store = store_of([Target(key) for key in keys], [server.name])
    client = handler if isinstance(handler, CmsClient) else client_of(handler, server, interval)
    return Poller(client, keys, store, virtual_clock), store


@contextlib.asynccontextmanager
async def running(*pollers: Poller) -> AsyncIterator[None]:
    """Pollers at work in the background."""
    tasks = [asyncio.create_task(poller.run()) for poller in pollers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
