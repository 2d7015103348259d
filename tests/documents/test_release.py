"""What a release needs is there at any time: one version, words about it, pinned workflows."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import __version__
from tests.support.paths import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CHANGELOG = """# Changelog

## [Unreleased]

### Added

- A gadget.

## [0.2.0] - 2027-01-31

- A thing.

## [0.1.0]

- No date.

## [0.0.1] - 2026-01-01
"""


@pytest.fixture(scope="module")
def script() -> Any:
    """`.ci/release_check.py`, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("script", ROOT / ".ci" / "release_check.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_version_is_the_same_everywhere(script: Any, tmp_path: Path) -> None:
    """In the package, the chart, the changelog and the upgrade notes; this is a rehearsal."""
    script.OUT = tmp_path
    assert script.version() == __version__
    assert script.check_words(None).startswith(f"{__version__} in ")
    assert (tmp_path / "NOTES.md").read_text(encoding="utf-8").strip()


def test_a_tag_must_be_the_version(script: Any, tmp_path: Path) -> None:
    """A tag is never moved, so the mistake has to be found before anything is built."""
    script.OUT = tmp_path
    with pytest.raises(script.ReleaseError) as caught:
        script.check_words("v9.9.9")
    assert str(caught.value) == (
        f"the tag is v9.9.9, and the version is {__version__}: tag v{__version__}"
    )


def test_the_notes_are_the_changelogs_section(script: Any) -> None:
    """A rehearsal takes what is unreleased only if the version has no section yet."""
    assert script.notes(CHANGELOG, "0.2.0", rehearsal=False) == "- A thing.\n"
    assert script.notes(CHANGELOG, "0.2.0", rehearsal=True) == "- A thing.\n"
    assert script.notes(CHANGELOG, "0.3.0", rehearsal=True) == "### Added\n\n- A gadget.\n"


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("0.3.0", "CHANGELOG.md: nothing under ## [0.3.0]; say what users will notice"),
        ("0.0.1", "CHANGELOG.md: nothing under ## [0.0.1]; say what users will notice"),
        ("0.1.0", "CHANGELOG.md: write the date: ## [0.1.0] - YYYY-MM-DD"),
    ],
)
def test_a_release_without_words_is_refused(script: Any, version: str, message: str) -> None:
    """No section, an empty one, and one without a date."""
    with pytest.raises(script.ReleaseError) as caught:
        script.notes(CHANGELOG, version, rehearsal=False)
    assert str(caught.value) == message


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_pin_actions_and_start_without_rights(workflow: Path) -> None:
    """A digest cannot be moved as a tag can; each job names the rights that it needs."""
    text = workflow.read_text(encoding="utf-8")
    uses = re.findall(r"uses: (.+)", text)
    assert uses
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)+", use) for use in uses)
    assert "secrets." not in text
    document = yaml.safe_load(text)
    assert document["permissions"] == {}
    assert all(job["permissions"] and job["timeout-minutes"] for job in document["jobs"].values())


def test_one_digest_for_each_version_of_an_action() -> None:
    """Two digests behind one version would mean that one of them is wrong."""
    digests: dict[str, set[str]] = {}
    for workflow in WORKFLOWS:
        for action, digest, version in re.findall(
            r"uses: ([\w./-]+)@(\w+) # (\S+)", workflow.read_text(encoding="utf-8")
        ):
            digests.setdefault(json.dumps([action, version]), set()).add(digest)
    assert digests
    assert all(len(found) == 1 for found in digests.values())


def test_the_page_names_every_check_and_all_that_a_release_has(script: Any) -> None:
    """docs/releasing.md, compared with the script."""
    page = (ROOT / "docs" / "releasing.md").read_text(encoding="utf-8")
    _, _, table = page.partition("| check | |\n|---|---|\n")
    listed = re.findall(r"^\| ([\w, ]+) \|", table.partition("\n\n")[0], re.MULTILINE)
    assert [name for cell in listed for name in cell.split(", ")] == [*script.checks(None, None)]
