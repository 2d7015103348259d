"""`query --record`: the file that it writes, and when it writes none."""

import json
from pathlib import Path

import pytest
from anyio import to_thread

from exporter.cli import main
from exporter.simulator import Settings, Simulator, parse_scenario, serving
from tests.support.processes import run

pytestmark = pytest.mark.anyio


def config(folder: Path, url: str) -> None:
    """A configuration with one server."""
    (folder / "config.yaml").write_text(
        f"cms: [{{url: '{url}', auth: {{access_key: AKCANARY, secret_key: canary-sk}}, "
        "targets: [{ccId: 1, vdn: 1}]}]",
        encoding="utf-8",
    )


async def test_a_recording_of_a_poll(tmp_path: Path) -> None:
    """Beside the page, that is shown as ever; its rows are in it without names."""
    simulator = Simulator(Settings(access_keys={"AKCANARY": "canary-sk"}))
    async with serving(simulator) as address:
        config(tmp_path, address.url)
        words = ["query", "--cc-id=1", "--vdn=1", "--record=r.json"]
        done = await to_thread.run_sync(lambda: run(*words, cwd=tmp_path))
    assert (done.returncode, done.stderr) == (
        0,
        "recorded to r.json, without names, keys, hosts and times: look at it before you send it\n",
    )
    assert "ccId 1, vdn 1: replied in" in done.stdout
    text = (tmp_path / "r.json").read_text(encoding="utf-8")
    assert json.loads(text)["outcome"] == "success"
    assert "canary" not in text.lower()
    assert str(address.port) not in text


async def test_a_failure_is_recorded_too(tmp_path: Path) -> None:
    """That is what it is for."""
    simulator = Simulator(Settings(scenarios=(parse_scenario("error"),)))
    async with serving(simulator) as address:
        config(tmp_path, address.url)
        words = ["query", "--cc-id=1", "--vdn=1", "--record=r.json"]
        done = await to_thread.run_sync(lambda: run(*words, cwd=tmp_path))
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert ": http: HTTP 500: " in first
    assert second.startswith("recorded to r.json")
    found = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert (found["outcome"], found["exchanges"][0]["reply"]["status"]) == ("http", 500)


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("r.json", "r.json exists, and is not overwritten: choose another name"),
        ("none/r.json", "none/r.json cannot be written: No such file or directory"),
    ],
)
async def test_a_file_that_cannot_be_written(
    file: str,
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing is polled, and nothing overwritten."""
    config(tmp_path, "http://127.0.0.1:1")
    (tmp_path / "r.json").write_text("precious", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["query", "--cc-id=1", "--vdn=1", f"--record={file}"]) == 2
    see = "; see agent-rest-exporter query --help"
    assert capsys.readouterr().err == f"agent-rest-exporter query: --record: {problem}{see}\n"
    assert (tmp_path / "r.json").read_text(encoding="utf-8") == "precious"


def test_what_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even an empty one, that would be in the way of the next try."""

    def build(*_: object) -> None:
        raise RuntimeError

    config(tmp_path, "http://127.0.0.1:1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("exporter.polling.build.clients", build)
    assert main(["query", "--cc-id=1", "--vdn=1", "--record=r.json"]) == 1
    assert not (tmp_path / "r.json").exists()
