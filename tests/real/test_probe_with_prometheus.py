"""`/sd` and `/probe` with real Prometheus servers that share the targets by the shipped example."""

import asyncio
import contextlib
import re
import subprocess
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import httpx
import pytest
import yaml

from exporter.polling.schedule import first_delay
from exporter.simulator.floors import Floor
from exporter.simulator.scenarios import Fault, Scenario
from exporter.simulator.stand_in import Settings, Simulator, serving
from exporter.store import TargetKey
from tests.support.paths import ROOT
from tests.support.processes import query, scraping_prometheus, serving_exporter, until

pytestmark = [pytest.mark.anyio, pytest.mark.peers]
EXAMPLE = ROOT / "deploy/prometheus/probe.yml"
ALIVE = {f"alive/3/{vdn}": vdn for vdn in range(1, 21)}
HANGING = {f"hanging/9/{vdn}" for vdn in range(1, 5)}
INTERVAL = 36_000
"""Seconds between the exporter's own polls of a target: so long that probes make the requests."""


def floor(cc_id: int, vdn: int, _: float) -> Floor:
    """Numbers that tell the target."""
    return Floor(approved=100 * cc_id + vdn, resting=0, waiting=0, rows=())


def example(address: str, shard: int) -> str:
    """The shipped configuration for one shard, in a hurry."""
    text = EXAMPLE.read_text(encoding="utf-8")
    for old, new in (
        ("localhost:10072", address),
        (": 30s", ": 4s"),
        ("scrape_timeout: 15s", "scrape_timeout: 3s"),
        ('regex: "0"', f'regex: "{shard}"'),
    ):
        assert old in text
        text = text.replace(old, new)
    return text


@contextlib.asynccontextmanager
async def exporting(folder: Path, alive: Simulator, hanging: Simulator) -> AsyncIterator[str]:
    """The address of an exporter of both."""
    async with serving(alive) as good, serving(hanging) as bad:
        config = folder / "config.yaml"
        config.write_text(
            f"""
            cms:
              - name: alive
                url: {good.url}
                interval: {INTERVAL}s
                targets: [{{ccId: 3, vdn: 1-20, labels: {{site: a}}}}]
              - name: hanging
                url: {bad.url}
                interval: {INTERVAL}s
                timeout: 1h
                targets: [{{ccId: 9, vdn: 1-4}}]
            """,
            encoding="utf-8",
        )
        async with serving_exporter(config) as exporter:
            yield exporter.address


async def by_instance(prometheus: httpx.AsyncClient, promql: str) -> dict[str, float]:
    """A query's values by the label `instance`, of which each must be there once."""
    found: dict[str, float] = {}
    for labels, value in (await query(prometheus, promql)).items():
        instance = dict(labels)["instance"]
        assert instance not in found
        found[instance] = value
    return found


async def of_both(shards: Iterable[httpx.AsyncClient], promql: str) -> dict[str, float]:
    """The same of two Prometheus servers that must have no target in common."""
    first, second = [await by_instance(shard, promql) for shard in shards]
    assert not first.keys() & second.keys()
    return first | second


async def test_two_shards_share_the_targets(tmp_path: Path) -> None:
    """Each target is in one of them, with its numbers; one that hangs fails in time and alone."""
    begun = time.time()
    alive = Simulator(Settings(floors=floor))
    hanging = Simulator(Settings(scenarios=(Scenario(Fault.HANG),)))
    async with (
        exporting(tmp_path, alive, hanging) as address,
        scraping_prometheus(tmp_path / "0", example(address, 0)) as first,
        scraping_prometheus(tmp_path / "1", example(address, 1)) as second,
    ):
        shards = (first, second)

        async def all_is_told() -> bool:
            # what a probe brought, beside whether it came in time
            told = 'agent_rest_up + on (instance) group_left () (up{job="agent-rest-probe"} - 1)'
            up = await of_both(shards, told)
            numbers = await of_both(shards, 'agent_rest_approved_agents{site="a"}')
            reasons = await of_both(shards, 'agent_rest_failing{reason="timeout"}')
            own = [await query(shard, "agent_rest_exporter_requests_total") for shard in shards]
            return (
                up == dict.fromkeys(ALIVE, 1) | dict.fromkeys(HANGING, 0)
                and numbers == {name: 300 + vdn for name, vdn in ALIVE.items()}
                and reasons == dict.fromkeys(HANGING, 1)
                and [len(servers) for servers in own] == [2, 2]
            )

        await until(all_is_told)
        for shard in shards:
            assert await by_instance(shard, 'up{job="agent-rest-probe"}'), "the other has them all"
            assert not await query(shard, 'agent_rest_up{job="agent-rest-exporter"}')
        # neither the other way of asking, nor the schedule's own numbers, are touched
        async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client:
            metrics = (await client.get("/metrics")).text
        polled = re.findall(r"^agent_rest_polls_total\{.*\} (.*)$", metrics, flags=re.MULTILINE)
        assert len(polled) == 24
        # by chance some targets were due while this test ran
        keys = [TargetKey("alive", 3, vdn) for vdn in range(1, 21)]
        keys += [TargetKey("hanging", 9, vdn) for vdn in range(1, 5)]
        lasted = time.time() - begun
        due = sum(first_delay(key, INTERVAL, begun) <= lasted for key in keys)
        assert sum(map(float, polled)) <= due
    assert len(alive.requests_by_target) == 20


async def test_a_signal_cuts_probes_off(tmp_path: Path) -> None:
    """Whoever waits for a server that hangs is told so, and holds nothing up."""
    hanging = Simulator(Settings(scenarios=(Scenario(Fault.HANG),)))
    async with serving(hanging) as bad:
        config = tmp_path / "config.yaml"
        config.write_text(
            f"cms: [{{name: bad, url: {bad.url}, interval: 10h, targets: [{{ccId: 1, vdn: 1}}]}}]",
            encoding="utf-8",
        )
        async with (
            serving_exporter(config) as exporter,
            httpx.AsyncClient(base_url=f"http://{exporter.address}", trust_env=False) as client,
        ):
            target = {"cms": "bad", "cc_id": "1", "vdn": "1"}
            probing = asyncio.create_task(client.get("/probe", params=target, timeout=60))

            async def it_hangs() -> bool:
                return hanging.in_flight > 0

            await until(it_hangs)
            assert await exporter.stop() == 0
            reply = await probing
    assert (reply.status_code, reply.text) == (
        503,
        (
            "503: bad is no longer polled: the exporter is stopping, or its configuration was "
            "changed.\n"
        ),
    )


def test_promtool_accepts_the_example(promtool: str) -> None:
    """With the rules beside it; every lint is an error here."""
    verdict = subprocess.run(
        [promtool, "check", "config", "--lint-fatal", EXAMPLE],
        capture_output=True,
        check=False,
        text=True,
    )
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    assert "2 rule files found" in verdict.stdout


def test_the_page_shows_the_examples_heart() -> None:
    """What docs/probe.md tells to write is what was tried."""
    page = (EXAMPLE.parents[2] / "docs/probe.md").read_text(encoding="utf-8")
    job, shards = (
        yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    )
    tried = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))["scrape_configs"][0]
    [shown] = job["scrape_configs"]
    shown["http_sd_configs"][0] |= {
        "url": "http://localhost:10072/sd",
        "refresh_interval": "1m",
    }
    assert {**shown, **shards} == tried
