"""Decides what goes into the sdist: the files that git tracks, and no others.

A checkout in use holds configurations, addresses and secrets next to the project's own files. A
list of patterns would have to name each such place; git knows which files belong to the project.
The sdist contains that list as SOURCES.txt, so that it can be built again without git.
"""

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = "SOURCES.txt"


def tracked_files(root: Path) -> list[str]:
    """The project's files below `root`, as paths with slashes, sorted.

    From git in a checkout, and from SOURCES.txt in an unpacked sdist. Tracked files that were
    deleted are left out, and so is SOURCES.txt itself. A link to a directory becomes the tracked
    files of that directory, under the link's name.

    Raises:
        RuntimeError: neither can tell.
    """
    if (root / ".git").exists():
        try:
            listed = subprocess.run(
                ["git", "-C", root, "ls-files", "-z"], capture_output=True, check=True
            ).stdout.decode()
        except (OSError, subprocess.CalledProcessError) as error:
            why = getattr(error, "stderr", b"") or str(error).encode()
            raise RuntimeError(
                f"git ls-files failed in {root}, and only git knows which files belong to the "
                f"project: {why.decode().strip()}"
            ) from error
        names = listed.split("\0")
    elif (root / SOURCES).is_file():
        names = (root / SOURCES).read_text(encoding="utf-8").splitlines()
    else:
        raise RuntimeError(
            f"{root} is neither a git checkout nor an unpacked sdist (there is no {SOURCES}): "
            "only these tell which files belong to the project"
        )
    files = {name for name in names if name and name != SOURCES and (root / name).is_file()}
    for link in (root / name for name in names if name and (root / name).is_dir()):
        target = link.resolve().relative_to(root.resolve()).as_posix()
        beneath = {name.removeprefix(target) for name in files if name.startswith(f"{target}/")}
        files |= {link.relative_to(root).as_posix() + rest for rest in beneath}
    return sorted(files)


class TrackedFiles(BuildHookInterface[Any]):
    """Hatchling's hook for the sdist, see pyproject.toml."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name every file of the sdist, and SOURCES.txt with their list."""
        del version
        root = Path(self.root)
        names = tracked_files(root)
        self._list = tempfile.NamedTemporaryFile(  # noqa: SIM115  # until the sdist is written
            "w", encoding="utf-8", newline="\n"
        )
        self._list.write("".join(f"{name}\n" for name in names))
        self._list.flush()
        build_data["force_include"] |= {str(root / name): name for name in names}
        build_data["force_include"][self._list.name] = SOURCES

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the list."""
        del version, build_data, artifact_path
        self._list.close()
