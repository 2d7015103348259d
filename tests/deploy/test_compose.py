"""The stack of deploy/compose, checked by Compose and by the tools of its services."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from exporter import __version__
from exporter.cli.commands import COMMANDS
from exporter.config.load import load
from tests.support.paths import ROOT
from tests.support.processes import clean_environment, program

COMPOSE = ROOT / "deploy/compose"
OWN = "exporter"
Service = dict[str, Any]


def compose(
    *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Compose on the shipped file, without the developer's own settings."""
    variables = set(re.findall(r"\$\{([A-Z_]+)", (COMPOSE / "compose.yaml").read_text("utf-8")))
    kept = {name: value for name, value in clean_environment().items() if name not in variables}
    return subprocess.run(
        [
            Path(sys.executable).with_name("docker-compose"),
            "--env-file=/dev/null",
            f"--file={COMPOSE / 'compose.yaml'}",
            *arguments,
        ],
        capture_output=True,
        check=False,
        env=kept | dict(environ or {}),
        text=True,
    )


@pytest.fixture(scope="module")
def services() -> dict[str, Service]:
    """Every service as Compose understands it."""
    done = compose("config", "--format=json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Service] = json.loads(done.stdout)["services"]
    return found


def mounts(service: Service) -> dict[str, Path]:
    """The files of this repository that a service mounts, by their paths in the container."""
    return {
        mount["target"]: Path(mount["source"])
        for mount in service["volumes"]
        if mount["type"] == "bind"
    }


@pytest.fixture
def inside(services: dict[str, Service], tmp_path: Path) -> Any:
    """A function that copies what a service mounts, and returns the directory that is its root."""

    def see(name: str) -> Path:
        for target, source in mounts(services[name]).items():
            place = tmp_path / target.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, place)
            else:
                shutil.copy(source, place)
        return tmp_path

    return see


def test_compose_finds_no_fault() -> None:
    """It prints nothing."""
    done = compose("config", "-q")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_the_example_of_the_settings_is_the_defaults() -> None:
    """.env.example has every variable, with its default."""
    text = (COMPOSE / "compose.yaml").read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", text))
    example = (COMPOSE / ".env.example").read_text(encoding="utf-8")
    assert used == set(re.findall(r"^([A-Z_]+)=(.*)$", example, flags=re.MULTILINE))


@pytest.mark.parametrize("command", ["demo", "serve"])
def test_one_variable_chooses_demo_or_real(command: str) -> None:
    """The command is selected, and its environment sets flags that it has."""
    environ = {} if command == "demo" else {"EXPORTER_COMMAND": command}
    service = json.loads(compose("config", "--format=json", environ=environ).stdout)
    exporter = service["services"][OWN]
    assert exporter["command"] == [command]
    [chosen] = [each for each in COMMANDS if each.name == command]
    variables = {flag.envvar for flag in chosen.flags}
    needed = {"AGENT_REST_EXPORTER_WEB_LISTEN_ADDRESS"}
    if command == "serve":
        needed.add("AGENT_REST_EXPORTER_CONFIG_FILE")
    assert needed <= variables
    assert needed <= exporter["environment"].keys()


