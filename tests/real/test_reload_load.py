"""Reloads under load: hundreds of targets a second, ten scrapes a second, a real Prometheus."""

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.simulator.stand_in import Simulator, serving
from tests.support.processes import query, scraping_prometheus, serving_exporter, until

pytestmark = [pytest.mark.anyio, pytest.mark.peers]

JOBS = 50
"""Each scrapes every five seconds: together every 100 ms, with time for each on a busy machine."""
FAMILIES = ("agent_rest_up", "agent_rest_polls_total", "agent_rest_resting_agents")
SCRAPES = "".join(
    f"""
  - job_name: agent-rest-{number}
    static_configs: [{{targets: ["ADDRESS"]}}]
    metric_relabel_configs:
      - {{source_labels: [__name__], regex: {"|".join(FAMILIES)}, action: keep}}"""
    for number in range(JOBS)
)
FAILED = re.compile(
    r'^agent_rest_exporter_poll_failures_total\{cms="steady",reason=".*"\} (\d+)', re.MULTILINE
)
STAYING = 'cms="steady",cc_id="1"'
"""The 150 targets that no reload touches."""


class Counting(Simulator):
    """A server that knows every connection it was asked on."""

    def __init__(self) -> None:
        super().__init__()
        self.connections: set[object] = set()

    def app(self) -> web.Application:
        """The application, with an eye on its connections."""
        app = super().app()

        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            assert request.transport is not None
            self.connections.add(request.transport.get_extra_info("peername"))
            return await handler(request)

        app.middlewares.append(note)
        return app


def configuration(steady: str, other: str, round_: int) -> str:
    """In each round some targets come, some go, and one server has other settings."""
    return f"""
    cms:
      - name: steady
        url: {steady}
        interval: 1s
        timeout: 900ms
        stale_after: 5m
        targets: [{{ccId: 1, vdn: 1-150}}, {{ccId: 2, vdn: {round_ + 1}-{round_ + 20}}}]
      - name: other
        url: {other}
        interval: 1s
        timeout: {700 + round_}ms
        headers: {{X-Round: "{round_}"}}
        targets: [{{ccId: 1, vdn: 1-50, labels: {{site: here}}}}]
    """


async def settled(prometheus: httpx.AsyncClient) -> float:
    """Wait until Prometheus has started, and holds every target's numbers. Gives the time."""

    async def quick() -> bool:
        found = await query(
            prometheus,
            "scrape_duration_seconds < 1 and on (job) up == 1"
            f" and on (job) count by (job) (agent_rest_resting_agents{{{STAYING}}}) == 150",
        )
        return len(found) == JOBS

    await until(quick)
    return time.time()


async def samples(
    prometheus: httpx.AsyncClient, selector: str, begin: float
) -> dict[str, dict[str, list[Any]]]:
    """The raw samples since then of every series that a selector finds: by job, by labels."""
    reply = await prometheus.get("/api/v1/query", params={"query": f"{selector}[10m]"})
    reply.raise_for_status()
    found: dict[str, dict[str, list[Any]]] = {}
    for series in reply.json()["data"]["result"]:
        labels = series["metric"]
        found.setdefault(labels["job"], {})[str(sorted(labels.items()))] = [
            (at, value) for at, value in series["values"] if at >= begin
        ]
    return found


async def test_prometheus_sees_no_gap(tmp_path: Path) -> None:
    """No scrape fails; what did not change has a sample in each, and no counter falls."""
    steady, other = Counting(), Counting()
    config = tmp_path / "config.yaml"
    async with serving(steady) as first, serving(other) as second:
        config.write_text(configuration(first.url, second.url, 0), encoding="utf-8")
        async with (
            serving_exporter(config, "--config.auto-reload-interval=0") as exporter,
            httpx.AsyncClient(
                base_url=f"http://{exporter.address}", trust_env=False, timeout=30
            ) as client,
        ):

            async def ready() -> bool:
                return (await client.get("/-/ready")).status_code == 200

            await until(ready)
            scrapes = "global: {scrape_interval: 5s, scrape_timeout: 5s}\nscrape_configs:"
            text = scrapes + SCRAPES.replace("ADDRESS", exporter.address)
            async with scraping_prometheus(tmp_path / "prometheus", text) as prometheus:
                begin = await settled(prometheus)
                for round_ in range(1, 11):
                    seen = steady.requests
                    config.write_text(
                        configuration(first.url, second.url, round_), encoding="utf-8"
                    )
                    reply = await client.post("/-/reload")
                    assert reply.text == (
                        "targets: 1 added, 1 removed, 50 changed, 169 unchanged; "
                        "servers with changes: other\n"
                    )
                    page = (await client.get("/metrics")).text
                    assert f'cc_id="2",cms="steady",vdn="{round_ + 20}"' in page
                    assert f'cc_id="2",cms="steady",vdn="{round_}"' not in page
                    # a round of polls later, the next change
                    while steady.requests < seen + 170:
                        await asyncio.sleep(0.05)

                async def scraped_often() -> bool:
                    ups = await samples(prometheus, "up", begin)
                    return (
                        min(len(values) for found in ups.values() for values in found.values()) > 2
                    )

                await until(scraped_often)
                await check(prometheus, begin)
            # three for each poll in flight. A reload replaces them, as does a failed poll: one can
            # time out on a busy machine
            failed = sum(map(int, FAILED.findall((await client.get("/metrics")).text)))
            kept = 3 * 8 * (1 + 10 + failed)
            assert len(steady.connections) <= kept, "polls share connections"
            assert len(other.connections) > 10, "a changed one gets others"
            assert steady.most_in_flight <= 8
            assert other.most_in_flight <= 8


async def check(prometheus: httpx.AsyncClient, begin: float) -> None:
    """What Prometheus has stored, sample by sample."""
    ups = await samples(prometheus, "up", begin)
    scrapes = {job: next(iter(found.values())) for job, found in ups.items()}
    assert len(scrapes) == JOBS
    for values in scrapes.values():
        assert {value for _, value in values} == {"1"}, "a scrape failed"
    for name in FAMILIES:
        found = await samples(prometheus, f"{name}{{{STAYING}}}", begin)
        for job, series in found.items():
            times = [at for at, _ in scrapes[job]]
            assert len(series) == 150
            for labels, values in series.items():
                # it is queried after `up`, so that it can have more samples, but not fewer
                assert [at for at, _ in values][: len(times)] == times, (name, labels)
                if name == "agent_rest_polls_total":
                    numbers = [float(value) for _, value in values]
                    assert numbers == sorted(numbers), "a counter was reset"
