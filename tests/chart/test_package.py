"""What is made from the chart: the package, and the manifests of deploy/kubernetes."""

import importlib
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from exporter import __version__
from tests.support.chart import CHART, example, texts
from tests.support.paths import ROOT


def test_the_package_contains_files_and_no_links(tmp_path: Path) -> None:
    """Rules and dashboards as they are shipped; no values of tests. It renders like the chart."""
    script = ROOT / "deploy/helm/package.py"
    done = subprocess.run([sys.executable, script, tmp_path], check=True, capture_output=True)
    package = tmp_path / f"{CHART.name}-{__version__}.tgz"
    assert done.stdout.decode().strip() == str(package)
    files = {
        f"{CHART.name}/{path.relative_to(CHART)}": path.read_bytes()
        for path in [*CHART.rglob("*"), *(CHART / "files/rules").iterdir()]
        if path.is_file() and path.parent.name != "ci" and path.name != "Chart.yaml"
    }
    with tarfile.open(package) as archive:
        assert all(member.isfile() for member in archive)
        packed = {
            member.name: file.read()
            for member in archive
            if (file := archive.extractfile(member)) is not None
        }
    # Helm writes Chart.yaml anew
    assert packed.pop(f"{CHART.name}/Chart.yaml")
    assert packed == files
    assert texts(example("shards"), chart=package) == texts(example("shards"))


def test_the_manifests_are_up_to_date(tmp_path: Path) -> None:
    """Otherwise run `make chart`."""
    subprocess.run([sys.executable, ROOT / "deploy/helm/render.py", tmp_path], check=True)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    kept = ROOT / "deploy/kubernetes"
    assert len(made) == 7
    assert made == {name: (kept / name).read_bytes() for name in made}
    by_hand = {"config.yaml", "kustomization.yaml", "namespace.yaml", "values.yaml"}
    assert {path.name for path in kept.iterdir()} == made.keys() | by_hand


def test_kubectl_makes_objects_of_the_folder() -> None:
    """As `kubectl apply -k` would send them, with the configuration and the image of the folder."""
    if (kubectl := shutil.which("kubectl")) is None:
        pytest.skip("kubectl is not on the PATH")
    folder = ROOT / "deploy/kubernetes"
    done = subprocess.run([kubectl, "kustomize", folder], check=True, capture_output=True)
    made = {each["kind"]: each for each in yaml.safe_load_all(done.stdout)}
    for kind, each in made.items():
        if kind not in {"PodMonitor", "PrometheusRule"}:
            importlib.import_module("kubernetes_validate").validate(each, "1.31", strict=True)
    assert len(made) == 9
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    assert made["ConfigMap"]["data"] == {"config.yaml": text}
    pod = made["StatefulSet"]["spec"]["template"]["spec"]
    [image] = [container["image"] for container in pod["containers"]]
    assert image == f"ghcr.io/agent-rest-exporter/agent-rest-exporter:{__version__}"
    [volume] = [each["configMap"] for each in pod["volumes"] if "configMap" in each]
    assert volume["name"] == made["ConfigMap"]["metadata"]["name"]
