"""The Helm chart, rendered by Helm itself, for tests in tests/chart.

A module that imports it is skipped if Helm is not installed.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
import yaml

from tests.support.paths import ROOT

if find_spec("helm_python") is None:
    pytest.skip("Helm is not installed: run make chart-test", allow_module_level=True)

CHART: Final = ROOT / "deploy/helm/agent-rest-exporter"
EXAMPLES: Final = {
    path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").iterdir())
}
RELEASE: Final = "rest"
NAMESPACE: Final = "floor"

Object: TypeAlias = dict[str, Any]


@cache
def example(name: str) -> dict[str, Any]:
    """The values of one of the chart's examples."""
    values: dict[str, Any] = yaml.safe_load(EXAMPLES[name].read_text(encoding="utf-8"))
    return values


def texts(values: dict[str, Any], *, chart: Path = CHART, release: str = RELEASE) -> dict[str, str]:
    """What Helm makes of each template, by the name of its file.

    Args:
        values: those that a user sets.
        chart: a directory or an archive.
        release: its name.

    Raises:
        HelmError: Helm rejects the values, or a template fails.
    """
    import helm_python  # noqa: PLC0415  # only `make chart-test` installs it

    with helm_python.Chart.load(chart) as loaded:
        rendered = loaded.render(values, name=release, namespace=NAMESPACE)
    return {Path(name).name: text for name, text in rendered.items()}


def objects(values: dict[str, Any], *, release: str = RELEASE) -> list[Object]:
    """The Kubernetes objects that Helm would create."""
    return [
        document
        for name, text in texts(values, release=release).items()
        if name.endswith(".yaml")
        for document in yaml.safe_load_all(text)
        if document
    ]


def of_kind(values: dict[str, Any], kind: str) -> Object:
    """The only object of a kind."""
    [found] = [each for each in objects(values) if each["kind"] == kind]
    return found


def pod_of(values: dict[str, Any]) -> Object:
    """The template of the pods, of the Deployment or of the StatefulSet."""
    [found] = [each for each in objects(values) if each["kind"] in {"Deployment", "StatefulSet"}]
    template: Object = found["spec"]["template"]
    return template


def exporter_of(values: dict[str, Any]) -> Object:
    """The container of the exporter."""
    container: Object = next(iter(pod_of(values)["spec"]["containers"]))
    return container
