"""Files and streams that cannot be written to the end, as on a disk that is full."""

import subprocess
from pathlib import Path

import pytest

from exporter.cli import main
from exporter.cli.output import WriteError, whole_file
from tests.support.file_room import room_for
from tests.support.processes import COMMAND, MEASURED, clean_environment
from tests.support.simulated import simulating

CONFIG = "cms: [{url: 'http://127.0.0.1:1', targets: [{ccId: 1, vdn: 1}]}]\n"
FULL = Path("/dev/full")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands run, with the smallest configuration."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def names(folder: Path) -> list[str]:
    """What is in a folder, and below it."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_init_leaves_nothing_in_its_own_way(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is named in the error, and the next run can write it."""
    with simulating(keys=False) as address:
        command = ["init", "new.yaml", f"--url={address.url}", "--cc-id=1", "--vdn=1"]
        with room_for(16):
            assert main(command) == 2
        assert capsys.readouterr().err == (
            "agent-rest-exporter init: new.yaml cannot be written: File too large; see "
            "agent-rest-exporter init --help\n"
        )
        assert names(folder) == ["config.yaml"]
        assert main(command) == 0


def test_a_recording_without_room(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No part of it stays: it could not be replayed."""
    with simulating(keys=False) as address:
        text = CONFIG.replace("http://127.0.0.1:1", address.url)
        (folder / "config.yaml").write_text(text, encoding="utf-8")
        command = ["query", "--cc-id=1", "--vdn=1", "--record=r.json"]
        with room_for(16):
            assert main(command) == 2
        assert capsys.readouterr().err == (
            "agent-rest-exporter query: --record: r.json cannot be written: File too large; see "
            "agent-rest-exporter query --help\n"
        )
        assert names(folder) == ["config.yaml"]
        assert main(command) == 0


def test_a_ca_without_room(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty file would not be known as one of the simulator's."""
    openssl = folder / "openssl"
    openssl.write_text("#!/bin/sh\nhead -c 1990 /dev/zero > ca.pem\n", encoding="utf-8")
    openssl.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    with room_for(2000):
        assert main(["simulate", "--tls.make-ca=ca.pem"]) == 2
    assert capsys.readouterr().err == (
        "agent-rest-exporter simulate: --tls.make-ca: ca.pem cannot be written: File too large; "
        "see agent-rest-exporter simulate --help\n"
    )
    assert names(folder) == ["config.yaml", "openssl"]


@pytest.mark.parametrize("length", [17, 100_000], ids=["when closed", "when written"])
def test_a_file_that_does_not_fit(folder: Path, length: int) -> None:
    """It goes, wherever in the writing that shows."""
    with (
        room_for(16),
        pytest.raises(WriteError, match=r"^a cannot be written: File too large$"),
        whole_file(Path("a")) as write,
    ):
        write("x" * length)
    assert names(folder) == ["config.yaml"]


def test_a_file_that_is_not_written_after_all(folder: Path) -> None:
    """Whatever comes between: it was new, so it goes."""
    with pytest.raises(LookupError), whole_file(Path("a")):
        raise LookupError
    assert names(folder) == ["config.yaml"]


def test_a_file_in_place_of_another(folder: Path) -> None:
    """Only if that is wanted."""
    (folder / "a").write_text("before, and longer", encoding="utf-8")
    refused = r"^a exists, and is not overwritten: choose another name$"
    with pytest.raises(WriteError, match=refused), whole_file(Path("a")):
        pass
    with whole_file(Path("a"), overwrite=True) as write:
        write("after")
    assert (folder / "a").read_text(encoding="utf-8") == "after"


def ended(
    *arguments: str, full: str, unbuffered: str | None = None
) -> subprocess.CompletedProcess[str]:
    """How a command ends if one of its streams has no room."""
    with FULL.open("w", encoding="utf-8") as nowhere:
        return subprocess.run(
            [COMMAND, *arguments],
            check=False,
            env=clean_environment({**MEASURED, "PYTHONUNBUFFERED": unbuffered}),
            stdin=subprocess.DEVNULL,
            stdout=nowhere if full == "stdout" else subprocess.PIPE,
            stderr=nowhere if full == "stderr" else subprocess.PIPE,
            text=True,
        )


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [
        (("--help",), None),
        (("check",), None),
        (("check",), "1"),
        (("check", "--live"), "1"),
        (("query", "--cc-id=1", "--vdn=1", "--raw"), None),
        (("simulate", "--list"), "1"),
        (("simulate", "--listen-address=127.0.0.1:0"), None),
        (("completion", "bash"), "1"),
    ],
)
def test_output_without_room(command: tuple[str, ...], unbuffered: str | None) -> None:
    """A line, status 1, and nothing of the interpreter's."""
    done = ended(*command, full="stdout", unbuffered=unbuffered)
    assert done.stderr == "cannot write to stdout: No space left on device\n"
    assert done.returncode == 1


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize(
    ("command", "status"), [(("check", "none.yaml"), 1), (("check", "--none"), 2)]
)
def test_errors_without_room(command: tuple[str, ...], status: int) -> None:
    """The status is all that is left to tell that it failed."""
    done = ended(*command, full="stderr")
    assert (done.returncode, done.stdout) == (status, "")


def test_output_without_room_in_a_task(folder: Path) -> None:
    """`check --live` prints as replies come: the error arrives in a group."""
    with simulating(keys=False) as address:
        text = CONFIG.replace("http://127.0.0.1:1", address.url)
        (folder / "config.yaml").write_text(text, encoding="utf-8")

        def check(most: int) -> subprocess.CompletedProcess[str]:
            with (folder / "out").open("w", encoding="utf-8") as out, room_for(most):
                return subprocess.run(
                    [COMMAND, "check", "--live"],
                    check=False,
                    env=clean_environment(),
                    stderr=subprocess.PIPE,
                    stdout=out,
                    text=True,
                )

        assert check(10_000).returncode == 0
        before = (folder / "out").read_text(encoding="utf-8").partition("live:\n")[0]
        done = check(len(before) + 10)
    assert done.stderr == "cannot write to stdout: File too large\n"
    assert done.returncode == 1


def test_a_defect_is_not_taken_for_a_lack_of_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other errors of the system stay internal ones, also in a group."""

    def load(*_: object) -> None:
        raise ExceptionGroup("", [FileNotFoundError(2, "none")])

    monkeypatch.setattr("exporter.cli.check.load", load)
    assert main(["check"]) == 1
    assert capsys.readouterr().err == (
        "internal error in the exporter (FileNotFoundError): please report it\n"
    )
