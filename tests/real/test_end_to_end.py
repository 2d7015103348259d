"""The whole way: a call center on the simulator, the real command, and a real Prometheus."""

import asyncio
import signal
import ssl
from pathlib import Path

import httpx
import pytest
import trustme

from exporter.simulator.floors import AgentRow, Floor
from exporter.simulator.scenarios import Fault, Scenario, parse_scenario
from exporter.simulator.stand_in import Settings, Simulator, serving
from tests.support.processes import Process, query, scraping_prometheus, serving_exporter, until

pytestmark = [pytest.mark.anyio, pytest.mark.peers]

ACCESS_KEY, SECRET_KEY = "AKTEST", "canary-secret-key-of-the-test"


def floor(cc_id: int, vdn: int, now: float) -> Floor:
    """A floor whose numbers follow from its VDN: some rest, some wait for each reason."""
    begin = int(now - 600 - cc_id) * 1000
    resting = [AgentRow("Canary Name", 1000 + i, 0, begin + i, 300) for i in range(vdn)]
    waiting = [AgentRow("金丝雀", 5000 + i, i % 5, begin, 900) for i in range(cc_id)]
    return Floor(approved=cc_id + vdn, resting=vdn, waiting=cc_id, rows=tuple(resting + waiting))


def settings(**more: object) -> Settings:
    """A stand-in server that checks signatures and answers from `floor`."""
    return Settings(access_keys={ACCESS_KEY: SECRET_KEY}, floors=floor, **more)  # type: ignore[arg-type]  # passed through


def server_tls(ca: trustme.CA) -> ssl.SSLContext:
    """A certificate for the bare address 127.0.0.1, from a private CA."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_prometheus_holds_what_the_call_center_holds(tmp_path: Path) -> None:
    """Over plain HTTP with pages, and over TLS with a private CA and an address in the URL."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "sk").write_text(f"{SECRET_KEY}\n", encoding="utf-8")
    paged, secure = Simulator(settings(cti_version="3.6")), Simulator(settings())
    async with (
        serving(paged) as plain_address,
        serving(secure, ssl_context=server_tls(ca)) as secure_address,
    ):
        assert secure_address.url.startswith("https://127.0.0.1:")
        config = tmp_path / "config.yaml"
        config.write_text(
            f"""
            cms:
              - name: plain
                url: {plain_address.url}
                auth: {{access_key: {ACCESS_KEY}, secret_key_file: sk}}
                cti_version: "3.6"
                page_size: 2
                interval: 1s
                timeout: 900ms
                targets: [{{ccId: 3, vdn: 1-4}}]
              - name: secure
                url: {secure_address.url}
                auth: {{access_key: {ACCESS_KEY}, secret_key: "${{SECURE_SK}}"}}
                interval: 1s
                timeout: 900ms
                tls: {{ca_file: ca.pem}}
                targets: [{{ccId: 7, vdn: 2, name: sales, max_resting: 5}}]
            """,
            encoding="utf-8",
        )
        async with serving_exporter(config, environ={"SECURE_SK": SECRET_KEY}) as exporter:
            await check_with_prometheus(tmp_path / "prometheus", exporter)
            assert await exporter.stop() == 0
    assert not paged.refusals
    assert not secure.refusals


