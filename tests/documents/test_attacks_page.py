"""docs/attacks.md, which `make attacks` writes, shows every attack, and what holds."""

import ast
import json
import re

import pytest

from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "attacks.md").read_text(encoding="utf-8")
FIGURES = json.loads((ROOT / "tests" / "attacks" / "figures.json").read_text(encoding="utf-8"))
TESTS = {
    node.name
    for path in (ROOT / "tests" / "attacks").glob("test_*.py")
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_")
}


@pytest.mark.parametrize("version", FIGURES)
def test_the_figures_are_of_tests_that_exist(version: str) -> None:
    """Each of them, before and after."""
    tests = {name.partition("[")[0] for found in FIGURES[version].values() for name in found}
    assert tests <= TESTS
    assert f"## Python {version}\n" in PAGE


def test_each_row_is_of_a_test() -> None:
    """The page was made after the last test was renamed."""
    rows = re.findall(r"^\| \*\*([^:*]+)[:*]", PAGE, re.MULTILINE)
    assert rows
    assert {f"test_{row.replace(' ', '_')}" for row in rows} <= TESTS
