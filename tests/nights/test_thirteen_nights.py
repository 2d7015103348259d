"""Thirteen nights: who is notified, with which text, and what the first command answers.

`make nights` plays all of them at once, with a real exporter for each kind of trouble, a real
Prometheus and a real Alertmanager, twenty times faster than it would happen: three seconds are a
minute. It takes three minutes, and writes the table of docs/nights.md. Shortened are polls, scrapes
and all times that an alert waits; limits, such as an hour of rest, are not.
"""

import asyncio
import contextlib
import os
import re
import signal
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from exporter.config.shard import Shard
from exporter.simulator.floors import AgentRow, Floor
from exporter.simulator.scenarios import parse_scenario
from exporter.simulator.stand_in import Address, Settings, Simulator, serving
from exporter.store import TargetKey
from tests.support.alertmanager import Told, Watch, times_faster, watching
from tests.support.installed import Installed
from tests.support.paths import ROOT
from tests.support.processes import polled_each_second
from tests.support.runbook_pages import commands
from tests.support.service_manager import Service, running

if not os.environ.get("NIGHTS"):
    pytest.skip("takes three minutes: run make nights", allow_module_level=True)

pytestmark = pytest.mark.anyio

FASTER = 20
MINUTE = 60 / FASTER
LONGEST = 75 * MINUTE
"""Seconds after which every night must be over."""
SECRET = "not-a-real-secret"
KEY = "AKEXAMPLE0001"
PAGE = ROOT / "docs" / "nights.md"
MARK = re.compile(r"(?<=<!-- make nights -->\n).*(?=<!-- end -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Night:
    """What happens, and what is expected of it.

    Args:
        happens: what, in a sentence.
        alert: the only alert that is told.
        receiver: who is told.
        words: a pattern of the description.
        says: a pattern of what the first command of the runbook prints about the cause.
        cms: the server; empty for a night of an exporter.
        exporter: which of the exporters it is about.
        inhibited: alerts that fire for the same cause, and that nobody is told.
    """

    happens: str
    alert: str
    receiver: str
    words: str
    says: str
    cms: str = ""
    exporter: str = "floor"
    inhibited: tuple[str, ...] = ()


NIGHTS = (
    Night(
        "A server refuses one of three VDNs",
        "AgentRestAuthRefused",
        "platform-warning",
        r"lima: requests for 1 of 3 targets have been refused for 5m\.",
        r"vdn 2: auth: HTTP 401: the server rejected the signature.*",
        cms="lima",
    ),
    Night(
        "The key was changed: a server refuses everything",
        "AgentRestAuthRefused",
        "platform-critical",
        r"cusco: requests for 3 of 3 targets have been refused for 5m\.",
        r"vdn 1-3: auth: HTTP 401: the server rejected the signature.*",
        cms="cusco",
        inhibited=("AgentRestAllTargetsDown",),
    ),
    Night(
        "A server is gone",
        "AgentRestAllTargetsDown",
        "platform-critical",
        r"quito: 3 of 3 targets down for 5m, last failures by reason: connect 3\.",
        r"vdn 1-3: connect: .*refused.*",
        cms="quito",
        inhibited=("AgentRestTargetDown",),
    ),
    Night(
        "A certificate expires in ten days",
        "AgentRestCertificateExpires",
        "platform-warning",
        r"bogota: a certificate that the server presents expires in 9d .*",
        r"bogota: a certificate that the server presents expires in 9d.*",
        cms="bogota",
    ),
    Night(
        "Nobody approves rests",
        "AgentRestApprovalsWaiting",
        "floor-warning",
        r"VDN 2 of call center 1 at piura: an agent has been waiting for 4\dm .*"
        r"Waiting now: awaiting_approval 2\.",
        r"waiting +2 +2 awaiting approval",
        cms="piura",
    ),
    Night(
        "An agent does not come back from a rest of 15 minutes",
        "AgentRestOverdue",
        "floor-info",
        r"VDN 2 of call center 1 at tacna: a rest is 2\dm \d+s past its requested duration; .*",
        r"overdue +1 +by up to \d+m.*",
        cms="tacna",
    ),
    Night(
        "A server lists 100 of 250 resting agents",
        "AgentRestNumbersDoubtful",
        "platform-warning",
        r"VDN 2 of call center 1 at puno: doubtful for 15m, cut_off: .* set cti_version: .*"
        r"Not listed: 150 of 250 resting agents\.",
        r"vdn 2: doubtful: .* set cti_version: \"3\.6\"",
        cms="puno",
    ),
    Night(
        "Somebody breaks the configuration of a running exporter",
        "AgentRestReloadFailed",
        "platform-warning",
        r"[\d.:]+: the last reload failed; the configuration in use was loaded .* ago\.",
        r"config\.yaml:4:5: cms\[0\]\.intervall: unknown key; did you mean \"interval\"\?",
        exporter="edited",
    ),
    Night(
        "An exporter is killed every minute",
        "AgentRestCrashLooping",
        "platform-critical",
        r"[\d.:]+: \d+ starts within 15m; the limit is 3\.",
        r"Main process exited, code=killed, status=9/KILL",
        exporter="killed",
    ),
    Night(
        "A gateway fails for one minute of every two",
        "AgentRestFlapping",
        "platform-warning",
        r"VDN 2 of call center 1 at ica: \d+\.?\d*% of its polls failed in the last 10m, and at "
        r"least 25% in every 10m for 30m\. Failures at this server by reason: http \d+\.",
        r"vdn 2: http: HTTP 502.*",
        cms="ica",
    ),
    Night(
        "The clock of a server is five minutes ahead",
        "AgentRestClockSkew",
        "platform-warning",
        r"arica: the clock skew \(server minus exporter\) is (5m 0s|4m 59\.?\d*s); .*",
        r"its clock is (299|300) s ahead of this host's",
        cms="arica",
    ),
    Night(
        "A second shard is started for a single VDN",
        "AgentRestNoTargets",
        "platform-warning",
        r"[\d.:]+: 0 targets for 15m: it polls nothing\.",
        r"shard 1/2: warning: too few targets for 2 shards: lower TOTAL, or add targets",
        exporter="idle",
    ),
    Night(
        "An exporter is restarted with a broken configuration",
        "AgentRestExporterDown",
        "platform-critical",
        r"[\d.:]+: scrapes have failed for 5m\.",
        r"config\.yaml:4:5: cms\[0\]\.intervall: unknown key; did you mean \"interval\"\?",
        exporter="restarted",
    ),
)


def quiet(_cc_id: int, _vdn: int, _now: float) -> Floor:
    """Nobody rests."""
    return Floor(0, 0, 0)


def only_vdn_2(resting: int, waiting: int, ago: float, requested: int) -> Any:
    """Agents of VDN 2 who rest or wait since long ago."""
    since = time.time() - ago

    def floor(_cc_id: int, vdn: int, _now: float) -> Floor:
        if vdn != 2:
            return Floor(0, 0, 0)
        rows = (AgentRow("Canary Name", 100 + n, 0, int(since * 1000), requested) for n in range(9))
        return Floor(0, resting, waiting, tuple(rows)[: resting + waiting])

    return floor


def cut_off(_cc_id: int, vdn: int, now: float) -> Floor:
    """Of VDN 2, 250 agents rest, and the first hundred are listed."""
    if vdn != 2:
        return Floor(0, 0, 0)
    rows = (AgentRow("Canary Name", 100 + n, 0, int(now - 60) * 1000, 900) for n in range(100))
    return Floor(0, 250, 0, tuple(rows))


def server_settings() -> dict[str, Settings]:
    """What each server does, but for those that are special."""
    keys = {KEY: SECRET}
    return {
        "sala": Settings(floors=quiet),
        "lima": Settings(
            floors=quiet, access_keys=keys, scenarios=(parse_scenario("unauthorized@1/2"),)
        ),
        "cusco": Settings(floors=quiet, access_keys={KEY: "another"}),
        "quito": Settings(floors=quiet),
        "bogota": Settings(floors=quiet),
        "piura": Settings(floors=only_vdn_2(0, 2, 40 * 60, 600)),
        "tacna": Settings(floors=only_vdn_2(1, 0, 35 * 60, 900)),
        "puno": Settings(floors=cut_off),
        # two minutes of it are six seconds
        "ica": Settings(floors=quiet, scenarios=(parse_scenario("flapping=6s@1/2"),)),
        "arica": Settings(floors=quiet, scenarios=(parse_scenario("clock=5m"),)),
    }


def block(cms: str, url: str, *more: str) -> str:
    """A server of a configuration, polled three times a minute at this speed."""
    return polled_each_second(cms, url, "targets: [{ccId: 1, vdn: 1-3}]", *more)


@dataclass
class Stage:
    """Everything that runs."""

    watch: Watch
    exporters: dict[str, Service]
    close_quito: contextlib.AsyncExitStack
    spoilt: str
    """A configuration with a mistake."""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def begin(self) -> None:
        """Let the trouble of this night begin that was not there before."""
        for name in ("edited", "restarted"):
            self.exporters[name].config.write_text(self.spoilt, encoding="utf-8")
        self.exporters["edited"].send(signal.SIGHUP)
        self.exporters["restarted"].send(signal.SIGTERM)
        self.tasks.append(asyncio.create_task(self._kill(self.exporters["killed"])))

    async def _kill(self, service: Service) -> None:
        """Every minute, or as often as it can start on this machine and be scraped once."""
        while True:
            before, began = service.starts, time.monotonic()
            while not await service.answers():
                await asyncio.sleep(0.1)
            await asyncio.sleep(max(1.5, began + MINUTE - time.monotonic()))
            service.send(signal.SIGKILL)
            while service.starts == before:
                await asyncio.sleep(0.05)

    def told(self, night: Night) -> list[Told]:
        """What people were told of a night, for as long as it lasted."""
        exporter = self.exporters[night.exporter].address
        return [
            told
            for told in self.watch.webhook.told
            if told.status == "firing"
            and any(
                alert["labels"].get("cms", "sala") == (night.cms or "sala")
                and (night.cms or alert["labels"].get("instance") == exporter)
                for alert in told.alerts
            )
        ]

    def is_told(self, night: Night) -> bool:
        """Whether people have been told what they should be."""
        return any(told.group["alertname"] == night.alert for told in self.told(night))


@contextlib.asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """Start the servers, the exporters, Prometheus and Alertmanager."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ends = datetime.now(UTC) + timedelta(days=10)
    authority.issue_cert("127.0.0.1", not_after=ends).configure_cert(context)
    trusted = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    auth = f"auth: {{access_key: {KEY}, secret_key: {SECRET}}}"
    more = {
        "lima": [auth],
        "cusco": [auth],
        "bogota": [f"tls: {{ca_file: {trusted}}}"],
    }
    async with contextlib.AsyncExitStack() as stack:
        quito = await stack.enter_async_context(contextlib.AsyncExitStack())
        urls = {}
        for cms, settings in server_settings().items():
            tls = context if cms == "bogota" else None
            served = serving(Simulator(settings), ssl_context=tls)
            address: Address = await (quito if cms == "quito" else stack).enter_async_context(
                served
            )
            urls[cms] = address.url
        sala = "cms:\n" + block("sala", urls["sala"])
        blocks = (block(cms, url, *more.get(cms, ())) for cms, url in urls.items() if cms != "sala")
        (vdn,) = [vdn for vdn in range(1, 9) if Shard(0, 2).holds(TargetKey("sala", 1, vdn))][:1]
        configs = {
            "floor": ("cms:\n" + "".join(blocks),),
            "edited": (sala,),
            "killed": (sala,),
            "idle": (sala.replace("1-3", str(vdn)), "--shard=1/2"),
            "restarted": (sala,),
        }
        exporters = {
            name: await stack.enter_async_context(running(folder / name, *config))
            for name, config in configs.items()
        }
        watch = await stack.enter_async_context(
            watching(
                folder,
                *(service.address for service in exporters.values()),
                hurry=hurry,
                pace=times_faster(FASTER),
            )
        )
        here = Stage(watch, exporters, quito, sala.replace("interval:", "intervall:"))
        try:
            yield here
        finally:
            for task in here.tasks:
                task.cancel()


def hurry(rule: dict[str, Any]) -> None:
    """Shorten all waits of a rule. Its words stay as they are."""
    pace = times_faster(FASTER)
    if "for" in rule:
        rule["for"] = pace(rule["for"])
    rule["expr"] = re.sub(
        r"(?<=\[)\d+m(?=\])|(?<=offset )\d+m\b", lambda found: pace(found[0]), rule["expr"]
    )


async def test_thirteen_nights(tmp_path: Path) -> None:
    """Each is told once, to one receiver, in the right words, and its first command names it."""
    async with stage(tmp_path) as here:
        await asyncio.sleep(3 * MINUTE)
        assert not here.watch.webhook.told
        await here.close_quito.aclose()
        here.begin()
        began = time.monotonic()
        while not all(here.is_told(night) for night in NIGHTS):
            if time.monotonic() - began > LONGEST:
                break
            await asyncio.sleep(0.5)
        # What else would be told would be told now: longer than any group waits.
        await asyncio.sleep(6 * MINUTE)
        told = {night: here.told(night) for night in NIGHTS}
        assert [night.happens for night in NIGHTS if not told[night]] == []
        firing = [one for one in here.watch.webhook.told if one.status == "firing"]
        inhibited = {
            (night, name): set((await here.watch.states(name, night.cms)).values())
            for night in NIGHTS
            for name in night.inhibited
        }
        assert inhibited == {key: {"suppressed"} for key in inhibited}
        more = [(one.receiver, one.group, one.alerts) for one in firing if one not in all_of(told)]
        assert more == []
        assert {night.happens: len(told[night]) for night in NIGHTS} == {
            night.happens: 1 for night in NIGHTS
        }, timeline(here)
        rows = [await played(here, night, told[night][0]) for night in NIGHTS]
        assert "Canary Name" not in repr(here.watch.webhook.told)
    write(rows)


def all_of(told: dict[Night, list[Told]]) -> list[Told]:
    """What was told of all nights."""
    return [one for those in told.values() for one in those]


def timeline(here: Stage) -> str:
    """Everything that was told, for whoever has to find out why."""
    return "\n".join(
        f"{one.receiver} {one.status} {one.group} "
        + " ".join(f"{alert['status']} {alert['startsAt']}" for alert in one.alerts)
        for one in here.watch.webhook.told
    )


async def played(here: Stage, night: Night, told: Told) -> list[str]:
    """Compare what was told with what was expected. Gives the cells of the table."""
    assert (told.receiver, told.group["alertname"]) == (night.receiver, night.alert), night.happens
    (alert,) = told.alerts
    labels, words = alert["labels"], alert["annotations"]["description"]
    assert re.fullmatch(night.words, words), (night.happens, words)
    assert f"{labels['team']}-{labels['severity']}" == night.receiver
    page = alert["annotations"]["runbook_url"].rpartition("/")[2]
    first = commands(ROOT / "docs" / "runbooks" / page)[0]
    shell = Installed(here.exporters[night.exporter].tree, {"lima": labels.get("cms", "lima")})
    said, printed = None, ""
    for _ in range(8):  # some troubles come and go: the page says to ask a few times
        _status, printed = await shell.type("systemd", first)
        if said := re.search(night.says, printed):
            break
        await asyncio.sleep(MINUTE / 4)
    assert said, (night.happens, first, printed)
    assert "Canary Name" not in printed
    typed = first.replace("lima", labels.get("cms", "lima"))
    inhibited = "".join(f"<br>inhibits {name}" for name in night.inhibited)
    return [
        night.happens,
        f"**{night.receiver}**<br>[{night.alert}](runbooks/{page}){inhibited}",
        readable(words),
        f"`{typed}`<br>`{readable(said[0])}`",
    ]


def readable(text: str) -> str:
    """A text in one line, with the usual ports in place of the random ones."""
    server = re.sub(r"127\.0\.0\.1:\d+(?= refused)", "127.0.0.1:28443", " ".join(text.split()))
    return re.sub(r"127\.0\.0\.1:(?!28443)\d+", "127.0.0.1:10072", server)


def write(rows: list[list[str]]) -> None:
    """Put the table into the page."""
    heads = ["event", "receiver and alert", "notification", "first command and its answer"]
    lines = [heads, ["---"] * len(heads), *rows]
    table = "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines
    )
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(MARK.sub(lambda _: f"\n{table}\n", text), encoding="utf-8")
