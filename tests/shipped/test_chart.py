"""A stranger's way by Helm, timed: docs/kubernetes.md's values, rendered by Helm and run by Podman.

There is no cluster: Podman plays the pods, with their configuration and Secret, and Prometheus gets
what the operator would make of ServiceMonitor and PrometheusRule. Podman ignores the other objects
(Service, ServiceAccount, NetworkPolicy, PodDisruptionBudget); `adapted` says how far it understands
the rest.
"""

import contextlib
import copy
import json
import re
import subprocess
import time
import urllib.error
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.chart import Object, objects
from tests.support.paths import ROOT
from tests.support.podman import fetch, podman, wait
from tests.support.processes import clean_environment, free_port, program

IMAGE = "localhost/agent-rest-exporter-chart"
BUILD = ["make", "image", "ENGINE=podman", f"IMAGE={IMAGE}", "BUILD_FLAGS=--no-cache --pull=never"]
PAGE = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
KEY = "bm90LWEtcmVhbC1zZWNyZXQ="
SECRET: Object = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "are-test-secret"},
    "data": {"lima-sk": KEY},
}
"""What the page's `kubectl create secret` makes, under a name of its own."""
ONE, THREE = "agent-rest-exporter", "shards-agent-rest-exporter"
"""The pods of the page's release, and of another with three shards."""


def documented(*keys: str) -> dict[str, Any]:
    """The values of the page's only block with these keys."""
    blocks = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    [found] = [block for block in blocks if set(keys) <= block.keys()]
    return dict(found)


def values(**more: Any) -> dict[str, Any]:
    """Those of the page, with the image as built, and a simulated server beside the exporter.

    One of its VDNs fails, in every pod.
    """
    found = documented("existingSecret", "config")
    [server] = found["config"]["cms"]
    server["url"] = "http://127.0.0.1:28443"
    simulator = ["simulate", "--scenario=api-error=0100001@1/9", f"--secret-key={KEY}"]
    return {
        **found,
        **documented("serviceMonitor", "prometheusRule", "dashboards"),
        "image": {"registry": "", "repository": IMAGE},
        "extraContainers": [{"name": "cms", "image": f"{IMAGE}:latest", "args": simulator}],
        **more,
    }


def adapted(found: list[Object], ports: list[int]) -> list[Object]:
    """Objects that Podman 4.3 plays as Kubernetes would.

    A StatefulSet becomes its pods, and each pod gets a port of this machine in place of a Service.
    Podman mounts a Secret's text without decoding it, mixes up a Secret and a ConfigMap of the same
    name, and fails at a Secret's volume that does not say whether it is optional.
    """
    made, pods = [], []
    for each in found:
        kind, spec = each["kind"], copy.deepcopy(each.get("spec", {}))
        if kind == "ConfigMap" and "config.yaml" in each["data"]:
            made.append(each)
        elif kind == "Deployment":
            made.append({**each, "spec": spec})
            pods = [spec["template"]]
        elif kind == "StatefulSet":
            pods = [copy.deepcopy(spec["template"]) for _ in range(spec["replicas"])]
            for ordinal, pod in enumerate(pods):
                pod["metadata"]["name"] = f"{each['metadata']['name']}-{ordinal}"
                made.append({"apiVersion": "v1", "kind": "Pod", **pod})
    for pod, port in zip(pods, ports, strict=True):
        pod["spec"]["containers"][0]["ports"][0]["hostPort"] = port
        for volume in pod["spec"]["volumes"]:
            if "secret" in volume:
                volume["secret"] |= {"optional": False, "secretName": SECRET["metadata"]["name"]}
    return made


@contextlib.contextmanager
def played(made: list[Object], folder: Path) -> Iterator[None]:
    """The objects' pods, until the block is left."""
    file = folder / f"{made[-1]['metadata']['name']}.yaml"
    file.write_text(yaml.safe_dump_all(made), encoding="utf-8")
    podman("kube", "play", file)
    try:
        yield
    finally:
        podman("kube", "down", file)


def scraped(monitor: Object, ports: dict[str, int]) -> dict[str, Any]:
    """What the operator makes of a ServiceMonitor: the pods, with their names, and relabelings."""
    [endpoint] = monitor["spec"]["endpoints"]
    labels = {"sourceLabels": "source_labels", "targetLabel": "target_label"}
    return {
        "job_name": monitor["metadata"]["name"],
        "scrape_interval": endpoint["interval"],
        "scrape_timeout": endpoint["scrapeTimeout"],
        "static_configs": [
            {
                "targets": [f"127.0.0.1:{port}"],
                "labels": {
                    "__meta_kubernetes_pod_name": pod,
                    "namespace": monitor["metadata"]["namespace"],
                    "pod": pod,
                },
            }
            for pod, port in ports.items()
        ],
        "relabel_configs": [
            {labels.get(key, key): value for key, value in each.items()}
            for each in endpoint["relabelings"]
        ],
    }


