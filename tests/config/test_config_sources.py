"""Whether what a configuration was read from has changed: in content, whatever the time says."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config import Sources, load
from tests.support.links import swapped


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration with a target file and a secret, mounted as Kubernetes mounts them."""
    for release, vdn in (("..1", 1), ("..2", 2)):
        (tmp_path / release / "targets").mkdir(parents=True)
        (tmp_path / release / "sk").write_text("SK", encoding="utf-8")
        (tmp_path / release / "config.yaml").write_text(
            "cms: [{url: 'http://lima', auth: {access_key: AK, secret_key_file: sk},"
            " target_files: ['targets/*.yaml']}]\n",
            encoding="utf-8",
        )
        (tmp_path / release / "targets" / "a.yaml").write_text(
            f"[{{ccId: 1, vdn: {vdn}}}]\n", encoding="utf-8"
        )
    (tmp_path / "..data").symlink_to("..1")
    for name in ("config.yaml", "sk", "targets"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    return tmp_path


def touch(folder: Path) -> None:
    """Make a file younger."""
    os.utime(folder / "config.yaml", (2e9, 2e9))


def rewrite(folder: Path) -> None:
    """The same content in a new file."""
    content = (folder / "sk").read_bytes()
    (folder / "sk").unlink()
    (folder / "sk").write_bytes(content)


def same_elsewhere(folder: Path) -> None:
    """A file that no pattern fits."""
    (folder / "targets" / "b.yml").write_text("[{ccId: 1, vdn: 9}]", encoding="utf-8")


@pytest.mark.parametrize("deed", [touch, rewrite, same_elsewhere])
def test_what_is_no_change(folder: Path, deed: Callable[[Path], None]) -> None:
    """Neither times nor files of others."""
    sources = load(folder / "config.yaml", {}).sources
    before = sources.fingerprint()
    deed(folder)
    assert sources.fingerprint() == before


def edit(folder: Path) -> None:
    """Another configuration."""
    (folder / "config.yaml").write_text("cms: []", encoding="utf-8")


def rotate(folder: Path) -> None:
    """Another secret, as long and as old as the one before."""
    (folder / "sk").write_text("KS", encoding="utf-8")
    os.utime(folder / "sk", (1e9, 1e9))


def lose(folder: Path) -> None:
    """No secret any more."""
    (folder / "sk").unlink()


def lock(folder: Path) -> None:
    """A folder where the secret was: it cannot be read."""
    (folder / "sk").unlink()
    (folder / "sk").mkdir()


def add(folder: Path) -> None:
    """A further target file, whose name is no UTF-8 and which fits the pattern."""
    Path(os.fsdecode(os.fsencode(folder / "targets") + b"/\xff.yaml")).write_bytes(b"[]")


def swap(folder: Path) -> None:
    """The whole mount at once."""
    swapped(folder / "..data", "..2")


@pytest.mark.parametrize("deed", [edit, rotate, lose, lock, add, swap])
def test_what_is_a_change(folder: Path, deed: Callable[[Path], None]) -> None:
    """Every content counts, and what can no longer be read."""
    sources = load(folder / "config.yaml", {}).sources
    before = sources.fingerprint()
    deed(folder)
    assert sources.fingerprint() != before


def test_a_swap_back_is_as_before(folder: Path) -> None:
    """The fingerprint is of what is there, and has no memory."""
    sources = load(folder / "config.yaml", {}).sources
    before = sources.fingerprint()
    swapped(folder / "..data", "..2")
    swapped(folder / "..data", "..1")
    assert sources.fingerprint() == before


def test_nothing_read_is_a_state_too() -> None:
    """A configuration that comes from no file never changes."""
    assert Sources().fingerprint() == Sources().fingerprint()


Contents = dict[str, bytes | None]
CONTENTS = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.none()
    | st.sampled_from([b"", b"no such file", b"b\0no such file\0"])
    | st.binary(max_size=9),
)


@given(one=CONTENTS, other=CONTENTS)
@settings(deadline=None)
def test_different_contents_differ(
    tmp_path_factory: pytest.TempPathFactory, one: Contents, other: Contents
) -> None:
    """Equal fingerprints mean equal contents; a missing file is equal to no content."""
    folder = tmp_path_factory.mktemp("sources")
    sources = Sources(tuple(folder / name for name in "abc"))

    def fingerprint(contents: Contents) -> str:
        for name in "abc":
            (folder / name).unlink(missing_ok=True)
            content = contents.get(name)
            if content is not None:
                (folder / name).write_bytes(content)
        return sources.fingerprint()

    equal = all(one.get(name) == other.get(name) for name in "abc")
    assert (fingerprint(one) == fingerprint(other)) == equal
