"""The sdist: what git tracks, and nothing that lies around in a checkout."""

import runpy
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.paths import ROOT

TRACKED: Callable[[Path], list[str]] = runpy.run_path(str(ROOT / "hatch_build.py"))["tracked_files"]
CANARY = b"canary-" + b"5b1f"  # in parts: this file itself is in the sdist
# Places where people keep what is theirs; some are ignored by git, some are not.
PRIVATE = [
    ".env",
    "config.yaml",
    "deploy/compose/.env",
    "deploy/compose/exporter/config.yaml",
    "deploy/compose/exporter/secrets/lima-sk",
    "deploy/compose/secrets/grafana-admin-password",
    "deploy/kubernetes/secret.yaml",
    "docs/notes.txt",
    "exporter/left_over.py",
    "exporter/web/templates/old.html",
    "secrets/lima-sk",
    "tests/support/my.log",
]


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder, without the settings of this machine."""
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", folder, *arguments],
        capture_output=True,
        check=True,
    )


def plant(folder: Path) -> None:
    """Put a private file into every place."""
    for name in PRIVATE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(CANARY)


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build the sdist of a folder into its dist/, as `python -m build` does."""
    return subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist"],
        capture_output=True,
        check=False,
        cwd=folder,
        text=True,
    )


def built(folder: Path) -> Path:
    """The sdist of a folder, with private files all over it."""
    plant(folder)
    done = build(folder)
    assert done.returncode == 0, done.stderr
    [sdist] = (folder / "dist").glob("*.tar.gz")
    return sdist


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git checkout of this project's files."""
    target = tmp_path_factory.mktemp("sdist") / "checkout"
    for name in TRACKED(ROOT):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target / name, follow_symlinks=False)
    git(target, "init", "--quiet")
    git(target, "add", "--all", "--force")
    return target


@pytest.fixture(scope="module")
def sdist(checkout: Path) -> Path:
    """The sdist of the checkout."""
    return built(checkout)


def test_private_files_stay_out(sdist: Path) -> None:
    """In whatever place they are, and whether or not git ignores them."""
    with tarfile.open(sdist) as archive:
        members = {member.name.partition("/")[2]: member for member in archive}
        contents = [
            file.read() for member in members.values() if (file := archive.extractfile(member))
        ]
    assert len(contents) == len(members) > 400
    assert not any(CANARY in content for content in contents)
    assert set(members) == {*TRACKED(ROOT), "PKG-INFO", "SOURCES.txt"}


def test_everything_for_the_tests_is_there(sdist: Path) -> None:
    """`make test` needs more than the package: scripts that can be run, benchmarks, lock files."""
    with tarfile.open(sdist) as archive:
        modes = {member.name.partition("/")[2]: member.mode for member in archive if member.isreg()}
    assert modes.keys() >= {
        ".ci/run",
        "Makefile",
        "benchmarks/__main__.py",
        "deploy/compose/compose.yaml",
        "docs/install.md",
        "hatch_build.py",
        "requirements-dev.lock",
        "tests/conftest.py",
    }
    assert {name for name, mode in modes.items() if mode & 0o111} == {
        name
        for name in TRACKED(ROOT)
        if (ROOT / name).stat().st_mode & 0o100 and not (ROOT / name).is_symlink()
    }


def test_an_unpacked_sdist_makes_the_same_sdist(sdist: Path, tmp_path: Path) -> None:
    """Byte for byte, without git, and with private files in it."""
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    [folder] = tmp_path.iterdir()
    assert not (folder / ".git").exists()
    assert built(folder).read_bytes() == sdist.read_bytes()


def test_a_folder_that_cannot_tell_is_refused(tmp_path: Path) -> None:
    """A copy without .git might contain anything."""
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "exporter"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    done = build(tmp_path)
    assert done.returncode != 0
    assert (
        f"{tmp_path} is neither a git checkout nor an unpacked sdist (there is no SOURCES.txt): "
        "only these tell which files belong to the project"
    ) in done.stderr


def test_git_that_fails_is_named(tmp_path: Path) -> None:
    """With git's own reason."""
    (tmp_path / ".git").write_text("gitdir: nowhere\n", encoding="utf-8")
    with pytest.raises(RuntimeError) as caught:
        TRACKED(tmp_path)
    assert str(caught.value).startswith(
        f"git ls-files failed in {tmp_path}, and only git knows which files belong to the "
        "project: fatal: not a git repository"
    )


def test_links_and_deleted_files(tmp_path: Path) -> None:
    """A linked directory brings its tracked files; a deleted file is not missed."""
    (tmp_path / "rules").mkdir()
    for name in ("rules/a.yaml", "rules/b.yaml", "gone"):
        (tmp_path / name).write_text("", encoding="utf-8")
    (tmp_path / "chart").mkdir()
    (tmp_path / "chart/rules").symlink_to("../rules")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    (tmp_path / "rules/stray").write_text("", encoding="utf-8")
    (tmp_path / "gone").unlink()
    assert TRACKED(tmp_path) == [
        "chart/rules/a.yaml",
        "chart/rules/b.yaml",
        "rules/a.yaml",
        "rules/b.yaml",
    ]
