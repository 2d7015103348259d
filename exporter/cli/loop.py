"""The event loop of the commands that have one, and what signals do while it runs."""

import asyncio
import importlib.util
import signal
from collections.abc import Callable, Coroutine
from typing import TypeVar

from exporter.cli.signals import STOPS, Signals, Stopped

T = TypeVar("T")


def run(main: Coroutine[None, None, T]) -> T:
    """Run to the end on uvloop, or on asyncio's own loop where uvloop is not installed.

    Signals are handled afterwards as they were before: a closed loop would swallow them.
    """
    before = {number: signal.getsignal(number) for number in (*STOPS, signal.SIGHUP)}
    try:
        if importlib.util.find_spec("uvloop") is None:
            return asyncio.run(main)
        import uvloop

        return uvloop.run(main)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_until_stopped(main: Coroutine[None, None, T], signals: Signals) -> T:
    """Run to the end. SIGTERM and SIGINT cancel it, and raise Stopped."""

    async def cancellable() -> T:
        work = asyncio.create_task(main)

        def stop(number: int) -> None:
            signals.stopped_by = number
            work.cancel()

        for number in STOPS:
            asyncio.get_running_loop().add_signal_handler(number, stop, number)
        return await work

    try:
        result = run(cancellable())
    except asyncio.CancelledError:
        raise Stopped(signals.stopped_by) from None
    if signals.stopped_by:
        # it came when the work was done and the loop was closing
        raise Stopped(signals.stopped_by)
    return result


def stop_event(signals: Signals, reload: Callable[[], None] | None = None) -> asyncio.Event:
    """An event of the running loop that SIGTERM and SIGINT set.

    `reload` is called at each SIGHUP, and at once if one came before.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOPS:
        loop.add_signal_handler(number, stop.set)
    if reload is not None:
        loop.add_signal_handler(signal.SIGHUP, reload)
        if signals.hung_up:
            reload()
    return stop
