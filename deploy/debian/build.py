#!/usr/bin/env python3
"""Build the Debian package for this machine's release: build.py [VERSION [DIRECTORY]].

The wheels of requirements.lock are downloaded and checked against its hashes; then debhelper builds
the package from files alone. By default the version is the exporter's and the directory is dist, as
with `make deb`. It must run on the release that the package is for: wheels are for one Python.
"""

import os
import re
import shutil
import subprocess
import sys
from email.utils import formatdate
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
WORK: Final = ROOT / "build" / "deb"
NAME: Final = "agent-rest-exporter"
DEBIANS_PYTHON: Final = "/usr/bin/python3"
FILES: Final = (
    "CHANGELOG.md",
    "config.example.yaml",
    "requirements.lock",
    "deploy/alertmanager/alertmanager.yml",
    "deploy/grafana/agent-rest-exporter.json",
    "deploy/grafana/agent-rest-floor.json",
    "deploy/prometheus/prometheus.yml",
    "deploy/prometheus/rules",
)
# How the package's unit differs from deploy/systemd: each text is there exactly once.
UNIT: Final = {
    (
        "# Copy this file to /etc/systemd/system/ and follow docs/install.md. "
        "For systemd 250 or newer.\n"
    ): "",
    "Documentation=https:": "Documentation=man:agent-rest-exporter(1) https:",
    "After=network-online.target\n": (
        "After=network-online.target\n"
        "# Not started before it is configured: /usr/share/doc/agent-rest-exporter/README.Debian\n"
        "ConditionPathExists=/etc/agent-rest-exporter/config.yaml\n"
    ),
    "ExecStart=/opt/agent-rest-exporter/bin/": (
        "EnvironmentFile=-/etc/default/agent-rest-exporter\nExecStart=/usr/bin/"
    ),
    (
        "# It writes no files and needs no permanent user. DynamicUser also implies PrivateTmp, "
        "RemoveIPC,\n"
        "# NoNewPrivileges and RestrictSUIDSGID; they are listed in case you replace it "
        "with User=.\n"
        "DynamicUser=yes\n"
    ): "# It writes no files.\nUser=agent-rest-exporter\n",
}


def unit(text: str) -> str:
    """The package's systemd unit, from that of deploy/systemd.

    Raises:
        ValueError: a line that has to differ is not there exactly once.
    """
    for shipped, packaged in UNIT.items():
        if text.count(shipped) != 1:
            raise ValueError(f"deploy/systemd/{NAME}.service: not there once: {shipped!r}")
        text = text.replace(shipped, packaged)
    return text


def changelog(version: str, date: str) -> str:
    """Debian's changelog, with one entry: the project's own has the changes."""
    return (
        f"{NAME} ({version}) stable; urgency=medium\n\n"
        "  * See changelog.gz for what has changed.\n\n"
        f" -- agent-rest-exporter authors <{NAME}@users.noreply.github.com>  {date}\n"
    )


def source(version: str, tree: Path) -> None:
    """Write everything that debhelper needs into a directory."""
    debian = tree / "debian"
    shutil.copytree(ROOT / "deploy/debian/package", debian)
    shutil.copy(ROOT / "deploy/debian/manual.py", debian)
    for name in FILES:
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target)
        else:
            shutil.copy(ROOT / name, target)
    shipped = (ROOT / f"deploy/systemd/{NAME}.service").read_text(encoding="utf-8")
    (debian / f"{NAME}.service").write_text(unit(shipped), encoding="utf-8")
    date = formatdate(float(os.environ.get("SOURCE_DATE_EPOCH", "0")) or None, localtime=False)
    (debian / "changelog").write_text(changelog(version, date), encoding="utf-8")


def wheels(target: Path) -> None:
    """Download the locked wheels for Debian's Python, and build that of the exporter."""
    tools = WORK / "tools"
    if not tools.exists():
        run(DEBIANS_PYTHON, "-m", "venv", str(tools))
    pip = (str(tools / "bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(
        *pip,
        "download",
        "--require-hashes",
        "--only-binary=:all:",
        f"--dest={target}",
        f"--requirement={ROOT / 'requirements.lock'}",
    )
    # with the locked build backend of the development environment, which runs this
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-build-isolation",
        f"--wheel-dir={target}",
        str(ROOT),
    )


def run(*command: str, directory: Path = ROOT) -> None:
    """Run a command. Its output is shown if it fails."""
    done = subprocess.run(  # noqa: S603  # only commands of this file
        command,
        cwd=directory,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\n{' '.join(command[:4])} … failed with status {done.returncode}")


def main(version: str, directory: Path) -> None:
    """Build, and move the package into the directory."""
    tree = WORK / f"{NAME}-{version}"
    for old in WORK.glob(f"{NAME}[-_]{version}*"):
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    WORK.mkdir(parents=True, exist_ok=True)
    source(version, tree)
    wheels(tree / "debian/wheels")
    run("dpkg-buildpackage", "--build=binary", "--unsigned-changes", directory=tree)
    directory.mkdir(parents=True, exist_ok=True)
    for package in WORK.glob(f"{NAME}_{version}_*.deb"):
        sys.stdout.write(f"{shutil.move(package, directory / package.name)}\n")


def default_version() -> str:
    """The exporter's, and the release of Debian or Ubuntu whose Python the package needs."""
    package = (ROOT / "exporter/__init__.py").read_text(encoding="utf-8")
    [version] = re.findall(r'__version__ = "(.+)"', package)
    release = Path("/etc/os-release").read_text(encoding="utf-8")
    facts = dict(re.findall(r'(?m)^(ID|VERSION_ID)="?([\w.]+)', release))
    system = "deb" if facts["ID"] == "debian" else facts["ID"]
    return f"{version}-1~{system}{facts['VERSION_ID']}"


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(
        arguments[0] if arguments else default_version(),
        Path(arguments[1]) if arguments[1:] else ROOT / "dist",
    )
