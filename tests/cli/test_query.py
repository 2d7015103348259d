"""`query`: what it shows of a listing, and that names stay masked."""

import asyncio
import io
import json
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta, timezone, tzinfo
from pathlib import Path

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console

from exporter.begin_time import BeginTimeUnit
from exporter.cli.inspection_page import CHANGED, Page, Question, agents, as_json
from exporter.cli.output import console
from exporter.clock import Moment
from exporter.cms.agent_names import NamedRow
from exporter.cms.client import Inspection
from exporter.errors import PollResult
from exporter.rest import Counters, Doubt, Snapshot, WaitReason, reduce
from exporter.secret import Secret
from exporter.simulator.floors import AgentRow, Floor
from exporter.simulator.scenarios import parse_scenario
from exporter.simulator.stand_in import Settings, Simulator, serving
from exporter.store import TargetKey
from tests.support.processes import COMMAND, MEASURED, run, started, until

NOW = 1_750_000_000.0
BERLIN = timezone(timedelta(hours=2))
QUIET = reduce(Counters(0, 0, 0), (), NOW)
NAMES = ("Canary Oropendola", "金丝雀小姐")


def row(
    work_no: int | str | None = 1,
    reason: int | None = None,
    begin_time: int | None = None,
    duration: int | None = None,
    name: str | None = None,
) -> NamedRow:
    """A row as the client gives it."""
    return NamedRow(work_no, reason, begin_time, duration, Secret(name) if name else None)


@dataclass(frozen=True)
class Finding:
    """What the command has found."""

    question: Question
    inspection: Inspection

    @property
    def seen(self) -> Snapshot:
        """What the rows were reduced to."""
        assert self.inspection.result.snapshot is not None
        return self.inspection.result.snapshot

    def page(self, *, zone: tzinfo | None = BERLIN, width: int | None = None) -> str:
        """As a pipe gets it; or, with a width, a terminal without colour."""
        stream = io.StringIO()
        target = console(stream)
        if width:
            target = Console(file=stream, force_terminal=True, color_system=None, width=width)
        Page(target, self.question, zone=zone).show(self.inspection)
        return stream.getvalue()


def finding(
    counters: Counters,
    *rows: NamedRow,
    skew: float | None = 0.4,
    configured: bool = True,
    name: str | None = "sales",
    requests: int = 1,
) -> Finding:
    """A poll that succeeded."""
    snapshot = reduce(counters, rows, NOW)
    question = Question(TargetKey("lima", 1, 2), name, BeginTimeUnit.AUTO, configured=configured)
    times = Moment(NOW, 1.0, 1.0), Moment(NOW, 1.123, 1.123)
    result = PollResult(*times, snapshot, None, requests=requests, clock_skew=skew)
    return Finding(question, Inspection(result, rows))


def test_the_page() -> None:
    """Counters, what the reduction makes of them, and the rows, the oldest first."""
    found = finding(
        Counters(3, 1, 2),
        row(55001, None, 1_749_997_470_000, 1800, NAMES[0]),
        row(55002, 1, 1_749_999_940, 600, NAMES[1]),
        row("a-3", 0, 1_750_000_300, 0),
        row(55004, None, 2345, None, "x"),
        row(None, -1),
    )
    assert found.page().splitlines() == [
        "lima, ccId 1, vdn 2 (sales): replied in 0.12 s, 1 request",
        "",
        "approved      3       allowed to rest, still working",
        "resting       1",
        "waiting       2       1 awaiting approval, 1 busy",
        "longest rest  42m10s  since 2025-06-15 16:24:30+02:00",
        "overdue       1       by up to 12m10s",
        "longest wait  1m",
        "unusable      2       rows without a plausible start",
        "clock skew    +0.4 s  the server's clock minus this host's",
        f"doubtful: {Doubt.UNUSABLE_BEGIN_TIMES.sentence}",
        "",
        "AGENT  STATE   BEGAN                      AGE     REQUESTED  REASON             NAME",
        "55001  either  2025-06-15 16:24:30+02:00  42m10s  30m        -                  C***",
        "55002  waits   2025-06-15 17:05:40+02:00  1m      10m        busy               金***",
        "a-3    waits   2025-06-15 17:11:40+02:00  in 5m   0s         awaiting approval  -",
        "55004  either  unusable: 2345             -       -          -                  ***",
        "-      either  -                          -       -          -                  -",
        "",
        "waits: waitRestNum covers every row with this reason",
        "either: it may be resting, and has no usable beginTime",
        "either: more rows can be resting than onRestNum says",
    ]


