"""Every command of the runbooks, run in an installed tree.

The tree has the exporter, its configuration and its secrets where docs/install.md puts them for
systemd, and what Compose and Kubernetes mount. The services that this machine does not have are
stand-ins (tests/support/stand_in_program.py). What they are told is checked with their own tools.
"""

import contextlib
import re
import shlex
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
import yaml

from exporter.simulator.scenarios import parse_scenario
from exporter.simulator.stand_in import Settings, Simulator, serving
from tests.support.installed import Installed, lay_out
from tests.support.paths import ROOT
from tests.support.processes import program, serving_exporter
from tests.support.runbook_pages import LAYOUTS, PAGES, commands, definitions

pytestmark = pytest.mark.anyio

UNIT = (ROOT / "deploy/systemd/agent-rest-exporter.service").read_text(encoding="utf-8")
SECRET = "not-a-real-secret"
# Words of the pages that stand for the reader's own server.
SERVER = "10.22.26.181:28443"
NO_COMMAND = (126, 127)
"""Exit statuses of a shell that could not run a command."""

LINES = list(dict.fromkeys(line for page in PAGES for line in commands(page)))


@contextlib.asynccontextmanager
async def installed(tree: Path) -> AsyncIterator[Installed]:
    """Install the exporter, start a server with HTTPS, and let the exporter fail for a moment."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    settings = Settings(
        access_keys={"AKEXAMPLE0001": SECRET}, scenarios=(parse_scenario("unauthorized@1/2"),)
    )
    async with serving(Simulator(settings), ssl_context=context) as server:
        _install(tree, server.url, authority)
        etc = tree / "etc/agent-rest-exporter/config.yaml"
        own = etc.with_name("own.yaml")
        text = etc.read_text(encoding="utf-8").replace(
            f"{tree}/run/credentials/agent-rest-exporter.service/secrets_",
            f"{tree}/etc/agent-rest-exporter/secrets/",
        )
        own.write_text(f"{text}    interval: 1s\n    timeout: 900ms\n", encoding="utf-8")
        async with serving_exporter(own) as exporter:
            await exporter.wait_for("vdn=2 reason=auth")
            own.write_text("cms: nothing", encoding="utf-8")
            exporter.handle.send_signal(signal.SIGHUP)
            await exporter.wait_for("not reloaded")
            (tree / "log").write_text("\n".join([*exporter.lines, ""]), encoding="utf-8")
            yield Installed(
                tree,
                {SERVER: f"127.0.0.1:{server.port}"},
                {"AGENT_REST_EXPORTER_URL": f"http://{exporter.address}/-/healthy"},
            )


def _install(tree: Path, url: str, authority: trustme.CA) -> None:
    """Lay out the files of all three installations."""
    lay_out(tree)
    for name in ("compose", "kubernetes"):
        (tree / name).mkdir()
    page = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    (systemd,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    compose = (ROOT / "deploy/compose/exporter/config.example.yaml").read_text(encoding="utf-8")
    kubernetes = (ROOT / "deploy/kubernetes/config.yaml").read_text(encoding="utf-8")
    etc = tree / "etc/agent-rest-exporter"
    for folder, example in (
        (etc, systemd),
        (tree / "compose", compose),
        (tree / "kubernetes", kubernetes.replace("1-5000", "1-3")),
    ):
        (folder / "secrets").mkdir(exist_ok=True)
        (folder / "secrets" / "lima-sk").write_text(SECRET, encoding="utf-8")
        (folder / "tls").mkdir()
        authority.cert_pem.write_to_path(str(folder / "tls" / "lima-ca.pem"))
        (server,) = yaml.safe_load(example)["cms"]
        trust = "" if "tls" in server else "    tls: {ca_file: tls/lima-ca.pem}\n"
        text = (
            (example + trust)
            .replace(f"https://{SERVER}", url)
            .replace("/run/secrets/agent-rest-exporter", f"{folder}/secrets")
            .replace("/run/credentials", f"{tree}/run/credentials")
        )
        (folder / "config.yaml").write_text(text, encoding="utf-8")


async def test_systemd(tmp_path: Path) -> None:
    """Every line of every page runs, and finds what its page says it finds."""
    for tool in ("curl", "openssl"):
        program(tool, tool)
    async with installed(tmp_path) as here:
        printed = {}
        for line in LINES:
            status, printed[line] = await here.type("systemd", line)
            assert status not in NO_COMMAND, (line, printed[line])
            fails = "--live" in line or "query" in line  # VDN 2 is refused
            assert status == (1 if fails else 0), (line, printed[line])
    assert len(LINES) >= 16
    refused = "HTTP 401: the server rejected the signature"
    for line in LINES:
        if line.startswith("exporter check"):
            assert "config.yaml: valid" in printed[line]
        if "--live" in line:
            assert f"ccId 1, vdn 2: auth: {refused}" in printed[line], printed[line]
        if "query" in line:
            assert f"ccId 1, vdn 2: auth: {refused}" in printed[line], printed[line]
        if line.startswith("logs"):
            assert "cms=lima" in printed[line] or "level=" in printed[line], line
        if line.startswith("curl"):
            assert printed[line] == "200\n"
        if line.startswith("openssl"):
            assert "notAfter=" in printed[line]
    assert printed["exporter healthcheck"].endswith("healthy\n")
    # Nothing is left: the credentials are gone with the transient unit.
    assert not list((tmp_path / "run/credentials").iterdir())


async def test_containers(tmp_path: Path) -> None:
    """The commands that are defined for each layout do the same in the others."""
    async with installed(tmp_path) as here:
        for layout, check in ((LAYOUTS[1], _check_compose), (LAYOUTS[2], _check_kubectl)):
            status, printed = await here.type(layout, "exporter check")
            assert (status, "config.yaml: valid" in printed) == (0, True), printed
            line = "exporter query --cms=lima --cc-id=1 --vdn=2; logs | grep 'cms=lima'"
            status, printed = await here.type(layout, line)
            assert status == 0
            assert "vdn=2 reason=auth" in printed
            assert "ccId 1, vdn 2: auth:" in printed
            *_, (_program, *first), _query, (_program, *last) = here.calls()
            check(first)
            check(last)


def _check_compose(arguments: list[str]) -> None:
    """Compose has these options, and the file has the service."""
    compose = str(Path(sys.executable).with_name("docker-compose"))
    (_, _, file, verb, *rest) = arguments
    described = subprocess.run(
        [compose, verb, "--help"], capture_output=True, check=True, text=True
    ).stdout
    options = [word for word in rest[: rest.index("exporter")] if word.startswith("-")]
    for option in options:
        assert option.partition("=")[0] in described.replace(",", " ").split(), option
    services = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))["services"]
    assert "exporter" in services


def _check_kubectl(arguments: list[str]) -> None:
    """The manifests have the names, and kubectl the options, where it is installed."""
    folder = ROOT / "deploy/kubernetes"
    stateful = yaml.safe_load((folder / "statefulset.yaml").read_text(encoding="utf-8"))
    namespace, verb, *rest = arguments[: arguments.index("--") if "--" in arguments else None]
    manifest = yaml.safe_load((folder / "namespace.yaml").read_text(encoding="utf-8"))
    assert namespace == f"--namespace={manifest['metadata']['name']}"
    labels = stateful["spec"]["template"]["metadata"]["labels"]
    container = stateful["spec"]["template"]["spec"]["containers"][0]["name"]
    for word in rest:
        if word.startswith("--selector="):
            name, _, value = word.removeprefix("--selector=").partition("=")
            assert labels[name] == value
        elif word.startswith("--container="):
            assert word == f"--container={container}"
        elif word.startswith("agent-rest-exporter"):
            assert word == f"{stateful['metadata']['name']}-0"
    if shutil.which("kubectl"):
        described = subprocess.run(
            ["kubectl", verb, "--help"], capture_output=True, check=True, text=True
        ).stdout
        options = [word.partition("=")[0] for word in rest if word.startswith("--")]
        assert all(f"{option}=" in described for option in options), (verb, options)


def test_kubernetes_lines() -> None:
    """Those that only Kubernetes has are checked like the definitions."""
    lines = [shlex.split(line) for line in LINES if line.startswith("kubectl")]
    verbs = ["debug", "delete", "describe", "get", "get", "logs", "rollout", "taint"]
    assert sorted(words[1] if words[1] == "taint" else words[2] for words in lines) == verbs
    for _program, *arguments in lines:
        if arguments[0] == "taint":
            continue
        if arguments[1] == "debug":
            _check_kubectl(arguments)
        assert arguments[0] == "--namespace=agent-rest"


@pytest.mark.real
def test_the_transient_unit_is_like_the_unit(tmp_path: Path) -> None:
    """The properties exist; credentials, program and configuration are those of the unit."""
    line = definitions("systemd").replace("$unit", "agent-rest-1")
    given = re.findall(r"--property=(\w+)=(\"[^\"]*\"|\S+)", line)
    unit = tmp_path / "transient.service"
    settings = [f"{name}={value}" for name, value in given if name != "Environment"]
    unit.write_text("\n".join(["[Service]", "ExecStart=/bin/true", *settings, ""]), "utf-8")
    done = subprocess.run(
        [program("systemd-analyze", "systemd"), "verify", unit],
        capture_output=True,
        check=False,
        text=True,
    )
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)
    of_systemd_run = line.partition("; ")[2].partition("/usr/bin/env")[0]
    options = set(re.findall(r"(?<= )--([a-z-]+)", of_systemd_run))
    described = subprocess.run(
        [program("systemd-run", "systemd"), "--help"], capture_output=True, check=True, text=True
    ).stdout
    assert options - {"value"} <= set(re.findall(r"--([a-z-]+)", described))
    for name in ("LoadCredential", "DynamicUser"):
        assert f"\n{name}={dict(given)[name]}\n" in UNIT
    (start,) = re.findall(r"^ExecStart=(\S+) serve --config.file=(\S+)$", UNIT, flags=re.MULTILINE)
    program_file, config = start
    assert f" PATH={Path(program_file).parent}:" in line
    assert f"={config} " in line
    assert dict(given)["User"] == Path(program_file).name
    assert dict(given)["BindReadOnlyPaths"].endswith(
        ":/run/credentials/agent-rest-exporter.service"
    )
