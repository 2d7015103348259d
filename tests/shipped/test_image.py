"""The image: what is in it, and how it runs with everything taken away that it does not need."""

import json
import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from exporter import __version__
from tests.support.paths import ROOT
from tests.support.podman import IMAGE, Container, inspect, podman, running, wait

LABEL = "org.opencontainers.image."
TRACKED = runpy.run_path(str(ROOT / "hatch_build.py"))["tracked_files"]
# Every module is compiled, its bytecode is never compared with its source, and every extension that
# was stripped still loads. Prints what is wrong.
LOOK = """
import importlib.machinery, importlib.util, pathlib, sys
top = pathlib.Path(sys.prefix) / "lib"
sources = list(top.rglob("*.py"))
for path in sources:
    compiled = pathlib.Path(importlib.util.cache_from_source(str(path)))
    if not compiled.exists() or compiled.read_bytes()[4:8] != bytes([1, 0, 0, 0]):
        print("bytecode:", compiled)
extensions = [path for path in top.rglob("*.so")]
for path in extensions:
    relative = path.relative_to(top).parts[2:]
    name = ".".join([*relative[:-1], relative[-1].partition(".")[0]])
    try:
        __import__(name)
    except ImportError as error:
        print("extension:", name, error)
assert len(sources) > 500 and len(extensions) > 10, (len(sources), len(extensions))
"""


