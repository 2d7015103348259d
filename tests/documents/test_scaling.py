"""docs/scaling.md: its figures are consistent, and its examples are valid."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from exporter.metrics.families import FAMILIES
from tests.support.command_line import variables
from tests.support.paths import ROOT
from tests.support.processes import program

PAGE = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
UNITS = {"": 1.0, "ms": 1e-3, "µs": 1e-6, "B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "MB/s": 1e6}


def rows(header: str) -> list[list[str]]:
    """The rows of the page's table whose header starts so, cell by cell."""
    _, _, rest = PAGE.partition(f"\n{header}")
    assert rest, f"there is no table {header}"
    lines = rest.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def quantity(cell: str) -> float:
    """A number with its unit."""
    number, _, unit = cell.replace(",", "").partition(" ")
    return float(number) * UNITS[unit]


def blocks(language: str) -> list[str]:
    """The page's code blocks in one language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_table_follows_from_the_symbols() -> None:
    """Each cell follows from the formulas: a new measurement changes all of them or none."""
    given = {row[0]: quantity(row[2]) for row in rows("| symbol | meaning |")}
    cpu, scrape, base, each = (given[name] for name in "ckMm")
    interval, largest = 30.0, 10_000.0
    for text in (f"I = {interval:g} s", f"J = {interval:g} s", f"n = {largest:,.0f}", "A = 1"):
        assert text in PAGE
    table = rows("| targets | requests/s |")
    assert [row[0] for row in table] == ["1,000", "10,000", "100,000", "1,000,000"]
    for row in table:
        targets = quantity(row[0])
        shard = min(targets, largest)
        expected = [
            targets / interval,
            targets * (cpu + scrape) / interval,
            targets / shard,
            targets / shard * (base + shard * each),
            targets * given["s"],
            targets * given["s"] / interval,
            shard * given["b"],
            targets * given["g"] / interval,
        ]
        # two digits are enough for a plan
        assert [quantity(cell) for cell in row[1:9]] == pytest.approx(expected, rel=0.06)
        assert row[9] == ("measured" if targets <= largest else "extrapolated")
        assert shard * (cpu + scrape) / interval < given["U"]


def test_the_series_of_a_target_are_counted() -> None:
    """Six reasons, and one series for each other family that is always present."""
    [row] = [row for row in rows("| symbol | meaning |") if row[0] == "s"]
    families = {family.name for family in FAMILIES}
    for_some = {
        "agent_rest_max_resting_agents",
        "agent_rest_max_rest_seconds",
        "agent_rest_max_wait_seconds",
        "agent_rest_resting_longer_agents",
        "agent_rest_doubt",
        "agent_rest_failing",
    }
    assert for_some < families
    always = len(families - for_some) + 5
    assert f"{always}, with `max_resting` {always + 1}" in row[1]
    assert quantity(row[2]) == always + 1


@pytest.mark.real
def test_prometheus_takes_every_example(promtool: str, tmp_path: Path) -> None:
    """Scrape configurations and rules, unchanged."""
    texts = blocks("yaml")
    kinds = [next(iter(yaml.safe_load(text))) for text in texts]
    assert kinds.count("scrape_configs") == 4
    assert kinds.count("groups") == 1
    for kind, text in zip(kinds, texts, strict=True):
        file = tmp_path / "example.yaml"
        file.write_text(text, encoding="utf-8")
        check = "config" if kind == "scrape_configs" else "rules"
        done = subprocess.run(
            [promtool, "check", check, str(file)], capture_output=True, check=False, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_families_that_a_scrape_is_limited_to_exist() -> None:
    """With a wrong name the scrape would be empty."""
    [limited] = [text for text in blocks("yaml") if "name[]" in text]
    chosen = yaml.safe_load(limited)["scrape_configs"][0]["params"]["name[]"]
    assert set(chosen) <= {family.name for family in FAMILIES}


@pytest.mark.real
def test_systemd_takes_the_template(tmp_path: Path) -> None:
    """The shipped unit as a template, with the page's drop-in."""
    systemd_analyze = program("systemd-analyze", "systemd")
    [drop_in] = blocks("ini")
    assert set(re.findall(r"AGENT_REST_EXPORTER_[A-Z_]+", drop_in)) <= variables()
    unit = (ROOT / "deploy/systemd/agent-rest-exporter.service").read_text(encoding="utf-8")
    installed = "/opt/agent-rest-exporter/bin/agent-rest-exporter"
    assert installed in unit
    template = tmp_path / "agent-rest-exporter@.service"
    template.write_text(unit.replace(installed, "/bin/true"), encoding="utf-8")
    (tmp_path / f"{template.name}.d").mkdir()
    (tmp_path / f"{template.name}.d/override.conf").write_text(drop_in, encoding="utf-8")
    instance = tmp_path / "agent-rest-exporter@0.service"
    done = subprocess.run(
        [systemd_analyze, "verify", str(instance)], capture_output=True, check=False, text=True
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
