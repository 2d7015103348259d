"""target_files: which files are meant, each of them once, and JSON as other programs write it."""

import json
import re
from collections.abc import Mapping
from glob import glob
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config.files import Pattern
from exporter.config.load import Config, load
from exporter.config.problems import ConfigError
from exporter.config.yaml_document import Place, parse


def configure(folder: Path, *patterns: str, files: Mapping[str, int]) -> Config:
    """Load a configuration that names target files; each holds one VDN."""
    for name, vdn in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"[{{ccId: 1, vdn: {vdn}}}]", encoding="utf-8")
    block = {"url": "https://lima", "target_files": patterns}
    path = folder / "config.json"
    path.write_text(json.dumps({"cms": [block]}), encoding="utf-8")
    return load(path, {})


def vdns(config: Config) -> list[int]:
    """The VDNs that were found, in order."""
    assert config.seen.look() == config.seen, "nothing has changed since"
    return [target.key.vdn for target in config.targets]


@pytest.mark.parametrize("name", ["[a].yaml", "a?.yaml", "a].yaml", "[!a].yaml", "[a-z]/b.yaml"])
def test_other_characters_than_stars_are_themselves(tmp_path: Path, name: str) -> None:
    """In a name, and beside a star; what they would match by a shell's rules is another file."""
    files = {name: 1, "a.yaml": 2, "ab.yaml": 3, "b.yaml": 4, "a/b.yaml": 5}
    assert vdns(configure(tmp_path, name, files=files)) == [1]
    assert vdns(configure(tmp_path, name.replace(".yaml", "*"), files=files)) == [1]


@pytest.mark.parametrize("folder", ["[a]", "a?b", "*", "{a}"])
def test_a_folder_of_any_name(tmp_path: Path, folder: str) -> None:
    """The folder of the configuration is no pattern; nor is one that is named."""
    inner = tmp_path / folder
    inner.mkdir()
    assert vdns(configure(inner, "*.yaml", files={"a.yaml": 1})) == [1]
    assert vdns(configure(inner, f"{tmp_path}/*/*.yaml", files={})) == [1]


def test_only_files_are_meant(tmp_path: Path) -> None:
    """A star passes by folders, and by names that start with a dot, as in a shell."""
    files = {"t/a.yaml": 1, "t/b/c.yaml": 2, "t/.hidden.yaml": 3, "t/.d/e.yaml": 4}
    assert vdns(configure(tmp_path, "t/*", files=files)) == [1]
    assert vdns(configure(tmp_path, "t/**", files=files)) == [1, 2]
    assert vdns(configure(tmp_path, "**/*.yaml", files=files)) == [1, 2]
    assert vdns(configure(tmp_path, "t/**/c.yaml", files=files)) == [2]
    assert vdns(configure(tmp_path, "t/.*", files=files)) == [3]
    assert vdns(configure(tmp_path, "t/.d/*", "none/*.yaml", files=files)) == [4]


def test_a_file_is_one_however_it_is_spelled(tmp_path: Path) -> None:
    """Relative, absolute, through a link, or by a pattern: each VDN once."""
    (tmp_path / "t").mkdir()
    (tmp_path / "link").symlink_to("t")
    (tmp_path / "t" / "b.yaml").symlink_to("a.yaml")
    spellings = ("t/a.yaml", "./t/a.yaml", "t/../t//a.yaml", f"{tmp_path}/t/a.yaml", "link/*")
    assert vdns(configure(tmp_path, *spellings, "t/*", files={"t/a.yaml": 1})) == [1]


def test_a_further_name_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    """Every name is watched, also those that led to a file that was read already."""
    (tmp_path / "b.yaml").symlink_to("a.yaml")
    seen = configure(tmp_path, "a.yaml", "b.yaml", files={"a.yaml": 1}).seen
    (tmp_path / "b.yaml").unlink()
    (tmp_path / "b.yaml").write_text("[{ccId: 1, vdn: 2}]", encoding="utf-8")
    assert seen.look() != seen
    assert vdns(load(tmp_path / "config.json", {})) == [1, 2]


def test_a_further_name_of_a_missing_file(tmp_path: Path) -> None:
    """It is reported once, and followed under both names."""
    with pytest.raises(ConfigError) as caught:
        configure(tmp_path, "none.yaml", "./none.yaml", "no\0ne", files={})
    assert [problem.message.removeprefix(str(tmp_path)) for problem in caught.value.problems] == [
        "/none.yaml cannot be read: no such file",
        r"/no\x00ne cannot be read: not a valid file name",
    ]
    assert caught.value.seen.look() == caught.value.seen