async def check_with_prometheus(folder: Path, exporter: Process) -> None:
    """PromQL returns the numbers of `floor`."""
    scrape = f"""
    global: {{scrape_interval: 1s, scrape_timeout: 1s}}
    scrape_configs:
      - job_name: agent-rest
        static_configs: [{{targets: ["{exporter.address}"]}}]
    """
    async with scraping_prometheus(folder, scrape) as prometheus:
        numbers = {
            "approved": {("3", "1"): 4, ("3", "2"): 5, ("3", "3"): 6, ("3", "4"): 7, ("7", "2"): 9},
            "resting": {("3", "1"): 1, ("3", "2"): 2, ("3", "3"): 3, ("3", "4"): 4, ("7", "2"): 2},
            "waiting": {("3", str(vdn)): 3 for vdn in range(1, 5)} | {("7", "2"): 7},
        }
        reasons = {
            "awaiting_approval": 2,
            "busy": 2,
            "vdn_limit": 1,
            "no_skill_queue": 1,
            "skill_queue_limit": 1,
            "unknown": 0,
        }

        async def values(promql: str) -> list[float]:
            return list((await query(prometheus, promql)).values())

        async def all_is_held() -> bool:
            """At one moment after the other: on a busy machine polls and scrapes can time out."""
            found = {}
            for family in numbers:
                promql = f"max by (cc_id, vdn) (agent_rest_{family}_agents)"
                answer = await query(prometheus, promql)
                found[family] = {(dict(k)["cc_id"], dict(k)["vdn"]): v for k, v in answer.items()}
            by_reason = await query(
                prometheus, 'sum by (reason) (agent_rest_waiting_reason_agents{cms="secure"})'
            )
            ages = await values('agent_rest_longest_rest_seconds{cms="secure"}')
            return (
                found == numbers
                and {dict(k)["reason"]: v for k, v in by_reason.items()} == reasons
                and await values("sum(agent_rest_up)") == [5]
                and await values('agent_rest_max_resting_agents{name="sales"}') == [5]
                and [600 < age < 700 for age in ages] == [True]
                and await values('agent_rest_overdue_agents{cms="secure"}') == [2]
                and await values('up{job="agent-rest"}') == [1]
            )

        await until(all_is_held)
        # a machine may be too busy for a reply or for a connection in 900 ms
        polls = 'agent_rest_exporter_poll_failures_total{reason!~"timeout|connect"}'
        failed = f"sum by (reason) ({polls}) > 0"
        assert await query(prometheus, failed) == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_it_while_requests_hang(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Within five seconds, with status 0 and a last word, whatever the server does."""
    simulator = Simulator(settings(scenarios=(Scenario(Fault.HANG),)))
    async with serving(simulator) as address:
        config = tmp_path / "config.yaml"
        config.write_text(
            f"""
            cms:
              - name: dead
                url: {address.url}
                interval: 300s
                timeout: 200s
                targets: [{{ccId: 1, vdn: 1-600}}]
            """,
            encoding="utf-8",
        )
        async with serving_exporter(config) as exporter:

            async def requests_hang() -> bool:
                return simulator.in_flight > 0

            await until(requests_hang)
            assert await exporter.stop(number) == 0
        assert exporter.lines[-1].endswith("level=info msg=stopped")


async def test_readiness_follows_the_first_round(tmp_path: Path) -> None:
    """Not ready before every target was polled; ready after; healthy all along."""
    asked = asyncio.Event()

    async def until_asked(_seconds: float) -> None:
        await asked.wait()

    simulator = Simulator(settings(scenarios=(parse_scenario("slow=1s"),), sleep=until_asked))
    async with serving(simulator) as address:
        config = tmp_path / "config.yaml"
        config.write_text(
            f"""
            cms:
              - url: {address.url}
                auth: {{access_key: {ACCESS_KEY}, secret_key: {SECRET_KEY}}}
                interval: 3s
                targets: [{{ccId: 1, vdn: 1-40}}]
            """,
            encoding="utf-8",
        )
        async with (
            serving_exporter(config) as exporter,
            httpx.AsyncClient(base_url=f"http://{exporter.address}", trust_env=False) as client,
        ):
            early = await client.get("/-/ready")
            assert early.status_code == 503
            assert early.text.endswith("of 40 targets wait for their first poll.\n")
            assert (await client.get("/-/healthy")).status_code == 200
            asked.set()

            async def ready() -> bool:
                return (await client.get("/-/ready")).status_code == 200

            await until(ready)
            assert len(simulator.requests_by_target) == 40
