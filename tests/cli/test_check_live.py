"""`check --live`: how servers are asked, on virtual time; and what is said, by the real command."""

import asyncio
import io
import json
import pty
import re
import signal
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
import trustme
from rich.console import Console

from exporter.cli.check_live import Answer, Feed, Round, expiring, grouped, show_summary, too_slow
from exporter.cli.inspection_page import CHANGED
from exporter.cli.output import console
from exporter.clock import Moment
from exporter.cms.client import CmsClient
from exporter.errors import PollError, PollResult, Reason
from exporter.rest import Counters, Doubt, reduce
from exporter.server import Server
from exporter.simulator.floors import AgentRow, Floor
from exporter.simulator.scenarios import parse_scenario
from exporter.simulator.stand_in import Settings, Simulator, serving
from exporter.store import TargetKey
from tests.support.cms_peer import answer
from tests.support.cms_peer import serving as cms_serving
from tests.support.picky_server import Picky
from tests.support.processes import COMMAND, MEASURED, clean_environment, run, started, until
from tests.support.terminal import read_to_end
from tests.support.virtual_time import VirtualTimeLoop, virtual_clock

NAME = "Canary Oropendola"


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
    """Poll that many VDNs of each server."""

    async def ask() -> list[Answer]:
        clients = {
            name: CmsClient(server, httpx.MockTransport(floors), virtual_clock)
            for name, (server, floors) in servers.items()
        }
        targets = [TargetKey(name, 1, vdn) for name in servers for vdn in range(1, vdns + 1)]
        polling = Round(clients, targets, console(stream or io.StringIO()))
        await polling.poll()
        assert [found.target for found in polling.answers] == targets
        return polling.answers

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
    assert {found.result.duration for found in answers} == {1.0}


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
    assert stream.getvalue() == ("lima: asked for a pause of 1m: its other targets wait\n")
    assert [found.result.error is not None for found in answers] == [True, True, False, False]


