"""A server in a thread, beside commands that run in the test's own process."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.cms_peer import Handler, serving


@contextmanager
def in_a_thread(handler: Handler) -> Iterator[int]:
    """Serve every connection by a handler. Gives the port."""
    ready: list[int] = []
    loop, stop, is_ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def serve() -> None:
        async with serving(handler) as port:
            ready.append(port)
            is_ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    is_ready.wait()
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
