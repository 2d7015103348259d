"""Every protocol in which a real Prometheus can ask for metrics: the same numbers come."""

from pathlib import Path
from typing import Final

import pytest

from exporter.simulator.floors import Floor
from exporter.simulator.stand_in import Settings, Simulator, serving
from tests.support.processes import (
    polled_each_second,
    program,
    query,
    scraping_prometheus,
    serving_exporter,
    until,
    version_of,
)

pytestmark = [pytest.mark.anyio, pytest.mark.peers]

SINCE: Final = {
    "OpenMetricsText0.0.1": (2, 49),
    "OpenMetricsText1.0.0": (2, 49),
    "PrometheusText0.0.4": (2, 49),
    "PrometheusProto": (2, 49),
    "PrometheusText1.0.0": (3, 0),
}
"""By the name that `scrape_protocols` has for it, the first Prometheus that knows it.

Earlier ones have no choice: they ask for OpenMetrics, and for text with less weight.
"""


async def test_every_protocol_brings_the_same(tmp_path: Path) -> None:
    """One job for each, and one with Prometheus' own order; gauges, counters and histograms."""
    version = version_of(program("prometheus", "prometheus"))
    protocols = [name for name, since in SINCE.items() if version >= since]
    if not protocols:
        pytest.skip("this Prometheus cannot choose: see `make peers` in CONTRIBUTING.md")
    jobs = {"default": ""} | {
        name: f", scrape_protocols: [{name}], honor_timestamps: true" for name in protocols
    }
    config = tmp_path / "config.yaml"
    async with serving(Simulator(Settings(floors=lambda *_: Floor(3, 2, 1)))) as lima:
        named = 'targets: [{ccId: 1, vdn: 1-2, name: "sales é", labels: {site: lima}}]'
        config.write_text("cms:\n" + polled_each_second("lima", lima.url, named), "utf-8")
        async with serving_exporter(config) as exporter:
            scrape = "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n"
            for name, options in jobs.items():
                targets = f"static_configs: [{{targets: ['{exporter.address}']}}]"
                scrape += f"  - {{job_name: '{name}', {targets}{options}}}\n"
            async with scraping_prometheus(tmp_path / "prometheus", scrape) as prometheus:
                expected = {
                    "count by (job) (agent_rest_up == 1)": 2,
                    'sum by (job) (agent_rest_approved_agents{name="sales é",site="lima"})': 6,
                    'count by (job) (agent_rest_polls_total{vdn="2"})': 1,
                    'count by (job) (agent_rest_exporter_poll_delay_seconds_bucket{le="5.0"})': 1,
                    "count by (job) (process_cpu_seconds_total)": 1,
                }

                async def all_jobs_hold_the_same() -> bool:
                    """On a busy machine any scrape can time out, so all is asked again."""
                    for promql, value in expected.items():
                        found = await query(prometheus, promql)
                        by_job = {dict(labels)["job"]: n for labels, n in found.items()}
                        if by_job != dict.fromkeys(jobs, value):
                            return False
                    # as many series in each format
                    counts = await query(prometheus, "scrape_samples_scraped")
                    return len(counts) == len(jobs) and len(set(counts.values())) == 1

                await until(all_jobs_hold_the_same)
