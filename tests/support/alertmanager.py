"""A real Alertmanager and its notifications, for tests of an alert from its cause to people.

The shipped files are used as they are, except that times are shortened, so that a test takes
seconds, and that addresses are those of the test. Conditions and limits stay.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import yaml
from aiohttp import web

from exporter.durations import format_duration, parse_duration
from tests.support.alert_rules import RULES
from tests.support.paths import ROOT
from tests.support.processes import answering, program, scraping_prometheus, until

WAITS: Final = {"2m": "6s"}
"""In place of group_wait; all other waits are a second. 2m outlast an interval, a scrape and an
evaluation of 30 s each, and 6 s do the same for those of 1 s each."""


Pace = Callable[[str], str]
"""A shorter duration in place of one."""

Hurry = Callable[[dict[str, Any]], None]
"""Shortens the times of a rule."""


def at_once(duration: str) -> str:
    """A second for every `for`, and the waits of `WAITS`. Limits and windows stay as they are."""
    return WAITS.get(duration, "1s")


def times_faster(factor: int) -> Pace:
    """Everything that waits takes so many times less."""
    return lambda duration: format_duration(parse_duration(duration) / factor)


@dataclass(frozen=True, slots=True)
class Told:
    """One notification: which receiver got it, and what it says."""

    receiver: str
    status: str
    group: dict[str, str]
    alerts: list[dict[str, Any]]

    def labels(self) -> list[dict[str, str]]:
        """Each alert's labels, by VDN."""
        return sorted((alert["labels"] for alert in self.alerts), key=lambda of: of.get("vdn", ""))


@dataclass(slots=True)
class Webhook:
    """What people are told: every notification, in the order of arrival."""

    told: list[Told] = field(default_factory=list)
    url: str = ""

    async def receive(self, request: web.Request) -> web.Response:
        """Take a notification."""
        said = await request.json()
        self.told.append(
            Told(
                request.match_info["receiver"], said["status"], said["groupLabels"], said["alerts"]
            )
        )
        return web.Response()

    async def hears(self, name: str, cms: str) -> Told:
        """The first notification of an alert that fires, past or to come."""

        async def heard() -> bool:
            return bool(self.of(name, cms))

        await until(heard)
        return self.of(name, cms)[0]

    async def hears_the_end(self, name: str, cms: str, vdns: set[str]) -> Told:
        """The notification with which an alert has ended for all of these VDNs.

        Alerts of one group may end one after the other, and each end is told once.
        """

        async def heard() -> bool:
            ended = [alert for told in self.of(name, cms) for alert in told.alerts]
            return vdns == {
                alert["labels"]["vdn"] for alert in ended if alert["status"] == "resolved"
            }

        await until(heard)
        return self.of(name, cms)[-1]

    def of(self, name: str, cms: str) -> list[Told]:
        """The notifications of an alert so far."""
        return [told for told in self.told if told.group == {"alertname": name, "cms": cms}]


@dataclass(frozen=True, slots=True)
class Watch:
    """Prometheus and Alertmanager at work."""

    prometheus: httpx.AsyncClient
    alertmanager: httpx.AsyncClient
    webhook: Webhook

    async def states(self, name: str, cms: str) -> dict[str, str]:
        """The state in Alertmanager, by VDN, of the alerts of a name: active or suppressed."""
        filters = [f'alertname="{name}"', f'cms="{cms}"']
        reply = await self.alertmanager.get("/api/v2/alerts", params={"filter": filters})
        reply.raise_for_status()
        return {alert["labels"].get("vdn", ""): alert["status"]["state"] for alert in reply.json()}


@contextlib.asynccontextmanager
async def watching(
    folder: Path,
    *exporters: str,
    hurry: Hurry | None = None,
    pace: Pace = at_once,
) -> AsyncIterator[Watch]:
    """Scrape exporters by the shipped rules, and hear what is told.

    Args:
        folder: for files.
        exporters: host:port of each.
        hurry: what it does to each of the shipped rules; by default their `for` gets short.
        pace: how much shorter Alertmanager waits.
    """
    write_hurried_rules(folder / "rules", hurry or short_for)
    async with (
        notifying(folder / "alertmanager", pace) as (webhook, address, alertmanager),
        scraping_prometheus(
            folder / "prometheus", _prometheus(folder / "rules", exporters, address)
        ) as prometheus,
    ):
        yield Watch(prometheus, alertmanager, webhook)


@contextlib.asynccontextmanager
async def notifying(
    folder: Path, pace: Pace = at_once
) -> AsyncIterator[tuple[Webhook, str, httpx.AsyncClient]]:
    """A real Alertmanager: what it tells, its address, and a client of its API."""
    async with (
        _listening() as webhook,
        _alertmanager(folder, webhook.url, pace) as alertmanager,
    ):
        yield webhook, alertmanager.base_url.netloc.decode(), alertmanager


@contextlib.asynccontextmanager
async def _listening() -> AsyncIterator[Webhook]:
    webhook = Webhook()
    app = web.Application()
    app.router.add_post("/{receiver}", webhook.receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        webhook.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield webhook
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _alertmanager(folder: Path, webhook: str, pace: Pace) -> AsyncIterator[httpx.AsyncClient]:
    """A real Alertmanager with the shipped routes; gives a client of its API."""
    binary = program("prometheus-alertmanager", "prometheus-alertmanager")
    folder.mkdir()
    file = folder / "alertmanager.yml"
    file.write_text(_routes(webhook, pace), encoding="utf-8")
    command = [
        binary,
        f"--config.file={file}",
        f"--storage.path={folder / 'data'}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    async with answering(*command, flag="--web.listen-address") as client:
        yield client


def _routes(webhook: str, pace: Pace) -> str:
    """The shipped configuration, with a webhook for each receiver and short times."""
    config = _read("deploy/alertmanager/alertmanager.yml")
    for receiver in config["receivers"]:
        receiver["webhook_configs"] = [{"url": f"{webhook}/{receiver['name']}"}]
    for route in _all_routes(config["route"]):
        for key in {"group_wait", "group_interval"} & route.keys():
            route[key] = pace(route[key])
    return yaml.safe_dump(config)


def _all_routes(route: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A route, and those below it."""
    yield route
    for below in route.get("routes", ()):
        yield from _all_routes(below)


def _prometheus(rules: Path, exporters: Sequence[str], alertmanager: str) -> str:
    """The shipped configuration, with the test's rules and addresses and short times."""
    config = _read("deploy/prometheus/prometheus.yml")
    config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(rules / "*.yaml")]
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [*exporters]
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [alertmanager]
    return yaml.safe_dump(config)


def short_for(rule: dict[str, Any]) -> None:
    """Let an alert fire at once, if it has a `for`."""
    if "for" in rule:
        rule["for"] = at_once(rule["for"])


def write_hurried_rules(folder: Path, hurry: Hurry = short_for) -> None:
    """Write the shipped rules into a new folder, after something was done to each."""
    folder.mkdir()
    for file in RULES.iterdir():
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        for group in document["groups"]:
            for rule in group["rules"]:
                hurry(rule)
        (folder / file.name).write_text(yaml.safe_dump(document), encoding="utf-8")


def _read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