def test_every_service_is_hardened(services: dict[str, Service]) -> None:
    """No service can write to its image, gain privileges, fill the machine or listen publicly."""
    assert services.keys() == {OWN, "prometheus", "alertmanager", "grafana"}
    for name, service in services.items():
        assert service["read_only"], name
        assert service["init"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert re.fullmatch(r"[1-9]\d*:\d+", service["user"]), name
        assert int(service["mem_limit"]) <= 2**30, name
        assert service["pids_limit"], name
        assert [port["host_ip"] for port in service["ports"]] == ["127.0.0.1"], name
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name
        assert name == OWN or service["healthcheck"]["test"][0] == "CMD", name  # its image has one
        for mount in service["volumes"]:
            assert mount["type"] == "volume" or mount["read_only"], name


def test_the_image_is_of_this_version(services: dict[str, Service]) -> None:
    """Its tag and its label, unless a variable says otherwise."""
    service = services[OWN]
    assert service["image"] == f"agent-rest-exporter:{__version__}"
    assert service["build"]["args"] == {"VERSION": __version__, "REVISION": "", "CREATED": ""}


def test_what_is_mounted_exists(services: dict[str, Service]) -> None:
    """Docker would create an empty directory in place of a missing file."""
    for service in services.values():
        assert all(source.exists() for source in mounts(service).values())


@pytest.mark.real
def test_prometheus_takes_its_files(
    services: dict[str, Service], inside: Any, promtool: str
) -> None:
    """The configuration and every rule file, at their paths in the container."""
    root = inside("prometheus")
    [flag] = [arg for arg in services["prometheus"]["command"] if "config.file" in arg]
    file = root / flag.partition("=/")[2]
    done = subprocess.run(
        [promtool, "check", "config", "--lint-fatal", str(file)],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shipped = list((ROOT / "deploy/prometheus/rules").glob("*.yaml"))
    assert len(re.findall(r"[1-9]\d* rules found", done.stdout)) == len(shipped) > 0


@pytest.mark.real
@pytest.mark.peers
def test_alertmanager_takes_its_file(services: dict[str, Service], inside: Any) -> None:
    """The configuration, at its path in the container."""
    root = inside("alertmanager")
    [flag] = [arg for arg in services["alertmanager"]["command"] if "config.file" in arg]
    done = subprocess.run(
        [
            program("amtool", "prometheus-alertmanager"),
            "check-config",
            str(root / flag.partition("=/")[2]),
        ],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_parts_find_each_other(services: dict[str, Service]) -> None:
    """Prometheus, Alertmanager and Grafana name services of the stack, at ports they listen on."""
    known = {f"{name}:{service['ports'][0]['target']}" for name, service in services.items()}
    prometheus = yaml.safe_load((COMPOSE / "prometheus.yml").read_text(encoding="utf-8"))
    groups = [
        *(group for job in prometheus["scrape_configs"] for group in job["static_configs"]),
        *prometheus["alerting"]["alertmanagers"][0]["static_configs"],
    ]
    named = {target for group in groups for target in group["targets"]}
    assert named - {"localhost:9090"} <= known
    assert f"{OWN}:10072" in named
    jobs = {job["job_name"] for job in prometheus["scrape_configs"]}
    single = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    assert {job["job_name"] for job in single["scrape_configs"]} <= jobs
    assert single["rule_files"] == prometheus["rule_files"]
    sources = ROOT / "deploy/grafana/provisioning/datasources"
    for file in sources.iterdir():
        for source in yaml.safe_load(file.read_text(encoding="utf-8"))["datasources"]:
            assert source["url"].removeprefix("http://") in known


def test_grafana_finds_the_dashboards(inside: Any) -> None:
    """The provider's directory has every shipped dashboard."""
    root = inside("grafana")
    folder = root / "etc/grafana/provisioning/dashboards"
    [provider] = [
        provider
        for file in folder.iterdir()
        for provider in yaml.safe_load(file.read_text(encoding="utf-8"))["providers"]
    ]
    found = (root / provider["options"]["path"].lstrip("/")).glob("*.json")
    shipped = {path.name for path in (ROOT / "deploy/grafana").glob("*.json")}
    assert {path.name for path in found} == shipped != set()


@pytest.mark.parametrize("content", [None, "", "a password\n"], ids=["missing", "empty", "given"])
def test_grafana_does_not_start_without_a_password(
    services: dict[str, Service], content: str | None, tmp_path: Path
) -> None:
    """Grafana's default password is admin."""
    service = services["grafana"]
    place = service["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"]
    assert place == f"/run/secrets/{service['secrets'][0]['source']}"
    shell, flag, script = (part.replace("$$", "$") for part in service["entrypoint"])
    assert script.count(place) == 1
    secret = tmp_path / "password"
    if content is not None:
        secret.write_text(content, encoding="utf-8")
    tried = script.replace(place, str(secret)).replace("exec /run.sh", "echo started")
    done = subprocess.run([shell, flag, tried], capture_output=True, check=False, text=True)
    if content:
        assert (done.stdout, done.stderr, done.returncode) == ("started\n", "", 0)
    else:
        assert (done.stdout, done.returncode) == ("", 1)
        assert done.stderr == (
            "deploy/compose/secrets/grafana-admin-password must contain a password and be readable "
            "by user 472: see docs/install.md\n"
        )


def test_the_example_of_a_real_configuration_is_valid(inside: Any) -> None:
    """With what the commands of docs/install.md create, and nothing else."""
    page = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    commands = re.findall(r"^.*deploy/compose/exporter.*$", page, re.MULTILINE)
    folder = inside(OWN) / "etc/agent-rest-exporter"
    script = "\n".join(line.removeprefix("sudo ") for line in commands)
    script = script.replace("deploy/compose/exporter", str(folder)).replace("chown", ": chown")
    subprocess.run(["sh", "-eu", "-c", f"umask 077\n{script}"], check=True, input=b"word\n")
    assert load(folder / "config.yaml", {}).servers[0].name == "lima"
    assert (folder / "config.yaml").stat().st_mode & 0o777 == 0o644  # user 10072 reads it
    assert (folder / "secrets/lima-sk").stat().st_mode & 0o777 == 0o600


def test_a_ca_of_ones_own_is_found(inside: Any) -> None:
    """The example's commented line, in use."""
    folder = inside(OWN) / "etc/agent-rest-exporter"
    text = (folder / "config.example.yaml").read_text(encoding="utf-8")
    (folder / "config.yaml").write_text(text.replace("# tls:", "tls:"), encoding="utf-8")
    (folder / "secrets").mkdir()
    (folder / "secrets/lima-sk").write_text("word\n", encoding="utf-8")
    (folder / "lima-ca.pem").write_bytes(trustme.CA().cert_pem.bytes())
    assert load(folder / "config.yaml", {}).servers[0].tls.ca_file
