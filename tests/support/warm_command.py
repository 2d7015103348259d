"""The real command, each run in a process of its own, which need not import anything.

Most of the time that a short command takes goes into imports. A process does them once, and forks
for each run, with arguments, folder, environment and streams of its own. What a command imports,
and that it starts quickly, is tested with fresh interpreters.
"""

import functools
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

_MOST = 1 << 17
"""Bytes of a request: mostly the environment."""


class WarmCommand:
    """A process that has imported the exporter, and the runs of it."""

    def __init__(self) -> None:
        self._asking, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._one_at_a_time = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                cwd=Path(__file__).parents[2],
                pass_fds=[theirs.fileno()],
            )

    def run(
        self, command: list[str], cwd: Path | None, environ: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """What `subprocess.run` gives for the command with its arguments."""
        asked = json.dumps([command, str(cwd or Path.cwd()), dict(environ)]).encode()
        with (
            self._one_at_a_time,
            open(os.devnull, "rb") as nothing,  # noqa: PTH123  # no file of the test's
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as errors,
        ):
            self._asking.settimeout(timeout)
            streams = [nothing.fileno(), out.fileno(), errors.fileno()]
            socket.send_fds(self._asking, [asked], streams)
            status = int(self._asking.recv(_MOST))
            texts = []
            for stream in (out, errors):
                stream.seek(0)
                texts.append(stream.read().decode())
        return subprocess.CompletedProcess(command, status, *texts)

    def close(self) -> None:
        """End the process."""
        self._asking.close()
        self._process.wait()


@functools.cache
def warm_command() -> WarmCommand:
    """The one of this worker. It ends with the session."""
    return WarmCommand()


def close_warm_command() -> None:
    """End it, if there is one."""
    if warm_command.cache_info().currsize:
        warm_command().close()


def _serve(asked: socket.socket) -> list[str] | None:
    """Fork for each request. Gives the command line in a fork, and None at the end."""
    while True:
        request, streams, _, _ = socket.recv_fds(asked, _MOST, 3)
        if not request:
            return None
        command, cwd, environ = json.loads(request)
        if (child := os.fork()) == 0:
            asked.close()
            os.chdir(cwd)
            os.environ.clear()
            os.environ.update(environ)
            time.tzset()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            return list(command)
        for stream in streams:
            os.close(stream)
        _, status = os.waitpid(child, 0)
        asked.send(str(os.waitstatus_to_exitcode(status)).encode())


def _imported() -> None:
    import exporter  # noqa: PLC0415  # by the process alone

    for module in pkgutil.walk_packages(exporter.__path__, "exporter."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    # a fork that collects garbage would write to all of this, and so copy it
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    _imported()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if (arguments := _serve(socket.socket(fileno=int(sys.argv[1])))) is not None:
        from exporter.cli import main

        sys.argv = arguments
        sys.exit(main())
