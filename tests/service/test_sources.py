"""Where a configuration may come from: `check` reads it once, `serve` has to read it again."""

import contextlib
import os
import shlex
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import COMMAND, PATIENCE, clean_environment

CONFIG = "cms: [{name: lima, url: 'http://127.0.0.1:9', target_files: [targets.yaml]}]\n"
ONCE = "cannot be read: a pipe or device can be read only once: write the content to a regular file"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration and its target file."""
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "targets.yaml").write_text("- {ccId: 1, vdn: 1-3}\n", encoding="utf-8")
    return tmp_path


def shell(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command line in bash."""
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        check=False,
        cwd=folder,
        env=clean_environment(),
        text=True,
        timeout=PATIENCE,
    )


PIPES = [
    "{} --config.file=<(cat config.yaml)",
    "cat config.yaml | {} --config.file=/dev/stdin",
    "mkfifo fifo; cat config.yaml > fifo & {} --config.file=fifo; kill %1 2> /dev/null; true",
]


@pytest.mark.parametrize("line", PIPES)
def test_check_reads_a_pipe(folder: Path, line: str) -> None:
    """Once; what it names is looked for in the working directory."""
    done = shell(folder, line.format(f"{shlex.quote(COMMAND)} check"))
    assert done.stderr == ""
    assert "lima: 3 targets every 30s" in done.stdout


@pytest.mark.parametrize("line", PIPES)
def test_serve_refuses_a_pipe(folder: Path, line: str) -> None:
    """At once, in one sentence with the remedy: a reload would find nothing there."""
    command = f"{shlex.quote(COMMAND)} serve --web.listen-address=127.0.0.1:0"
    status = "; echo $?" if "fifo" not in line else ""
    done = shell(folder, line.format(command).replace("; kill", "; echo $?; kill") + status)
    assert done.stdout == "2\n"
    (sentence,) = done.stderr.splitlines()
    assert sentence.endswith(f":1:1: {ONCE}")


@contextlib.contextmanager
def fed(path: Path, content: bytes) -> Iterator[None]:
    """A FIFO that is written into, once."""
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=[content])
    writer.start()
    try:
        yield
    finally:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        writer.join()


def test_a_target_file_that_is_a_pipe(folder: Path) -> None:
    """The same holds for what the configuration names."""
    (folder / "targets.yaml").unlink()
    quoted = shlex.quote(COMMAND)
    with fed(folder / "targets.yaml", b"- {ccId: 1, vdn: 1-3}\n"):
        done = shell(folder, f"{quoted} check --config.file=config.yaml")
        assert (done.returncode, done.stderr) == (0, "")
    done = shell(folder, f"{quoted} serve --config.file=config.yaml")
    assert done.returncode == 2
    assert done.stderr == (f"config.yaml:1:62: cms[0].target_files[0]: targets.yaml {ONCE}\n")


def test_a_redirected_file_can_be_read_again(folder: Path) -> None:
    """/dev/stdin is then an ordinary file: what is refused here is the address."""
    done = shell(
        folder,
        f"{shlex.quote(COMMAND)} serve --config.file=/dev/stdin --web.listen-address=192.0.2.1:1"
        " < config.yaml",
    )
    assert done.returncode == 2
    assert done.stderr.startswith("192.0.2.1 is not an address of this host")
