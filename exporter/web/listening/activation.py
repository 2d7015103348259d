"""Sockets that the service manager has opened for this process: sd_listen_fds(3).

A port below 1024 without a privilege, and no connection refused while the service restarts.
"""

import contextlib
import socket
from collections.abc import Mapping
from typing import Final

from exporter.web.listening.addresses import Inherited, ListenError

_FIRST: Final = 3
_MOST: Final = 256
"""More than anyone has; it keeps a mistaken number from being counted up to."""


def activated(environ: Mapping[str, str], pid: int) -> list[Inherited]:
    """The sockets that were handed over, from `LISTEN_FDS` and `LISTEN_PID`.

    Args:
        environ: variables by name.
        pid: of this process: sockets for another one are none of its business.

    Raises:
        ListenError: there are none.
    """
    count = environ.get("LISTEN_FDS", "")
    meant = environ.get("LISTEN_PID") == str(pid)
    if not (meant and count.isascii() and count.isdigit() and 0 < int(count) <= _MOST):
        raise ListenError(
            "--web.systemd-socket is given, and systemd has handed over no socket: start the "
            "service by its .socket unit, or leave the flag out"
        )
    return [Inherited(_FIRST + index) for index in range(int(count))]


def inherited(descriptor: int) -> socket.socket:
    """The socket behind a descriptor that was handed over.

    Raises:
        ListenError: it is none that connections can be accepted on.
    """
    with contextlib.suppress(OSError):
        served = socket.socket(fileno=descriptor)
        # whoever says ListenStream= and Accept=no gets a socket that listens already
        if served.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return served
        served.close()
    raise ListenError(
        f"systemd has handed over descriptor {descriptor}, which is no listening stream socket: "
        "use ListenStream= and Accept=no in the .socket unit"
    )