def test_the_bar_shows_how_far_it_is_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redrawn in place; what is said stays above it, and the cursor comes back."""
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    refusal = httpx.Response(429, headers={"Retry-After": "2"})
    server = Server("http://lima.example", max_concurrency=1)
    asked({"lima": (server, Floors(refusal))}, 2, stream)
    text = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert "lima: asked for a pause of 2s: its other targets wait\n" in text
    assert "0/2 polled, 0 failed" in text
    assert "2/2 polled, 1 failed" in text
    assert text.count("\x1b[?25h") == text.count("\x1b[?25l") > 0
    assert text.endswith("\x1b[1A\x1b[2K")


def answer_of(
    target: TargetKey, error: PollError, seconds: float = 0.5, skew: float | None = None
) -> Answer:
    """A target whose poll failed."""
    times = Moment(0.0, 0.0, 0.0), Moment(seconds, seconds, seconds)
    return Answer(target, PollResult(*times, None, error, requests=1, clock_skew=skew))


def failed(cms: str, cc_id: int, vdn: int, message: str = "no") -> Answer:
    """A target whose server replied with an error."""
    return answer_of(TargetKey(cms, cc_id, vdn), PollError(Reason.API, message))


def doubtful(cms: str, vdn: int) -> Answer:
    """A target whose server lists no row of the agent who rests."""
    snapshot = reduce(Counters(0, 1, 0), [], 0.0)
    result = PollResult(Moment(0, 0, 0), Moment(1, 1, 1), snapshot, None, requests=1)
    return Answer(TargetKey(cms, 1, vdn), result)


def test_failures_that_are_alike_are_one_line() -> None:
    """Ten thousand targets of a dead server would hide the one that fails otherwise."""
    answers = [
        *(failed("lima", 1, vdn) for vdn in (1, 2, 3, 7)),
        failed("lima", 1, 4, "never"),
        failed("lima", 2, 9),
        failed("quito", 1, 1),
        *(doubtful("quito", vdn) for vdn in (2, 3)),
    ]
    assert [group.text for group in grouped(answers)] == [
        "lima: ccId 1, vdn 1-3, 7; ccId 2, vdn 9: api: no",
        "lima: ccId 1, vdn 4: api: never",
        "quito: ccId 1, vdn 1: api: no",
        f"quito: ccId 1, vdn 2-3: doubtful: {Doubt.UNLISTED.sentence}",
    ]


def fed(
    targets: dict[str, int], *answers: Answer, done: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    """What the feed writes to stdout and to stderr, neither of which is a terminal."""
    out, err = io.StringIO(), io.StringIO()
    feed = Feed(console(out), console(err), targets)
    for each in answers:
        feed.add(each)
    for cms in done:
        feed.server_done(cms)
    return out.getvalue().splitlines(), err.getvalue().splitlines()


def test_each_answer_of_a_few_is_said_when_it_comes() -> None:
    """What is wrong to stderr, once for each cause; the rest to stdout."""
    out, err = fed(
        {"lima": 5, "quito": 1},
        doubtful("lima", 1),
        failed("lima", 1, 2, "no reply within 9.97 s"),
        failed("lima", 1, 3, "no reply within 10 s"),
        failed("lima", 2, 9, "never"),
        failed("quito", 1, 1, "never"),
        done=["lima", "quito"],
    )
    assert out == [
        "live:",
        "  lima: ccId 1, vdn 1: answered in 1.00 s: 1 resting, 0 waiting, 0 approved",
        "  lima: ccId 1, vdn 3: api: as for ccId 1, vdn 2",
    ]
    assert err == [
        f"lima: ccId 1, vdn 1: doubtful: {Doubt.UNLISTED.sentence}",
        "lima: ccId 1, vdn 2: api: no reply within 9.97 s",
        "lima: ccId 2, vdn 9: api: never",
        "quito: ccId 1, vdn 1: api: never",
    ]


def test_of_many_targets_only_what_is_wrong_is_said() -> None:
    """Ten thousand lines would hide it. A server says when it is done while others are not."""
    out, err = fed(
        {"lima": 21, "quito": 21},
        doubtful("lima", 1),
        *(failed("lima", 1, vdn) for vdn in range(2, 22)),
        done=["lima", "quito"],
    )
    assert out == ["live:", "  lima: done: 1 of 21 targets answered"]
    assert err == [
        f"lima: ccId 1, vdn 1: doubtful: {Doubt.UNLISTED.sentence}",
        "lima: ccId 1, vdn 2: api: no",
    ]


def test_a_listing_that_changed_while_it_was_read_is_said() -> None:
    """It is no failure."""
    answered = doubtful("lima", 1)
    moved = msgspec.structs.replace(answered.result, moved=True)
    _, err = fed({"lima": 1}, Answer(answered.target, moved))
    assert err[1:] == [f"lima: ccId 1, vdn 1: changed: {CHANGED}"]


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
    answers = [answer_of(TargetKey("lima", 1, 1), PollError(Reason.AUTH, "no"), 0.125, skew)]
    stream = io.StringIO()
    show_summary(console(stream), answers)
    assert stream.getvalue().splitlines() == [
        f"  lima: 0 of 1 target answered, 1 request, the slowest took 0.12 s{said}",
        "  all: 0 of 1 target answered, 1 request, the slowest took 0.12 s",
    ]


def test_a_terminal_gets_a_table() -> None:
    """With the clock in a column of its own."""
    stream = io.StringIO()
    terminal = Console(file=stream, force_terminal=True, color_system=None, width=80)
    show_summary(terminal, [answer_of(TargetKey("lima", 1, 1), PollError(Reason.AUTH, "no"), 1, 9)])
    lines = [line.strip() for line in stream.getvalue().splitlines() if line.strip(" ─")]
    assert [re.split(" {2,}", line) for line in lines] == [
        ["SERVER", "ANSWERED", "REQUESTS", "SLOWEST", "CLOCK"],
        ["lima", "0 of 1 target", "1 request", "1.00 s", "9 s ahead of this host's"],
        ["all", "0 of 1 target", "1 request", "1.00 s"],
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
            "timeout": "25s",
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
    lines = re.sub(r"(took|in) \d+\.\d\d s", r"\1 T", done.stdout).splitlines(keepends=True)
    # who answers first is chance
    lines[4:9] = sorted(lines[4:9])
    assert "".join(lines) == (
        f"{path}: valid\n"
        "  lima: 5 targets every 30s: 600 requests per hour, 1 in the busiest second\n"
        "  all: 5 targets: 600 requests per hour\n"
        "live:\n"
        + "".join(
            f"  lima: ccId 1, vdn {vdn}: answered in T: 1 resting, 0 waiting, 1 approved\n"
            for vdn in range(1, 6)
        )
        + "  lima: 5 of 5 targets answered, 5 requests, the slowest took T\n"
        "  all: 5 of 5 targets answered, 5 requests, the slowest took T\n"
    )


@pytest.mark.anyio
async def test_each_failure_is_explained(tmp_path: Path) -> None:
    """To stderr, with its remedy; status 1, and no name or secret anywhere."""
    faults = ("api-error@1/2", "api-error@1/3", "html@1/5")
    async with configured(tmp_path, simulator(*faults)) as path:
        done = await asyncio.to_thread(run, "check", "--live", f"--config.file={path}")
    assert done.returncode == 1
    failed_call = (
        "api: the server returned result code 0100001, the call failed (the CTI does not answer): "
        "check the CTI platform and BMS behind CC-CMS, and the state of the VDN"
    )
    *as_they_came, together = done.stderr.splitlines()
    # which of the two answers first is chance
    first, other = (2, 3) if f"vdn 2: {failed_call}" in done.stderr else (3, 2)
    assert sorted(as_they_came) == [
        f"lima: ccId 1, vdn {first}: {failed_call}",
        (
            'lima: ccId 1, vdn 5: decode: the reply is a web page with the title "Sign in" '
            "(text/html), not JSON: a login page or a gateway answers instead of CC-CMS; check "
            "host, port and path of url"
        ),
    ]
    assert together == f"lima: ccId 1, vdn 2-3: {failed_call}"
    assert f"  lima: ccId 1, vdn {other}: api: as for ccId 1, vdn {first}\n" in done.stdout
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
        "doubts": [],
        "changed_while_read": False,
    }
    assert bad.pop("message").startswith(
        "the server returned result code 0100001, the call failed ("
    )
    assert bad == {
        "cms": "lima",
        "cc_id": 1,
        "vdn": 2,
        "up": False,
        "requests": 1,
        "reason": "api",
    }
    assert "anary" not in done.stdout


@pytest.mark.anyio
async def test_one_server_of_several(tmp_path: Path) -> None:
    """Its load, and its targets; the others are not asked."""
    server = simulator()
    async with serving(server) as address:
        keys = {"access_key": "AK", "secret_key": "canary-key"}
        shape = {"url": address.url, "auth": keys, "targets": [{"ccId": 1, "vdn": "1-2"}]}
        names = ("lima", "quito", "bogota")
        blocks = [{"name": name, **shape} for name in names]
        (tmp_path / "config.yaml").write_text(json.dumps({"cms": blocks}), encoding="utf-8")
        asking = ("check", "--live", "--cms=quito")
        done = await asyncio.to_thread(run, *asking, cwd=tmp_path)
        both = await asyncio.to_thread(run, *asking, "--cms=lima", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "lima" not in done.stdout
    assert "  all: 2 targets: 240 requests per hour\n" in done.stdout
    assert "  all: 2 of 2 targets answered, 2 requests" in done.stdout
    found = json.loads(both.stdout)
    assert [each["cms"] for each in found["servers"]] == ["lima", "quito"]
    assert [each["cms"] for each in found["live"]] == ["lima", "lima", "quito", "quito"]
    assert server.requests == 6


@pytest.mark.parametrize(
    ("name", "hint"),
    [("limo", "did you mean lima? See"), ("bogota", "it has lima, quito; see")],
)
def test_a_server_that_is_not_there(tmp_path: Path, name: str, hint: str) -> None:
    """Status 2, with the names that there are."""
    block = "- {{name: {}, url: 'http://127.0.0.1:1', targets: [{{ccId: 1, vdn: 1}}]}}\n"
    text = "cms:\n" + block.format("lima") + block.format("quito")
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    done = run("check", "--cms=lima", f"--cms={name}", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"agent-rest-exporter check: --cms: the configuration has no server {name!r}; {hint} "
        "agent-rest-exporter check --help\n"
    )


def test_a_wrong_configuration_is_not_asked(tmp_path: Path) -> None:
    """Status 2, as without --live."""
    (tmp_path / "config.yaml").write_text("cms: []", encoding="utf-8")
    done = run("check", "--live", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("config.yaml:1:")


@pytest.mark.anyio
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_tells_what_was_found_until_then(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    """A server that hangs does not have to be waited for."""
    server = simulator(*(f"hang@1/{vdn}" for vdn in range(2, 1001)))

    async def waits() -> bool:
        return server.requests >= 9

    async with (
        configured(tmp_path, server, "1-1000") as path,
        started(
            *(COMMAND, "check", "--live", f"--config.file={path}"), environ=MEASURED
        ) as process,
    ):
        await until(waits)
        assert await process.stop(number) == status
    assert re.fullmatch(r"  all: \d+ of \d+ targets? answered, .*", process.lines[-2])
    assert re.fullmatch(r"interrupted: 9\d\d of 1000 not polled", process.lines[-1])


@pytest.mark.anyio
@pytest.mark.parametrize("plain", [True, False], ids=["NO_COLOR", "colour"])
async def test_a_terminal_sees_the_bar(tmp_path: Path, *, plain: bool) -> None:
    """On stderr, so that stdout can be kept; without colour if that is not wanted."""
    master, slave = pty.openpty()
    environ = {"COLUMNS": "80", "TERM": "xterm-256color", "NO_COLOR": "1" if plain else None}
    async with configured(tmp_path, simulator("api-error@1/2")) as path:
        process = await asyncio.create_subprocess_exec(
            *(COMMAND, "check", "--live", f"--config.file={path}"),
            env=clean_environment(environ),
            stdout=asyncio.subprocess.PIPE,
            stderr=slave,
        )
        out, _ = await process.communicate()
    seen = read_to_end(master, slave).decode()
    assert process.returncode == 1
    assert b"\x1b" not in out
    assert ("\x1b[31m" in seen) is not plain
    assert (re.search(r"\x1b\[[0-9;]*m", seen) is None) is plain
    assert "5/5 polled, 1 failed" in re.sub(r"\x1b\[[0-9;]*m", "", seen)
    assert "lima: ccId 1, vdn 2: api: the server" in re.sub(r"\x1b\[[0-9;]*[mK]", "", seen)


@pytest.mark.anyio
@pytest.mark.parametrize("as_json", [False, True])
async def test_a_refused_signature_is_explained_by_trying(tmp_path: Path, *, as_json: bool) -> None:
    """Once for each server, whatever the number of its targets."""
    picky = Picky(query=("",))
    config = tmp_path / "config.yaml"
    hint = "the server accepts the signature with auth.empty_query_line: true: set it"
    async with cms_serving(picky.converse) as picky.port:
        config.write_text(
            f"cms: [{{name: lima, url: 'http://127.0.0.1:{picky.port}', auth: {{access_key: AK1,"
            " secret_key: sk}, targets: [{ccId: 1, vdn: 1-3}]}]\n"
        )
        flags = ["--json"] if as_json else []
        done = await asyncio.to_thread(run, "check", "--live", *flags, str(config))

    assert done.returncode == 1
    if as_json:
        assert json.loads(done.stdout)["hints"] == {"lima": hint}
    else:
        assert done.stderr.splitlines()[-1] == f"lima: {hint}"
    assert len(picky.paths) == 3 + 1


def test_a_proxy_is_shown_with_where_it_comes_from(tmp_path: Path) -> None:
    """Without its password: it may be the environment's, and nobody thinks of it."""
    config = tmp_path / "config.yaml"
    config.write_text("cms: [{name: lima, url: 'https://cms', targets: [{ccId: 1, vdn: 1}]}]\n")

    done = run("check", str(config), environ={"HTTPS_PROXY": "http://user:canary@proxy:3128"})

    assert "  lima: proxy: http://proxy:3128 (from HTTPS_PROXY in the environment)\n" in done.stdout
    assert "canary" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("left", "sentence"),
    [
        (14 * 86_400, None),
        (
            9 * 86_400 + 23 * 3600 + 30,
            "a certificate that the server presents expires in 9d23h1m: at 1970-01-10 23:00+00:00",
        ),
        (1, "a certificate that the server presents expires in 1m: at 1970-01-01 00:00+00:00"),
        (0, "a certificate that the server presents has expired: at 1970-01-01 00:00+00:00"),
    ],
)
def test_a_certificate_that_expires_soon_is_said(left: float, sentence: str | None) -> None:
    """Within the fourteen days of the alert AgentRestCertificateExpires."""
    assert expiring(left, 0) == sentence
    assert expiring(None, 0) is None


