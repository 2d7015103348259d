"""A simulator in a thread, so that a command can run in the main one, where signals arrive."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from exporter.simulator.floors import SimulatedFloors
from exporter.simulator.scenarios import parse_scenario
from exporter.simulator.stand_in import Address, Settings, Simulator, serving

KEYS = {"AKEXAMPLE0001": "canary-sk"}
"""The keys whose signatures it accepts."""


@contextmanager
def simulating(
    *scenarios: str,
    cti_version: str = "3.8",
    keys: bool = True,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Address]:
    """Serve until the block is left.

    Args:
        scenarios: that are played.
        cti_version: of the server.
        keys: whether it checks signatures.
        tls: with which it serves HTTPS.
    """
    parsed = tuple(map(parse_scenario, scenarios))
    settings = Settings(
        cti_version="3.6" if cti_version == "3.6" else "3.8",
        access_keys=KEYS if keys else {},
        scenarios=parsed,
        floors=SimulatedFloors(scenarios=parsed),
    )
    addresses: list[Address] = []
    ready, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with serving(Simulator(settings), ssl_context=tls) as address:
            addresses.append(address)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(60)
        yield addresses[0]
    finally:
        done.set()
        thread.join()
