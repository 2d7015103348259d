"""`check --live`: how servers are asked, on virtual time; and what is said, by the real command."""

import asyncio
import io
import json
import os
import pty
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from exporter.cli import report
from exporter.cli.check_live import Answer, Round
from exporter.cli.progress import Progress
from exporter.cms.client import CmsClient
from exporter.errors import PollError, Reason
from exporter.server import Server
from exporter.simulator import AgentRow, Floor, Settings, Simulator, parse_scenario, serving
from exporter.store import TargetKey
from tests.support.cms_peer import answer
from tests.support.processes import COMMAND, clean_environment, run, started, until
from tests.support.virtual_time import VirtualTimeLoop, virtual_clock

NAME = "Canary Oropendola"


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


class Floors:
    """A server whose replies take a second each. Notes when it was asked, and by how many."""

    def __init__(self, *refusals: httpx.Response) -> None:
        self.refusals = list(refusals)
        self.asked: list[tuple[float, int]] = []
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        vdn = json.loads(request.content)["queryParam"]["vdn"]
        self.asked.append((asyncio.get_running_loop().time(), vdn))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(1)
        self.at_once -= 1
        return self.refusals.pop(0) if self.refusals else httpx.Response(200, content=answer(1))


def asked(
    servers: dict[str, tuple[Server, Floors]], vdns: int, stream: io.StringIO | None = None
) -> list[Answer]:
    """Ask each server for that many VDNs."""

    async def ask() -> list[Answer]:
        clients = {
            name: CmsClient(server, httpx.MockTransport(floors), virtual_clock)
            for name, (server, floors) in servers.items()
        }
        targets = [TargetKey(name, 1, vdn) for name in servers for vdn in range(1, vdns + 1)]
        progress = Progress(len(targets), stream or io.StringIO())
        asking = Round(clients, targets, virtual_clock, progress)
        await asking.ask()
        assert [found.target for found in asking.answers] == targets
        return asking.answers

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(ask())


def test_no_server_is_asked_more_at_once_than_it_bears() -> None:
    """`max_concurrency` holds for each, and one does not wait for another."""
    slow, quick = Floors(), Floors()
    lima = Server("http://lima.example", max_concurrency=2)
    quito = Server("http://quito.example", max_concurrency=9)
    answers = asked({"lima": (lima, slow), "quito": (quito, quick)}, 6)
    assert (slow.most_at_once, quick.most_at_once) == (2, 6)
    assert [at for at, _ in slow.asked] == [0, 0, 1, 1, 2, 2]
    assert [at for at, _ in quick.asked] == [0] * 6
    assert {found.seconds for found in answers} == {1.0}


def test_no_server_is_asked_faster_than_it_allows() -> None:
    """`max_requests_per_second` spaces the questions evenly."""
    floors = Floors()
    server = Server("http://lima.example", max_requests_per_second=2)
    asked({"lima": (server, floors)}, 4)
    assert [at for at, _ in floors.asked] == [0, 0.5, 1, 1.5]


def test_a_pause_that_a_server_asks_for_is_kept_and_told() -> None:
    """Once for each server, whatever stderr is: else it looks like a hang."""
    refusals = [httpx.Response(429, headers={"Retry-After": "60"}) for _ in range(2)]
    floors, stream = Floors(*refusals), io.StringIO()
    answers = asked({"lima": (Server("http://lima.example", max_concurrency=1), floors)}, 4, stream)
    assert [at for at, _ in floors.asked] == [0, 61, 122, 123]
    assert stream.getvalue() == (
        "lima: asks to be left alone for 1m: the rest of its targets wait\n"
    )
    assert [isinstance(found.outcome, PollError) for found in answers] == [True, True, False, False]