@pytest.mark.anyio
async def test_a_certificate_is_looked_at_when_a_server_is_asked(tmp_path: Path) -> None:
    """By the real command, over TLS: one line for the server."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ends = datetime.now(UTC) + timedelta(days=10)
    authority.issue_cert("127.0.0.1", not_after=ends).configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    config = tmp_path / "config.yaml"
    async with serving(Simulator(), ssl_context=context) as server:
        config.write_text(
            "cms: [{name: lima, url: '"
            + server.url
            + "', tls: {ca_file: ca.pem}, targets: [{ccId: 1, vdn: 1-2}]}]",
            encoding="utf-8",
        )
        done = await asyncio.to_thread(run, "check", "--live", str(config))
    assert done.stderr == (
        "lima: a certificate that the server presents expires in 10d: at "
        f"{ends.isoformat(' ', 'minutes')}\n"
    )


def test_a_server_that_is_too_slow_for_its_interval() -> None:
    """Said before polls are skipped, with the number of polls at once that it takes."""

    def took(*seconds: float) -> list[PollResult]:
        moments = [(Moment(0.0, 0.0, 0.0), Moment(each, each, each)) for each in seconds]
        snapshot = reduce(Counters(0, 0, 0), (), 0.0)
        return [PollResult(began, ended, snapshot, None) for began, ended in moments]

    server = Server("http://lima.example", interval=5.0, max_concurrency=2)
    assert too_slow(server, took(2.0, 3.0, 2.5, 2.5)) is None
    assert too_slow(server, took(2.0, 3.0, 2.5, 2.5, 2.5)) == (
        "a poll takes 2.50 s on average, so 5 targets every 5s need 3 polls at once, but "
        "max_concurrency is 2: polls will be skipped; raise it, or lengthen interval"
    )
    assert too_slow(replace(server, max_requests_per_second=1.0), took(9.0, 9.0)) is None
    assert too_slow(server, []) is None
