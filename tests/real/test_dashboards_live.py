"""The dashboards' expressions on a real Prometheus: that they find data, and count it once.

`pytest -rP tests/real/test_dashboards_live.py` shows every expression with its series and samples.
"""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from aiohttp import web

from tests.support.dashboards import UIDS, Target, filled, read, targets, variables
from tests.support.processes import COMMAND, query, scraping_prometheus, started, until

pytestmark = [pytest.mark.anyio, pytest.mark.peers]

JOB = "agent-rest-exporter"
DOWN = "127.0.0.1:9"
"""Where nothing answers."""
TWO_MINUTES = 120.0
SETTLED = 2.0
"""Seconds after which a moment's samples do not change: a scrape that times out marks them late."""
STEP = 1
"""Seconds between the samples of a line."""

ALL = dict.fromkeys(("job", "instance", "cms", "cc_id", "vdn"), ".+") | {"name": ".*"}
"""What Grafana puts in for `All`: each variable's allValue."""


class Found(NamedTuple):
    """What an expression gives."""

    series: int
    samples: int


class Answer(NamedTuple):
    """One series: its labels, and its values in the order of time."""

    labels: frozenset[tuple[str, str]]
    values: tuple[float, ...]


async def ask(
    prometheus: httpx.AsyncClient, target: Target, chosen: Mapping[str, str], at: float
) -> list[Answer]:
    """What a panel would get for the minute that ends at `at`, in epoch seconds."""
    expr = filled(target.expr, {**chosen, "__rate_interval": "30s", "__range": "5m"})
    if target.instant:
        reply = await prometheus.get("/api/v1/query", params={"query": expr, "time": at})
    else:
        span = {"start": at - 60, "end": at, "step": STEP}
        reply = await prometheus.get("/api/v1/query_range", params={"query": expr, **span})
    assert reply.status_code == httpx.codes.OK, f"{target.panel}: {reply.text}"
    return [
        Answer(
            frozenset(item["metric"].items()),
            tuple(float(value) for _, value in item.get("values") or [item["value"]]),
        )
        for item in reply.json()["data"]["result"]
    ]


def count(answers: list[Answer]) -> Found:
    """Series that have a number, and all their numbers. NaN draws nothing."""
    numbers = [sum(not math.isnan(value) for value in answer.values) for answer in answers]
    return Found(sum(number > 0 for number in numbers), sum(numbers))


def scraping(*jobs: str, rules: Path | None = None) -> str:
    """A configuration that scrapes every second, and evaluates rules as often."""
    lines = "".join(f"  - {job}\n" for job in jobs)
    often = "{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}"
    files = [] if rules is None else [str(rules)]
    return f"global: {often}\nrule_files: {files}\nscrape_configs:\n{lines}"


def alerts_of_both_teams(folder: Path) -> Path:
    """Rules that fire in the demo at once: what each dashboard's table of alerts needs."""
    rules = [
        {"alert": "AgentRestTargetDown", "expr": "agent_rest_up == 0", "labels": {"team": team}}
        for team in ("floor", "platform")
    ]
    file = folder / "rules.yaml"
    file.write_text(json.dumps({"groups": [{"name": "demo", "rules": rules}]}), encoding="utf-8")
    return file


def static(address: str, *instances: str) -> str:
    """An address as it is, or under the names of several instances."""
    labelled = [f", labels: {{instance: {instance}}}" for instance in instances] or [""]
    groups = ", ".join(f"{{targets: ['{address}']{labels}}}" for labels in labelled)
    return f"static_configs: [{groups}]"


@asynccontextmanager
async def demo(*arguments: str) -> AsyncIterator[str]:
    """The demo; gives its address."""
    async with started(COMMAND, "demo", "--web.listen-address=127.0.0.1:0", *arguments) as process:
        match = await process.wait_for(r"has started.* listen=(\S+)")
        yield match[1]


WITHOUT_DATA = {"Next certificate to expire"}
"""Panels that the demo cannot fill: its servers have no TLS."""


