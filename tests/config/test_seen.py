"""Files that were read, and whether they have changed: in content, whatever their times say."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config.files import Seen, UnreadableError, read_file
from exporter.config.load import load
from exporter.config.problems import ConfigError
from exporter.config.reader import Reader
from tests.support.links import swapped
from tests.support.opened_files import noting_opened_files
from tests.support.paths import FIXTURES


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
    seen = load(folder / "config.yaml", {}).seen
    deed(folder)
    assert seen.look() == seen


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
    seen = load(folder / "config.yaml", {}).seen
    deed(folder)
    changed = seen.look()
    assert changed != seen
    assert seen.look() == changed, "what is there stays the same until it changes again"


def test_a_swap_back_is_as_before(folder: Path) -> None:
    """A look is of what is there, and has no memory."""
    seen = load(folder / "config.yaml", {}).seen
    swapped(folder / "..data", "..2")
    swapped(folder / "..data", "..1")
    assert seen.look() == seen


def test_a_new_target_file_is_looked_into(folder: Path) -> None:
    """While it is being written, each look finds something new."""
    seen = load(folder / "config.yaml", {}).seen
    new = folder / "targets" / "b.yaml"
    new.write_text("[]", encoding="utf-8")
    half = seen.look()
    new.write_text("[{ccId: 1, vdn: 9}]", encoding="utf-8")
    assert seen.look() not in (seen, half)


def test_a_folder_with_wildcards_in_its_name(tmp_path: Path) -> None:
    """Only what the configuration says is a pattern."""
    (tmp_path / "[a]").mkdir()
    config = tmp_path / "[a]" / "config.yaml"
    config.write_text("cms: [{url: 'http://lima', target_files: ['*.targets']}]", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(config, {})
    (tmp_path / "[a]" / "a.targets").write_text("[{ccId: 1, vdn: 1}]", encoding="utf-8")
    assert caught.value.seen.look() != caught.value.seen
    assert len(load(config, {}).targets) == 1


def test_a_refused_configuration_says_what_was_read(folder: Path) -> None:
    """Files that are missing, too: what mends it is worth another try."""
    (folder / "sk").unlink()
    with pytest.raises(ConfigError) as caught:
        load(folder / "config.yaml", {})
    seen = caught.value.seen
    assert seen.files[folder / "sk"] == "no such file"
    assert seen.look() == seen
    (folder / "sk").write_text("SK", encoding="utf-8")
    assert seen.look() != seen


def test_nothing_read_is_a_state_too() -> None:
    """A configuration that comes from no file never changes."""
    assert Seen().look() == Seen()


def test_digests_are_not_shown(folder: Path) -> None:
    """Whoever sees the digest of a weak secret could guess it."""
    seen = load(folder / "config.yaml", {}).seen
    assert seen.files[folder / "sk"] not in repr(seen)


Contents = dict[str, bytes | None]
CONTENTS = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.none() | st.sampled_from([b"", b"no such file"]) | st.binary(max_size=9),
)


@given(one=CONTENTS, other=CONTENTS)
@settings(deadline=None)
def test_different_contents_differ(
    tmp_path_factory: pytest.TempPathFactory, one: Contents, other: Contents
) -> None:
    """Two looks are equal if the contents are; a missing file is equal to no content."""
    folder = tmp_path_factory.mktemp("files")
    paths = [folder / name for name in "abc"]

    def look(contents: Contents) -> Seen:
        for path in paths:
            path.unlink(missing_ok=True)
            content = contents.get(path.name)
            if content is not None:
                path.write_bytes(content)
        return Seen(dict.fromkeys(paths, "")).look()

    equal = all(one.get(name) == other.get(name) for name in "abc")
    assert (look(one) == look(other)) == equal


def test_every_file_is_read_once(folder: Path) -> None:
    """Also one that is named several times, by several servers."""
    (folder / "config.yaml").unlink()
    (folder / "ca.pem").write_bytes(trustme.CA().cert_pem.bytes())
    block = (
        "{{name: {}, url: 'https://{}', tls: {{ca_file: ca.pem}}, target_files: ['targets/*.yaml'],"
        " auth: {{access_key: AK, secret_key_file: sk}}}}"
    )
    text = f"cms: [{block.format('a', 'a')}, {block.format('b', 'b')}]"
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    with noting_opened_files() as opened:
        config = load(folder / "config.yaml", {})
    assert sorted(opened) == ["a.yaml", "ca.pem", "config.yaml", "sk"]
    assert {path.name for path in config.seen.files} == set(opened)
    lima, other = config.servers
    assert lima.fingerprint == other.fingerprint != ""


ONCE = "a pipe or device can be read only once: write the content to a regular file"


@contextlib.contextmanager
def piped(folder: Path, content: bytes) -> Iterator[Path]:
    """A FIFO that somebody writes into, once."""
    path = folder / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=[content])
    writer.start()
    try:
        yield path
    finally:
        # whoever was not served must not wait for ever
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        writer.join()


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """Where that is enough, and however often it is asked for."""
    with piped(tmp_path, b"content") as path:
        reader = Reader(tmp_path / "config.yaml", {}, once=True)
        assert reader.read(path) == reader.read(path) == b"content"


def test_a_pipe_is_not_opened_where_it_would_be_read_again(tmp_path: Path) -> None:
    """A second reader would get nothing, or wait for ever; certificates are always read again."""
    os.mkfifo(tmp_path / "fifo")
    for read in (
        read_file,
        Reader(tmp_path / "config.yaml").read,
        partial(Reader(tmp_path / "config.yaml", once=True).read, once=False),
    ):
        with pytest.raises(UnreadableError) as caught:
            read(tmp_path / "fifo")
        assert str(caught.value) == ONCE
    seen = Seen({tmp_path / "fifo": ""}).look()
    assert seen.files == {tmp_path / "fifo": ONCE}


def test_a_configuration_from_a_pipe(tmp_path: Path) -> None:
    """It works where it is read once, and is refused with a remedy where it is watched."""
    text = (FIXTURES / "config/good/smallest.yaml").read_bytes()
    with piped(tmp_path, text) as path:
        assert len(load(path, {}).targets) == 1
    with pytest.raises(ConfigError) as caught:
        load(path, {}, once=False)
    assert str(caught.value) == f"{path}:1:1: cannot be read: {ONCE}"