def test_an_empty_floor() -> None:
    """No table; and what the reader may wonder about is said."""
    found = finding(Counters(0, 0, 0), skew=None, configured=False, name=None, requests=3)
    assert found.page().splitlines() == [
        "lima, ccId 1, vdn 2: replied in 0.12 s, 3 requests; not a target of the configuration",
        "",
        "approved      0  allowed to rest, still working",
        "resting       0",
        "waiting       0",
        "longest rest  -  no agent rests",
        "overdue       0",
        "clock skew    -  the reply has no Date header",
    ]


def test_what_the_rows_leave_open() -> None:
    """Somebody rests and no row says since when; or more rows could rest than do."""
    silent = finding(Counters(0, 1, 0)).page()
    assert "longest rest  -       the reply has no usable start time\n" in silent
    assert "overdue       -\n" in silent
    assert "unlisted      1       resting agents without a row with a start\n" in silent
    assert f"doubtful: {Doubt.UNLISTED.sentence}\n" in silent
    rows = [row(number, None, 1_749_999_940) for number in (1, 2, 3)]
    open_ = finding(Counters(0, 1, 0), *rows).page()
    assert "longest rest  at most 1m  since 2025-06-15 17:05:40+02:00\n" in open_
    assert (
        "unclassified  2           rows of agents who may rest or wait, beyond the resting ones\n"
        in open_
    )


def test_a_row_that_comes_twice_counts_once() -> None:
    """Pages can overlap: the later one is shown, as in the numbers."""
    found = finding(Counters(0, 0, 2), row(7, 0), row(7, 1), row(8, 7))
    page = found.page().splitlines()
    assert [line.split()[0] for line in page if line[:1].isdigit()] == ["7", "8"]
    assert page[-1] == "Rows repeated on a later page, each counted once: 1."
    shown = agents(found.inspection.rows, found.seen, BeginTimeUnit.AUTO, show_names=False)
    assert [agent.reason for agent in shown] == [WaitReason.BUSY, WaitReason.UNKNOWN]


def test_a_terminal_gets_tables_that_line_up() -> None:
    """A Chinese character takes two cells."""
    rows = [row("金丝雀", 0, 1_749_999_940), row(2, 1, 1_749_999_940)]
    page = finding(Counters(0, 0, 2), *rows).page(width=100)
    lines = [line for line in page.splitlines() if " 17:05:40 " in line]
    columns = {cell_len(line.partition("17:05")[0]) for line in lines}
    assert (len(lines), len(columns)) == (2, 1)
    assert "───" in page
    plain = finding(Counters(0, 0, 2), *rows).page().splitlines()
    assert "金丝雀  waits  2025-06-15 17:05:40+02:00  1m   -          awaiting approval  -" in plain
    assert "2       waits  2025-06-15 17:05:40+02:00  1m   -          busy               -" in plain


def test_a_terminal_gets_the_date_only_of_another_day() -> None:
    """So that the table fits; a pipe gets all of it."""
    rows = [row(1, 0, 1_749_999_940), row(2, 0, 1_749_999_940 - 86_400)]
    page = finding(Counters(0, 0, 2), *rows).page(width=80)
    assert re.findall(r"^(\d)      waits  (.+?)  +1", page, re.MULTILINE) == [
        ("2", "2025-06-14 17:05"),
        ("1", "17:05:40"),
    ]