async def test_every_expression_finds_data_in_the_demo(tmp_path: Path) -> None:
    """Within two minutes of its start, every panel and every choice has something to show.

    Another process that is scraped beside it, with the same families as every process, is on none
    of them; an exporter that has never answered is.
    """
    begun = time.monotonic()
    wanted = [one for uid in UIDS for one in targets(uid) if one.panel not in WITHOUT_DATA]
    found = dict.fromkeys(wanted, Found(0, 0))
    # What rests and waits depends on the hour. A second exporter of the same floor, whose rows
    # prove little, has doubts at any hour, and leaves the first one's numbers known.
    async with demo() as address, demo("--scenario=zeros") as doubtful:
        others = "metric_relabel_configs: [{source_labels: [__name__], "
        others += "regex: agent_rest_.*, action: drop}]"
        jobs = scraping(
            f"{{job_name: {JOB}, static_configs: [{{targets: {[address, doubtful, DOWN]}}}]}}",
            f"{{job_name: others, {static(address, 'foreign')}, {others}}}",
            rules=alerts_of_both_teams(tmp_path),
        )
        async with scraping_prometheus(tmp_path, jobs) as client:
            while missing := [target for target in wanted if not found[target].samples]:
                assert time.monotonic() - begun < TWO_MINUTES, missing
                at = time.time() - SETTLED
                for target in missing:
                    found[target] = count(await ask(client, target, ALL, at))
                await asyncio.sleep(0.5)
            # The list shows what all of them give at one moment, at which no scrape had failed.
            while not await all_are_scraped(client, now := time.time() - SETTLED):
                assert time.monotonic() - begun < TWO_MINUTES
                await asyncio.sleep(0.5)
            shown = {target: await ask(client, target, ALL, now) for target in wanted}
            foreign = await query(client, 'process_resident_memory_bytes{job="others"}', now)
            offered = {uid: await choices(client, uid) for uid in UIDS}
            marked = [
                mark["name"]
                for uid in UIDS
                for mark in read(uid)["annotations"]["list"]
                if await ask(
                    client, Target(uid, mark["name"], mark["expr"], instant=True), ALL, now
                )
            ]
            polled = next(one for one in wanted if one.panel == "VDNs polled")
            named = await ask(client, polled, ALL | {"name": "billing"}, now)
    for target, answers in shown.items():
        series, samples = count(answers)
        print(f"{target.uid}  {target.panel}: {series} series, {samples} samples\n  {target.expr}")  # noqa: T201  # the list is what the test is asked to show
    assert all(count(answers).samples for answers in shown.values())
    assert foreign
    assert "foreign" not in {
        dict(answer.labels).get("instance") for answers in shown.values() for answer in answers
    }
    (up,) = [answers for target, answers in shown.items() if target.panel == "Exporters"]
    assert {dict(answer.labels)["instance"]: answer.values for answer in up} == {
        address: (1,),
        doubtful: (1,),
        DOWN: (0,),
    }
    assert marked == ["Alerts", "Reloads", "Starts"] * 2
    assert [answer.values for answer in named] == [(1,)]
    assert offered["agent-rest-floor"] == {
        "job": {JOB},
        "cms": {"lima", "quito"},
        "cc_id": {"1", "2", "3"},
        "vdn": {"1", "2", "3", "9"},
        "name": {"sales", "support", "billing", "retention", "back office"},
    }
    assert offered["agent-rest-exporter"] == offered["agent-rest-floor"] | {
        "instance": {address, doubtful}
    }


async def all_are_scraped(prometheus: httpx.AsyncClient, at: float) -> bool:
    """Whether the demo's exporters and the process beside them were up at a moment.

    They were also up for the five seconds before it, on which alerts and rates are based.
    """
    up = await query(prometheus, "min_over_time(up[5s]) == 1", at)
    return len(up) == 3


async def choices(prometheus: httpx.AsyncClient, uid: str) -> dict[str, set[str]]:
    """What each variable of a dashboard offers when nothing has been chosen."""
    offered = {}
    for name, variable in variables(read(uid)).items():
        if variable["type"] == "query":
            inside = variable["query"].removeprefix("label_values(").removesuffix(")")
            selector, _, label = inside.rpartition(",")
            reply = await prometheus.get(
                f"/api/v1/label/{label.strip()}/values", params={"match[]": filled(selector, ALL)}
            )
            offered[name] = set(reply.json()["data"])
    return offered


