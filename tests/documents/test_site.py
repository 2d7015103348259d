"""The pages of the site: complete, with generated parts up to date, and with examples that work."""

import os
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import promql_parser
import pytest
import trustme
import yaml

from exporter.cli.commands import PROGRAM
from exporter.config.load import load
from tests.support.command_line import parsed
from tests.support.paths import ROOT
from tests.support.reference_pages import FOLDER, PAGES

DOCS = ROOT / "docs"
REPOSITORY = "https://github.com/agent-rest-exporter/agent-rest-exporter"
INDEXES = (DOCS / "index.md", DOCS / "runbooks" / "README.md")
ALL = sorted(DOCS.rglob("*.md"))
# runbooks have stricter tests of their own, in tests/deploy
GUIDES = [page for page in ALL if page.parent.name != "runbooks"]


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in a language, without their indentation."""
    found = re.findall(
        rf"^( *)```{language}\n(.*?)^ *```$",
        page.read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def examples(language: str) -> list[object]:
    """Every block of all guides in a language, as a parameter that names its page."""
    return [
        pytest.param(block, id=f"{page.relative_to(DOCS)}-{number}")
        for page in GUIDES
        for number, block in enumerate(blocks(page, language), 1)
    ]


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_up_to_date(name: str) -> None:
    """If this fails, run `make reference`."""
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name]()


def test_the_folder_holds_only_generated_pages() -> None:
    """A page that nothing generates would grow old there."""
    assert {path.name for path in FOLDER.iterdir()} == PAGES.keys()


def test_every_page_is_reached_from_an_index() -> None:
    """The navigation of the site is made of these links."""
    linked = {
        (index.parent / link).resolve()
        for index in INDEXES
        for link in re.findall(r"\]\(([^)\s#]+)", index.read_text(encoding="utf-8"))
    }
    assert sorted({*ALL} - linked) == [DOCS / "index.md"]


def test_the_readme_leads_to_the_site() -> None:
    """Its front page is where a reader of the repository begins."""
    assert "](docs/index.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def texts() -> Iterator[Path]:
    """Every text file of the project."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [
            name
            for name in folders
            if name in {".ci", ".github"} or not name.startswith((".", "__", "build", "dist"))
        ]
        for name in files:
            if not name.endswith((".png", ".lock", ".pyc")):
                yield Path(folder, name)


def test_addresses_in_the_own_repository_exist() -> None:
    """Alert rules, dashboards and units link to pages by their address on the forge."""
    named = {
        (file.relative_to(ROOT), path.rstrip("."))
        for file in texts()
        for path in re.findall(
            rf"{REPOSITORY}/(?:blob|tree)/main/([\w./-]+)",
            file.read_text(encoding="utf-8", errors="replace"),
        )
    }
    assert len(named) > 10
    assert not [(file, path) for file, path in sorted(named) if not (ROOT / path).exists()]


@pytest.mark.parametrize("block", examples("promql"))
def test_queries_are_promql(block: str) -> None:
    """In a guide each line is a whole query; in the reference each block is one."""
    try:
        promql_parser.parse(block)
    except ValueError:
        for line in block.splitlines():
            promql_parser.parse(line)


@pytest.mark.parametrize("block", examples("sh"))
def test_commands_of_the_exporter_exist(block: str) -> None:
    """With their flags and values."""
    for line in block.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words and words[0].rpartition("/")[2] == PROGRAM:
            parsed(words[1:])
        for command, target in pairwise(words):
            if command == "make":
                assert f"\n{target}:" in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("block", examples("yaml"))
def test_examples_in_yaml_are_valid(block: str, tmp_path: Path) -> None:
    """Each is YAML; a configuration is loaded, and the expressions of a rule are parsed."""
    document = yaml.safe_load(block)
    if isinstance(document, dict) and "cms" in document:
        for server in document["cms"]:
            for secret in (server.get("auth") or {}).values():
                if isinstance(secret, str) and secret.startswith("/run/credentials/"):
                    block = block.replace(secret, Path(secret).name)
        (tmp_path / "secrets").mkdir()
        for name in ("secrets/lima-sk", "secrets_lima-sk"):
            (tmp_path / name).write_text("sk\n", encoding="utf-8")
        trustme.CA().cert_pem.write_to_path(tmp_path / "lima-ca.pem")
        (tmp_path / "targets").mkdir()
        (tmp_path / "targets" / "floor.yaml").write_text("- {ccId: 9, vdn: 1}\n", encoding="utf-8")
        (tmp_path / "config.yaml").write_text(block, encoding="utf-8")
        assert load(tmp_path / "config.yaml", {}).targets
    if isinstance(document, dict) and "groups" in document:
        for group in document["groups"]:
            for rule in group["rules"]:
                promql_parser.parse(rule["expr"])


def test_sentences_that_a_guide_quotes_are_the_exporters() -> None:
    """What follows “… is the end of a sentence of docs/failures.md."""
    sentences = " ".join((DOCS / "failures.md").read_text(encoding="utf-8").split())
    quoted = [
        " ".join(quote.split())
        for page in GUIDES
        for quote in re.findall(r"“… ([^”]+)”", page.read_text(encoding="utf-8"))
    ]
    assert quoted
    assert [quote for quote in quoted if quote not in sentences] == []
