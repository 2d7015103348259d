"""An alert's whole way by real parts: call center, exporter, Prometheus, Alertmanager, people."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.rest import Doubt
from exporter.simulator.floors import AgentRow, Floor
from exporter.simulator.stand_in import Settings, Simulator, serving
from tests.support.alertmanager import watching
from tests.support.processes import free_port, polled_each_second, query, serving_exporter, until

pytestmark = [pytest.mark.anyio, pytest.mark.peers]

NAME = "Canary Name"
TWO_HOURS = (7200, 5400)
"""A rest above the limit of an hour, and overdue by half an hour."""
OVERDUE_ONLY = (1800, 600)
"""A rest below the limit, and overdue by twenty minutes."""
RUNBOOKS = "https://github.com/agent-rest-exporter/agent-rest-exporter/blob/main/docs/runbooks"


def floors(resting: Mapping[int, tuple[int, int]]) -> Settings:
    """A server where one agent of each of these VDNs rests: so long, and so much was requested."""

    def floor(_cc_id: int, vdn: int, now: float) -> Floor:
        if vdn not in resting:
            return Floor(0, 0, 0)
        lasted, requested = resting[vdn]
        row = AgentRow(NAME, 55_000 + vdn, 0, int(now - lasted) * 1000, requested)
        return Floor(0, 1, 0, (row,))

    return Settings(floors=floor)


async def test_an_overstay_is_told_and_so_is_its_end(tmp_path: Path) -> None:
    """Two VDNs of a server arrive as one message with labels, numbers and a page; then resolve."""
    resting: dict[int, tuple[int, int]] = {}
    async with serving(Simulator(floors(resting))) as server:
        config = tmp_path / "config.yaml"
        targets = "targets: [{ccId: 1, vdn: 1-2, name: sales, labels: {site: miraflores}}]"
        config.write_text(
            "cms:\n"
            + polled_each_second("lima", server.url, targets)
            + polled_each_second("cusco", server.url, "targets: [{ccId: 7, vdn: 5}]"),
            encoding="utf-8",
        )
        async with (
            serving_exporter(config) as exporter,
            watching(tmp_path, exporter.address) as watch,
        ):

            async def nobody_rests() -> bool:
                longest = await query(watch.prometheus, "agent_rest_longest_rest_seconds")
                return list(longest.values()) == [0, 0, 0]

            await until(nobody_rests)
            assert not watch.webhook.told
            resting |= {1: TWO_HOURS, 2: TWO_HOURS}
            told = await watch.webhook.hears("AgentRestTooLong", "lima")

            async def overdue_is_held_back() -> bool:
                states = await watch.states("AgentRestOverdue", "lima")
                return states == {"1": "suppressed", "2": "suppressed"}

            await until(overdue_is_held_back)
            # The group of cusco is younger than that of lima: when cusco's is told, the time at
            # which lima's would have been is over.
            resting[5] = OVERDUE_ONLY
            overdue = await watch.webhook.hears("AgentRestOverdue", "cusco")
            assert await overdue_is_held_back()
            assert not watch.webhook.of("AgentRestOverdue", "lima")
            # From here on nothing is said of lima's: its two alerts end one after the other.
            resting.clear()
            ended = await watch.webhook.hears_the_end("AgentRestTooLong", "lima", {"1", "2"})

    assert overdue.receiver == "floor-info"
    assert not watch.webhook.of("AgentRestTooLong", "cusco")
    assert (told.receiver, ended.receiver) == ("floor-warning", "floor-warning")
    assert (told.status, ended.status) == ("firing", "resolved")
    assert told.labels() == [
        {
            "alertname": "AgentRestTooLong",
            "severity": "warning",
            "team": "floor",
            "cms": "lima",
            "cc_id": "1",
            "vdn": vdn,
            "name": "sales",
            "site": "miraflores",
            "job": "agent-rest-exporter",
            "instance": exporter.address,
        }
        for vdn in ("1", "2")
    ]
    for alert in told.alerts:
        vdn = alert["labels"]["vdn"]
        assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert re.fullmatch(
            rf"VDN {vdn} \(sales\) of call center 1 at lima: the longest rest has lasted "
            r"2h \d+m \d+s; the limit is 1h\.",
            alert["annotations"]["description"],
        )
        assert alert["annotations"]["runbook_url"] == f"{RUNBOOKS}/AgentRestTooLong.md"
    assert NAME not in repr(watch.webhook.told)


async def test_a_dead_server_is_told_once_and_a_dead_target_by_itself(tmp_path: Path) -> None:
    """`AgentRestAllTargetsDown` holds back the single targets of its server, no others."""
    existing = {(1, 1), (1, 2)}
    settings = Settings(targets=existing, floors=lambda *_: Floor(0, 0, 0))
    async with serving(Simulator(settings)) as lima:
        config = tmp_path / "config.yaml"
        dead = f"http://127.0.0.1:{free_port()}"
        config.write_text(
            "cms:\n"
            + polled_each_second("lima", lima.url, "targets: [{ccId: 1, vdn: 1-2}]")
            + polled_each_second("cusco", dead, "targets: [{ccId: 7, vdn: [1, 5]}]"),
            encoding="utf-8",
        )
        async with (
            serving_exporter(config) as exporter,
            watching(tmp_path, exporter.address) as watch,
        ):
            told = await watch.webhook.hears("AgentRestAllTargetsDown", "cusco")

            async def held_back() -> bool:
                states = await watch.states("AgentRestTargetDown", "cusco")
                return states == {"1": "suppressed", "5": "suppressed"}

            await until(held_back)
            # From here on its group is older than that of lima: when lima's is told, the time at
            # which cusco's would have been is over.
            existing.discard((1, 2))
            single = await watch.webhook.hears("AgentRestTargetDown", "lima")
            assert await held_back()

    assert told.receiver == "platform-critical"
    (alert,) = told.alerts
    assert alert["labels"] == {
        "alertname": "AgentRestAllTargetsDown",
        "severity": "critical",
        "team": "platform",
        "cms": "cusco",
    }
    assert alert["annotations"]["description"] == (
        "cusco: 2 of 2 targets down for 5m, last failures by reason: connect 2."
    )
    assert [labels["vdn"] for labels in single.labels()] == ["2"]
    assert single.alerts[0]["annotations"]["description"] == (
        "VDN 2 of call center 1 at lima: polls have failed for 5m, most recently with reason api."
    )
    assert not watch.webhook.of("AgentRestTargetDown", "cusco")
    assert not watch.webhook.of("AgentRestAllTargetsDown", "lima")


async def test_a_wrong_unit_is_told_once_for_its_server(tmp_path: Path) -> None:
    """One alert for its three VDNs, which names the setting; a listing cut off is its VDN's."""

    def floor(_cc_id: int, vdn: int, now: float) -> Floor:
        if vdn == 9:
            rows = tuple(AgentRow(NAME, 100 + n, 0, int(now - 60), 900) for n in range(10))
            return Floor(0, 12, 0, rows)
        return Floor(0, 1, 0, (AgentRow(NAME, vdn, 0, int(now - 60) * 1000, 900),))

    async with serving(Simulator(Settings(floors=floor))) as lima:
        config = tmp_path / "config.yaml"
        keys = ("begin_time_unit: s", "targets: [{ccId: 1, vdn: [1-3, 9], max_wait: 5m}]")
        config.write_text("cms:\n" + polled_each_second("lima", lima.url, *keys), "utf-8")
        async with (
            serving_exporter(config) as exporter,
            watching(tmp_path, exporter.address) as watch,
        ):
            told = await watch.webhook.hears("AgentRestNumbersDoubtful", "lima")

    assert told.receiver == "platform-warning"
    by_vdn = {alert["labels"].get("vdn"): alert["annotations"] for alert in told.alerts}
    assert by_vdn.keys() == {None, "9"}
    assert by_vdn[None]["description"] == (
        "lima: 3 VDNs have been doubtful for 15m, wrong_unit: " + Doubt.WRONG_UNIT.sentence + "."
    )
    assert by_vdn["9"]["description"] == (
        "VDN 9 of call center 1 at lima: doubtful for 15m, cut_off: "
        + Doubt.CUT_OFF.sentence
        + ". Not listed: 2 of 12 resting agents."
    )
    assert NAME not in repr(watch.webhook.told)
