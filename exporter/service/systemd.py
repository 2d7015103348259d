"""Tells systemd the state of the service: ready, reloading, stopping, alive.

It speaks the protocol of sd_notify(3) over a datagram socket, without a library. Without a service
manager it does nothing.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from typing import Final, Self

_SEND_TIMEOUT: Final = 0.2
"""Seconds to wait for a service manager that does not read: sending blocks the event loop."""


class Notifier:
    """Notifies the service manager, if there is one.

    Args:
        address: of its socket; empty if there is none.
        watchdog: seconds in which it expects a sign of life; 0 if it expects none.
    """

    def __init__(self, address: str = "", watchdog: float = 0.0) -> None:
        self._address = address
        self._watchdog = watchdog

    @classmethod
    def of_environment(cls, environ: Mapping[str, str], pid: int) -> Self:
        """Reads `NOTIFY_SOCKET`, a path or an abstract `@name`, `WATCHDOG_USEC` and `WATCHDOG_PID`.

        A watchdog for another process is ignored.
        """
        address, period = environ.get("NOTIFY_SOCKET", ""), environ.get("WATCHDOG_USEC", "")
        if address.startswith("@"):
            address = f"\0{address[1:]}"
        elif not address.startswith("/"):
            address = ""
        watched = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        usable = watched and period.isascii() and period.isdigit()
        return cls(address, int(period) / 1e6 if usable else 0.0)

    def ready(self, status: str) -> None:
        """The start, or a reload, is complete. systemctl shows the status."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self, now: float) -> None:
        """A reload has begun; `ready` ends it.

        `now` is the system's monotonic clock, in seconds.
        """
        self._send("RELOADING=1", f"MONOTONIC_USEC={now * 1e6:.0f}")

    def stopping(self) -> None:
        """The service is about to end. Nothing is sent afterwards."""
        self._send("STOPPING=1")
        self._address = ""

    async def keep_alive(self, working: Callable[[], bool]) -> None:
        """Feeds the watchdog twice in each of its periods, as long as there is progress.

        That `working` is called proves that the event loop runs.
        """
        while self._watchdog:
            if working():
                self._send("WATCHDOG=1")
            await asyncio.sleep(self._watchdog / 2)

    def _send(self, *assignments: str) -> None:
        if not self._address:
            return
        # a service manager that is gone cannot be told, and nobody else needs to know
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
        ):
            sender.settimeout(_SEND_TIMEOUT)
            sender.sendto("\n".join(assignments).encode(), self._address)
