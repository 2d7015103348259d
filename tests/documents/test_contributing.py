"""CONTRIBUTING.md leads newcomers to files and rooms that exist."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CODES = set(re.findall(r"`([^`\n]+)`", PAGE))
# `POST /-/reload` is no file
PATHS = sorted(code for code in CODES if re.fullmatch(r"[\w.][\w./-]*/[\w./-]*", code))
ROOMS_HEADER = "| room | what is in it | may import |"
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def architecture(name: str) -> Any:
    """The value of a constant in tests/test_architecture.py."""
    tree = ast.parse((ROOT / "tests" / "test_architecture.py").read_text(encoding="utf-8"))
    values = {
        ast.unparse(target): node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    }
    return ast.literal_eval(values[name])


def rows(header: str) -> list[list[str]]:
    """The rows of the table with this header, cell by cell."""
    _, _, rest = PAGE.partition(f"\n{header}\n")
    assert rest, f"CONTRIBUTING.md has no table {header}"
    lines = rest.split("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def codes(cell: str) -> list[str]:
    """Everything in a cell that is written as code."""
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize("path", PATHS)
def test_every_file_it_names_exists(path: str) -> None:
    """A path is relative to the top of the repository; a folder's ends with a slash."""
    found = ROOT / path
    assert found.is_dir() if path.endswith("/") else found.is_file()


def test_it_names_every_room_and_what_it_may_import() -> None:
    """The table is that of the test that enforces it; `cli` is the only room above them all."""
    rooms, top = architecture("ROOMS"), architecture("TOP")
    table = {codes(room)[0]: imports for room, _, imports in rows(ROOMS_HEADER)}
    assert table.pop(top) == "everything"
    assert table.keys() == rooms.keys()
    for room, imports in table.items():
        assert set(codes(imports)) == rooms[room], room
        assert (imports == "nothing") == (not rooms[room]), room


def test_the_drawing_has_every_room() -> None:
    """In the indented block under the heading of the rooms."""
    _, _, rest = PAGE.partition("\n## The rooms\n")
    drawing, _, _ = rest.partition(ROOMS_HEADER)
    drawn = set(re.findall(r"[a-z]+", " ".join(re.findall(r"^ {4}.*$", drawing, re.MULTILINE))))
    rooms = architecture("ROOMS")
    assert {*rooms, architecture("TOP")} <= drawn


def test_it_names_every_module_of_the_ground() -> None:
    """They are the vocabulary of all rooms, so a newcomer should meet each of them here."""
    ground = architecture("GROUND")
    assert {f"exporter/{name}.py" for name in ground if name != "exporter"} <= CODES


def test_every_target_of_make_exists() -> None:
    """In the text, in tables and in the commands at the top."""
    named = set(re.findall(r"\bmake ([a-z-]+)\b", "\n".join(CODES)))
    named |= set(re.findall(r"^ {4}make ([a-z-]+)\b", PAGE, re.MULTILINE))
    assert named >= {"test", "unit", "format", "demo", "schema", "dashboards", "lock"}
    assert [name for name in sorted(named) if f"\n{name}:" not in MAKEFILE] == []


def test_every_row_says_which_test_fails() -> None:
    """A recipe whose last step nothing checks would be left unfinished."""
    recipes = rows("| to add | edit | these tests fail until it is complete |")
    assert len(recipes) >= 7
    for subject, edits, tests in recipes:
        assert codes(edits), subject
        assert all(Path(test).name.startswith("test_") for test in codes(tests)), subject
        assert codes(tests), subject
