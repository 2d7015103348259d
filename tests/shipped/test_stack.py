"""The stack of deploy/compose, up for real: targets are scraped, and an alert reaches Alertmanager.

Grafana's image cannot be made from Debian's packages, so its service is left out; what it reads is
tested in tests/deploy and tests/real.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.podman import SETTINGS, fetch, wait
from tests.support.processes import clean_environment, free_port

SERVICES = ("exporter", "prometheus", "alertmanager")
PORTS = {name: f"{name.upper()}_PORT" for name in SERVICES}


@dataclass(frozen=True, slots=True)
class Stack:
    """The running stack."""

    urls: dict[str, str]
    """Where each service listens."""
    started: float
    """When the stranger typed the first command."""
    building: float
    """How many seconds the image took."""
    compose: Callable[..., str]

    def alerts(self) -> list[str]:
        """The names of the alerts that Alertmanager has."""
        found = json.loads(fetch(f"{self.urls['alertmanager']}/api/v2/alerts"))
        return [str(alert["labels"]["alertname"]) for alert in found]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The demo's stack, by Compose on Podman's socket; its volumes are removed in the end."""
    socket = tmp_path_factory.mktemp("podman") / "socket"
    environ = clean_environment() | SETTINGS | {"DOCKER_HOST": f"unix://{socket}"}
    ports = {name: free_port() for name in SERVICES}
    environ |= {PORTS[name]: str(port) for name, port in ports.items()}

    def compose(*arguments: str) -> str:
        file = ROOT / "deploy/compose/compose.yaml"
        program = str(Path(sys.executable).with_name("docker-compose"))
        options = ["--env-file=/dev/null", "--project-name=are-test", f"--file={file}"]
        done = subprocess.run(
            [program, *options, *arguments],
            capture_output=True,
            check=False,
            env=environ,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    started = time.monotonic()
    build = ["make", "image", "ENGINE=podman", "BUILD_FLAGS=--no-cache --pull=never"]
    subprocess.run(build, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    building = time.monotonic() - started
    with subprocess.Popen(
        ["podman", "system", "service", "--time=0", f"unix://{socket}"], env=environ
    ) as service:
        try:
            wait(socket.exists)
            compose("up", "--detach", "--no-build", *SERVICES)
            urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
            yield Stack(urls, started, building, compose)
        finally:
            compose("down", "--volumes", "--timeout=5")
            service.terminate()


def test_every_target_is_up(stack: Stack, record_property: Callable[[str, object], None]) -> None:
    """Exporter, Prometheus and Alertmanager, under their names in the stack."""

    def targets() -> dict[str, str]:
        found = json.loads(fetch(f"{stack.urls['prometheus']}/api/v1/targets"))["data"]
        states = {target["scrapePool"]: target["health"] for target in found["activeTargets"]}
        return states if set(states.values()) == {"up"} else {}

    assert set(wait(targets, 120)) == {"agent-rest-exporter", "prometheus", "alertmanager"}
    seconds = time.monotonic() - stack.started
    assert seconds < 300
    record_property("by container, the image built in", f"{stack.building:.0f} s")
    record_property("by container, metrics in Prometheus after", f"{seconds:.0f} s")


def test_rules_are_loaded(stack: Stack) -> None:
    """All of them, without a fault."""
    groups = json.loads(fetch(f"{stack.urls['prometheus']}/api/v1/rules"))["data"]["groups"]
    names = {rule["name"] for group in groups for rule in group["rules"]}
    assert {"AgentRestTargetDown", "AgentRestTooLong"} <= names
    assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}


def test_each_service_runs_behind_an_init_without_rights(stack: Stack) -> None:
    """The engine's init is the first process, and no process has a capability."""
    for name in SERVICES:
        [line, *_] = stack.compose("exec", "-T", name, "cat", "/proc/1/cmdline").split("\0")
        assert "init" in line, name
        status = stack.compose("exec", "-T", name, "cat", "/proc/self/status")
        assert "CapEff:\t0000000000000000\n" in status, name
        assert "NoNewPrivs:\t1\n" in status, name


def test_the_health_checks_of_the_services(stack: Stack) -> None:
    """Prometheus' and Alertmanager's commands succeed in their containers."""
    config = json.loads(stack.compose("config", "--format=json"))
    for name in ("prometheus", "alertmanager"):
        _, *command = config["services"][name]["healthcheck"]["test"]
        stack.compose("exec", "-T", name, *command)


def test_an_alert_comes_through(
    stack: Stack, record_property: Callable[[str, object], None]
) -> None:
    """The demo's VDN that fails is an alert in Alertmanager, by the shipped rules."""
    wait(lambda: "AgentRestTargetDown" in stack.alerts(), 900)
    seconds = time.monotonic() - stack.started
    assert seconds < 900
    record_property("by container, an alert in Alertmanager after", f"{seconds:.0f} s")


def test_nothing_listens_to_others(stack: Stack) -> None:
    """Each port is published on 127.0.0.1 alone."""
    for name, url in stack.urls.items():
        port = {"exporter": 10072, "prometheus": 9090, "alertmanager": 9093}[name]
        assert f"http://{stack.compose('port', name, str(port)).strip()}" == url
