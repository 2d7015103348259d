"""Sockets in the file system, opened for a path, and a sentence for each failure."""

import errno
import os
import socket
import stat
from pathlib import Path

from exporter.web.listening.addresses import ListenError


def bind_unix(path: Path) -> socket.socket:
    """A socket that is bound to a path, in place of one that a dead process has left there.

    Who may connect follows from the folder and from the umask, as for any file.

    Raises:
        ListenError: the path cannot be had.
    """
    _clear(path)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.bind(str(path))
        server.listen()
    except OSError as error:
        server.close()
        raise _refusal(path, error) from error
    return server


def _clear(path: Path) -> None:
    """Take a socket away on which nobody listens any more."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ListenError(
                f"{path} is no socket, and is not replaced: remove it or choose another path with "
                "--web.listen-address"
            )
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(str(path))
    except ConnectionRefusedError:
        path.unlink()
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise _refusal(path, error) from error
    else:
        raise ListenError(
            f"{path} is already in use: stop the other process or choose another path with "
            "--web.listen-address",
            in_use=True,
        )


def _refusal(path: Path, error: OSError) -> ListenError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return ListenError(
        f"cannot listen on unix:{path}: {reason}: choose another path with --web.listen-address"
    )
