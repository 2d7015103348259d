"""What the documents list is compared with the code, name by name."""

import re
from pathlib import Path

import pytest

from exporter.cli.commands import COMMANDS, PROGRAM
from exporter.clock import system_clock
from exporter.cms import progress
from exporter.errors import Reason
from exporter.metrics.exporter_families import ExporterCollector, own_registry
from exporter.metrics.families import FAMILIES
from exporter.rest import WaitReason
from exporter.store import ReloadStatus
from tests.support.alert_rules import alerts, alerts_of_the_chart
from tests.support.config_keys import keys
from tests.support.example_application import example_application
from tests.support.paths import ROOT
from tests.support.stores import store_of

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def table(header: str) -> list[list[str]]:
    """The rows of the README's table with that header, cell by cell."""
    _, _, rest = README.partition(f"\n{header}\n")
    assert rest, f"the README has no table {header}"
    rows = []
    for line in rest.splitlines()[1:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def codes(cells: list[str]) -> list[str]:
    """Everything in the first cells that is written as code."""
    return [code for cell in cells for code in re.findall(r"`([^`]+)`", cell)]


def first_column(header: str) -> list[str]:
    """The names that a table's first column lists."""
    return codes([row[0] for row in table(header)])


def test_the_readme_lists_every_configuration_key() -> None:
    """And no others. Keys that only contain other keys may be left out."""
    listed = set(first_column("| key | meaning |"))
    assert listed <= set(keys())
    groups = {key for key in keys() if any(other.startswith(f"{key}.") for other in keys())}
    assert set(keys()) - listed <= groups


def test_the_readme_lists_every_command() -> None:
    """In the order of the help."""
    listed = first_column("| command | does |")
    assert listed == [*(f"{PROGRAM} {command.name}" for command in COMMANDS), f"{PROGRAM} help"]


def test_the_readme_lists_every_flag_of_every_command() -> None:
    """With its default and its meaning."""
    listed: dict[tuple[str, str], str] = {}
    for row in table("| flag | of | default | meaning |"):
        assert len(row[3].split()) > 1, f"{row[0]} has no meaning"
        for flag, default in zip(codes([row[0]]), codes([row[2]]) or ["", ""], strict=False):
            for command in row[1].split(", "):
                listed[command, flag] = default
    expected = {
        (command.name, flag.opts[0]): flag.written_default or ""
        for command in COMMANDS
        for flag in command.flags
    }
    assert listed.keys() == expected.keys()
    expected["demo", "--web.listen-address"] = ":10072"  # and its own beside it
    assert listed == expected


def test_the_readme_lists_every_target_family() -> None:
    """With its type, in the order of the exposition."""
    rows = table("| family | type | meaning |")
    assert [codes([row[0]])[0] for row in rows] == [family.name for family in FAMILIES]
    assert [row[1] for row in rows] == [family.type for family in FAMILIES]


def test_the_readme_lists_every_family_of_the_exporter_itself() -> None:
    """With its type."""
    status = ReloadStatus(successful=True, last_success=0.0)
    registry = own_registry(
        ExporterCollector(store_of([]), lambda: status, system_clock, version="1")
    )
    expected = {}
    for family in registry.collect():
        if family.name.startswith("agent_rest_"):
            name = family.name + ("_total" if family.type == "counter" else "")
            expected[name] = family.type
    rows = table("| family of the exporter itself | type | meaning |")
    assert {codes([row[0]])[0]: row[1] for row in rows} == expected


def test_the_readme_names_every_reason() -> None:
    """Why polls fail, and why agents wait."""
    reasons = first_column("| `reason` | what happened | look at |")
    assert reasons == [reason.value for reason in Reason]
    (row,) = [row for row in table("| family | type | meaning |") if "_reason_" in row[0]]
    assert codes([row[2]])[1:] == [reason.value for reason in WaitReason]


def test_the_readme_lists_every_alert() -> None:
    """With its team and severity."""
    rows = table("| alert | team | severity | fires when |")
    listed = {codes([row[0]])[0]: (row[1], row[2]) for row in rows}
    expected = alerts() | alerts_of_the_chart()
    assert listed == {
        name: (alert.team, ", ".join(alert.severities)) for name, alert in expected.items()
    }


def test_the_readme_lists_every_path() -> None:
    """Every path that is served over HTTP."""
    routes = example_application().router.routes()
    paths = {route.resource.canonical for route in routes if route.resource}
    assert set(first_column("| path | returns |")) == paths


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link and picture of every document is a file of the project."""
    text = document.read_text(encoding="utf-8")
    targets = [
        target.partition("#")[0]
        for target in re.findall(r"\]\(([^)\s]+)\)", text)
        if not target.startswith(("http", "#"))
    ]
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_name_only_metrics_that_exist(document: Path) -> None:
    """Also in runbooks and queries: no page may use the old name of a renamed family."""
    status = ReloadStatus(successful=True, last_success=0.0)
    known = {family.name for family in FAMILIES}
    for family in own_registry(
        ExporterCollector(store_of([]), lambda: status, system_clock, version="1")
    ).collect():
        known |= {family.name + end for end in ("", "_total", "_bucket", "_count", "_sum")}
    text = document.read_text(encoding="utf-8")
    # recording rules hold such names between colons; the wheel's name ends before a hyphen
    named = set(re.findall(r"(?<![\w:])agent_rest_[a-z_]+[a-z]\b(?![:-])", text))
    assert named <= known


def test_the_page_about_probes_names_every_step() -> None:
    """As `debug=true` shows them."""
    page = (ROOT / "docs" / "probe.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([a-z]+)` \|", page.partition("| step |")[2], re.MULTILINE)
    assert named == [
        *("turn", progress.SIGN, progress.NAME, progress.CONNECT, progress.TLS),
        *(progress.WAIT, progress.READ, progress.REDUCE),
    ]