class Vdn(NamedTuple):
    """One VDN of a page that stands still."""

    vdn: int
    up: int = 1
    resting: int = 2
    limit: int | None = 4
    longest: int = 900
    overdue: int = 0
    waiting: int = 0
    longest_wait: int = 60
    max_rest: int | None = None
    max_wait: int | None = None
    doubtful: bool = False


VDNS = {
    "down": Vdn(1, up=0, resting=9, longest=4000),
    "over limit": Vdn(2, resting=5, longest=1900, max_rest=1800, longest_wait=901, overdue=1),
    "rest too long": Vdn(3, longest=3601, overdue=1, waiting=1, longest_wait=901, max_wait=1200),
    "wait too long": Vdn(9, longest_wait=301, max_wait=300, waiting=1, doubtful=True),
    "doubtful": Vdn(10, overdue=1, waiting=1, doubtful=True),
    "overdue": Vdn(
        4, longest=3900, max_rest=7200, longest_wait=1000, max_wait=1800, overdue=1, waiting=1
    ),
    "waiting": Vdn(5, resting=4, waiting=3),
    "ok": Vdn(6, limit=None),
}
"""A VDN for each trouble, each with the lesser ones as well."""


EXPIRY = 5_000_000_000
"""When the certificate expires that expires first."""


def page() -> str:
    """A scrape of these VDNs by one exporter, which also has two targets without any numbers."""
    lines = []
    for one in VDNS.values():
        labels = f'cms="lima",cc_id="1",vdn="{one.vdn}",name="n{one.vdn}"'
        samples: dict[str, float | None] = {
            "up": one.up,
            "resting_agents": one.resting,
            "approved_agents": 1,
            "waiting_agents": one.waiting,
            "longest_rest_seconds": one.longest,
            "overdue_agents": one.overdue,
            "longest_overdue_seconds": 60 * one.overdue,
            "max_resting_agents": one.limit,
            "longest_wait_seconds": one.longest_wait,
            "max_rest_seconds": one.max_rest,
            "max_wait_seconds": one.max_wait,
            "last_success_timestamp_seconds": 1_700_000_000,
        }
        lines += [
            f"agent_rest_{name}{{{labels}}} {value}"
            for name, value in samples.items()
            if value is not None
        ]
        awaiting = f'{labels},reason="awaiting_approval"'
        lines += [
            f"agent_rest_waiting_reason_agents{{{awaiting}}} {one.waiting}",
            f'agent_rest_resting_longer_agents{{{labels},bound="900"}} {one.resting}',
        ]
        if one.doubtful:
            lines.append(f'agent_rest_doubt{{{labels},doubt="unlisted"}} 1')
    for vdn in (7, 8):
        labels = f'cms="lima",cc_id="2",vdn="{vdn}"'
        lines.append(f"agent_rest_up{{{labels}}} 0")
        lines.append(f'agent_rest_failing{{{labels},reason="api"}} 1')
    lines.append("agent_rest_exporter_build_info 1")
    lines += [
        f'agent_rest_exporter_tls_certificate_expiry_timestamp_seconds{{cms="{cms}"}} {expiry}'
        for cms, expiry in (("lima", EXPIRY), ("quito", EXPIRY + 1))
    ]
    return "\n".join([*lines, ""])


@asynccontextmanager
async def twins(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, float]]:
    """A Prometheus that scrapes the page once as job `one`, and from two instances as `pair`.

    Gives a moment, too, at which it held all of them: a later scrape can time out.
    """

    async def scrape(_: web.Request) -> web.Response:
        return web.Response(text=page())

    app = web.Application()
    app.router.add_get("/metrics", scrape)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = "{}:{}".format(*runner.addresses[0][:2])
    jobs = scraping(
        f"{{job_name: one, {static(address, 'a')}}}",
        f"{{job_name: pair, {static(address, 'b', 'c')}}}",
    )
    try:
        async with scraping_prometheus(tmp_path, jobs) as prometheus:
            at = 0.0

            async def scraped() -> bool:
                nonlocal at
                at = time.time() - SETTLED
                return sum((await query(prometheus, "sum(up)", at)).values()) == 3

            await until(scraped)
            yield prometheus, at
    finally:
        await runner.cleanup()


