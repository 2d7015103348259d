"""No secret and no agent's name in any log, page, metric, error or traceback."""

import json
import traceback
from pathlib import Path

import httpx
import pytest

from exporter.config.load import load
from exporter.config.problems import ConfigError
from exporter.errors import Reason
from exporter.simulator.floors import AgentRow, Floor
from exporter.simulator.scenarios import Fault, Scenario
from exporter.simulator.stand_in import Settings, Simulator, serving
from tests.support.processes import MEASURED, free_port, run, serving_exporter, until

NAMES = ("Canary Oropendola", "金丝雀小姐")
SECRETS = {
    "secret key": "canary-secret-key",
    "second secret key": "canary-second-key",
    "token": "Bearer canary-token",
    "password": "canary-proxy-password",
    "header": "canary-tenant",
}
CANARIES = (*NAMES, *SECRETS.values(), "canary-", "Oropendola")
PATHS = (
    "/",
    "/metrics",
    "/api/v1/targets",
    "/sd",
    "/probe?cms=bad&cc_id=2&vdn=1",
    "/probe?cms=bad&cc_id=2&vdn=1&debug=true",
    "/target?cms=bad&cc_id=2&vdn=1",
    "/config",
    "/-/healthy",
    "/-/ready",
    "/nothing",
    "/metrics?name[]=agent_rest_up",
)
OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0"}
PAUSES = [Fault.RATE_LIMITED, Fault.UNAVAILABLE]
"""These put off a whole server: it is another one, or the others would not come to pass."""
FAULTS = [fault for fault in Fault if fault not in PAUSES]


def floor(_cc_id: int, _vdn: int, now: float) -> Floor:
    """Every agent is a canary."""
    begin = int(now - 900) * 1000
    rows = [AgentRow(NAMES[i % 2], 1000 + i, i % 6, begin, 300) for i in range(10)]
    return Floor(approved=1, resting=4, waiting=6, rows=tuple(rows))


def leaks(text: str) -> list[str]:
    """The canaries that a text holds."""
    return [canary for canary in CANARIES if canary.lower() in text.lower()]


def configuration(folder: Path, good: str, bad: str) -> Path:
    """Servers with every kind of secret; one VDN for each fault, and one that is well."""
    (folder / "sk").write_text(SECRETS["secret key"], encoding="utf-8")
    auth = {"access_key": "AK", "secret_key_file": "sk"}
    proxy = f"http://user:{SECRETS['password']}@127.0.0.1:{free_port()}"
    common: dict[str, object] = {
        "interval": "2s",
        "timeout": "1s",
        "headers": {"X-Tenant": SECRETS["header"]},
    }
    servers: list[dict[str, object]] = [
        {"name": "good", "url": good, "auth": auth, "targets": [{"ccId": 1, "vdn": 1}]},
        {
            "name": "wrong-key",
            "url": good,
            "auth": {"access_key": "AK", "secret_key": SECRETS["second secret key"]},
            "targets": [{"ccId": 1, "vdn": 2}],
        },
        {
            "name": "token",
            "url": good,
            "auth": {"authorization": SECRETS["token"]},
            "targets": [{"ccId": 1, "vdn": 3}],
        },
        {
            "name": "proxied",
            "url": good,
            "proxy_url": proxy,
            "targets": [{"ccId": 1, "vdn": 4}],
        },
        {
            "name": "bad",
            "url": bad,
            "auth": auth,
            "max_concurrency": 50,
            "targets": [{"ccId": 2, "vdn": f"1-{len(FAULTS)}"}],
        },
    ]
    for vdn, fault in enumerate(PAUSES, 1):
        targets = [{"ccId": 3, "vdn": vdn}]
        servers.append({"name": fault, "url": bad, "auth": auth, "targets": targets})
    path = folder / "config.yaml"
    path.write_text(json.dumps({"cms": [common | server for server in servers]}), "utf-8")
    return path


@pytest.mark.anyio
async def test_a_round_of_every_failure_leaks_nothing(tmp_path: Path) -> None:
    """Logs at debug, every page, both formats of the metrics; and the numbers are still right."""
    keys = {"AK": SECRETS["secret key"]}
    scenarios = (
        *(Scenario(fault, (2, vdn), 5.0) for vdn, fault in enumerate(FAULTS, 1)),
        *(Scenario(fault, (3, vdn), 5.0) for vdn, fault in enumerate(PAUSES, 1)),
    )
    good = Simulator(Settings(access_keys=keys, floors=floor))
    bad = Simulator(Settings(access_keys=keys, floors=floor, scenarios=scenarios))
    async with serving(good) as good_address, serving(bad) as bad_address:
        path = configuration(tmp_path, good_address.url, bad_address.url)
        seen = ""
        async with (
            serving_exporter(path, "--log.level=debug", environ=MEASURED) as exporter,
            httpx.AsyncClient(base_url=f"http://{exporter.address}", trust_env=False) as client,
        ):

            async def ready() -> bool:
                return (await client.get("/-/ready")).status_code == httpx.codes.OK

            await until(ready)
            for page in PATHS:
                for headers in ({}, OPENMETRICS):
                    reply = await client.get(page, headers=headers)
                    seen += f"{reply.headers}\n{reply.text}\n"
            await exporter.stop()
        log = "\n".join(exporter.lines)
    assert leaks(seen) == []
    assert leaks(log) == []
    assert 'agent_rest_resting_agents{cc_id="1",cms="good",vdn="1"} 4.0' in seen
    # a server's faults; the others need no server, or a certificate
    for reason in set(Reason) - {Reason.DNS, Reason.TLS, Reason.INTERNAL}:
        assert f"reason={reason}" in log, f"no failure with reason {reason}: the test has a hole"


BAD_SECRETS = f"""
cms:
  - url: http://cms.example
    auth:
      access_key: [{SECRETS["token"]}]
      secret_key: {{a: {SECRETS["secret key"]}}}
    proxy_url: "ftp://user:{SECRETS["password"]}@proxy"
    headers: {{X-Tenant: "{SECRETS["header"]}\\n\\n"}}
    targets: [{{ccId: 1, vdn: 1}}]
  - url: http://user:{SECRETS["password"]}@cms.example
    auth: {{authorization: "{SECRETS["token"]}${{X}}"}}
    targets: [{{ccId: 1, vdn: 1}}]
"""


def test_a_bad_configuration_leaks_nothing(tmp_path: Path) -> None:
    """Secrets of the wrong type or shape are named by their place, also in a traceback."""
    path = tmp_path / "config.yaml"
    path.write_text(BAD_SECRETS, encoding="utf-8")
    done = run("check", f"--config.file={path}")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) >= 6
    assert leaks(done.stdout + done.stderr) == []
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert leaks("".join(traceback.format_exception(caught.value))) == []
    assert leaks(repr(caught.value)) == []


def test_a_good_configuration_does_not_print_its_secrets(tmp_path: Path) -> None:
    """Neither in `repr` nor in what `check` says."""
    path = configuration(tmp_path, "http://good.example", "http://bad.example")
    assert leaks(repr(load(path, {}))) == []
    for arguments in ([], ["--json"]):
        done = run("check", f"--config.file={path}", *arguments)
        assert done.returncode == 0
        assert leaks(done.stdout + done.stderr) == []