def test_a_listing_that_changed_while_it_was_read() -> None:
    """It says so, because its rows may not match its counters."""
    found = finding(Counters(0, 0, 0))
    result = msgspec.structs.replace(found.inspection.result, moved=True)
    page = Finding(found.question, Inspection(result, ())).page()
    assert page.endswith(f"\nchanged: {CHANGED}\n")
    data = as_json(found.question, Inspection(result, ()), show_names=False)
    assert data["changed_while_read"] is True


def test_durations_beyond_measure() -> None:
    """A server may send any number."""
    found = finding(Counters(0, 0, 0), row(1, None, None, -5), row(2, None, None, 10**17))
    page = found.page()
    assert "  -5 s  " in page
    assert "  100000000000000000 s  " in page


@pytest.mark.parametrize(
    ("name", "masked", "whole"),
    [
        (NAMES[0], "C***", NAMES[0]),
        (NAMES[1], "金***", NAMES[1]),
        ("X", "***", "X"),
        (" Y ", "***", "Y"),
        ("\x1b[2Jhello", "?***", "?[2Jhello"),
        ("a\u202eb", "a***", "a?b"),
        ("z" * 99, "z***", "z" * 60),
    ],
)
def test_names_are_masked_unless_asked_for(name: str, masked: str, whole: str) -> None:
    """Never with what would move a terminal's cursor or turn its text around."""
    for in_full, expected in ((False, masked), (True, whole)):
        (agent,) = agents([row(name=name)], QUIET, BeginTimeUnit.AUTO, show_names=in_full)
        assert agent.name == expected


def test_an_agents_number_may_be_a_text() -> None:
    """It is as little to be trusted as a name."""
    (agent,) = agents([row("\x1b]0;x\x07")], QUIET, BeginTimeUnit.AUTO, show_names=False)
    assert agent.work_no == "?]0;x?"


# The real command


def floor(_cc_id: int, _vdn: int, now: float) -> Floor:
    """Every agent is a canary."""
    begin = int(now - 900) * 1000
    rows = [AgentRow(NAMES[number % 2], 1000 + number, 0, begin, 300) for number in range(3)]
    return Floor(approved=1, resting=1, waiting=2, rows=tuple(rows))


@asynccontextmanager
async def configured(folder: Path, *scenarios: str) -> AsyncIterator[str]:
    """The flag that names a configuration of a simulator, and of a server that is no more."""
    settings = Settings(
        access_keys={"AK": "canary-key"},
        floors=floor,
        scenarios=tuple(map(parse_scenario, scenarios)),
    )
    async with serving(Simulator(settings)) as address:
        shape = {
            "url": address.url,
            "auth": {"access_key": "AK", "secret_key": "canary-key"},
            "targets": [{"ccId": 1, "vdn": 1, "name": "sales"}],
        }
        servers = [{"name": "lima", **shape}, {"name": "quito", **shape}]
        path = folder / "config.yaml"
        path.write_text(json.dumps({"cms": servers}), encoding="utf-8")
        yield f"--config.file={path}"


@pytest.mark.anyio
async def test_names_are_seen_only_when_asked_for(tmp_path: Path) -> None:
    """In the page and in the JSON; the key of the server never."""
    asking = ("query", "--cms=lima", "--cc-id=1", "--vdn=1")
    async with configured(tmp_path) as config:
        page = await asyncio.to_thread(run, *asking, config)
        data = await asyncio.to_thread(run, *asking, config, "--json")
        named = await asyncio.to_thread(run, *asking, config, "--show-names")
        both = await asyncio.to_thread(run, *asking, config, "--show-names", "--json")
    for done in (page, data, named, both):
        assert (done.returncode, done.stderr) == (0, "")
        assert "canary-key" not in done.stdout
    assert re.match(
        r"lima, ccId 1, vdn 1 \(sales\): replied in \d+\.\d\d s, 1 request\n\napproved ",
        page.stdout,
    )
    assert "  -       C***\n" in page.stdout
    assert "Oropendola" not in page.stdout + data.stdout
    assert "丝" not in page.stdout + json.loads(data.stdout)["rows"][1]["agent_name"]
    assert f"  -       {NAMES[0]}\n" in named.stdout
    assert [each["agent_name"] for each in json.loads(both.stdout)["rows"]] == [
        NAMES[0],
        NAMES[1],
        NAMES[0],
    ]