async def test_two_exporters_of_one_floor_are_counted_once(tmp_path: Path) -> None:
    """Every state of a VDN reads the same whether one exporter polls it or two do."""
    of_states = {"Targets down", "Never succeeded", "Oldest success", "Age of the last success"}
    of_states |= {"Targets down by CMS", "Failing targets", "Doubtful numbers"}
    wanted = [one for one in targets("agent-rest-floor") if one.panel != "Alerts"]
    wanted += [one for one in targets("agent-rest-exporter") if one.panel in of_states]
    async with twins(tmp_path) as (prometheus, at):
        # What a naive sum does: the test would see it.
        naive = await query(prometheus, "sum by (job) (agent_rest_max_resting_agents)", at)
        assert naive[frozenset({("job", "pair")})] == 2 * naive[frozenset({("job", "one")})]
        for target in wanted:
            at_once = Target(target.uid, target.panel, target.expr, instant=True)
            one = await ask(prometheus, at_once, ALL | {"job": "one"}, at)
            pair = await ask(prometheus, at_once, ALL | {"job": "pair"}, at)
            assert one, target.expr
            assert set(one) == set(pair), target.expr


async def test_numbers_mean_what_their_titles_say(tmp_path: Path) -> None:
    """Each single number, and the first trouble of each VDN that has several."""
    async with twins(tmp_path) as (prometheus, at):
        chosen = ALL | {"job": "pair"}
        shown = {
            target.panel: await ask(prometheus, target, chosen, at)
            for uid in UIDS
            for target in targets(uid)
            if target.instant
            and target.panel not in {"VDNs", "Failing targets", "Doubtful numbers", "Alerts"}
        }
        trouble = next(one for one in targets("agent-rest-floor") if one.panel == "VDNs")
        rows = await ask(prometheus, trouble, chosen, at)
        numbers = {panel: answers[0].values[0] for panel, answers in shown.items() if answers}
    assert numbers["Resting"] == 28
    assert numbers["Approved"] == 8
    assert numbers["Waiting"] == 7
    assert numbers["VDNs polled"] == 10
    assert numbers["Rests too long"] == 3
    assert numbers["Longest wait"] == 1000
    assert numbers["Waits too long"] == 2
    assert numbers["Doubtful VDNs"] == 2
    assert numbers["VDNs over their limit"] == 2
    assert numbers["Longest rest"] == 4000
    assert numbers["Overdue agents"] == 4
    assert numbers["VDNs without fresh data"] == 2
    assert numbers["Exporters"] == 1
    assert numbers["Targets down"] == 3
    assert numbers["Never succeeded"] == 2
    assert numbers["Resting against the limit"] == 9 / 4
    assert numbers["Next certificate to expire"] == pytest.approx(EXPIRY - at, abs=1)
    panel = next(panel for panel in read("agent-rest-floor")["panels"] if panel["title"] == "VDNs")
    (words,) = [
        one["value"][0]["options"]
        for override in panel["fieldConfig"]["overrides"]
        for one in override["properties"]
        if (override["matcher"]["options"], one["id"]) == ("problem", "mappings")
    ]
    told = {dict(row.labels)["vdn"]: words[f"{row.values[0]:g}"]["text"] for row in rows}
    expected = {str(one.vdn): word for word, one in VDNS.items()}
    assert told == expected | {"7": "down", "8": "down"}


async def test_nothing_is_shown_as_zero_when_nothing_is_known(tmp_path: Path) -> None:
    """Without any exporter every panel of the floor is empty: a false zero would calm people."""
    async with twins(tmp_path) as (prometheus, at):
        for target in targets("agent-rest-floor"):
            assert await ask(prometheus, target, ALL | {"job": "none"}, at) == []