def make_image(folder: Path) -> dict[str, Any]:
    """Build it as docs/install.md says, from nothing. Returns what Podman knows about it."""
    done = subprocess.run(
        ["make", "image", "ENGINE=podman", f"IMAGE={IMAGE}", "BUILD_FLAGS=--no-cache --pull=never"],
        capture_output=True,
        check=False,
        cwd=folder,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found: dict[str, Any] = inspect(IMAGE, "image")
    return found


@pytest.fixture(scope="module")
def other_image(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The image of an unpacked copy without git, whose files only their owner can read."""
    copy = tmp_path_factory.mktemp("copy")
    for name in TRACKED(ROOT):
        if name.split("/")[0] in {"Makefile", "deploy", "exporter"} or "/" not in name:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
            (copy / name).chmod(0o600)
    return make_image(copy)


@pytest.fixture(scope="module")
def image(other_image: dict[str, Any]) -> dict[str, Any]:
    """The image of this checkout, built last: the other tests run it."""
    assert other_image
    return make_image(ROOT)


@pytest.fixture(scope="module")
def demo(image: dict[str, Any]) -> Any:
    """A container that runs the demo."""
    assert image
    with running("demo", "--web.listen-address=:10072") as container:
        wait(lambda: "agent_rest_up" in container.get("/metrics"))
        yield container


def test_the_same_sources_make_the_same_layers(
    image: dict[str, Any], other_image: dict[str, Any]
) -> None:
    """Wherever they are, and whatever the umask was."""
    assert image["Id"] != other_image["Id"]  # the labels differ: the copy has no commit
    assert image["RootFS"]["Layers"] == other_image["RootFS"]["Layers"]


def test_the_labels_are_real(image: dict[str, Any], other_image: dict[str, Any]) -> None:
    """Version, commit and its date; without git, the last two are empty."""
    labels = image["Labels"]
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, check=True, cwd=ROOT, text=True
    ).stdout.strip()
    assert labels[f"{LABEL}version"] == __version__
    assert labels[f"{LABEL}revision"].removesuffix("-changed") == head
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels[f"{LABEL}created"])
    assert other_image["Labels"][f"{LABEL}version"] == __version__
    assert other_image["Labels"][f"{LABEL}revision"] == ""


def test_a_label_cannot_lie() -> None:
    """The build stops if the version is not the one of the sources."""
    command = ["build", "--pull=never", "-f", "deploy/docker/Dockerfile", "--target=build"]
    done = subprocess.run(
        ["podman", *command, "--build-arg", "VERSION=9.9", "."],
        capture_output=True,
        check=False,
        cwd=ROOT,
        text=True,
    )
    assert done.returncode != 0
    assert "VERSION is 9.9, but the sources are of another: agent_rest_exporter-" in done.stderr


def test_it_is_small(image: dict[str, Any]) -> None:
    """What lies on top of Python: half of it is extensions."""
    base = inspect(f"docker.io/library/{base_image()}", "image")
    own = image["Size"] - base["Size"]
    assert 30_000_000 < own < 50_000_000, own


def base_image() -> str:
    """What the Dockerfile starts from."""
    text = (ROOT / "deploy/docker/Dockerfile").read_text(encoding="utf-8")
    [name] = re.findall(r"^ARG PYTHON_IMAGE=(.*)$", text, re.MULTILINE)
    return str(name)


def test_bytecode_is_valid_and_extensions_load(demo: Container) -> None:
    """Nothing is compiled at the start, and stripping broke nothing."""
    assert demo.run("python", "-c", LOOK).stdout == ""


def test_it_has_no_rights(demo: Container) -> None:
    """A user of its own, no capabilities, no way to get any, and nothing to write to."""
    assert demo.run("id", "-u").stdout == "10072\n"
    status = dict(
        line.split(":\t", 1) for line in demo.run("cat", "/proc/1/status").stdout.splitlines()
    )
    assert status["Uid"].split() == ["10072"] * 4
    assert {status[name] for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    for place in ("/", "/etc/agent-rest-exporter", "/opt/agent-rest-exporter", "/var"):
        tried = demo.run("touch", f"{place}/file", check=False)
        assert tried.returncode != 0, place
        assert "Read-only file system" in tried.stderr, place


def test_it_is_scraped(demo: Container) -> None:
    """Six simulated VDNs, one of which fails on purpose."""
    up = wait(
        lambda: re.findall(r"^agent_rest_up\{.*\} ([01])\.0$", demo.get("/metrics"), re.MULTILINE)
    )
    assert "1" in up
    assert f'version="{__version__}"' in demo.get("/metrics")


def test_the_health_check(demo: Container) -> None:
    """It succeeds while the exporter is healthy, and fails where nothing listens."""
    assert podman("healthcheck", "run", demo.name).returncode == 0
    elsewhere = "AGENT_REST_EXPORTER_URL=http://127.0.0.1:1/-/healthy"
    done = demo.run("env", elsewhere, "agent-rest-exporter", "healthcheck", check=False)
    assert done.returncode == 1
    assert inspect(IMAGE, "image")["Healthcheck"]["Test"] == [
        "CMD",
        "agent-rest-exporter",
        "healthcheck",
    ]


@pytest.fixture
def configured(image: dict[str, Any], tmp_path: Path) -> Path:
    """A directory to mount, as docs/install.md makes it, with a server that refuses connections."""
    assert image
    tmp_path.chmod(0o755)
    (tmp_path / "secrets").mkdir(mode=0o700)
    (tmp_path / "secrets/lima-sk").write_text("word\n", encoding="utf-8")
    for path in (tmp_path / "secrets", tmp_path / "secrets/lima-sk"):
        os.chown(path, 10072, 10072)
    write(tmp_path, targets=1)
    return tmp_path


def write(folder: Path, targets: int) -> None:
    """A configuration with some targets."""
    server = {
        "name": "lima",
        "url": "https://127.0.0.1:9",
        "auth": {"access_key": "AKEXAMPLE0001", "secret_key_file": "secrets/lima-sk"},
        "targets": [{"ccId": 1, "vdn": f"1-{targets}"}],
    }
    (folder / "config.yaml").write_text(json.dumps({"cms": [server]}), encoding="utf-8")


@pytest.mark.parametrize("options", [(), ("--init",)], ids=["PID 1", "behind an init"])
def test_it_reloads_and_stops(configured: Path, options: tuple[str, ...]) -> None:
    """SIGHUP reads the configuration again; SIGTERM ends it at once, also as the first process."""
    mount = f"--volume={configured}:/etc/agent-rest-exporter:ro"
    no_polling = "--env=AGENT_REST_EXPORTER_CONFIG_AUTO_RELOAD_INTERVAL=0"
    with running(options=(mount, no_polling, *options)) as container:
        count = 'agent_rest_exporter_targets{cms="lima"}'
        wait(lambda: f"{count} 1.0" in container.get("/metrics"))
        first = container.run("cat", "/proc/1/cmdline").stdout.split("\0")
        assert ("serve" in first and "init" not in first[0]) == (not options)
        write(configured, targets=3)
        podman("kill", "--signal=HUP", container.name)
        wait(lambda: f"{count} 3.0" in container.get("/metrics"))
        status, seconds = container.stop()
        assert status == 0, container.log()
        assert seconds < 10


def test_a_wrong_configuration_is_explained(configured: Path) -> None:
    """In the log, with status 2."""
    (configured / "config.yaml").write_text("cmss: []\n", encoding="utf-8")
    mount = f"--volume={configured}:/etc/agent-rest-exporter:ro"
    with running(options=(mount,)) as container:
        assert podman("wait", container.name).stdout.strip() == "2"
        assert 'did you mean "cms"' in container.log().replace("'", '"')
