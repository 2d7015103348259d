"""SIGTERM, SIGINT and SIGHUP, from the first statement of the process to its end.

It takes half a second to import what a command needs. Without handlers of its own a process is
killed by a SIGHUP in that time and, as the first process of a container, loses a SIGTERM.
"""

import os
import signal
from types import FrameType, TracebackType
from typing import Final, Self

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

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
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