@pytest.mark.anyio
async def test_scripts_get_all_of_it(tmp_path: Path) -> None:
    """Under the names of the metrics; the target need not be one of the configuration."""
    async with configured(tmp_path) as config:
        asking = ("query", "--cms=lima", "--cc-id=2", "--vdn=5", "--json", config)
        done = await asyncio.to_thread(run, *asking)
    found = json.loads(done.stdout)
    now, start = found.pop("server_timestamp_seconds"), found["rows"][0]["start_timestamp_seconds"]
    assert 900 <= now - start < 960
    assert found.pop("duration_seconds") < 30
    assert abs(found.pop("clock_skew_seconds")) < 30
    assert found.pop("longest_rest_seconds") == now - start
    assert found.pop("longest_overdue_seconds") == pytest.approx(now - start - 300)
    rows = found.pop("rows")
    assert len(rows) == 3
    assert rows[0] == {
        "work_no": 1000,
        "agent_name": "C***",
        "state": "either",
        "rule": "more rows can be resting than onRestNum says",
        "reason": None,
        "reason_code": 0,
        "begin_time": start * 1000,
        "start_timestamp_seconds": start,
        "requested_seconds": 300,
    }
    assert found == {
        "cms": "lima",
        "cc_id": 2,
        "vdn": 5,
        "name": None,
        "configured": False,
        "up": True,
        "requests": 1,
        "approved_agents": 1,
        "resting_agents": 1,
        "waiting_agents": 2,
        "waiting_reason_agents": {
            "awaiting_approval": 2,
            "busy": 0,
            "vdn_limit": 0,
            "no_skill_queue": 0,
            "skill_queue_limit": 0,
            "unknown": 0,
        },
        "longest_rest_start_timestamp_seconds": start,
        "longest_wait_seconds": None,
        "overdue_agents": 1,
        "unclassified_agents": 2,
        "unlisted_agents": 0,
        "doubts": [],
        "changed_while_read": False,
        "unusable_begin_times": 0,
    }


