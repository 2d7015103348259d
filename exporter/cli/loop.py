"""The event loop of long-running commands: uvloop where it is to be had, else asyncio's own."""

import asyncio
import importlib.util
from collections.abc import Coroutine


def run(main: Coroutine[None, None, None]) -> None:
    """Run to its end on the fastest loop of this platform."""
    if importlib.util.find_spec("uvloop") is None:
        asyncio.run(main)
        return
    import uvloop  # noqa: PLC0415  # not to be had on every platform

    uvloop.run(main)
