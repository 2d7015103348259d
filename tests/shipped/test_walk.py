"""A stranger's way by pip, timed: docs/install.md as it is written, then metrics and an alert."""

import contextlib
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter import __version__
from tests.support.paths import ROOT
from tests.support.podman import fetch, wait
from tests.support.processes import clean_environment, free_port, program

PLACES = ("/opt/agent-rest-exporter", "/etc/agent-rest-exporter")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A directory in which everybody may read."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def start() -> float:
    """When the stranger began."""
    return time.monotonic()


@pytest.fixture(scope="module")
def installed(start: float, folder: Path) -> Path:
    """The installation of the page's block for systemd, below a folder, as by a cautious root."""
    assert start
    page = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    [block] = [
        text
        for text in re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
        if PLACES[0] in text and "-m venv" in text
    ]
    for place in PLACES:
        block = block.replace(place, f"{folder}{place}")
    before = os.umask(0o077)
    try:
        (folder / "opt").mkdir(mode=0o755)
        (folder / "etc").mkdir(mode=0o755)
        (folder / "opt").chmod(0o755)
        subprocess.run(["sh", "-eu", "-c", block], check=True, cwd=ROOT, stdout=subprocess.PIPE)
    finally:
        os.umask(before)
    return folder / PLACES[0].lstrip("/")


@contextlib.contextmanager
def beside(*command: str | Path, cwd: Path) -> Iterator[None]:
    """A process as another user, stopped in the end."""
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]
    with subprocess.Popen(
        [*other, *map(str, command)], cwd=cwd, env=clean_environment(), stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield
        finally:
            process.terminate()


def test_another_user_can_run_it(installed: Path) -> None:
    """The service's user owns nothing there, and needs to read everything."""
    for path in installed.rglob("*"):
        mode = path.stat().st_mode
        wanted = 0o5 if stat.S_ISDIR(mode) else 0o4
        assert mode & wanted == wanted, path
    done = subprocess.run(
        [
            "setpriv",
            "--reuid=65534",
            "--clear-groups",
            installed / "bin/agent-rest-exporter",
            "--version",
        ],
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout == f"agent-rest-exporter {__version__}\n"


def test_nothing_else_is_left(installed: Path) -> None:
    """The build tool is not part of the installation."""
    names = [path.name for path in installed.glob("lib/python3*/site-packages/*.dist-info")]
    assert names
    assert not [name for name in names if name.startswith(("hatchling", "pathspec"))]
    assert (
        installed.parents[1] / "etc/agent-rest-exporter/secrets"
    ).stat().st_mode & 0o777 == 0o700


def test_metrics_and_an_alert(
    start: float, installed: Path, folder: Path, record_property: Callable[[str, object], None]
) -> None:
    """Metrics within five minutes of the first command, an alert within fifteen."""
    data = folder / "data"
    data.mkdir(mode=0o777)
    data.chmod(0o777)
    exporter, prometheus = free_port(), free_port()
    text = (ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8")
    assert text.count("10072") >= 1
    config = folder / "prometheus.yml"
    config.write_text(text.replace(":10072", f":{exporter}"), encoding="utf-8")
    shutil.copytree(
        ROOT / "deploy/prometheus/rules", folder / "rules", copy_function=shutil.copyfile
    )
    demo = installed / "bin/agent-rest-exporter"
    with beside(demo, "demo", f"--web.listen-address=127.0.0.1:{exporter}", cwd=folder):
        wait(lambda: "agent_rest_resting_agents{" in fetch(f"http://127.0.0.1:{exporter}/metrics"))
        metrics = time.monotonic() - start
        with beside(
            program("prometheus", "prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address=127.0.0.1:{prometheus}",
            cwd=folder,
        ):

            def firing() -> list[str]:
                reply = fetch(f"http://127.0.0.1:{prometheus}/api/v1/alerts")
                alerts = json.loads(reply)["data"]["alerts"]
                return [a["labels"]["alertname"] for a in alerts if a["state"] == "firing"]

            wait(lambda: "AgentRestTargetDown" in firing(), 900)
            alert = time.monotonic() - start
    record_property("by pip, metrics after", f"{metrics:.0f} s")
    record_property("by pip, an alert after", f"{alert:.0f} s")
    assert metrics < 300
    assert alert < 900