@pytest.mark.anyio
async def test_a_failure_is_explained(tmp_path: Path) -> None:
    """The reason and its remedy, to stderr or as JSON; status 1."""
    sentence = (
        'the reply is a web page with the title "Sign in" (text/html), not JSON: a login page or a '
        "gateway answers instead of CC-CMS; check host, port and path of url"
    )
    async with configured(tmp_path, "html") as config:
        asking = ("query", "--cms=quito", "--cc-id=1", "--vdn=1", config)
        done = await asyncio.to_thread(run, *asking)
        data = await asyncio.to_thread(run, *asking, "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"quito, ccId 1, vdn 1 (sales): decode: {sentence}\n"
    assert (data.returncode, data.stderr) == (1, "")
    found = json.loads(data.stdout)
    assert abs(found.pop("clock_skew_seconds")) < 30
    assert found == {
        "cms": "quito",
        "cc_id": 1,
        "vdn": 1,
        "name": "sales",
        "configured": True,
        "up": False,
        "requests": 1,
        "reason": "decode",
        "message": sentence,
    }


@pytest.mark.anyio
async def test_a_terminal_that_cannot_write_a_name(tmp_path: Path) -> None:
    """Question marks, not a failure."""
    environ = {"PYTHONIOENCODING": "ascii"}
    async with configured(tmp_path) as config:
        asking = ("query", "--cms=lima", "--cc-id=1", "--vdn=1", "--show-names", config)
        done = await asyncio.to_thread(run, *asking, environ=environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert "  -       ?????\n" in done.stdout


SERVER = "- {{name: {}, url: 'http://127.0.0.1:1', targets: [{{ccId: 1, vdn: 1}}]}}\n"


@pytest.mark.parametrize(
    ("servers", "flags", "message"),
    [
        (
            ["lima", "quito"],
            [],
            "--cms is required, because the configuration has 2 servers: lima, quito; see",
        ),
        (
            [f"cms{number}" for number in range(12)],
            [],
            (
                "--cms is required, because the configuration has 12 servers: cms0, cms1, cms2, "
                "cms3, cms4, cms5, cms6, cms7, cms8, cms9, …; see"
            ),
        ),
        (
            ["lima", "quito"],
            ["--cms=lime"],
            "--cms: the configuration has no server 'lime'; did you mean lima? See",
        ),
        (
            ["lima", "quito"],
            ["--cms=bogota"],
            "--cms: the configuration has no server 'bogota'; it has lima, quito; see",
        ),
    ],
)
def test_a_server_that_is_not_there(
    tmp_path: Path, servers: list[str], flags: list[str], message: str
) -> None:
    """Status 2, with the names that there are."""
    text = "cms:\n" + "".join(map(SERVER.format, servers))
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    done = run("query", "--cc-id=1", "--vdn=1", *flags, cwd=tmp_path)
    expected = f"agent-rest-exporter query: {message} agent-rest-exporter query --help\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)


def test_the_only_server_needs_no_name(tmp_path: Path) -> None:
    """What is left to say is what it answers: here, nothing."""
    (tmp_path / "config.yaml").write_text("cms:\n" + SERVER.format("lima"), encoding="utf-8")
    done = run("query", "--cc-id=1", "--vdn=1", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("lima, ccId 1, vdn 1: connect: 127.0.0.1:1 refused the ")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "missing option --cc-id"),
        (["--cc-id=1"], "missing option --vdn"),
        (["--cc-id"], "option '--cc-id' requires an argument"),
        *(
            (
                [f"{flag}={text}"],
                f"invalid value for {flag}: {text!r} is not a whole number from 1 to {highest}",
            )
            for flag, text, highest in (
                ("--cc-id", "0", 65_535),
                ("--cc-id", "1e3", 65_535),
                ("--cc-id", "٣", 65_535),
                ("--vdn", "5001", 5_000),
                ("--vdn", "-1", 5_000),
            )
        ),
    ],
)
def test_numbers_out_of_range(flags: list[str], message: str) -> None:
    """Status 2, with the range."""
    done = run("query", *flags)
    see = "see agent-rest-exporter query --help"
    expected = f"agent-rest-exporter query: {message}; {see}\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)


def test_required_flags_come_from_the_environment_too(tmp_path: Path) -> None:
    """Every flag can."""
    environ = {"AGENT_REST_EXPORTER_CC_ID": "1", "AGENT_REST_EXPORTER_VDN": "1"}
    done = run("query", cwd=tmp_path, environ=environ)
    assert done.returncode == 2
    assert done.stderr == (
        "config.yaml:1:1: cannot be read: no such file: name the configuration with --config.file, "
        "or write one with `agent-rest-exporter init`\n"
    )


@pytest.mark.anyio
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_ends_it_at_once(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    """A server that hangs does not have to be waited for; and nothing is said."""
    settings = Settings(floors=floor, scenarios=(parse_scenario("hang"),))
    server = Simulator(settings)

    async def asked() -> bool:
        return server.requests == 1

    async with serving(server) as address:
        shape = {"url": address.url, "timeout": "25s", "targets": [{"ccId": 1, "vdn": 1}]}
        (tmp_path / "config.yaml").write_text(json.dumps({"cms": [shape]}), encoding="utf-8")
        asking = (COMMAND, "query", "--cc-id=1", "--vdn=1")
        async with started(*asking, cwd=tmp_path, environ=MEASURED) as process:
            await until(asked)
            assert await process.stop(number) == status
            assert process.lines == []
