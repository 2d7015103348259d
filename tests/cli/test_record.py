"""`query --record`: the file that it writes, and when it writes none."""

import json
from pathlib import Path

import pytest

from exporter.cli import main
from tests.support.simulated import simulating


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config(folder: Path, url: str) -> None:
    """A configuration with one server."""
    (folder / "config.yaml").write_text(
        f"cms: [{{url: '{url}', auth: {{access_key: AKEXAMPLE0001, secret_key: canary-sk}}, "
        "targets: [{ccId: 1, vdn: 1}]}]",
        encoding="utf-8",
    )


def test_a_recording_of_a_poll(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the page, that is shown as ever; its rows are in it without names."""
    with simulating() as address:
        config(folder, address.url)
        assert main(["query", "--cc-id=1", "--vdn=1", "--record=r.json"]) == 0
    shown = capsys.readouterr()
    assert shown.err == (
        "recorded to r.json, without names, keys, hosts and times: look at it before you send it\n"
    )
    assert "ccId 1, vdn 1: replied in" in shown.out
    text = (folder / "r.json").read_text(encoding="utf-8")
    assert json.loads(text)["outcome"] == "success"
    for secret in ("canary", "AKEXAMPLE", str(address.port)):
        assert secret not in text


def test_a_failure_is_recorded_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """That is what it is for."""
    with simulating("error") as address:
        config(folder, address.url)
        assert main(["query", "--cc-id=1", "--vdn=1", "--record=r.json"]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert ": http: HTTP 500: " in first
    assert second.startswith("recorded to r.json")
    found = json.loads((folder / "r.json").read_text(encoding="utf-8"))
    assert (found["outcome"], found["exchanges"][0]["reply"]["status"]) == ("http", 500)


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("r.json", "r.json exists, and is not overwritten: choose another name"),
        ("none/r.json", "none/r.json cannot be written: No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_written(
    file: str,
    problem: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing is polled, and nothing overwritten."""
    config(folder, "http://127.0.0.1:1")
    (folder / "r.json").write_text("precious", encoding="utf-8")
    assert main(["query", "--cc-id=1", "--vdn=1", f"--record={file}"]) == 2
    see = "; see agent-rest-exporter query --help"
    assert capsys.readouterr().err == f"agent-rest-exporter query: --record: {problem}{see}\n"
    assert (folder / "r.json").read_text(encoding="utf-8") == "precious"


def test_what_fails_leaves_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even an empty one, that would be in the way of the next try."""

    def build(*_: object) -> None:
        raise RuntimeError

    config(folder, "http://127.0.0.1:1")
    monkeypatch.setattr("exporter.polling.build.clients", build)
    assert main(["query", "--cc-id=1", "--vdn=1", "--record=r.json"]) == 1
    assert not (folder / "r.json").exists()
