"""A client that sees the bytes which an application sends, over a real connection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from exporter.web.listening.addresses import Address
from exporter.web.listening.listener import listen


@asynccontextmanager
async def raw_client(app: web.Application) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of `app` that adds no header of its own and undoes no compression."""
    listener = await listen(app, [Address("127.0.0.1", 0)])
    try:
        async with aiohttp.ClientSession(
            f"http://{listener.addresses[0]}",
            auto_decompress=False,
            skip_auto_headers=["Accept", "Accept-Encoding"],
        ) as client:
            yield client
    finally:
        await listener.close()
