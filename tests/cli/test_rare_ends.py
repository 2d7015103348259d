"""Ends of the command that take a race, another platform or an impatient hand."""

import asyncio
import importlib.util
import signal
from pathlib import Path

import pytest

from exporter.cli import main
from exporter.cli.signals import run_loop
from exporter.polling.build import BuildError
from tests.support.processes import COMMAND, MEASURED, started

CONFIG = "cms: [{url: 'http://cms.example', targets: [{ccId: 1, vdn: 1}]}]\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The smallest configuration."""
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def test_a_certificate_that_breaks_after_it_was_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], config: Path
) -> None:
    """It is a problem like the others, a line for each server."""
    sentences = ["cms lima: tls.ca_file: no CA certificate", "cms quito: tls.cert_file: no key"]

    def broken(*_: object) -> None:
        raise BuildError(sentences)

    monkeypatch.setattr("exporter.polling.build.clients", broken)
    assert main(["check", f"--config.file={config}"]) == 2
    expected = "".join(f"{config}:1:1: {sentence}\n" for sentence in sentences)
    assert capsys.readouterr().err == expected


def test_ctrl_c_before_the_loop_runs(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    """Status 130 as shells expect it, without a traceback."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("exporter.cli.check.load", interrupted)
    assert main(["check", f"--config.file={config}"]) == 130


@pytest.mark.parametrize("uvloop", [True, False])
def test_commands_run_with_and_without_uvloop(
    monkeypatch: pytest.MonkeyPatch, *, uvloop: bool
) -> None:
    """Where uvloop is not to be had, asyncio's own loop does."""
    find = importlib.util.find_spec
    if not uvloop:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: find(f"no_{name}"))
    modules = []

    async def work() -> None:
        modules.append(type(asyncio.get_running_loop()).__module__)

    run_loop(work())
    assert (modules[0].split(".")[0] == "uvloop") is uvloop


@pytest.mark.anyio
async def test_the_demo_can_be_left_before_it_has_shown_anything(tmp_path: Path) -> None:
    """Ctrl-C in the first seconds ends it like later."""
    command = [COMMAND, "demo", "--web.listen-address=127.0.0.1:0"]
    async with started(*command, cwd=tmp_path, environ=MEASURED) as process:
        await process.wait_for("has started")
        assert await process.stop(signal.SIGINT) == 0
        assert process.lines[-1].endswith("msg=stopped")
