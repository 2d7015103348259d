"""The package's life in a Debian that systemd boots: `make deb-test`.

The machine is a directory that debootstrap fills once, and systemd-nspawn boots, without a network.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from exporter import __version__
from tests.support.paths import ROOT

PACKAGES = sorted((ROOT / "dist").glob(f"agent-rest-exporter_{__version__}-*.deb"))
if os.environ.get("DEB_TEST") != "1":
    pytest.skip("needs root, and several minutes: run make deb-test", allow_module_level=True)

SCRIPT = Path(__file__).with_name("in_machine.sh")
STEPS = re.findall(r"^(\w+)\(\) \{$", SCRIPT.read_text(encoding="utf-8"), re.MULTILINE)
"""Functions without arguments: those with arguments have a comment that names them."""
MACHINE = ROOT / "build/deb/machine"
CONTENTS = "ca-certificates,curl,dbus,man-db,procps,python3,systemd,systemd-sysv"
UNIT = """\
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/bash /packages/in_machine.sh
StandardOutput=file:/packages/result
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


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each step printed: empty if it succeeded."""
    if not (MACHINE / "sbin/init").exists():
        MACHINE.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={CONTENTS}", "bookworm", MACHINE],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    folder = tmp_path_factory.mktemp("machine")
    machine = folder / "root"
    subprocess.run(["cp", "--archive", MACHINE, machine], check=True)
    packages = machine / "packages"
    packages.mkdir()
    [package] = PACKAGES
    shutil.copy(package, packages / "new.deb")
    older(package, packages / "old.deb", folder)
    shutil.copy(SCRIPT, packages)
    shutil.copy(ROOT / "deploy/prometheus/templates/shell.md", packages)
    (packages / "version").write_text(__version__, encoding="utf-8")
    (machine / "etc/systemd/system/package-test.service").write_text(UNIT, encoding="utf-8")
    wanted = machine / "etc/systemd/system/default.target.wants"
    wanted.mkdir(exist_ok=True)
    (wanted / "package-test.service").symlink_to("../package-test.service")
    boot = subprocess.run(
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
    assert result.exists(), boot.stdout[-3000:]
    parts = re.split(r"(?m)^((?:not )?ok) (\w+)\n", result.read_text(encoding="utf-8"))
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
