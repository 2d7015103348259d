"""docs/dependencies.md, compared with pyproject.toml, the imports and the packages' own words."""

import ast
import re
import tomllib
from importlib.metadata import metadata, version

import pytest

from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("`"): cells
    for line in re.findall(r"^\| (`[a-z0-9-]+` \| .+) \|$", PAGE, re.MULTILINE)
    for cells in [line.split(" | ")]
}
LOCKED = dict(
    re.findall(
        r"^([a-z0-9-]+)==([^ ]+)",
        (ROOT / "requirements.lock").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
)
MODULES = {"prometheus-client": "prometheus_client", "pyyaml": "yaml"}
# What the packages' metadata say in other words than SPDX's; each read in the package's licence.
IN_THEIR_WORDS = {
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
}
# The whole licence instead of its name.
LICENCE_TEXTS = {"httpx-aiohttp": "BSD-3-Clause"}


def runtime_dependencies() -> list[str]:
    """Their names, as pyproject.toml lists them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [re.split(r"[^\w-]", line, maxsplit=1)[0] for line in project["dependencies"]]


def licences(name: str) -> set[str]:
    """What the package itself says, as SPDX's names."""
    about = metadata(name)
    if "License-Expression" in about:
        return set(re.split(r" AND | OR ", about["License-Expression"]))
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in about.get_all("Classifier") or []
        if line.startswith("License :: OSI Approved")
    ]
    found = {IN_THEIR_WORDS[line] for line in classifiers}
    if not found and about["License"] == "Apache-2.0":
        return {"Apache-2.0"}
    if not found and name in LICENCE_TEXTS:
        assert "Redistribution and use in source and binary forms" in about["License"]
        assert "Neither the name of the copyright holder" in about["License"]
        return {LICENCE_TEXTS[name]}
    return found


@pytest.fixture(scope="module")
def importers() -> dict[str, set[str]]:
    """The rooms of exporter/ that import each top-level module."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "exporter").rglob("*.py"):
        parts = path.relative_to(ROOT / "exporter").parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in names:
                room = parts[0] if len(parts) > 1 else "ground"
                found.setdefault(name.partition(".")[0], set()).add(room)
    return found


def test_every_runtime_dependency_is_listed() -> None:
    """And no other, in the order of pyproject.toml."""
    assert [*ROWS] == runtime_dependencies()


@pytest.mark.parametrize("name", ROWS)
def test_each_has_its_licence_place_and_reason(importers: dict[str, set[str]], name: str) -> None:
    """The licence that the installed package declares, and the rooms that import it."""
    _, licence, used_in, why, without = ROWS[name]
    if version(name) == LOCKED[name]:  # another version may name its licence in other words
        assert set(re.split(r" AND | OR ", licence)) == licences(name)
    assert (
        set(re.findall(r"`(\w+)`", used_in)) == importers[MODULES.get(name, name.replace("-", "_"))]
    )
    assert min(len(why), len(without)) > 30
