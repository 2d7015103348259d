"""The manifests of deploy/kubernetes, as far as they can be tested without Helm and a cluster.

tests/chart proves that they are what the chart renders, what that is worth, and that kubectl takes
them.
"""

from pathlib import Path
from typing import Any

import yaml

from exporter import __version__
from exporter.config.load import load
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
    # the pods meet this standard: tests/chart
    enforced = manifest("namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert enforced == "restricted"


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
