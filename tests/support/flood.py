"""Clients of 127.0.0.2 that send the same request without end: a process of its own.

Its command line has the port, the number of connections, what becomes of replies, and the request
in hexadecimal digits. A connection that is closed is opened anew. It ends after a minute.
"""

import socket
import sys
import time
from enum import StrEnum
from typing import Final

STRANGER: Final = "127.0.0.2"
_SECONDS: Final = 60.0


class Replies(StrEnum):
    """What becomes of replies."""

    READ = "read"
    LEFT = "left"
    """In the sockets' buffers."""
    NOT_AWAITED = "not awaited"
    """The client hangs up at its next turn."""


class Client:
    """One connection after the other."""

    def __init__(self, port: int, request: bytes, replies: Replies) -> None:
        self._port = port
        self._request = request
        self._replies = replies
        self._socket: socket.socket | None = None

    def ask(self) -> None:
        """Send what can be sent, and take what has come."""
        if self._replies is Replies.NOT_AWAITED:
            self._hang_up()
        try:
            if self._socket is None:
                self._socket = self._connect()
            self._socket.send(self._request)
            if self._replies is Replies.READ and not self._socket.recv(1 << 16):
                raise ConnectionError
        except BlockingIOError:
            pass
        except OSError:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        made = socket.socket()
        if self._replies is Replies.LEFT:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.bind((STRANGER, 0))
        made.settimeout(1.0)
        made.connect(("127.0.0.1", self._port))
        made.setblocking(False)  # noqa: FBT003  # the socket's own signature
        return made


def main() -> None:
    """Ask until the minute is over."""
    port, count, replies, request = sys.argv[1:]
    clients = [
        Client(int(port), bytes.fromhex(request), Replies(replies)) for _ in range(int(count))
    ]
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        for each in clients:
            each.ask()
        time.sleep(0.1)


if __name__ == "__main__":
    main()