@dataclass(frozen=True, slots=True)
class Cluster:
    """Two releases, and Prometheus and Alertmanager beside them."""

    started: float
    """When the stranger typed the first command."""
    pods: dict[str, int]
    """The port of each pod on this machine."""
    prometheus: str
    alertmanager: str

    def asked(self, expression: str) -> dict[str, str]:
        """Prometheus' answer to a query: values by `instance`."""
        reply = json.loads(fetch(f"{self.prometheus}/api/v1/query?query={expression}"))
        return {each["metric"]["instance"]: each["value"][1] for each in reply["data"]["result"]}

    def alerts(self) -> dict[str, dict[str, str]]:
        """The labels of the alerts that Alertmanager has, by name."""
        found = json.loads(fetch(f"{self.alertmanager}/api/v2/alerts"))
        return {each["labels"]["alertname"]: each["labels"] for each in found}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The page's release and one with three shards, scraped, with their rules evaluated."""
    folder = tmp_path_factory.mktemp("cluster")
    one, *three = ports = [free_port() for _ in range(4)]
    pods = {f"{ONE}-pod-0": one} | {
        f"{THREE}-{ordinal}": port for ordinal, port in enumerate(three)
    }
    assert len(set(ports)) == len(pods)
    started = time.monotonic()
    subprocess.run(BUILD, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    release = objects(values(), release=ONE)
    shards = objects(values(shards=3, prometheusRule={"enabled": True}), release="shards")
    of_shards = [each for each in shards if each["kind"] == "PrometheusRule"]
    scrapes = [
        scraped(monitor, {pod: port for pod, port in pods.items() if pod.startswith(name)})
        for name, found in ((ONE, release), (THREE, shards))
        for monitor in found
        if monitor["kind"] == "ServiceMonitor"
    ]
    with contextlib.ExitStack() as stack:
        # what `kube down` leaves: the Secret, and volumes with its files and those of ConfigMaps
        stack.callback(podman, "secret", "rm", SECRET["metadata"]["name"])
        for name in (ONE, THREE, SECRET["metadata"]["name"]):
            stack.callback(podman, "volume", "rm", "--force", name)
        stack.enter_context(played([SECRET, *adapted(release, [one])], folder))
        stack.enter_context(played([SECRET, *adapted(shards, three)], folder))
        address = f"127.0.0.1:{free_port()}"
        amtool = f"127.0.0.1:{free_port()}"
        [rules] = of_shards
        (folder / "rules.yaml").write_text(yaml.safe_dump(rules["spec"]), encoding="utf-8")
        config = {
            "global": {"evaluation_interval": "15s"},
            "rule_files": ["rules.yaml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [amtool]}]}]},
            "scrape_configs": scrapes,
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        for command in (
            [
                program("prometheus", "prometheus"),
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={address}",
            ],
            [
                program("prometheus-alertmanager", "prometheus-alertmanager"),
                f"--config.file={ROOT}/deploy/alertmanager/alertmanager.yml",
                f"--storage.path={folder}/alertmanager",
                f"--web.listen-address={amtool}",
                "--cluster.listen-address=",
            ],
        ):
            process = subprocess.Popen(
                command, env=clean_environment(), cwd=folder, stderr=subprocess.DEVNULL
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
        yield Cluster(started, pods, f"http://{address}", f"http://{amtool}")


def test_every_pod_is_scraped(
    cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    """Under the job that the alerts look for, and a name that stays."""
    up = wait(
        lambda: (
            found
            if len(found := cluster.asked('up{job="agent-rest-exporter"}==1')) == len(cluster.pods)
            else {}
        ),
        120,
    )
    assert set(up) == {ONE, *(pod for pod in cluster.pods if pod.startswith(THREE))}
    wait(lambda: cluster.asked("count(agent_rest_resting_agents)by(instance)"), 120)
    seconds = time.monotonic() - cluster.started
    assert seconds < 300
    record_property("by Helm, metrics in Prometheus after", f"{seconds:.0f} s")


def test_probes_succeed(cluster: Cluster) -> None:
    """At the paths that the pods are rendered with: Podman itself asks only with systemd."""
    for port in cluster.pods.values():
        for path in ("/-/healthy", "/-/ready"):
            url = f"http://127.0.0.1:{port}{path}"
            wait(partial(fetch, url))


def test_each_shard_polls_its_share(cluster: Cluster) -> None:
    """Each target is polled by exactly one of the three, and by the release with one process."""
    shares = {
        pod: set(
            re.findall(r'agent_rest_up\{.*?vdn="(\d+)"', fetch(f"http://127.0.0.1:{port}/metrics"))
        )
        for pod, port in cluster.pods.items()
    }
    every = shares.pop(f"{ONE}-pod-0")
    assert every == {str(vdn) for vdn in range(1, 41)}
    assert set.union(*shares.values()) == every
    assert sum(map(len, shares.values())) == len(every)


def test_pods_have_no_rights(cluster: Cluster) -> None:
    """Those of the chart's security contexts, as the kernel sees them."""
    for pod in cluster.pods:
        status = podman("exec", f"{pod}-exporter", "cat", "/proc/1/status").stdout
        for line in (
            r"Uid:(\t10072){4}",
            r"Gid:(\t10072){4}",
            r"CapEff:\t0{16}",
            r"NoNewPrivs:\t1",
        ):
            assert re.search(line, status), (pod, line)
        touched = podman("exec", f"{pod}-exporter", "touch", "/file", check=False)
        assert "Read-only file system" in touched.stderr


def test_alerts_come_through(
    cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    """A VDN that fails, and a shard that is gone, by the release's own PrometheusRule."""
    gone = f"{THREE}-2"
    podman("pod", "stop", "--time=5", gone)
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        fetch(f"http://127.0.0.1:{cluster.pods[gone]}/metrics")
    names = {"AgentRestTargetDown", "AgentRestShardMissing"}
    alerts = wait(lambda: found if names <= (found := cluster.alerts()).keys() else {}, 780)
    seconds = time.monotonic() - cluster.started
    assert seconds < 900
    record_property("by Helm, an alert in Alertmanager after", f"{seconds:.0f} s")
    assert alerts["AgentRestTargetDown"]["vdn"] == "9"
    assert alerts["AgentRestShardMissing"]["team"] == "platform"
