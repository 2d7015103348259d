"""What Helm makes of the chart: valid for Kubernetes and for the Prometheus operator."""

import importlib
from typing import Any

import pytest
import yaml

from tests.support.chart import CHART, EXAMPLES, RELEASE, Object, example, objects, texts

KUBERNETES = ("1.25", "1.28", "1.31", "1.34", "1.37")
"""The oldest that the chart allows, the newest, and some between them."""
CUSTOM = ("ServiceMonitor", "PodMonitor", "PrometheusRule")
KINDS = {
    "demo": ["Deployment", "Service", "ServiceAccount"],
    "everything": [
        "ConfigMap",
        "ConfigMap",
        "ConfigMap",
        "ConfigMap",
        "Deployment",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "PrometheusRule",
        "Service",
        "ServiceAccount",
        "ServiceMonitor",
    ],
    "one-process": [
        "ConfigMap",
        "ConfigMap",
        "ConfigMap",
        "Deployment",
        "PrometheusRule",
        "Service",
        "ServiceAccount",
        "ServiceMonitor",
    ],
    "protected": ["Deployment", "Service", "ServiceAccount", "ServiceMonitor"],
    "second-release": ["ConfigMap", "PodMonitor", "PrometheusRule", "Service", "StatefulSet"],
    "shards": [
        "ConfigMap",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "PodMonitor",
        "PrometheusRule",
        "Service",
        "ServiceAccount",
        "StatefulSet",
    ],
}

each_example = pytest.mark.parametrize("name", EXAMPLES)


def test_every_example_is_tested() -> None:
    """There are six."""
    assert list(EXAMPLES) == list(KINDS)


@each_example
def test_lint(name: str) -> None:
    """Strict, and for the oldest and the newest Kubernetes. An icon is all that is missing."""
    helm = importlib.import_module("helm_python")
    for version in (KUBERNETES[0], KUBERNETES[-1]):
        report = helm.lint(CHART, example(name), strict=True, kube_version=f"v{version}.0")
        assert report["errors"] == []
        assert [each["error"] for each in report["messages"]] == ["icon is recommended"]


@each_example
def test_the_objects_are_those_that_were_asked_for(name: str) -> None:
    """One Deployment or StatefulSet, and what its values enable."""
    assert sorted(each["kind"] for each in objects(example(name))) == KINDS[name]


@pytest.mark.parametrize("version", KUBERNETES)
@each_example
def test_kubernetes_takes_the_objects(name: str, version: str) -> None:
    """By its own schemas, which know no other fields."""
    validate = importlib.import_module("kubernetes_validate").validate
    for each in objects(example(name)):
        if each["kind"] not in CUSTOM:
            validate(each, version, strict=True)


def test_the_schemas_of_kubernetes_refuse_what_they_do_not_know() -> None:
    """So that the test above can fail."""
    kubernetes = importlib.import_module("kubernetes_validate")
    [service] = [each for each in objects(example("demo")) if each["kind"] == "Service"]
    service["spec"]["prots"] = []
    with pytest.raises(kubernetes.ValidationError):
        kubernetes.validate(service, KUBERNETES[0], strict=True)


def as_the_operator_has_it(custom: Object) -> Object:
    """The object as the operator's own types read it, without what they do not know.

    Raises:
        ValidationError: a field has a wrong type, or does not match its pattern.
    """
    types = importlib.import_module("cloudcoil.models.prometheus_operator.v1")
    model = getattr(types, custom["kind"]).model_validate(custom)
    known: Object = model.model_dump(by_alias=True, exclude_unset=True, mode="json")
    return known


@each_example
def test_the_prometheus_operator_takes_its_objects(name: str) -> None:
    """Every field has the right type, and none is unknown: the types would drop it."""
    for each in objects(example(name)):
        if each["kind"] in CUSTOM:
            assert as_the_operator_has_it(each) == each


def test_the_operators_types_drop_what_they_do_not_know() -> None:
    """So that the test above can fail."""
    [monitor] = [each for each in objects(example("shards")) if each["kind"] == "PodMonitor"]
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    endpoint["intervall"] = endpoint.pop("interval")
    assert as_the_operator_has_it(monitor) != monitor


@each_example
def test_names_are_not_too_long(name: str) -> None:
    """Even those of the release with the longest name that Helm allows.

    A Service's has 63 characters at most; a StatefulSet's 52, because its pods and their labels add
    a number and a hash.
    """
    release = "r" * 53
    importlib.import_module("helm_python").validate_release_name(release)
    for each in objects(example(name), release=release):
        limit = {"ConfigMap": 253, "StatefulSet": 52}.get(each["kind"], 63)
        assert len(each["metadata"]["name"]) <= limit


@each_example
def test_every_object_has_the_labels_and_namespace_of_its_release(name: str) -> None:
    """Except the extra objects, which are the user's own."""
    values = example(name)
    for each in objects(values):
        if each["metadata"]["name"].endswith("-extra"):
            assert each["data"] == {"release": RELEASE}
            continue
        labels = each["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == RELEASE
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels.items() >= values.get("commonLabels", {}).items()
        assert each["metadata"]["namespace"]


class _OnceOnly(yaml.SafeLoader):
    """Rejects a key that is there twice, as kubectl and Kubernetes do; PyYAML takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002  # PyYAML's own
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), keys
        return super().construct_mapping(node, deep=deep)


def test_labels_may_be_given_twice() -> None:
    """For all objects and for one, which takes precedence; a number as a name stays a text."""
    twice = {
        **example("everything"),
        "commonLabels": {"release": "common", "tier": "common", "zone": "common"},
        "fullnameOverride": "rests",
    }
    made = [
        document
        for name, text in texts(twice, release="2026").items()
        if name.endswith(".yaml")
        for document in yaml.load_all(text, Loader=_OnceOnly)  # a safe one
    ]
    labels = {
        each["kind"]: each["metadata"]["labels"] for each in made if "labels" in each["metadata"]
    }
    assert labels["ServiceMonitor"]["release"] == "prometheus"
    assert labels["Service"]["tier"] == "exporter"
    assert labels["Deployment"]["zone"] == "common"
    [deployment] = [each for each in made if each["kind"] == "Deployment"]
    assert deployment["spec"]["template"]["metadata"]["labels"]["zone"] == "lima"
    for each in labels.values():
        assert each["app.kubernetes.io/instance"] == "2026"
