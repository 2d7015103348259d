"""SIGTERM, SIGINT and SIGHUP, from the first statement of the process to its end.

It takes half a second to import what a command needs. Without handlers of its own a process is
killed by a SIGHUP in that time and, as the first process of a container, loses a SIGTERM. So this
is imported first, and itself imports asyncio only where there is an event loop.
"""

import os
import signal
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import TYPE_CHECKING, Final, Self, TypeVar

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

STOPS: Final = (signal.SIGTERM, signal.SIGINT)


class Stopped(SystemExit):
    """A signal stopped the process. Its exit status is the one that shells report."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.status: int = 128 + number


class Signals:
    """What signals do until the event loop of a command handles them.

    SIGTERM and SIGINT raise Stopped in whatever runs. A SIGHUP is remembered, until it is known
    whether the command reloads on it. Signals that are ignored, as by nohup, stay ignored.
    """

    def __init__(self) -> None:
        self.hung_up = False
        self.stopped_by = 0
        self._before: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        for number in (*STOPS, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def end_on_hang_up(self) -> None:
        """Let a SIGHUP end the process, also one that came before: the command cannot reload."""
        if signal.SIGHUP in self._before:
            signal.signal(signal.SIGHUP, self._before.pop(signal.SIGHUP))
            if self.hung_up:
                os.kill(os.getpid(), signal.SIGHUP)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self.hung_up = True
        else:
            self.stopped_by = number
            raise Stopped(number)


def run_loop(main: Coroutine[None, None, T]) -> T:
    """Run to the end on uvloop, or on asyncio's own loop where uvloop is not installed.

    Signals are handled afterwards as they were before: a closed loop would swallow them.
    """
    import asyncio
    import importlib.util

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
    import asyncio

    async def cancellable() -> T:
        work = asyncio.create_task(main)

        def stop(number: int) -> None:
            signals.stopped_by = number
            work.cancel()

        for number in STOPS:
            asyncio.get_running_loop().add_signal_handler(number, stop, number)
        return await work

    try:
        result = run_loop(cancellable())
    except asyncio.CancelledError:
        raise Stopped(signals.stopped_by) from None
    if signals.stopped_by:
        # it came when the work was done and the loop was closing
        raise Stopped(signals.stopped_by)
    return result


def stop_event(signals: Signals, reload: Callable[[], None] | None = None) -> "asyncio.Event":
    """An event of the running loop that SIGTERM and SIGINT set.

    `reload` is called at each SIGHUP, and at once if one came before.
    """
    import asyncio

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOPS:
        loop.add_signal_handler(number, stop.set)
    if reload is not None:
        loop.add_signal_handler(signal.SIGHUP, reload)
        if signals.hung_up:
            reload()
    return stop
