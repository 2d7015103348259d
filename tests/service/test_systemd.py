"""What the service manager receives, on a real socket like systemd's."""

import asyncio
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.service import systemd
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

    def received(self) -> list[str]:
        """Every message that has arrived since the last call."""
        messages = []
        while True:
            try:
                messages.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return messages


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest) -> Iterator[Manager]:
    """One with a path in the file system, one with an abstract name."""
    # a socket's path is short, and pytest's folders are not
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "notify")
        manager = Manager(path if request.param == "path" else f"@{path}")
        with manager.socket:
            yield manager


def test_start_reload_and_stop(manager: Manager) -> None:
    """Nothing is sent after STOPPING."""
    notifier = Notifier.of_environment({"NOTIFY_SOCKET": manager.variable}, PID)
    notifier.ready("3 targets")
    notifier.reloading(12.3456789)
    notifier.ready("the last reload failed, see the log")
    notifier.stopping()
    notifier.ready("too late")
    assert manager.received() == [
        "READY=1\nSTATUS=3 targets",
        "RELOADING=1\nMONOTONIC_USEC=12345679",
        "READY=1\nSTATUS=the last reload failed, see the log",
        "STOPPING=1",
    ]


def test_the_watchdog_is_fed_twice_in_each_period_while_there_is_progress(manager: Manager) -> None:
    """It is not fed without progress, and again when there is some."""
    notifier = Notifier.of_environment(
        {"NOTIFY_SOCKET": manager.variable, "WATCHDOG_USEC": "30000000"}, PID
    )

    async def live() -> None:
        moving = asyncio.Event()
        task = asyncio.create_task(notifier.keep_alive(moving.is_set))
        for change, expected in ((moving.set, 4), (moving.clear, 0), (moving.set, 4)):
            change()
            await asyncio.sleep(60)
            assert manager.received() == ["WATCHDOG=1"] * expected
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
    """No watchdog, or one for another process: the task ends at once."""
    notifier = Notifier.of_environment({"NOTIFY_SOCKET": manager.variable, **environ}, PID)
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(notifier.keep_alive(lambda: True))
    assert manager.received() == []


def test_a_watchdog_for_this_process(manager: Manager) -> None:
    """The variable WATCHDOG_PID names it."""
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
    assert manager.received() == ["WATCHDOG=1"] * 3


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative", "/no/such/socket"])
def test_no_service_manager(address: str) -> None:
    """Not started by systemd, or it is gone: nothing is sent, and nothing fails."""
    notifier = Notifier.of_environment({"NOTIFY_SOCKET": address}, PID)
    notifier.ready("3 targets")
    notifier.stopping()


def test_a_service_manager_that_does_not_read(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its full socket does not block the service: messages are dropped."""
    monkeypatch.setattr(systemd, "_SEND_TIMEOUT", 0.001)
    notifier = Notifier.of_environment({"NOTIFY_SOCKET": manager.variable}, PID)
    for _ in range(1000):
        notifier.ready("x" * 1000)
    assert 0 < len(manager.received()) < 1000