def test_the_bar_shows_how_far_it_is_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redrawn in place; what is said stays above it."""
    monkeypatch.setenv("COLUMNS", "60")
    stream = Terminal()
    refusal = httpx.Response(429, headers={"Retry-After": "2"})
    server = Server("http://lima.example", max_concurrency=1)
    asked({"lima": (server, Floors(refusal))}, 2, stream)
    told = "lima: asks to be left alone for 2s: the rest of its targets wait\n"
    assert stream.getvalue().split("\r\x1b[K") == [
        "",
        "[........................] 0/2 asked, 0 failed",
        told,
        "[........................] 0/2 asked, 0 failed",
        "[############............] 1/2 asked, 1 failed",
        "[########################] 2/2 asked, 1 failed",
        "",
    ]


def test_the_bar_is_cut_to_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that wraps could not be redrawn in place."""
    monkeypatch.setenv("COLUMNS", "30")
    stream = Terminal()
    Progress(10_000, stream).draw(5_000, "asked, 0 failed")
    assert stream.getvalue() == "\r\x1b[K[############............] 50"


def failed(cms: str, cc_id: int, vdn: int, message: str = "no") -> Answer:
    """A target that did not answer."""
    return Answer(TargetKey(cms, cc_id, vdn), PollError(Reason.API, message), 0.5)


def test_failures_that_are_alike_are_one_line() -> None:
    """Ten thousand targets of a dead server would hide the one that fails otherwise."""
    answers = [
        *(failed("lima", 1, vdn) for vdn in (1, 2, 3, 7)),
        failed("lima", 1, 4, "never"),
        failed("lima", 2, 9),
        failed("quito", 1, 1),
    ]
    assert report.failures(answers) == [
        "lima: ccId 1, vdn 1-3, 7; ccId 2, vdn 9: api: no",
        "lima: ccId 1, vdn 4: api: never",
        "quito: ccId 1, vdn 1: api: no",
    ]


@pytest.mark.parametrize(
    ("skew", "said"),
    [
        (None, ""),
        (-1.9, ""),
        (2.0, "; its clock is 2 s ahead of this host's"),
        (-90.4, "; its clock is 90 s behind this host's"),
    ],
)
def test_the_summary_names_clocks_that_differ(skew: float | None, said: str) -> None:
    """By more than a `Date` without fractions explains."""
    error = PollError(Reason.AUTH, "no", requests=1, clock_skew=skew)
    answers = [Answer(TargetKey("lima", 1, 1), error, 0.125)]
    assert report.summary(answers) == [
        "live:",
        f"  lima: 0 of 1 target answered, 1 request, the slowest took 0.12 s{said}",
        "  all: 0 of 1 target answered, 1 request, the slowest took 0.12 s",
    ]


# The real command


def floor(_cc_id: int, _vdn: int, now: float) -> Floor:
    """Every agent is a canary."""
    row = AgentRow(NAME, 1001, 0, int(now - 900) * 1000, 300)
    return Floor(approved=1, resting=1, waiting=0, rows=(row,))


def simulator(*scenarios: str) -> Simulator:
    """A server with these faults."""
    faults = tuple(map(parse_scenario, scenarios))
    keys = {"AK": "canary-key"}
    return Simulator(Settings(access_keys=keys, floors=floor, scenarios=faults))


@asynccontextmanager
async def configured(folder: Path, server: Simulator, vdns: str = "1-5") -> AsyncIterator[Path]:
    """A configuration of that server."""
    async with serving(server) as address:
        block = {
            "name": "lima",
            "url": address.url,
            "timeout": "1s",
            "auth": {"access_key": "AK", "secret_key": "canary-key"},
            "targets": [{"ccId": 1, "vdn": vdns}],
        }
        path = folder / "config.yaml"
        path.write_text(json.dumps({"cms": [block]}), encoding="utf-8")
        yield path


@pytest.mark.anyio
async def test_all_is_well(tmp_path: Path) -> None:
    """Status 0, and a summary below the forecast; no bar where there is no terminal."""
    async with configured(tmp_path, simulator()) as path:
        done = await asyncio.to_thread(run, "check", "--live", f"--config.file={path}")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.sub(r"took \d+\.\d\d s", "took T", done.stdout) == (
        f"{path}: valid\n"
        "  lima: 5 targets every 30s: 600 requests per hour, 1 in the busiest second\n"
        "  all: 5 targets: 600 requests per hour\n"
        "live:\n"
        "  lima: 5 of 5 targets answered, 5 requests, the slowest took T\n"
        "  all: 5 of 5 targets answered, 5 requests, the slowest took T\n"
    )


