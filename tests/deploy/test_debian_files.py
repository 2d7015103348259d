"""The files of the Debian package, without building it: `make deb-test` does that.

What is written here for Debian must agree with the exporter and with the files for other ways to
install it.
"""

import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import __version__
from exporter.cli.commands import COMMANDS, PROGRAM
from exporter.config.load import load
from tests.support.command_line import variables
from tests.support.paths import ROOT

FOLDER = ROOT / "deploy/debian"
PACKAGE = FOLDER / "package"
BUILD: dict[str, Any] = runpy.run_path(str(FOLDER / "build.py"))
UNIT = (ROOT / "deploy/systemd/agent-rest-exporter.service").read_text(encoding="utf-8")


def read(name: str) -> str:
    """A file of debian/."""
    return (PACKAGE / name).read_text(encoding="utf-8")


def test_the_unit_is_the_shipped_one_with_debians_paths() -> None:
    """Only a few lines differ: all of its protection stays."""
    ours, theirs = (set(text.splitlines()) for text in (BUILD["unit"](UNIT), UNIT))
    settings = {line for line in ours - theirs if not line.startswith("#")}
    assert settings == {
        "ConditionPathExists=/etc/agent-rest-exporter/config.yaml",
        (
            "Documentation=man:agent-rest-exporter(1) "
            "https://github.com/agent-rest-exporter/agent-rest-exporter"
        ),
        "EnvironmentFile=-/etc/default/agent-rest-exporter",
        (
            "ExecStart=/usr/bin/agent-rest-exporter serve "
            "--config.file=/etc/agent-rest-exporter/config.yaml"
        ),
        "User=agent-rest-exporter",
    }
    assert {line.partition("=")[0] for line in theirs - ours if not line.startswith("#")} == {
        "Documentation",
        "DynamicUser",
        "ExecStart",
    }
    assert re.findall(r"^u (\S+) ", read("agent-rest-exporter.sysusers")) == ["agent-rest-exporter"]


def test_a_unit_that_changed_elsewhere_is_noticed() -> None:
    """Otherwise the package would quietly miss a change."""
    with pytest.raises(ValueError, match="not there once: '# It writes no files"):
        BUILD["unit"](UNIT.replace("DynamicUser=yes\n", ""))


def test_the_version_is_the_exporters() -> None:
    """With the release of Debian, whose Python the package needs."""
    assert BUILD["changelog"]("1.2-1", "now").startswith("agent-rest-exporter (1.2-1) stable; ")
    if Path("/etc/debian_version").exists():
        found = BUILD["default_version"]()
        assert re.fullmatch(rf"{re.escape(__version__)}-1~(deb|ubuntu)[\d.]+", found)


def test_the_man_page_explains_every_command_and_flag() -> None:
    """With their defaults and variables; it is made from the code when the package is built."""
    done = subprocess.run(
        [sys.executable, FOLDER / "manual.py"], check=True, capture_output=True, text=True
    )
    page = done.stdout.replace("\\-", "-")
    assert page.startswith(f'.TH "{PROGRAM.upper()}" 1 "" "{PROGRAM} {__version__}"')
    for command in COMMANDS:
        _, _, section = page.partition(f".SS {PROGRAM} {command.name}\n")
        section, _, _ = section.partition("\n.S")
        assert section
        for flag in command.flags:
            assert f"\\fB{flag.opts[0]}\\fR" in section
            assert f"Variable: {flag.envvar}." in section
            if flag.written_default:
                assert f"Default: {flag.written_default}." in section
    # a line that begins with a dot or a quote would be an instruction
    known = {"TH", "nh", "ad", "SH", "SS", "TP", "B", "I", "RI", "BR", "PP", "UR", "UE"}
    assert {line.split()[0][1:] for line in page.splitlines() if line[:1] in {".", "'"}} <= known


def test_etc_default_names_flags() -> None:
    """Every variable that it suggests belongs to a flag of `serve`."""
    named = set(re.findall(r"AGENT_REST_EXPORTER_[A-Z_]+", read("agent-rest-exporter.default")))
    assert len(named) == 3
    assert named <= variables()


def test_the_smallest_configuration_is_valid(tmp_path: Path) -> None:
    """That of README.Debian, with the secret where systemd puts it."""
    [indented] = re.findall(r"\n( +cms:\n.*?)\n\n", read("README.Debian"), re.DOTALL)
    secret = "/run/credentials/agent-rest-exporter.service/secrets_lima-sk"
    assert secret in indented
    config = yaml.safe_load(indented.replace(secret, str(tmp_path / "lima-sk")))
    (tmp_path / "lima-sk").write_text("word", encoding="utf-8")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    assert len(load(tmp_path / "config.yaml", {}).targets) == 3


def test_what_is_packed_exists() -> None:
    """The files that the package takes from the project, and its examples among them."""
    files = BUILD["FILES"]
    assert [name for name in files if not (ROOT / name).exists()] == []
    for line in read("agent-rest-exporter.examples").split():
        assert [name for name in files if name == line or name.startswith(f"{line}/")]


def test_each_exception_from_lintian_has_a_reason() -> None:
    """In the line above it."""
    lines = read("agent-rest-exporter.lintian-overrides").splitlines()
    assert [line[0] for line in lines] == ["#", "a"] * (len(lines) // 2)
