"""An event loop whose time stands still until everybody sleeps, and then jumps.

An hour of schedule runs in milliseconds, and every due time is exact: no test waits, and none
depends on how fast the machine is.
"""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from exporter.clock import Moment

_P = ParamSpec("_P")
_T = TypeVar("_T")

EPOCH = 1_750_000_000.0


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting for a timeout, moves the time there."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events and timeout is None:
            raise RuntimeError("everybody waits, and nothing is due: the test would hang")
        if not events and timeout:
            self.now += timeout
        return events


class _Immediately(ThreadPoolExecutor):
    """Does at once what a thread would do: a thread takes time that is not virtual."""

    def submit(
        self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> "Future[_T]":
        done: Future[_T] = Future()
        try:
            done.set_result(function(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  # like a thread of the real one
            done.set_exception(error)
        return done


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time. Sockets do not work on it: nobody waits for them."""

    def __init__(self) -> None:
        self._virtual = _JumpingSelector()
        super().__init__(self._virtual)
        self.set_default_executor(_Immediately())

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual.now


def virtual_clock() -> Moment:
    """Both clocks of the running loop; the wall's started at `EPOCH`."""
    now = asyncio.get_running_loop().time()
    return Moment(EPOCH + now, now, now)