@pytest.mark.anyio
async def test_each_failure_is_explained(tmp_path: Path) -> None:
    """To stderr, with its remedy; status 1, and no name or secret anywhere."""
    faults = ("api-error@1/2", "api-error@1/3", "html@1/5")
    async with configured(tmp_path, simulator(*faults)) as path:
        done = await asyncio.to_thread(run, "check", "--live", f"--config.file={path}")
    assert done.returncode == 1
    assert done.stderr == (
        "lima: ccId 1, vdn 2-3: api: the server returned result code 0100001 (the CTI does not "
        "answer): check ccId and vdn, the rights of the access key, and the vendor's Error Code "
        "Reference\nlima: ccId 1, vdn 5: decode: the reply is not valid JSON: check that url "
        "leads to CC-CMS and not to a login page or a gateway\n"
    )
    assert "  lima: 2 of 5 targets answered, 5 requests, " in done.stdout
    assert "anary" not in done.stdout + done.stderr


@pytest.mark.anyio
async def test_scripts_get_every_answer(tmp_path: Path) -> None:
    """With its numbers, or with its reason and sentence; nothing but JSON on stdout."""
    async with configured(tmp_path, simulator("api-error@1/2"), "1-2") as path:
        done = await asyncio.to_thread(run, "check", "--live", "--json", f"--config.file={path}")
    assert (done.returncode, done.stderr) == (1, "")
    found = json.loads(done.stdout)
    assert found["valid"] is True
    good, bad = found["live"]
    for each in (good, bad):
        assert 0 < each.pop("duration_seconds") < 30  # whatever else this machine does
        assert abs(each.pop("clock_skew_seconds")) < 30
    assert good == {
        "cms": "lima",
        "cc_id": 1,
        "vdn": 1,
        "up": True,
        "requests": 1,
        "approved_agents": 1,
        "resting_agents": 1,
        "waiting_agents": 0,
    }
    assert bad.pop("message").startswith("the server returned result code 0100001 (")
    assert bad == {
        "cms": "lima",
        "cc_id": 1,
        "vdn": 2,
        "up": False,
        "requests": 1,
        "reason": "api",
    }
    assert "anary" not in done.stdout


def test_a_wrong_configuration_is_not_asked(tmp_path: Path) -> None:
    """Status 2, as without --live."""
    (tmp_path / "config.yaml").write_text("cms: []", encoding="utf-8")
    done = run("check", "--live", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("config.yaml:1:")


@pytest.mark.anyio
async def test_ctrl_c_tells_what_was_found_until_then(tmp_path: Path) -> None:
    """A server that hangs does not have to be waited for."""
    server = simulator(*(f"hang@1/{vdn}" for vdn in range(2, 1001)))

    async def waits() -> bool:
        return server.requests == 9

    async with (
        configured(tmp_path, server, "1-1000") as path,
        started(COMMAND, "check", "--live", f"--config.file={path}") as process,
    ):
        await until(waits)
        assert await process.stop(signal.SIGINT) == 130
    assert re.fullmatch(r"  all: \d+ of \d+ targets? answered, .*", process.lines[-2])
    assert re.fullmatch(r"interrupted: 9\d\d of 1000 not asked", process.lines[-1])


@pytest.mark.anyio
async def test_a_terminal_sees_the_bar(tmp_path: Path) -> None:
    """On stderr, so that stdout can be kept."""
    master, slave = pty.openpty()
    try:
        async with configured(tmp_path, simulator()) as path:
            process = await asyncio.create_subprocess_exec(
                *(COMMAND, "check", "--live", "--json", f"--config.file={path}"),
                env=clean_environment({"COLUMNS": "80"}),
                stdout=asyncio.subprocess.PIPE,
                stderr=slave,
            )
            out, _ = await process.communicate()
        seen = os.read(master, 65_536).decode()
    finally:
        os.close(master)
        os.close(slave)
    assert process.returncode == 0
    assert len(json.loads(out)["live"]) == 5
    assert seen.startswith("\r\x1b[K[........................] 0/5 asked, 0 failed\r\x1b[K[####")
    assert seen.endswith("] 5/5 asked, 0 failed\r\x1b[K")
