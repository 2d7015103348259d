"""VictoriaMetrics in place of Prometheus: probes through vmagent, and vmalert on the shipped rules.

CI does not install it. Without it these tests are skipped, unless PEERS names a folder.
"""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from exporter.simulator.floors import AgentRow, Floor
from exporter.simulator.scenarios import Fault, Scenario
from exporter.simulator.stand_in import Settings, Simulator, serving
from tests.support.alert_rules import RULES
from tests.support.alertmanager import notifying, write_hurried_rules
from tests.support.dashboard_rules import expressions
from tests.support.dashboards import UIDS, filled, read
from tests.support.paths import ROOT
from tests.support.processes import query, serving_exporter, until
from tests.support.victoria_metrics import database, dry_run, evaluating_vmalert, scraping_vmagent

ALL = dict.fromkeys(("job", "instance", "cms", "cc_id", "vdn", "name"), ".*") | {
    "__rate_interval": "30s",
    "__range": "5m",
}
"""What Grafana puts in for its variables."""

pytestmark = [pytest.mark.anyio, pytest.mark.peers]


def scrape_part(name: str, address: str) -> str:
    """The part of a shipped configuration that vmagent knows, in a hurry."""
    shipped = yaml.safe_load((ROOT / "deploy" / "prometheus" / name).read_text(encoding="utf-8"))
    jobs: list[dict[str, Any]] = shipped["scrape_configs"]
    for job in jobs:
        job |= {"scrape_timeout": "1s"}
        # without the shipped example's shards: this vmagent takes every target
        job.pop("relabel_configs", None)
        for group in job.get("static_configs", ()):
            group["targets"] = [address]
        for source in job.get("http_sd_configs", ()):
            source["url"] = f"http://{address}/sd"
            # Prometheus' key; vmagent has a flag for it
            source.pop("refresh_interval")
    return yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs})


def configuration(folder: Path, url: str, *, dead: str, interval: str) -> Path:
    """Two VDNs of a server that answers, and one of a server that does not."""
    file = folder / "config.yaml"
    file.write_text(
        f"""
        cms:
          - name: lima
            url: {url}
            interval: {interval}
            timeout: 900ms
            targets: [{{ccId: 1, vdn: 1-2, name: sales, labels: {{site: miraflores}}}}]
          - name: cusco
            url: {dead}
            interval: {interval}
            timeout: 900ms
            targets: [{{ccId: 7, vdn: 5}}]
        """,
        encoding="utf-8",
    )
    return file


async def test_vmagent_probes_what_sd_lists(tmp_path: Path) -> None:
    """Each target under its instance, with its numbers and labels; a failed poll is `up` 0."""

    def floor(cc_id: int, vdn: int, _: float) -> Floor:
        return Floor(approved=100 * cc_id + vdn, resting=0, waiting=0)

    hanging = Simulator(Settings(scenarios=(Scenario(Fault.HANG),)))
    async with serving(Simulator(Settings(floors=floor))) as lima, serving(hanging) as cusco:
        config = configuration(tmp_path, lima.url, dead=cusco.url, interval="10h")
        async with (
            serving_exporter(config) as exporter,
            database(tmp_path / "data") as (url, client),
            scraping_vmagent(tmp_path / "agent", scrape_part("probe.yml", exporter.address), url),
        ):

            async def all_is_told() -> bool:
                up = await by_instance(client, "agent_rest_up")
                numbers = await by_instance(client, 'agent_rest_approved_agents{site="miraflores"}')
                reasons = await by_instance(client, 'agent_rest_failing{reason="timeout"}')
                own = await query(client, "agent_rest_exporter_requests_total")
                return (
                    up == {"lima/1/1": 1, "lima/1/2": 1, "cusco/7/5": 0}
                    and numbers == {"lima/1/1": 101, "lima/1/2": 102}
                    and reasons == {"cusco/7/5": 1}
                    and len(own) == 2
                )

            await until(all_is_told)
            assert not await query(client, 'agent_rest_up{job="agent-rest-exporter"}')


async def by_instance(client: httpx.AsyncClient, promql: str) -> dict[str, float]:
    """A query's values by the label `instance`."""
    return {dict(labels)["instance"]: one for labels, one in (await query(client, promql)).items()}


async def test_vmalert_evaluates_the_shipped_rules(tmp_path: Path) -> None:
    """From rows to a notification, with the texts that Prometheus gives; and back to silence.

    The dashboards' expressions run as well.
    """
    overstaying = {1}

    def floor(_cc_id: int, vdn: int, now: float) -> Floor:
        row = AgentRow("Canary Name", 55_000 + vdn, 0, int(now - 7200) * 1000, 5400)
        return Floor(0, 1, 0, (row,)) if vdn in overstaying else Floor(0, 0, 0)

    rules = tmp_path / "rules"
    write_hurried_rules(rules)
    async with serving(Simulator(Settings(floors=floor))) as lima:
        config = configuration(tmp_path, lima.url, dead="http://127.0.0.1:9", interval="1s")
        async with (
            serving_exporter(config) as exporter,
            database(tmp_path / "data") as (url, client),
            scraping_vmagent(
                tmp_path / "agent", scrape_part("prometheus.yml", exporter.address), url
            ),
            notifying(tmp_path / "alertmanager") as (webhook, alertmanager, _),
        ):

            async def is_scraped() -> bool:
                return bool(await query(client, 'up{job="agent-rest-exporter"} == 1'))

            await until(is_scraped)  # else the exporter would be missing at first
            async with evaluating_vmalert(rules, url, alertmanager):
                told = await webhook.hears("AgentRestTooLong", "lima")
                dead = await webhook.hears("AgentRestAllTargetsDown", "cusco")
                recorded = "instance_cms:agent_rest_exporter_polls_skipped:ratio_rate5m"

                async def is_recorded() -> bool:
                    return bool(await query(client, recorded))

                await until(is_recorded)
                for _, expr in (one for uid in UIDS for one in expressions(read(uid))):
                    await query(client, filled(expr, ALL))  # raises unless it is understood
                overstaying.clear()
                ended = await webhook.hears_the_end("AgentRestTooLong", "lima", {"1"})
    (alert,) = told.alerts
    assert re.fullmatch(
        r"VDN 1 \(sales\) of call center 1 at lima: the longest rest has lasted "
        r"2h \d+m \d+s; the limit is 1h( 0m 0s)?\.",
        alert["annotations"]["description"],
    )
    assert alert["labels"]["site"] == "miraflores"
    assert dead.alerts[0]["annotations"]["description"] == (
        "cusco: 1 of 1 targets down for 5m, last failures by reason: connect 1."
    )
    assert (told.status, ended.status) == ("firing", "resolved")
    # no shipped rule fires for want of a function or of a series; on a busy machine, that the dead
    # target flaps is told before the alert for its server holds it back
    names = {one.group["alertname"] for one in webhook.told} - {"AgentRestFlapping"}
    assert names <= {"AgentRestTooLong", "AgentRestOverdue", "AgentRestAllTargetsDown"}


def test_vmalert_accepts_the_rules() -> None:
    """Every file, without starting."""
    verdict = dry_run(RULES)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
