"""docs/reliability.md: every bound has a test that exists, and every attack is in it."""

import ast
import re

import pytest

from exporter.web.listening.clients import Refusal
from tests.support.paths import ROOT

TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[a-z_/]+\.py)::(\w+)`", TEXT)))


def names_in(path: str) -> set[str]:
    """The names of a module's tests."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        node.name
        for node in tree.body
        if isinstance(node, functions) and node.name.startswith("test_")
    }


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_each_test_exists(path: str, name: str) -> None:
    """A bound without its test is only a wish."""
    assert name in names_in(path)


def test_every_row_names_one() -> None:
    """Of the tables of bounds: the last column."""
    rows = [line for line in TEXT.partition("## Measured")[0].splitlines() if line[:1] == "|"]
    bounds = [row for row in rows if not row.startswith(("|--", "| what "))]
    assert len(bounds) > 20
    assert [row for row in bounds if "`tests/" not in row.rpartition(" | ")[2]] == []


def test_every_attack_is_there() -> None:
    """An attack that is tested has a bound to show."""
    attacks = {
        (str(path.relative_to(ROOT)), name)
        for path in (ROOT / "tests" / "attacks").glob("test_*.py")
        for name in names_in(str(path.relative_to(ROOT)))
    }
    assert attacks <= set(NAMED)


def test_every_reason_is_explained() -> None:
    """The values of the metric's label."""
    assert [reason for reason in Refusal if f"`{reason}`" not in TEXT] == []
