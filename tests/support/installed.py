"""An installed tree, and a shell in it: where the runbooks' commands are typed.

The tree has the exporter where docs/install.md puts it for systemd. Services that a test machine
does not have are stand-ins (stand_in_program.py), found first on the PATH.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.support.paths import ROOT
from tests.support.processes import COMMAND, PATIENCE, clean_environment
from tests.support.runbook_pages import definitions

STANDS_IN: Final = ("systemd-run", "systemctl", "journalctl", "timedatectl", "docker", "kubectl")
_STAND_IN: Final = ROOT / "tests/support/stand_in_program.py"
_PLACES: Final = ("/opt/agent-rest-exporter", "/etc/agent-rest-exporter", "/run/credentials")


def lay_out(tree: Path) -> None:
    """Make a tree with the exporter, without its configuration."""
    for name in ("bin", "opt/agent-rest-exporter/bin", "run/credentials"):
        (tree / name).mkdir(parents=True)
    (tree / "etc/agent-rest-exporter/secrets").mkdir(parents=True)
    (tree / "opt/agent-rest-exporter/bin/agent-rest-exporter").symlink_to(COMMAND)
    stand_in = f"#!{sys.executable} -I\n{_STAND_IN.read_text(encoding='utf-8')}"
    for name in STANDS_IN:
        (tree / "bin" / name).write_text(stand_in, encoding="utf-8")
        (tree / "bin" / name).chmod(0o755)


@dataclass(frozen=True, slots=True)
class Installed:
    """A shell in a tree.

    Args:
        tree: its root.
        words: what a reader of a page replaces, such as the name of the server, and by what.
        environ: more variables.
    """

    tree: Path
    words: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)

    async def type(self, layout: str, line: str) -> tuple[int, str]:
        """Run a line of a page, after the definitions for a layout.

        Gives the exit status, and everything that is printed.
        """
        for word, instead in self.words.items():
            line = line.replace(word, instead)
        script = f"{definitions(layout)}\n{line}"
        for place in _PLACES:
            script = script.replace(place, f"{self.tree}{place}")
        path = f"{self.tree / 'bin'}{os.pathsep}{os.environ['PATH']}"
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            script,
            cwd=ROOT,
            env=clean_environment({"TREE": str(self.tree), "PATH": path, **self.environ}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        async with asyncio.timeout(PATIENCE):
            printed, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, printed.decode()

    def calls(self) -> list[list[str]]:
        """What the stand-ins were told, each with its name first."""
        file = self.tree / "calls"
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
