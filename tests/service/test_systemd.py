"""What the service manager hears, on a real socket as systemd opens one."""

import asyncio
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.service import systemd as notify
from exporter.service.systemd import Notifier
from tests.support.virtual_time import VirtualTimeLoop

PID = 4711


class Manager:
    """A service manager's socket."""

    def __init__(self, address: str) -> None:
        self.variable = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0"))
        self.socket.setblocking(False)  # noqa: FBT003  # the socket's own signature

    def heard(self) -> list[str]:
        """Every message so far that was not heard yet."""
        messages = []
        while True:
            try:
                messages.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return messages


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest) -> Iterator[Manager]:
    """One with a name in the file system, one without."""
    # a socket's path is short, and pytest's folders are not
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "notify")
        manager = Manager(path if request.param == "path" else f"@{path}")
        with manager.socket:
            yield manager


def test_a_life(manager: Manager) -> None:
    """Started, reloaded, stopped; nothing is said after the last word."""
    notifier = Notifier.of_environment({"NOTIFY_SOCKET": manager.variable}, PID)
    notifier.ready("3 targets")
    notifier.reloading(12.3456789)
    notifier.ready("the last reload failed, see the log")
    notifier.stopping()
    notifier.ready("too late")
    assert manager.heard() == [
        "READY=1\nSTATUS=3 targets",
        "RELOADING=1\nMONOTONIC_USEC=12345679",
        "READY=1\nSTATUS=the last reload failed, see the log",
        "STOPPING=1",
    ]


def test_alive_twice_in_each_period_while_there_is_progress(manager: Manager) -> None:
    """The watchdog starves while nothing moves, and eats again when it does."""
    notifier = Notifier.of_environment(
        {"NOTIFY_SOCKET": manager.variable, "WATCHDOG_USEC": "30000000"}, PID
    )

    async def live() -> None:
        moving = asyncio.Event()
        task = asyncio.create_task(notifier.keep_alive(moving.is_set))
        for change, expected in ((moving.set, 4), (moving.clear, 0), (moving.set, 4)):
            change()
            await asyncio.sleep(60)
            assert manager.heard() == ["WATCHDOG=1"] * expected
        task.cancel()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(live())


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WATCHDOG_USEC": ""},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "-1"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "\u0661"},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(PID + 1)},
    ],
)
def test_no_watchdog(manager: Manager, environ: dict[str, str]) -> None:
    """Nobody watches, or somebody else is watched: the task ends at once."""
    notifier = Notifier.of_environment({"NOTIFY_SOCKET": manager.variable, **environ}, PID)
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(notifier.keep_alive(lambda: True))
    assert manager.heard() == []


def test_the_watchdog_is_meant_for_this_process(manager: Manager) -> None:
    """As systemd says it: with its pid."""
    environ = {
        "NOTIFY_SOCKET": manager.variable,
        "WATCHDOG_USEC": "2000000",
        "WATCHDOG_PID": str(PID),
    }
    notifier = Notifier.of_environment(environ, PID)

    async def live() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await notifier.keep_alive(lambda: True)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(live())
    assert manager.heard() == ["WATCHDOG=1"] * 3


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative", "/no/such/socket"])
def test_nobody_listens(address: str) -> None:
    """Not started by systemd, or it is gone: nobody is told, and nothing fails."""
    notifier = Notifier.of_environment({"NOTIFY_SOCKET": address}, PID)
    notifier.ready("3 targets")
    notifier.stopping()


def test_a_manager_that_does_not_read(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its full socket holds nothing up: what cannot be said in time is not said."""
    monkeypatch.setattr(notify, "_PATIENCE", 0.001)
    notifier = Notifier.of_environment({"NOTIFY_SOCKET": manager.variable}, PID)
    for _ in range(2000):
        notifier.ready("x" * 1000)
    assert 0 < len(manager.heard()) < 2000
