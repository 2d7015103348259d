"""The unit for systemd, held against systemd's own checkers."""

import subprocess
from pathlib import Path

import pytest

from exporter.cli import COMMANDS, PROGRAM
from exporter.cli.parser import build
from exporter.web.listen import DRAIN_TIMEOUT
from tests.processes import COMMAND
from tests.real_parts import real_part

UNIT = Path(__file__).parents[1] / "deploy/systemd/agent-rest-exporter.service"
PROGRAM_FILE = "/opt/agent-rest-exporter/bin/agent-rest-exporter"


def settings(name: str) -> list[str]:
    """The values of a setting of the unit, in their order."""
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]


@pytest.fixture(scope="session")
def systemd_analyze() -> str:
    """The path of systemd-analyze."""
    return real_part("systemd-analyze", "systemd")


@pytest.mark.real
def test_systemd_finds_no_fault(systemd_analyze: str, tmp_path: Path) -> None:
    """`verify` is silent once the program exists: here it is this test's own."""
    text = UNIT.read_text(encoding="utf-8")
    assert text.count(PROGRAM_FILE) == 1
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace(PROGRAM_FILE, COMMAND), encoding="utf-8")
    done = subprocess.run(
        [systemd_analyze, "verify", str(copy)], capture_output=True, check=False, text=True
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@pytest.mark.real
@pytest.mark.parametrize(("tenths", "status"), [(15, 0), (5, 1)], ids=["enough", "out of reach"])
def test_exposure_is_low(systemd_analyze: str, tenths: int, status: int) -> None:
    """At most 1.5 of 10. Half a point cannot be had with a network: so the threshold bites."""
    done = subprocess.run(
        [systemd_analyze, "security", "--offline=true", f"--threshold={tenths}", str(UNIT)],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == status, done.stdout + done.stderr


def test_the_command_can_be_run() -> None:
    """What the unit starts, the command line understands."""
    [start] = settings("ExecStart")
    program, *arguments = start.split()
    assert program == PROGRAM_FILE
    namespace = build(PROGRAM, "", COMMANDS, {}).parse_args(arguments)
    assert namespace.config_file == Path("/etc/agent-rest-exporter/config.yaml")


def test_replies_under_way_are_not_cut() -> None:
    """The service manager waits for longer than the exporter drains."""
    [stop] = settings("TimeoutStopSec")
    assert float(stop.removesuffix("s")) > DRAIN_TIMEOUT


def test_a_wrong_configuration_is_not_tried_again() -> None:
    """Status 2 is usage or configuration; everything else is worth another start."""
    assert settings("Restart") == ["on-failure"]
    assert settings("RestartPreventExitStatus") == ["2"]


def test_a_reload_is_the_signal_that_the_exporter_waits_for() -> None:
    """Any other signal would end it."""
    assert settings("ExecReload") == ["/bin/kill -HUP $MAINPID"]
