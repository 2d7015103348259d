"""The manifests of deploy/kubernetes, as far as they can be tested without Helm and a cluster.

tests/chart proves that they are what the chart renders.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import __version__
from exporter.config import load
from exporter.config.shard import Shard
from exporter.web.listening.listener import DRAIN_TIMEOUT
from tests.support.command_line import parsed
from tests.support.paths import ROOT

FOLDER = ROOT / "deploy/kubernetes"
NAME = "agent-rest-exporter"
NAMESPACE = "agent-rest"


def manifest(name: str) -> Any:
    """One manifest."""
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


def pod() -> Any:
    """The template of the pods."""
    return manifest("statefulset")["spec"]["template"]


def container() -> Any:
    """The only container of a pod."""
    [container] = pod()["spec"]["containers"]
    return container


def test_everything_is_applied() -> None:
    """The kustomization names every manifest of the directory, and one namespace."""
    kustomization = manifest("kustomization")
    [generated] = kustomization["configMapGenerator"]
    named = {*kustomization["resources"], *generated["files"], "kustomization.yaml", "values.yaml"}
    assert named == {path.name for path in FOLDER.iterdir()}
    spaces = {
        manifest(name.removesuffix(".yaml"))["metadata"].get("namespace", NAMESPACE)
        for name in kustomization["resources"]
    }
    assert spaces == {manifest("namespace")["metadata"]["name"], generated["namespace"]}
    [image] = kustomization["images"]
    assert container()["image"] == f"{image['name']}:{__version__}"
    assert image["newTag"] == __version__


@pytest.mark.parametrize("ordinal", [0, 1, 2])
def test_each_pod_is_a_shard(ordinal: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod's command line is valid, and there are as many pods as shards."""
    [variable] = container()["env"]
    assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    monkeypatch.setenv(variable["name"], f"{NAME}-{ordinal}")
    namespace = parsed(container()["args"])
    assert namespace.shard == Shard(ordinal, manifest("statefulset")["spec"]["replicas"])
    mounts = {mount["mountPath"] for mount in container()["volumeMounts"]}
    assert str(Path(namespace.config_file).parent) in mounts
    [port] = container()["ports"]
    assert [address.port for address in namespace.web_listen_address] == [port["containerPort"]]


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    """With the secret where a pod has it."""
    text = (FOLDER / "config.yaml").read_text(encoding="utf-8")
    mounts = {mount["name"]: mount["mountPath"] for mount in container()["volumeMounts"]}
    assert text.count(f"{mounts['secrets']}/lima-sk") == 1
    (tmp_path / "lima-sk").write_text("word\n", encoding="utf-8")
    file = tmp_path / "config.yaml"
    file.write_text(text.replace(mounts["secrets"], str(tmp_path)), encoding="utf-8")
    config = load(file, {})
    [server] = config.servers
    assert len(config.targets) == 5000
    host, _, port = server.url.removeprefix("https://").partition(":")
    _to_dns, to_server = manifest("networkpolicy")["spec"]["egress"]
    assert to_server["to"] == [{"ipBlock": {"cidr": f"{host}/32"}}]
    assert to_server["ports"] == [{"port": int(port), "protocol": "TCP"}]


def test_volumes_are_what_is_made() -> None:
    """The ConfigMap of the kustomization, and the secret that docs/kubernetes.md creates."""
    volumes = {volume["name"]: volume for volume in pod()["spec"]["volumes"]}
    [generated] = manifest("kustomization")["configMapGenerator"]
    assert volumes["config"]["configMap"]["name"] == generated["name"]
    page = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
    secret = volumes["secrets"]["secret"]["secretName"]
    assert f"kubectl -n {NAMESPACE} create secret generic {secret} " in page
    assert {mount["name"] for mount in container()["volumeMounts"]} == set(volumes)


def test_what_selects_pods_finds_them() -> None:
    """Kubernetes does not report a selector that matches nothing."""
    labels = pod()["metadata"]["labels"]
    specs = {
        name: manifest(name)["spec"]
        for name in ("statefulset", "service", "poddisruptionbudget", "networkpolicy", "podmonitor")
    }
    assert specs["service"].pop("selector") == labels
    assert specs["networkpolicy"]["podSelector"] == {"matchLabels": labels}
    for name in ("statefulset", "poddisruptionbudget", "podmonitor"):
        assert specs[name]["selector"] == {"matchLabels": labels}
    assert specs["statefulset"]["serviceName"] == manifest("service")["metadata"]["name"]
    assert specs["service"]["clusterIP"] == "None"
    [endpoint] = specs["podmonitor"]["podMetricsEndpoints"]
    [port] = container()["ports"]
    assert endpoint["port"] == port["name"]
    assert [each["targetPort"] for each in specs["service"]["ports"]] == [port["name"]]
    # alert rules and dashboards look for this job
    assert {"targetLabel": "job", "replacement": NAME} in endpoint["relabelings"]
    account = manifest("serviceaccount")
    assert pod()["spec"]["serviceAccountName"] == account["metadata"]["name"]


def test_the_alert_of_a_missing_shard_counts_these_pods() -> None:
    """With the number of replicas, their names and their namespace."""
    [group] = manifest("prometheusrule")["spec"]["groups"]
    [rule] = group["rules"]
    assert (
        f'namespace="{NAMESPACE}",pod=~"{manifest("statefulset")["metadata"]["name"]}-[0-9]+"'
        in (rule["expr"])
    )
    assert rule["expr"].endswith(f" < {manifest('statefulset')['spec']['replicas']}")


def test_pods_may_run_where_the_namespace_is_restricted() -> None:
    """They meet the pod security standard, with a read-only file system."""
    enforced = manifest("namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert enforced == "restricted"
    security = pod()["spec"]["securityContext"]
    assert security["runAsNonRoot"]
    assert security["runAsUser"] == security["fsGroup"] == 10072
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod()["spec"]["automountServiceAccountToken"] is False


def test_replies_under_way_are_not_cut() -> None:
    """The kubelet waits for longer than the exporter drains."""
    assert pod()["spec"]["terminationGracePeriodSeconds"] > DRAIN_TIMEOUT
