"""Other processes: started, asked, measured and ended."""

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PATIENCE = 60.0
"""Seconds to wait for what must happen."""

Result = dict[str, Any]
"""What a process of this package tells as JSON."""


class BenchmarkError(Exception):
    """Something went wrong that makes the run worthless: a sentence."""


def cpu_seconds(pid: int) -> float:
    """CPU that a process has used so far, all its threads, to the nanosecond.

    Linux makes the id of a process's CPU clock from its pid in this way (CPUCLOCK_SCHED).
    """
    return time.clock_gettime((~pid << 3) | 2)


def own_cpu_seconds() -> float:
    """CPU that this process has used so far, in user and system mode."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM: what `process_resident_memory_bytes` shows."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def await_port(port: int, process: subprocess.Popen[Any]) -> None:
    """Wait until somebody listens on a port of this machine."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            raise BenchmarkError(f"{process.args!r} has ended at its start")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.002)
    raise BenchmarkError(f"{process.args!r} does not listen on port {port}")


@contextlib.contextmanager
def started(*command: str | Path, **more: Any) -> Iterator[subprocess.Popen[Any]]:  # noqa: ANN401
    """Start a process, and end it when the block is left.

    Args:
        command: what to start.
        more: of `subprocess.Popen`.
    """
    process = subprocess.Popen(command, env=environment(), cwd=ROOT, **more)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()


def measured(module: str, **facts: Any) -> Result:  # noqa: ANN401  # whatever JSON can hold
    """Run a module of this package in a fresh process, and give what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", module, json.dumps(facts)],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env=environment(),
        text=True,
    )
    if done.returncode:
        raise BenchmarkError(f"{module} {facts} has failed:\n{done.stderr[-2000:]}")
    result: Result = json.loads(done.stdout)
    return result


@dataclass(frozen=True, slots=True)
class Server:
    """A module of this package that serves until its input ends, and answers lines by JSON."""

    process: subprocess.Popen[str]
    port: int

    def ask(self, line: str) -> Result:
        """Send a line, and give the answer."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        result: Result = json.loads(self.process.stdout.readline())
        return result


@contextlib.contextmanager
def serving(module: str, **facts: Any) -> Iterator[Server]:  # noqa: ANN401  # whatever JSON can hold
    """Run a module of this package that listens on a port and says so."""
    pipe = subprocess.PIPE
    command = (sys.executable, "-m", module, json.dumps(facts))
    with started(*command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise BenchmarkError(f"{module} {facts} has ended at its start")
        yield Server(process, json.loads(line)["port"])


def environment() -> Mapping[str, str]:
    """This process's environment, without what would change the exporter's behaviour."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AGENT_REST_EXPORTER_") and not name.lower().endswith("_proxy")
    }
