"""SIGINT and SIGTERM while a command waits for a person, or for the reader of its output."""

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import termios
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from exporter.cli.signals import Signals, Stopped, run_loop, run_until_stopped, stop_event
from exporter.simulator.floors import AgentRow, Floor
from exporter.simulator.stand_in import Settings, Simulator, serving
from tests.support.processes import COMMAND, PATIENCE, clean_environment, until
from tests.support.terminal import Terminal, terminal

BOTH = pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
LOOPS = pytest.mark.parametrize("uvloop", [True, False], ids=["uvloop", "asyncio"])
INIT = (COMMAND, "init", "new.yaml", "--url=http://127.0.0.1:1", "--cc-id=1", "--vdn=1")

# system calls, on x86-64 and on ARM
READ = frozenset({"0", "63"})
WRITE = frozenset({"1", "64"})


def blocked_in(pid: int, calls: frozenset[str]) -> int | None:
    """The descriptor that the process waits for in one of these calls; None if it does not wait."""
    call = Path(f"/proc/{pid}/syscall")
    try:
        number, descriptor, *_ = call.read_text(encoding="ascii").split()
    except ValueError:  # it runs
        return None
    return int(descriptor, 16) if number in calls else None


async def reads(found: Terminal) -> bool:
    """Whether the program waits for keys.

    Python looks for signals when a read is interrupted: one that comes right before, with the next
    key only.
    """
    assert found.process.returncode is None
    return blocked_in(found.process.pid, READ) is not None


def echoes(found: Terminal) -> bool:
    """Whether the terminal shows what is typed."""
    return bool(termios.tcgetattr(found.descriptor)[3] & termios.ECHO)


@pytest.mark.anyio
@BOTH
async def test_at_a_question_after_a_poll(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    """`init` has polled before it asks: Ctrl-C and SIGTERM still end it at once."""
    async with terminal(*INIT, cwd=tmp_path, environ=clean_environment()) as found:
        await found.wait_for(r"Answer again, write the file anyway, or quit.*: ")
        await until(partial(reads, found))
        found.process.send_signal(number)
        assert await found.end() == status
    assert not list(tmp_path.iterdir())


@pytest.mark.anyio
@BOTH
async def test_at_a_hidden_prompt_after_a_poll(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    """The terminal shows again what is typed: the shell that follows would be blind."""
    async with terminal(*INIT, cwd=tmp_path, environ=clean_environment()) as found:
        for question, typed in (
            (r"or quit.*: ", "again"),
            (r"URL.*: ", ""),
            (r"Name.*: ", ""),
            (r"authorized.*: ", "keys"),
            (r"Access key.*: ", "AKEXAMPLE0001"),
        ):
            await found.wait_for(question)
            found.type(f"{typed}\n")
        await found.wait_for(r"Secret key .*: ")
        await until(partial(reads, found))
        assert not echoes(found)
        found.process.send_signal(number)
        assert await found.end() == status
        assert echoes(found)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """The end to write to of a pipe that has no room, and that nobody reads."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writer, bytes(fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ)))
    yield writer
    os.close(reader)
    os.close(writer)


@pytest.mark.anyio
@BOTH
@pytest.mark.parametrize(
    "command",
    [
        ("query", "--cc-id=1", "--vdn=1"),
        ("query", "--cc-id=1", "--vdn=1", "--record=r.json"),
        ("check", "--live"),
        ("--help",),
    ],
    ids=" ".join,
)
async def test_while_nobody_reads_the_output(
    command: tuple[str, ...], number: signal.Signals, status: int, tmp_path: Path, full_pipe: int
) -> None:
    """Neither the printing nor the end of the process waits for a reader."""
    rows = tuple(AgentRow(f"z{n}", 55_000 + n, None, 1_759_999_000_000, 600) for n in range(250))
    settings = Settings(floors=lambda *_: Floor(300, 250, 0, rows))
    async with serving(Simulator(settings)) as address:
        shape = {"url": address.url, "targets": [{"ccId": 1, "vdn": 1}]}
        (tmp_path / "config.yaml").write_text(json.dumps({"cms": [shape]}), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            *(COMMAND, *command),
            cwd=tmp_path,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=full_pipe,
            stderr=full_pipe,
        )

        async def stuck() -> bool:
            assert process.returncode is None
            return blocked_in(process.pid, WRITE) in {1, 2}

        try:
            await until(stuck)
            process.send_signal(number)
            async with asyncio.timeout(PATIENCE):
                assert await process.wait() == status
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@LOOPS
def test_handlers_are_put_back_after_a_loop(
    monkeypatch: pytest.MonkeyPatch, *, uvloop: bool
) -> None:
    """Whichever loop it was, and whether it ended well."""
    if not uvloop:
        monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    async def work(*, fails: bool) -> None:
        stop_event(signals, reload=lambda: None)
        if fails:
            raise LookupError

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    with Signals() as signals:
        before = [signal.getsignal(number) for number in numbers]
        run_loop(work(fails=False))
        assert [signal.getsignal(number) for number in numbers] == before
        with pytest.raises(LookupError):
            run_loop(work(fails=True))
        assert [signal.getsignal(number) for number in numbers] == before
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGTERM)


@LOOPS
def test_a_signal_that_finds_the_work_done(
    monkeypatch: pytest.MonkeyPatch, *, uvloop: bool
) -> None:
    """It is not lost: the command would go on and print."""
    if not uvloop:
        monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    async def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            return

    with Signals() as signals, pytest.raises(Stopped) as stop:
        run_until_stopped(work(), signals)
    assert stop.value.status == 143
