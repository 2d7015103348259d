"""What the service manager is told: ready, reloading, stopping, alive.

The protocol of sd_notify(3) over a datagram socket, without a library. Nothing is said where
nobody listens. Knows nothing of what it is that is ready or alive.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from typing import Final, Self

_PATIENCE: Final = 0.2
"""Seconds to wait for a service manager that does not read: it must not hold up the event loop."""


class Notifier:
    """Tells the service manager, if there is one.

    Args:
        address: of its socket; empty for nobody.
        watchdog: seconds within which it wants to hear that the service is alive; 0 for never.
    """

    def __init__(self, address: str = "", watchdog: float = 0.0) -> None:
        self._address = address
        self._watchdog = watchdog

    @classmethod
    def of_environment(cls, environ: Mapping[str, str], pid: int) -> Self:
        """Read `NOTIFY_SOCKET`, a path or an abstract `@name`, `WATCHDOG_USEC` and `WATCHDOG_PID`.

        Args:
            environ: variables by name.
            pid: of this process: a watchdog that watches another one is none of its business.
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
        """The service works, after its start or after a reload. `status` is for people."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self, now: float) -> None:
        """A reload has begun; `ready` ends it.

        Args:
            now: on the monotonic clock of the system, in seconds.
        """
        self._send("RELOADING=1", f"MONOTONIC_USEC={now * 1e6:.0f}")

    def stopping(self) -> None:
        """The service is about to end: the last word."""
        self._send("STOPPING=1")
        self._address = ""

    async def keep_alive(self, working: Callable[[], bool]) -> None:
        """Say that the service is alive, twice in each of the watchdog's periods, while it is.

        Args:
            working: whether it makes progress. That this is asked shows that the event loop runs.
        """
        while self._watchdog:
            if working():
                self._send("WATCHDOG=1")
            await asyncio.sleep(self._watchdog / 2)

    def _send(self, *assignments: str) -> None:
        if not self._address:
            return
        # it may be gone, and there is nobody to tell
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
        ):
            sender.settimeout(_PATIENCE)
            sender.sendto("\n".join(assignments).encode(), self._address)
