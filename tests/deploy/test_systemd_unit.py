"""The systemd units, checked by systemd's own tools."""

import re
import signal
import subprocess
from pathlib import Path

import pytest

from exporter.cli.commands import COMMANDS
from exporter.web.listening.listener import DRAIN_TIMEOUT
from tests.support.command_line import parsed
from tests.support.paths import ROOT
from tests.support.processes import COMMAND, program

UNIT = ROOT / "deploy/systemd/agent-rest-exporter.service"
SOCKET = UNIT.with_suffix(".socket")
PROGRAM_FILE = "/opt/agent-rest-exporter/bin/agent-rest-exporter"


def settings(name: str, unit: Path = UNIT) -> list[str]:
    """The values of a setting of a unit, in their order."""
    lines = unit.read_text(encoding="utf-8").splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]


@pytest.fixture(scope="session")
def systemd_analyze() -> str:
    """The path of systemd-analyze."""
    return program("systemd-analyze", "systemd")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The unit, starting a program that exists: this checkout's."""
    text = UNIT.read_text(encoding="utf-8")
    assert text.count(PROGRAM_FILE) == 1
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace(PROGRAM_FILE, COMMAND), encoding="utf-8")
    return copy


def verify(systemd_analyze: str, *units: Path) -> tuple[str, int]:
    """What systemd reports about units, and its exit status."""
    done = subprocess.run(
        [systemd_analyze, "verify", *map(str, units)], capture_output=True, check=False, text=True
    )
    return done.stdout + done.stderr, done.returncode


@pytest.mark.real
def test_systemd_finds_no_fault(systemd_analyze: str, copy: Path) -> None:
    """`verify` prints nothing if the program exists."""
    assert verify(systemd_analyze, copy) == ("", 0)


@pytest.mark.real
def test_systemd_takes_the_socket(systemd_analyze: str, copy: Path) -> None:
    """With the drop-in from docs/install.md. Without the service, systemd rejects it."""
    page = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    [drop_in] = re.findall(r"```ini\n([^`]*Sockets=[^`]*)```", page)
    folder = copy.with_name(f"{copy.name}.d")
    folder.mkdir()
    (folder / "override.conf").write_text(drop_in, encoding="utf-8")
    listening = copy.with_name(SOCKET.name)
    listening.write_text(SOCKET.read_text(encoding="utf-8"), encoding="utf-8")
    assert verify(systemd_analyze, copy, listening) == ("", 0)
    copy.unlink()
    complaint, status = verify(systemd_analyze, listening)
    assert copy.name in complaint
    assert status == 1


@pytest.mark.real
@pytest.mark.parametrize(("tenths", "status"), [(15, 0), (5, 1)], ids=["enough", "out of reach"])
def test_exposure_is_low(systemd_analyze: str, tenths: int, status: int) -> None:
    """At most 1.5 of 10. A service with a network cannot get 0.5, so the check can fail."""
    done = subprocess.run(
        [systemd_analyze, "security", "--offline=true", f"--threshold={tenths}", str(UNIT)],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == status, done.stdout + done.stderr


def test_the_command_can_be_run() -> None:
    """The command line that the unit starts is valid."""
    [start] = settings("ExecStart")
    program, *arguments = start.split()
    assert program == PROGRAM_FILE
    namespace = parsed(arguments)
    assert namespace.config_file == "/etc/agent-rest-exporter/config.yaml"


def test_replies_under_way_are_not_cut() -> None:
    """The service manager waits for longer than the exporter drains."""
    [stop] = settings("TimeoutStopSec")
    assert float(stop.removesuffix("s")) > DRAIN_TIMEOUT


def test_a_wrong_configuration_is_not_tried_again() -> None:
    """Status 2 is usage or configuration; everything else is worth another start."""
    assert settings("Restart") == ["on-failure"]
    assert settings("RestartPreventExitStatus") == ["2"]


def test_a_stop_during_the_start_is_no_failure() -> None:
    """The exporter then exits with 128 + SIGTERM, which systemd takes for a failure by default."""
    assert settings("SuccessExitStatus") == [str(128 + signal.SIGTERM)]


@pytest.mark.real
@pytest.mark.parametrize("there", [True, False], ids=["there", "missing"])
def test_missing_secrets_are_named(systemd_analyze: str, tmp_path: Path, *, there: bool) -> None:
    """Systemd itself would only say that credentials could not be set up, status 243."""
    [asserted] = settings("AssertPathIsDirectory")
    assert settings("LoadCredential") == [f"secrets:{asserted}"]
    if there:
        (tmp_path / "secrets").mkdir()
    condition = f"AssertPathIsDirectory={tmp_path / 'secrets'}"
    done = subprocess.run(
        [systemd_analyze, "condition", condition], capture_output=True, check=False, text=True
    )
    assert done.returncode == (0 if there else 1), done.stderr
    assert f"{condition} {'succeeded' if there else 'failed'}." in done.stderr


def test_a_reload_is_the_signal_that_the_exporter_waits_for() -> None:
    """Any other signal would end it."""
    assert settings("ExecReload") == ["/bin/kill -HUP $MAINPID"]


def test_the_socket_has_the_port_of_the_default() -> None:
    """Switching to socket activation does not change the scrape address."""
    [port] = settings("ListenStream", SOCKET)
    [default] = {
        flag.written_default
        for command in COMMANDS
        for flag in command.flags
        if command.name == "serve" and flag.opts == ["--web.listen-address"]
    }
    assert f":{port}" == default


def test_no_core_is_left() -> None:
    """The watchdog's SIGABRT would write the secrets to the disk."""
    assert settings("LimitCORE") == ["0"]