def test_links_that_lead_in_circles(tmp_path: Path) -> None:
    """Each folder is looked into once: two loops would otherwise lead to 2⁴⁰ names."""
    (tmp_path / "t" / "u").mkdir(parents=True)
    for name in ("t/one", "t/two", "t/u/up"):
        (tmp_path / name).symlink_to(tmp_path / "t")
    (tmp_path / "t" / "self").symlink_to("self")
    files = {"t/a.yaml": 1, "t/u/b.yaml": 2}
    assert vdns(configure(tmp_path, "**/*.yaml", files=files)) == [1, 2]
    assert vdns(configure(tmp_path, "t/**/b.yaml", "t/*/*/*.yaml", files=files)) == [2, 1]


NAMES = st.text("ab[]?!-.", min_size=1, max_size=4).filter(lambda name: name.strip("."))
PARTS = st.text("ab[]?!-.*", min_size=1, max_size=4).filter(lambda name: name.strip("."))


@settings(deadline=None)  # files are written, on a machine that may be busy
@given(
    st.lists(st.lists(NAMES, min_size=1, max_size=3).map("/".join), max_size=6),
    st.lists(PARTS | st.just("**"), min_size=1, max_size=3).map("/".join),
)
def test_stars_mean_what_they_mean_elsewhere(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], text: str
) -> None:
    """Python's own glob finds the same files, once every other special character is escaped."""
    folder = tmp_path_factory.mktemp("pattern")
    for name in names:
        try:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        except OSError:  # a file is where a folder would be
            continue
    escaped = re.sub(r"[\[?]", r"[\g<0>]", text)
    found = glob(escaped, root_dir=folder, recursive=True)  # noqa: PTH207  # the oracle
    files = {name for name in found if (folder / name).is_file() and not name.endswith("/")}
    assert Pattern(folder, text).matches() == sorted(files)
    whole = Pattern(folder, f"{folder}/{text}").matches()
    assert whole == sorted(f"{folder}/{name}" for name in files)


# what YAML takes for a line break, or refuses, has to be escaped
LETTERS = st.characters(
    codec="utf-8", exclude_categories=["Cc", "Cn", "Zl", "Zp"], exclude_characters="\ufeff"
)


@given(st.text(LETTERS, max_size=8), st.booleans())
def test_json_as_any_program_writes_it(text: str, ascii_only: bool) -> None:  # noqa: FBT001
    """Characters beyond U+FFFF as two escapes, or as they are."""
    data = [{"name": text, "vdn": [1, {"b": text, f"c{text}": 2}]}]
    assert parse("a.json", json.dumps(data, ensure_ascii=ascii_only)).data == data


def test_a_problem_behind_a_pair_has_its_place(tmp_path: Path) -> None:
    """Columns are those of the file, whatever is read in place of the escapes."""
    (tmp_path / "a.json").write_text(
        json.dumps([{"ccId": 1, "name": "\U0001f600\U0001f601", "vdn": 1, "vdm": 2}]) + "\n",
        encoding="ascii",
    )
    with pytest.raises(ConfigError) as caught:
        configure(tmp_path, "a.json", files={})
    (problem,) = caught.value.problems
    line = (tmp_path / "a.json").read_text(encoding="ascii")
    assert (problem.line, problem.column) == (1, line.index('"vdm"') + 1)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        (r'["\ud83d\ude00" 1]', 17, 'missing "," or "]" in a list'),
        (r'["\ud83d\ude00", {a: 1, a: 2}]', 25, "duplicate key (first used on line 1)"),
        (
            r'["\ud83d"]',
            5,
            r'half of a character: "\u" escapes from d800 to dfff come in pairs',
        ),
    ],
)
def test_what_is_wrong_behind_a_pair(text: str, column: int, message: str) -> None:
    """The parser's own complaints too."""
    try:
        document = parse("a.json", text)
        Place(document).problem("")
        problems = document.problems
    except ConfigError as error:
        problems = error.problems
    assert [(problem.column, problem.message) for problem in problems] == [(column, message)]


def test_what_only_looks_like_a_pair() -> None:
    """Without double quotes it is text; after a backslash that is escaped, too."""
    assert parse("a", r"'\ud83d\ude00'").data == r"\ud83d\ude00"
    assert parse("a", r"\ud83d\ude00").data == r"\ud83d\ude00"
    assert parse("a", r'["\\ud83d\\ude00", "\\\ud83d\ude00"]').data == [
        r"\ud83d\ude00",
        "\\\U0001f600",
    ]


def test_top_level_keys_for_anchors(tmp_path: Path) -> None:
    """Whatever is below them; a key like them elsewhere is unknown."""
    path = tmp_path / "config.yaml"
    path.write_text(
        "x-auth: &auth {access_key: AK, secret_key: SK}\n"
        "x-: [whatever, {it: is}]\n"
        "cms:\n"
        "  - {url: 'https://lima', auth: *auth, x-note: no, targets: [{ccId: 1, vdn: 1}]}\n"
        "y-auth: 1\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert [str(problem) for problem in caught.value.problems] == [
        f"{path}:4:40: cms[0].x-note: unknown key",
        f"{path}:5:1: y-auth: unknown key",
    ]
