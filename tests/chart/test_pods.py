"""What runs in the cluster: command line, volumes, probes, security, and what finds the pods."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import __version__
from exporter.config.shard import Shard
from exporter.web.listening.listener import DRAIN_TIMEOUT
from tests.support.chart import (
    EXAMPLES,
    NAMESPACE,
    RELEASE,
    example,
    exporter_of,
    objects,
    of_kind,
    pod_of,
    texts,
)
from tests.support.command_line import parsed

each_example = pytest.mark.parametrize("name", EXAMPLES)


@each_example
def test_the_exporter_understands_its_command_line(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its configuration is mounted, its port is the container's, and each pod is a shard."""
    values, container = example(name), exporter_of(example(name))
    shards = values.get("shards", 1)
    monkeypatch.setenv("POD_NAME", f"exporter-{shards - 1}")
    arguments = parsed(container["args"])
    [port] = container["ports"]
    assert [address.port for address in arguments.web_listen_address] == [port["containerPort"]]
    assert (arguments.command == "demo") == ("demo" in values)
    if arguments.command == "serve":
        assert arguments.shard == Shard(shards - 1, shards)
        mounts = {each["mountPath"] for each in container["volumeMounts"]}
        assert str(Path(arguments.config_file).parent) in mounts
        protected = bool(values.get("webConfig"))
        assert (arguments.web_config_file is not None) == protected
        assert ("/etc/agent-rest-exporter-web" in mounts) == protected
    [name_of_pod] = [each for each in container["env"] if each["name"] == "POD_NAME"]
    assert name_of_pod["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


@each_example
def test_every_mounted_volume_exists(name: str) -> None:
    """And every volume is mounted. The pod's group can read secrets, and nobody else."""
    spec = pod_of(example(name))["spec"]
    volumes = {each["name"]: each for each in spec.get("volumes", [])}
    mounts = [each["name"] for each in exporter_of(example(name)).get("volumeMounts", [])]
    assert sorted(mounts) == sorted(volumes)
    modes = [each["secret"]["defaultMode"] for each in volumes.values() if "secret" in each]
    assert set(modes) <= {0o440}


@each_example
def test_the_configuration_is_passed_on(name: str) -> None:
    """Unchanged, in the ConfigMap that the pod mounts."""
    values = example(name)
    volumes = {each["name"]: each for each in pod_of(values)["spec"].get("volumes", [])}
    if "config" not in values:
        mounted = volumes.get("config", {}).get("configMap", {}).get("name")
        assert mounted == values.get("existingConfigMap")
        return
    [made] = [each for each in objects(values) if "config.yaml" in each.get("data", {})]
    assert volumes["config"]["configMap"]["name"] == made["metadata"]["name"]
    assert yaml.safe_load(made["data"]["config.yaml"]) == values["config"]


@each_example
def test_each_probe_asks_in_one_way(name: str) -> None:
    """Kubernetes refuses two. Helm merges what a user sets into the default."""
    container = exporter_of(example(name))
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        ways = container[probe].keys() & {"exec", "grpc", "httpGet", "tcpSocket"}
        assert ways == {"tcpSocket" if name == "protected" else "httpGet"}


@each_example
def test_pods_meet_the_restricted_standard(name: str) -> None:
    """Of Kubernetes' pod security, with a read-only file system and without a token."""
    spec, container = pod_of(example(name))["spec"], exporter_of(example(name))
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    user = None if name == "second-release" else 10072
    assert [security.get(key) for key in ("runAsUser", "runAsGroup", "fsGroup")] == [user] * 3
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["terminationGracePeriodSeconds"] > DRAIN_TIMEOUT
    accounts = [each for each in objects(example(name)) if each["kind"] == "ServiceAccount"]
    names = [each["metadata"]["name"] for each in accounts] or ["default"]
    assert [spec["serviceAccountName"]] == names
    assert all(each["automountServiceAccountToken"] is False for each in accounts)


@each_example
def test_what_selects_pods_finds_them(name: str) -> None:
    """Kubernetes does not report a selector that matches nothing."""
    values = example(name)
    labels = pod_of(values)["metadata"]["labels"]
    [port] = exporter_of(values)["ports"]
    found = {each["kind"]: each for each in objects(values)}
    workload = found.get("Deployment") or found["StatefulSet"]
    selectors = [workload["spec"]["selector"]["matchLabels"], found["Service"]["spec"]["selector"]]
    selectors += [
        found[kind]["spec"]["selector"]["matchLabels"]
        for kind in ("PodDisruptionBudget", "PodMonitor", "ServiceMonitor")
        if kind in found
    ]
    if "NetworkPolicy" in found:
        selectors.append(found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"])
        for rule in found["NetworkPolicy"]["spec"]["ingress"]:
            assert [each["port"] for each in rule["ports"]] == [port["name"]]
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert selector["app.kubernetes.io/instance"] == RELEASE
    assert [each["targetPort"] for each in found["Service"]["spec"]["ports"]] == [port["name"]]
    if "ServiceMonitor" in found:
        service = found["Service"]
        wanted = found["ServiceMonitor"]["spec"]["selector"]["matchLabels"]
        assert wanted.items() <= service["metadata"]["labels"].items()


@each_example
def test_monitors_set_the_job_and_an_instance_that_stays(name: str) -> None:
    """Rules and dashboards look for the job; series continue when a pod gets another address."""
    values = example(name)
    found = {each["kind"]: each for each in objects(values)}
    for kind, endpoints in (("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")):
        if kind not in found:
            continue
        [endpoint] = found[kind]["spec"][endpoints]
        job, instance, *more = endpoint["relabelings"]
        assert job == {"targetLabel": "job", "replacement": "agent-rest-exporter"}
        if values.get("shards", 1) > 1:
            source = {"sourceLabels": ["__meta_kubernetes_pod_name"]}
        else:
            source = {"replacement": found["Deployment"]["metadata"]["name"]}
        assert instance == {"targetLabel": "instance", **source}
        assert more == values[f"{kind[0].lower()}{kind[1:]}"].get("relabelings", [])
        # a monitor elsewhere still finds the pods
        where = found[kind]["metadata"]["namespace"]
        pods = found["Service"]["metadata"]["namespace"]
        selected = found[kind]["spec"].get("namespaceSelector", {"matchNames": [where]})
        assert selected == {"matchNames": [pods]}


def test_one_process_is_replaced_and_never_doubled() -> None:
    """Two pods at once would poll every target twice."""
    spec = of_kind(example("one-process"), "Deployment")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def test_shards_have_names_of_their_own() -> None:
    """By a headless Service. That of one process has another name: an address cannot be removed."""
    stateful, service = (of_kind(example("shards"), kind) for kind in ("StatefulSet", "Service"))
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert stateful["spec"]["serviceName"] == service["metadata"]["name"]
    assert stateful["spec"]["replicas"] == example("shards")["shards"]
    assert stateful["spec"]["podManagementPolicy"] == "Parallel"
    [spread] = stateful["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    alone = of_kind(example("one-process"), "Service")
    assert alone["spec"]["type"] == "ClusterIP"
    assert "clusterIP" not in alone["spec"]
    assert alone["metadata"]["name"] != service["metadata"]["name"]


def test_the_image_is_that_of_the_chart_unless_it_is_set() -> None:
    """A digest takes precedence over the tag."""
    assert exporter_of(example("demo"))["image"] == (
        f"ghcr.io/agent-rest-exporter/agent-rest-exporter:{__version__}"
    )
    given = example("everything")["image"]
    assert exporter_of(example("everything"))["image"] == (
        f"{given['registry']}/{given['repository']}@{given['digest']}"
    )
    plain = {"image": {"registry": "", "repository": "mine", "tag": "1"}, "demo": {"enabled": True}}
    assert exporter_of(plain)["image"] == "mine:1"


def test_probes_follow_the_scheme_of_the_pages() -> None:
    """The defaults do; a probe that the user sets stays as it is."""
    web = {"webConfig": {"existingSecret": "web", "scheme": "https"}, "existingConfigMap": "c"}
    container = exporter_of(web)
    assert [
        container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")
    ] == [
        {"path": path, "port": "http", "scheme": "HTTPS"}
        for path in ("/-/healthy", "/-/healthy", "/-/ready")
    ]
    own = {"httpGet": {"path": "/", "port": 1, "scheme": "HTTP"}}
    assert exporter_of({**web, "livenessProbe": own})["livenessProbe"]["httpGet"] == own["httpGet"]
    assert exporter_of(example("demo"))["livenessProbe"]["httpGet"] == {
        "path": "/-/healthy",
        "port": "http",
    }
    off = {"demo": {"enabled": True}, "startupProbe": None}
    assert "startupProbe" not in exporter_of(off)


def test_the_network_policy_names_servers_dns_and_prometheus() -> None:
    """And nothing else: the pods hold the servers' keys."""
    spec = of_kind(example("shards"), "NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    [ingress] = spec["ingress"]
    monitoring = {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    assert ingress["from"] == [{"namespaceSelector": monitoring}]
    to_dns, to_server = spec["egress"]
    kube_dns, node_local = to_dns["to"]
    assert kube_dns["podSelector"] == {"matchLabels": {"k8s-app": "kube-dns"}}
    assert node_local == {"ipBlock": {"cidr": "169.254.20.10/32"}}
    assert to_dns["ports"] == [{"port": 53, "protocol": way} for way in ("UDP", "TCP")]
    assert to_server == {
        "to": [{"ipBlock": {"cidr": "10.22.26.181/32"}}],
        "ports": [{"port": 28443, "protocol": "TCP"}],
    }
    dns, *servers, proxy = of_kind(example("everything"), "NetworkPolicy")["spec"]["egress"]
    assert {each["port"] for each in dns["ports"]} == {5353}
    assert len(servers) == 2
    assert [proxy] == example("everything")["networkPolicy"]["egress"]["extra"]


def test_what_the_user_adds_is_added() -> None:
    """To the pod, the container, and each object that takes annotations or labels."""
    values = example("everything")
    pod, container = pod_of(values), exporter_of(values)
    spec = pod["spec"]
    for name in (
        "affinity",
        "dnsConfig",
        "dnsPolicy",
        "hostAliases",
        "imagePullSecrets",
        "initContainers",
        "nodeSelector",
        "priorityClassName",
        "tolerations",
        "topologySpreadConstraints",
    ):
        assert spec[name] == values[name]
    assert spec["containers"][1:] == values["extraContainers"]
    assert pod["metadata"]["annotations"] == values["podAnnotations"]
    assert pod["metadata"]["labels"].items() >= values["podLabels"].items()
    assert container["args"][-1:] == values["extraArgs"]
    assert container["env"][1:] == values["extraEnv"]
    assert container["volumeMounts"][-1:] == values["extraVolumeMounts"]
    assert spec["volumes"][-1:] == values["extraVolumes"]
    assert (
        exporter_of(example("second-release"))["envFrom"]
        == (example("second-release")["extraEnvFrom"])
    )
    deployment, service = (of_kind(values, kind) for kind in ("Deployment", "Service"))
    assert deployment["metadata"]["annotations"] == values["annotations"]
    assert deployment["spec"]["revisionHistoryLimit"] == 0
    assert service["metadata"]["annotations"] == values["service"]["annotations"]
    assert service["metadata"]["labels"]["tier"] == "exporter"
    assert (service["spec"]["type"], service["spec"]["ports"][0]["port"]) == ("NodePort", 80)
    account = of_kind(values, "ServiceAccount")["metadata"]
    assert (account["name"], account["annotations"]) == ("rests", {"example.com/role": "none"})
    monitor = of_kind(values, "ServiceMonitor")["spec"]["endpoints"][0]
    assert (monitor["interval"], monitor["scrapeTimeout"]) == ("1m", "20s")
    assert monitor["metricRelabelings"] == values["serviceMonitor"]["metricRelabelings"]
    budget = of_kind(values, "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == "50%"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "demo",
            [
                "polls a simulated call center",
                f"-n {NAMESPACE} rollout status deployment/rest-agent-rest-exporter",
                "Nothing scrapes it yet",
                "rest-agent-rest-exporter.floor.svc:10072",
                "Every pod of the cluster can read its pages",
            ],
        ),
        (
            "shards",
            [
                "with 3 shards",
                "port-forward rest-agent-rest-exporter-0 10072",
                "reloaded a minute or two after",
                "The Prometheus operator scrapes it",
            ],
        ),
        ("protected", ["https://127.0.0.1:10072/", "rollout status deployment/agent-rest\n"]),
        ("everything", ["http://127.0.0.1:8080/", "deployment/rest-rests 8080"]),
    ],
)
def test_notes_say_what_to_do_next(name: str, expected: list[str]) -> None:
    """With the names of this release."""
    notes = texts(example(name))["NOTES.txt"]
    for text in expected:
        assert text in notes
    assert ("Every pod of the cluster" in notes) == (name in {"demo", "one-process"})
    assert "\n\n\n" not in notes


def test_it_may_be_a_part_of_another_chart() -> None:
    """Helm then passes `global` to it."""
    values: dict[str, Any] = {"demo": {"enabled": True}, "global": {"site": "lima"}}
    assert objects(values) == objects({"demo": {"enabled": True}})
