"""Names of target files: which characters are wildcards, and which files are one and the same."""

import json
from pathlib import Path

import pytest

from exporter.config import ConfigError, load


def vdns(folder: Path, *patterns: str) -> list[int]:
    """The VDNs of a configuration with these target files, in order."""
    path = folder / "config.yaml"
    path.write_text(f"cms: [{{url: 'https://lima', target_files: {json.dumps(patterns)}}}]\n")
    return [target.key.vdn for target in load(path, {}).targets]


def listing(path: Path, vdn: int) -> None:
    """A target file with one VDN."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"- {{ccId: 1, vdn: {vdn}}}\n")


def test_brackets_and_question_marks_are_themselves(tmp_path: Path) -> None:
    """In names and in folders; only * and ** are wildcards."""
    folder = tmp_path / "site [lima]?"
    listing(folder / "t[1].yaml", 1)
    listing(folder / "t1.yaml", 2)
    listing(folder / "what?" / "a.yaml", 3)
    listing(folder / "whats" / "a.yaml", 4)

    assert vdns(folder, "t[1].yaml") == [1]
    assert vdns(folder, "what?/*.yaml") == [3]
    assert vdns(folder, str(folder / "t*.yaml")) == [2, 1]
    with pytest.raises(ConfigError):
        vdns(folder, "t?.yaml")


def test_one_file_is_one_however_it_is_spelled(tmp_path: Path) -> None:
    """Relative, absolute, by a detour, through a link, and through a loop of links."""
    listing(tmp_path / "targets" / "a.yaml", 1)
    (tmp_path / "targets" / "loop").symlink_to(tmp_path / "targets")
    (tmp_path / "link.yaml").symlink_to("targets/a.yaml")

    names = ["targets/a.yaml", str(tmp_path / "targets" / "a.yaml"), "./targets/../targets/a.yaml"]
    assert vdns(tmp_path, *names, "link.yaml", "targets/*.yaml") == [1]
    assert vdns(tmp_path, "targets/**/*.yaml") == [1]


@pytest.mark.parametrize("name", ["café \U0001f600", 'a "quote" and \\ud83d\\ude00 as it is'])
def test_json_is_read_as_every_program_writes_it(tmp_path: Path, name: str) -> None:
    """With two escapes for a character beyond U+FFFF."""
    entries = [{"ccId": 1, "vdn": 1, "name": name, "labels": {"a": name}}]
    (tmp_path / "targets.json").write_text(json.dumps(entries))
    path = tmp_path / "config.yaml"
    path.write_text("cms: [{url: 'https://lima', target_files: [targets.json]}]\n")

    [target] = load(path, {}).targets

    assert target.name == name
    assert dict(target.labels) == {"a": name}
