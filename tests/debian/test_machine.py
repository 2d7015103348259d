"""The package's life, and a stranger's walk, each in a Debian that systemd boots: `make deb-test`.

A machine is a directory that debootstrap fills once, and systemd-nspawn boots, without a network.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from exporter import __version__
from tests.support.paths import ROOT

PACKAGES = sorted((ROOT / "dist").glob(f"agent-rest-exporter_{__version__}-*.deb"))
if os.environ.get("DEB_TEST") != "1":
    pytest.skip("needs root, and several minutes: run make deb-test", allow_module_level=True)

SCRIPT = Path(__file__).with_name("in_machine.sh")
WALK = Path(__file__).with_name("walk.sh")
STEPS = re.findall(r"^(\w+)\(\) \{$", SCRIPT.read_text(encoding="utf-8"), re.MULTILINE)
"""Functions without arguments: those with arguments have a comment that names them."""
MACHINE = ROOT / "build/deb/machine"
CONTENTS = (
    "ca-certificates,curl,dbus,man-db,procps,prometheus,prometheus-alertmanager,python3,systemd,"
    "systemd-sysv"
)
UNIT = """\
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/bash /packages/script.sh
StandardOutput=file:/packages/result
StandardError=file:/packages/errors
ExecStopPost=/usr/bin/systemctl --no-block poweroff
[Install]
WantedBy=default.target
"""


def older(package: Path, target: Path, folder: Path) -> None:
    """The same package as version 0.0.1 would have been."""
    tree = folder / "older"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN/control"
    text = control.read_text(encoding="utf-8")
    control.write_text(re.sub(r"(?m)^Version: .*$", "Version: 0.0.1-1", text), encoding="utf-8")
    [module] = tree.glob("usr/lib/agent-rest-exporter/lib/python3*/site-packages/exporter")
    init = module / "__init__.py"
    text = init.read_text(encoding="utf-8")
    init.write_text(text.replace(f'"{__version__}"', '"0.0.1"'), encoding="utf-8")
    subprocess.run(
        ["dpkg-deb", "--build", "-Znone", "--root-owner-group", tree, target], check=True
    )


def on_the_page() -> dict[str, str]:
    """The commands of docs/install.md on the way to an alert, and its configuration, by file."""
    page = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    parts = dict(re.findall(r"(?m)^## (.+)\n((?:(?!## ).*\n)*)", page))
    blocks = {
        name: re.findall(r"```(?:sh|yaml)\n(.*?)```", parts[name], re.DOTALL)
        for name in ("Debian package", "systemd")
    }
    make, start, prometheus = blocks["Debian package"]
    [install] = [line for line in make.splitlines() if "./dist/" in line]
    [secret] = [text for text in blocks["systemd"] if text.startswith("(umask 077")]
    [config] = [text for text in blocks["systemd"] if text.startswith("cms:")]
    return {
        "install.sh": install,
        "secret.sh": secret,
        "config.yaml": config.replace("https://10.22.26.181:28443", "http://127.0.0.1:28443"),
        "start.sh": start,
        "prometheus.sh": prometheus,
    }


def boot(folder: Path, script: Path, files: dict[str, str]) -> str:
    """Run a script, with the packages and other files beside it, in a new machine.

    Returns:
        What it printed.
    """
    machine = folder / "root"
    subprocess.run(["cp", "--archive", MACHINE, machine], check=True)
    packages = machine / "packages"
    (packages / "dist").mkdir(parents=True)
    [package] = PACKAGES
    shutil.copy(package, packages / "dist")
    shutil.copy(package, packages / "new.deb")
    older(package, packages / "old.deb", folder)
    shutil.copy(script, packages / "script.sh")
    for name, text in files.items():
        (packages / name).write_text(text, encoding="utf-8")
    (machine / "etc/hosts").write_text("127.0.0.1 localhost\n", encoding="utf-8")
    (machine / "etc/systemd/system/package-test.service").write_text(UNIT, encoding="utf-8")
    wanted = machine / "etc/systemd/system/default.target.wants"
    wanted.mkdir(exist_ok=True)
    (wanted / "package-test.service").symlink_to("../package-test.service")
    booted = subprocess.run(
        [
            "systemd-nspawn",
            f"--directory={machine}",
            "--boot",
            "--private-network",
            "--register=no",
            "--keep-unit",
            "--console=pipe",
        ],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=1200,
        text=True,
        errors="replace",
    )
    result = packages / "result"
    assert result.exists(), booted.stdout[-3000:]
    return result.read_text(encoding="utf-8") + (packages / "errors").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Future[str], Future[str]]]:
    """The life and the walk, side by side: an alert takes minutes in which nothing else happens."""
    if not (MACHINE / "usr/bin/prometheus").exists():
        shutil.rmtree(MACHINE, ignore_errors=True)
        MACHINE.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={CONTENTS}", "bookworm", MACHINE],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    shell = (ROOT / "deploy/prometheus/templates/shell.md").read_text(encoding="utf-8")
    with ThreadPoolExecutor() as pool:
        yield (
            pool.submit(
                boot,
                tmp_path_factory.mktemp("life"),
                SCRIPT,
                {"shell.md": shell, "version": __version__},
            ),
            pool.submit(boot, tmp_path_factory.mktemp("walk"), WALK, on_the_page()),
        )


@pytest.fixture(scope="module")
def results(machines: tuple[Future[str], Future[str]]) -> dict[str, str]:
    """What each step printed: empty if it succeeded."""
    parts = re.split(r"(?m)^((?:not )?ok) (\w+)\n", machines[0].result())
    return {
        name: "" if verdict == "ok" else text
        for verdict, name, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    }


@pytest.mark.parametrize("name", STEPS)
def test_step(name: str, results: dict[str, str]) -> None:
    """Each depends on those before it."""
    assert results.get(name, "it was not run") == "", results.get(name)


def test_every_step_is_run(results: dict[str, str]) -> None:
    """In the order of the script."""
    assert list(results) == STEPS
    assert len(results) == 13


def test_lintian_finds_nothing_but_what_is_named() -> None:
    """The exceptions are in the package, each with its reason."""
    [package] = PACKAGES
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", "--info", package],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_a_stranger_gets_metrics_and_an_alert(
    machines: tuple[Future[str], Future[str]], record_property: Callable[[str, object], None]
) -> None:
    """Metrics within five minutes of the first command, an alert in Alertmanager within fifteen."""
    printed = machines[1].result()
    seconds = {name: int(value) for name, value in re.findall(r"(?m)^(\w+) (\d+)$", printed)}
    assert list(seconds) == ["installed", "metrics", "stored", "alert"], printed[-3000:]
    assert seconds["metrics"] < 300
    assert seconds["alert"] < 900
    record_property("by the package, metrics after", f"{seconds['metrics']} s")
    record_property("by the package, an alert in Alertmanager after", f"{seconds['alert']} s")
