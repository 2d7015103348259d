"""The Dockerfile, as far as it can be tested without a container engine."""

import fnmatch
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from exporter.cli.commands import PROGRAM
from tests.support.command_line import parsed
from tests.support.paths import ROOT

DOCKER = ROOT / "deploy/docker"
BUILD_LOCK = ROOT / "requirements-build.lock"


def instructions() -> list[tuple[str, str]]:
    """Every instruction of the Dockerfile with its text, without comments and line breaks."""
    text = re.sub(
        r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    lines = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line]


def given(name: str) -> list[str]:
    """The texts of all instructions of one kind."""
    return [text for instruction, text in instructions() if instruction == name]


def ignored(path: str) -> bool:
    """Whether the ignore file excludes a path from the context: the last match counts."""
    parents = [path, *(str(parent) for parent in Path(path).parents)]
    out = False
    for line in (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            names = [Path(each).name for each in parents] if pattern[:3] == "**/" else parents
            if any(fnmatch.fnmatchcase(name, pattern.removeprefix("**/")) for name in names):
                out = not line.startswith("!")
    return out


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a container engine would receive: a copy of everything that is not ignored."""
    target = tmp_path_factory.mktemp("context")
    kept = [path for path in ROOT.iterdir() if path.is_file() or not ignored(f"{path.name}/any")]
    for top in [*kept, ROOT / "deploy"]:
        for path in [top] if top.is_file() else top.rglob("*"):
            name = path.relative_to(ROOT)
            if path.is_file() and not ignored(str(name)):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target / name)
    return target


def copied() -> list[str]:
    """Every file and directory of the context that the Dockerfile copies."""
    sources: list[str] = []
    for text in given("COPY"):
        if not text.startswith("--from="):
            sources += text.split()[:-1]
    return sources


def test_hadolint_finds_no_fault() -> None:
    """It prints nothing, with all rules on."""
    done = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), DOCKER / "Dockerfile"],
        capture_output=True,
        check=False,
        text=True,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_the_context_is_small_and_holds_what_is_copied(context: Path) -> None:
    """It contains only what is used: no virtual environment, and no stray secret."""
    files = [path for path in context.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1_500_000
    sources = copied()
    assert len(sources) > 4
    assert all((context / source).exists() for source in sources)
    unused = [
        str(path.relative_to(context))
        for path in files
        if not any(path.is_relative_to(context / source) for source in sources)
    ]
    assert unused == []
    assert ignored("exporter/config/__pycache__/load.pyc")
    assert ignored(".env")
    assert ignored("deploy/compose/secrets/grafana-admin-password")


def test_the_context_is_enough_for_the_wheel(context: Path, tmp_path: Path) -> None:
    """The Dockerfile's own command builds it: modules, templates, the license, the command."""
    [command] = [text for text in given("RUN") if "pip wheel" in text]
    arguments = command.split(" && ")[0].split()
    assert arguments[:2] == ["pip", "wheel"]
    arguments[arguments.index("/wheels")] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, check=False, cwd=context, text=True
    )
    assert done.returncode == 0, done.stderr
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        [entry_points] = [name for name in names if name.endswith("/entry_points.txt")]
        assert f"{PROGRAM} = exporter.cli:main" in archive.read(entry_points).decode()
    files = [
        path for path in (ROOT / "exporter").rglob("*") if path.is_file() and path.suffix != ".pyc"
    ]
    assert {str(path.relative_to(ROOT)) for path in files} <= names
    assert {".py", ".html", ".css", ".js"} <= {path.suffix for path in files}
    assert "exporter/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_the_container_starts_and_is_checked() -> None:
    """Entry point, command and health check are understood by the command line."""
    [entry_point], [command], [check] = given("ENTRYPOINT"), given("CMD"), given("HEALTHCHECK")
    assert json.loads(entry_point) == [PROGRAM]
    serve = parsed(json.loads(command))
    assert serve.config_file == "/etc/agent-rest-exporter/config.yaml"
    program, *arguments = json.loads(check.partition(" CMD ")[2])
    assert program == PROGRAM
    healthcheck = parsed(arguments)
    [port] = given("EXPOSE")
    assert healthcheck.url == f"http://127.0.0.1:{port}/-/healthy"
    assert [address.port for address in serve.web_listen_address] == [int(port)]
    patience = re.search(r"--timeout=(\d+)s", check)
    assert patience
    assert float(patience[1]) > healthcheck.timeout


def test_nobody_is_root() -> None:
    """Kubernetes' runAsNonRoot needs a numeric user."""
    [user] = given("USER")
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    names = [instruction for instruction, _ in instructions()]
    assert names.index("USER") > len(names) - 1 - names[::-1].index("COPY")


def test_every_download_is_held_to_its_hash() -> None:
    """Only what is in a lock file is installed, and the base image has a fixed version."""
    commands = [
        part
        for text in given("RUN")
        for part in text.split(" && ")
        if re.search("pip.* install", part)
    ]
    assert len(commands) == 3
    for command in commands:
        assert ("--require-hashes -r" in command) != ("--no-deps /wheels/" in command)
    bases = [text for text in given("ARG") if text.startswith("PYTHON_IMAGE=")]
    assert len(bases) == 1
    assert re.fullmatch(
        r"PYTHON_IMAGE=python:3\.\d+\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", bases[0]
    )


def test_the_image_says_what_it_is() -> None:
    """OCI annotations, which registries show."""
    [labels] = given("LABEL")
    found = dict(re.findall(r'org\.opencontainers\.image\.([a-z]+)="([^"]*)"', labels))
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    assert found.pop("source").startswith("https://")
    assert found == {
        "title": project["name"],
        "description": project["description"],
        "licenses": project["license"],
        "version": "${VERSION}",
        "revision": "${REVISION}",
        "created": "${CREATED}",
    }


def locked(path: Path) -> dict[str, list[str]]:
    """The hashes of a lock file by name and version."""
    found: dict[str, list[str]] = {}
    pin = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([a-z0-9-]+==\S+)", line):
            pin = match[1]
            found[pin] = []
        elif match := re.match(r"\s+--hash=(\S+)", line):
            found[pin].append(match[1])
    return found


def test_what_builds_the_image_is_what_builds_here() -> None:
    """The builder's lock file is a subset of the developers'."""
    build_lock, dev_lock = locked(BUILD_LOCK), locked(ROOT / "requirements-dev.lock")
    assert {pin: dev_lock.get(pin) for pin in build_lock} == build_lock
    with (ROOT / "pyproject.toml").open("rb") as file:
        required = tomllib.load(file)["build-system"]["requires"]
    names = {pin.partition("==")[0] for pin in build_lock}
    assert {re.split(r"[<>=~!\[; ]", requirement)[0] for requirement in required} <= names
