"""The Helm chart's files, without Helm: what is generated is up to date, and values are used.

tests/chart has the tests with Helm itself: `make chart-test`.
"""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from exporter import __version__
from exporter.config.load import load
from tests.support.paths import ROOT

CHART = ROOT / "deploy/helm/agent-rest-exporter"
EXAMPLES = sorted((CHART / "ci").iterdir())
README = (CHART / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", README + PAGE, flags=re.DOTALL)
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)


def without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    """Values as the schema sees them: Helm removes what is null."""
    return {
        key: {name: each for name, each in value.items() if each is not None}
        if isinstance(value, dict)
        else value
        for key, value in values.items()
    }


def document(path: Path) -> Any:
    """A YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def paths(schema: Any, parent: str = "") -> set[str]:
    """The paths of all values that a schema of values has, with those of their parents."""
    found = set()
    for name, below in schema["properties"].items():
        found |= {parent + name} | (
            paths(below, f"{parent}{name}.") if "properties" in below else set()
        )
    return found


def test_what_is_generated_is_up_to_date(tmp_path: Path) -> None:
    """Table, schema and versions follow from other files: run `make chart` after a change."""
    script = ROOT / "deploy/helm/generate.py"
    subprocess.run([sys.executable, script, tmp_path], check=True)
    places = {path.name: path for path in runpy.run_path(str(script))["made"]()}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(places)
    assert places.keys() > {"Chart.yaml", "compose.yaml", "kustomization.yaml"}
    for name, place in places.items():
        assert (tmp_path / name).read_bytes() == place.read_bytes(), name
    assert document(CHART / "Chart.yaml")["version"] == __version__


def test_a_new_version_gets_everywhere() -> None:
    """Only the package has it by hand: every other file takes it over."""
    generate = runpy.run_path(str(ROOT / "deploy/helm/generate.py"))
    for path in generate["VERSIONED"]:
        text = generate["VERSION"].sub("9.8.7", path.read_text(encoding="utf-8"))
        assert "9.8.7" in text
        assert __version__ not in text, path


@pytest.mark.parametrize(
    ("folder", "shipped"),
    [
        ("rules", ROOT / "deploy/prometheus/rules"),
        ("dashboards", ROOT / "deploy/grafana"),
    ],
)
def test_rules_and_dashboards_are_the_shipped_files(folder: str, shipped: Path) -> None:
    """All of them, by symbolic links that Helm follows: not copies, which would age.

    An sdist cannot hold a link to a directory: there they are copies.
    """
    linked = list((CHART / "files" / folder).iterdir())
    expected = {path.name: path for path in shipped.iterdir() if path.suffix in {".json", ".yaml"}}
    assert {path.name: path.read_bytes() for path in linked} == {
        name: path.read_bytes() for name, path in expected.items()
    }
    if not (ROOT / "SOURCES.txt").exists():
        assert {path.name: path.resolve() for path in linked} == expected


def test_every_value_is_used_and_every_one_that_is_used_exists() -> None:
    """In the templates."""
    text = "".join(path.read_text(encoding="utf-8") for path in (CHART / "templates").iterdir())
    # names of these variables are short for a part of the values
    for variable, path in {
        r"\$v": "",
        r"\$dashboards": "dashboards.",
        r"\$image": "image.",
        r"\$egress": "networkPolicy.egress.",
        r"\$rule": "prometheusRule.",
    }.items():
        text = re.sub(rf"{variable}\.(?=[a-z])", f".Values.{path}", text)
    used = set(re.findall(r"\.Values\.([\w.]+\w)", text))
    known = {path for path in paths(SCHEMA) if not path.startswith("resources.")}
    assert used - known == {"config.cms"}
    # monitors and rules are passed to one template, and the probes are looked up by name
    text += "".join(
        f".Values.{monitor}.{name} "
        for monitor in ("serviceMonitor", "podMonitor", "prometheusRule")
        for name in re.findall(r"\$(?:monitor|own)\.(\w+)", text)
    )
    text += "".join(f".Values.{name} " for name in re.findall(r'"(\w+Probe)"', text))
    used = set(re.findall(r"\.Values\.([\w.]+\w)", text))
    leaves = {path for path in known if not any(each.startswith(f"{path}.") for each in known)}
    assert leaves - used == {"global"}


def test_the_defaults_fit_the_schema() -> None:
    """Helm checks them together with those of users."""
    jsonschema.validate(document(CHART / "values.yaml"), SCHEMA)


@each_example
def test_examples_fit_the_schema(example: Path) -> None:
    """All their values exist and have the right types."""
    jsonschema.validate(without_nulls(document(example)), SCHEMA)


def test_values_in_the_documents_fit_the_schema() -> None:
    """Every block of the chart's README and of docs/kubernetes.md that is not for Prometheus."""
    found = [yaml.safe_load(block) for block in BLOCKS]
    of_the_chart = [values for values in found if "scrape_configs" not in values]
    assert len(of_the_chart) == len(found) - 1 > 6
    for values in of_the_chart:
        jsonschema.validate(without_nulls(values), SCHEMA)


def test_configurations_of_examples_are_valid(tmp_path: Path) -> None:
    """Those of the tests, of the chart's README and of docs/kubernetes.md, for the exporter."""
    texts = [*BLOCKS, *(path.read_text(encoding="utf-8") for path in EXAMPLES)]
    configs = [values["config"] for values in map(yaml.safe_load, texts) if "config" in values]
    assert len(configs) == 6
    for name in ("secrets", "ca", "targets"):
        (tmp_path / name).mkdir()
    (tmp_path / "secrets/lima-sk").write_text("word", encoding="utf-8")
    (tmp_path / "targets/a.yaml").write_text("[{ccId: 1, vdn: 1}]", encoding="utf-8")
    for given in configs:
        text = yaml.safe_dump(given)
        for path, name in {
            "/run/secrets/agent-rest-exporter": "secrets",
            "/etc/agent-rest-targets": "targets",
        }.items():
            text = text.replace(path, str(tmp_path / name))
        config = yaml.safe_load(text)
        for server in config["cms"]:
            server.pop("tls", None)  # no certificate is needed to read the rest
        file = tmp_path / "config.yaml"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        assert load(file, {"CUSCO_AK": "a", "CUSCO_SK": "b"}).targets
