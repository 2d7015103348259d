"""Noticing that files have changed, by looking at their contents every so often.

Polling works on every file system: changes on network drives, and of the symbolic links that
Kubernetes swaps, do not arrive as events.
"""

import asyncio
from collections.abc import Awaitable, Callable

from exporter.config.files import Seen


async def watch_files(
    seen: Callable[[], Seen],
    reload: Callable[[], Awaitable[object]],
    *,
    interval: float,
    settle: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Reload whenever files differ from what was last read, until cancelled.

    A change counts once two looks in a row have found the same: a file that is still being
    written, or a certificate whose key comes a moment later, is waited for.

    Args:
        seen: gives what the files held when they were last read, with or without success.
        reload: reads them again.
        interval: seconds between two looks.
        settle: seconds until the next look after one that found something new.
        sleep: waits for so many seconds.
    """
    before = seen()
    while True:
        await sleep(interval if before == seen() else settle)
        now = await asyncio.to_thread(seen().look)
        if now == before and now != seen():
            await reload()
        before = now
