"""`make compat`: tests with the oldest and the newest releases that pyproject.toml allows.

The lock file pins one set of releases; a user's own `pip install` takes another. Each interpreter
of this machine gets two environments: one with the lower bounds, one with the newest releases.
Interpreters that the machine lacks are named at the end.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PLACE: Final = ROOT / ".venv-compat"
UV: Final = str(Path(sys.executable).with_name("uv"))
VERSIONS: Final = ("3.11", "3.12", "3.13", "3.14")
"""The Pythons that the exporter is for."""
RELEASES: Final = {"lowest": "lowest-direct", "newest": "highest"}
TESTS: Final = (  # what is closest to a dependency, for each of them
    "tests/config/test_config.py",  # pydantic, pyyaml
    "tests/config/test_config_document.py",
    "tests/config/test_config_schema.py",
    "tests/test_endpoint.py",  # yarl
    "tests/cms/test_wire.py",  # msgspec
    "tests/cms/test_client.py",  # httpx
    "tests/cms/test_body.py",  # aiohttp, httpx-aiohttp
    "tests/cms/test_resolver.py",  # aiodns, uvloop
    "tests/metrics",  # prometheus-client
    "tests/webconfig/test_web_config_passwords.py",  # bcrypt
    "tests/web/test_app.py",
    "tests/web/test_status_page.py",  # jinja2
    "tests/cli/test_help.py",  # click
    "tests/cli/test_check_live.py",  # rich
    "tests/cli/test_cli.py::test_the_demo_shows_real_metrics_without_configuration",
)

GROUP: Final = ("--group", "test", "--no-header", "--no-annotate", "pyproject.toml")
PROJECT: Final = (
    *("--no-deps", "--editable", "."),
    *("--build-constraints", "requirements-build.lock"),
)
PYTEST: Final = (
    "-q",
    "--tb=short",
    "-p",
    "no:cacheprovider",
    "-o",
    "addopts=--import-mode=importlib",
)


def interpreter(version: str) -> str | None:
    """The path of a Python of this version: on the PATH, of pyenv, or of uv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    managed = Path.home() / ".local" / "share" / "uv" / "python"
    name = f"python{version}"
    places = [
        shutil.which(name),
        *sorted(pyenv.glob(f"{version}.*/bin/{name}")),
        *sorted(managed.glob(f"cpython-{version}.*/bin/{name}")),
    ]
    look = "import ssl, sys; print(sys.version_info >= (3, 11))"
    for place in filter(None, places):
        # one of pyenv's may be on the PATH and refuse to run
        done = subprocess.run([str(place), "-c", look], capture_output=True, check=False)  # noqa: S603
        if done.returncode == 0:
            return str(place)
    return None


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program in the project's folder."""
    return subprocess.run(  # noqa: S603  # each is named here
        [str(word) for word in command],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"VIRTUAL_ENV": ""},
        text=True,
    )


def attempt(version: str, python: str, releases: str) -> tuple[bool, str]:
    """Make an environment and run the tests in it. Returns whether they pass, and a report."""
    start = time.monotonic()
    place = PLACE / f"{version}-{releases}"
    listed = PLACE / f"{place.name}.txt"
    own = place / "bin" / "python"
    resolution = f"--resolution={RELEASES[releases]}"
    quiet = "--quiet"
    steps: tuple[tuple[str | Path, ...], ...] = (
        (UV, "venv", quiet, "--clear", "--python", python, place),
        (UV, "pip", "compile", quiet, "--python", own, resolution, *GROUP, "-o", listed),
        (UV, "pip", "sync", quiet, "--python", own, listed),
        (UV, "pip", "install", quiet, "--python", own, *PROJECT),
        (own, "-m", "pytest", *PYTEST, *TESTS),
    )
    printed = ""
    for step in steps:
        done = run(*step)
        printed = done.stdout
        if done.returncode:
            return False, f"Python {version}, {releases}: FAILED\n{printed}{done.stderr}"
    passed = re.findall(r"^.*\d+ passed.* in .*$", printed, re.MULTILINE)[-1].split(" in ")[0]
    seconds = time.monotonic() - start
    return True, f"Python {version}, {releases} releases: {passed} in {seconds:.0f} s\n"


def main() -> int:
    """Run every combination, two at a time; the exit status is 1 if any failed."""
    found = {version: interpreter(version) for version in VERSIONS}
    PLACE.mkdir(exist_ok=True)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        jobs = [
            pool.submit(attempt, version, python, releases)
            for version, python in found.items()
            if python
            for releases in RELEASES
        ]
        fine = True
        for job in jobs:
            passed, report = job.result()
            fine = fine and passed
            sys.stdout.write(report)
            sys.stdout.flush()
    missing = [version for version, python in found.items() if not python]
    if missing:
        sys.stdout.write(f"Not on this machine, so not tested: Python {', '.join(missing)}\n")
    return 0 if fine and jobs else 1


if __name__ == "__main__":
    sys.exit(main())
