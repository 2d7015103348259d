"""`make attacks`: the tests in tests/attacks, one after the other, and how the exporter fared.

Run on the oldest and the newest Python of this machine, with the bounds of docs/attacks.md, whose
table it writes. With BEFORE=COMMIT, another version is attacked instead, to compare with: what it
does is only measured.
"""

import argparse
import ast
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from compat import UV, VERSIONS, interpreter

ROOT: Final = Path(__file__).resolve().parents[1]
PLACE: Final = ROOT / ".venv-attacks"
FIGURES: Final = ROOT / "tests" / "attacks" / "figures.json"
PAGE: Final = ROOT / "docs" / "attacks.md"
MARKS: Final = ("<!-- make attacks -->\n", "<!-- end -->\n")
COLUMNS: Final = {
    "memory": "MiB over rest",
    "scrape": "scrape, s",
    "health": "health, s",
    "stop": "SIGTERM, s",
    "failed_polls": "failed polls",
}

Figures = dict[str, dict[str, dict[str, dict[str, Any]]]]
"""By Python, `before` or `after`, and test."""


def run(*command: str | Path, **environ: str) -> int:
    """Run a program in the project's folder. Returns its exit status."""
    words = [str(word) for word in command]
    return subprocess.run(words, check=False, cwd=ROOT, env=os.environ | environ).returncode  # noqa: S603


def environment(name: str, python: str, locked: Path, *project: str | Path) -> Path:
    """The programs of an environment with what a lock file names, and a project."""
    place = PLACE / name
    own = place / "bin" / "python"
    for step in (
        (UV, "venv", "--quiet", "--clear", "--python", python, place),
        (UV, "pip", "sync", "--quiet", "--python", own, locked),
        (UV, "pip", "install", "--quiet", "--python", own, "--no-deps", *project),
    ):
        if run(*step):
            sys.exit(f"{name}: no environment can be made")
    return place / "bin"


def measured(version: str, python: str, before: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The status of the tests, and the figures by test."""
    programs = environment(version, python, ROOT / "requirements-dev.lock", "--editable", ".")
    environ = {}
    with tempfile.TemporaryDirectory() as folder:
        if before:
            source = Path(folder, "source")
            run("git", "worktree", "add", "--quiet", "--detach", source, before)
            made = environment(f"{version}-before", python, source / "requirements.lock", source)
            run("git", "worktree", "remove", "--force", source)
            environ["ATTACKED"] = str(made / "agent-rest-exporter")
        found = Path(folder, "figures")
        found.mkdir()
        status = run(
            *(programs / "python", "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider"),
            "tests/attacks",
            ATTACKS=str(found),
            **environ,
        )
        return status, {
            path.stem: json.loads(path.read_text("utf-8")) for path in sorted(found.iterdir())
        }


def attacks() -> Iterator[tuple[str, str]]:
    """Each test's name, and what it says of itself."""
    for path in sorted((ROOT / "tests" / "attacks").glob("test_*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield node.name, (ast.get_docstring(node) or "").partition("\n")[0]


def cell(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, column: str) -> str:
    """Both figures."""
    return " → ".join(shown(each, column) for each in (before, after))


def shown(figures: Mapping[str, Any] | None, column: str) -> str:
    """One figure: a dash if it was not measured, `∞` if it took more than ten seconds."""
    value = None if figures is None else figures[column]
    if value is None:
        return "-"
    if value == math.inf:
        return "∞"
    return f"{value:.1f}" if column in {"scrape", "health", "stop"} else f"{value:.0f}"


def page(figures: Figures) -> str:
    """The tables, one for each Python."""
    said = dict(attacks())
    text = ""
    for version, found in sorted(figures.items()):
        before, after = found.get("before", {}), found.get("after", {})
        text += f"## Python {version}\n\n| attack | {' | '.join(COLUMNS.values())} |\n"
        text += f"|---{'|---' * len(COLUMNS)}|\n"
        for test in sorted(before.keys() | after.keys()):
            name, _, parameter = test.removesuffix("]").partition("[")
            label = name.removeprefix("test_").replace("_", " ")
            label = f"**{label}{': ' * bool(parameter)}{parameter}**. {said.get(name, '')}"
            cells = [cell(before.get(test), after.get(test), column) for column in COLUMNS]
            text += f"| {label} | {' | '.join(cells)} |\n"
        text += "\n"
    return text


def main() -> int:
    """Attack, write the page and the figures; the exit status is 1 if a test failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--before", default="", help="a commit to attack instead")
    parser.add_argument("--python", action="append", help="3.12 instead of the oldest and newest")
    parser.add_argument("--page", action="store_true", help="only write the page again")
    options = parser.parse_args()
    figures: Figures = json.loads(FIGURES.read_text("utf-8")) if FIGURES.exists() else {}
    present = {version: found for version in VERSIONS if (found := interpreter(version))}
    chosen = options.python or sorted({min(present), max(present)})
    status = 0
    for version in [] if options.page else chosen:
        failed, fared = measured(version, present[version], options.before)
        status |= failed and not options.before
        figures.setdefault(version, {})["before" if options.before else "after"] = fared
    FIGURES.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n", "utf-8")
    head, _, rest = PAGE.read_text("utf-8").partition(MARKS[0])
    tables = page(figures)
    PAGE.write_text(
        head + MARKS[0] + "\n" + tables + MARKS[1] + rest.partition(MARKS[1])[2], "utf-8"
    )
    sys.stdout.write(tables)
    return status


if __name__ == "__main__":
    sys.exit(main())
