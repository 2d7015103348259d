"""`query --watch`: when it polls, on virtual time; what it shows; and how it ends."""

import asyncio
import io
import json
import os
import pty
import re
import signal
from datetime import UTC
from pathlib import Path

import pytest
from rich.console import Console
from rich.live import Live

from exporter.begin_time import BeginTimeUnit
from exporter.cli import main
from exporter.cli.inspection_page import Page, Question
from exporter.cli.output import console
from exporter.cli.query import REMEMBERED, Screen, parse_interval, repeat, show_line
from exporter.clock import Moment
from exporter.cms.agent_names import NamedRow
from exporter.cms.client import Inspection
from exporter.errors import PollError, PollResult, Reason
from exporter.rest import Counters, reduce
from exporter.secret import Secret
from exporter.simulator.scenarios import parse_scenario
from exporter.simulator.stand_in import Settings, Simulator, serving
from exporter.store import TargetKey
from tests.support.processes import COMMAND, MEASURED, clean_environment, started
from tests.support.terminal import read_to_end
from tests.support.virtual_time import VirtualTimeLoop

NOW = 1_750_000_000.0
QUESTION = Question(TargetKey("lima", 1, 2), "sales", BeginTimeUnit.AUTO)


def polled(at: float = 0.0, *, resting: int = 1, rows: int = 1, moved: bool = False) -> Inspection:
    """A poll that succeeded, so many seconds after the first."""
    named = [NamedRow(n, None, int(NOW - 600), 900, Secret("Canary")) for n in range(rows)]
    snapshot = reduce(Counters(0, resting, 2), named, NOW + at)
    times = Moment(NOW + at, at, at), Moment(NOW + at + 0.5, at + 0.5, at + 0.5)
    result = PollResult(*times, snapshot, None, requests=1, clock_skew=0.0, moved=moved)
    return Inspection(result, tuple(named))


def failed(at: float = 0.0, *, pause: float | None = None) -> Inspection:
    """A poll that failed."""
    times = Moment(NOW + at, at, at), Moment(NOW + at + 2, at + 2, at + 2)
    error = PollError(Reason.HTTP, "HTTP 502: the server failed: check its log", retry_after=pause)
    return Inspection(PollResult(*times, None, error), ())


def test_polls_start_on_an_interval_and_never_overlap() -> None:
    """One that takes longer is waited for; the next one then starts at once."""
    durations = iter([1.0, 4.0, 12.0, 1.0, 1.0])
    started_at: list[float] = []

    async def poll() -> Inspection:
        started_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(next(durations))
        return polled()

    async def work() -> list[float]:
        shown: list[float] = []
        now = asyncio.get_running_loop().time
        task = asyncio.create_task(repeat(poll, 5.0, lambda _: shown.append(now())))
        await asyncio.sleep(30)
        task.cancel()
        return shown

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(work()) == [1, 9, 22, 23, 28]
    assert started_at == [0, 5, 10, 22, 27]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("500ms", "must be at least 1s"),
        ("0", "must be at least 1s"),
        ("5", "not a duration: write it as 30s, 1m30s or 500ms"),
    ],
)
def test_intervals_that_are_refused(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Servers are fragile."""
    assert parse_interval("1m") == 60
    assert main(["query", "--cc-id=1", "--vdn=1", f"--watch={text}"]) == 2
    see = "agent-rest-exporter query --help"
    assert capsys.readouterr().err == (
        f"agent-rest-exporter query: invalid value for --watch: {message}; see {see}\n"
    )


def test_a_pipe_gets_a_line_for_each_poll() -> None:
    """With date and zone, and all that is to be said."""
    stream = io.StringIO()
    page = Page(console(stream), QUESTION, zone=UTC)
    for inspection in (
        polled(),
        polled(5, rows=0),
        polled(10, moved=True),
        failed(15),
        failed(20, pause=60),
    ):
        show_line(page, inspection)
    counters = "0 approved, 1 resting, 2 waiting, longest rest"
    failure = "http: HTTP 502: the server failed: check its log"
    times = ("15:06:40", "15:06:45", "15:06:50", "15:06:55", "15:07:00")
    said = (
        f"{counters} 10m, took 0.50 s",
        f"{counters} -, took 0.50 s; doubtful: unlisted",
        f"{counters} 10m10s, took 0.50 s; changed while it was read",
        failure,
        f"{failure}; it asked for a pause of 1m",
    )
    assert stream.getvalue().splitlines() == [
        f"2025-06-15 {at}+00:00 lima, ccId 1, vdn 2 (sales): {words}"
        for at, words in zip(times, said, strict=True)
    ]


def screen(*inspections: Inspection, height: int = 60) -> str:
    """What a terminal of 80 columns shows after these polls."""
    stream = io.StringIO()
    terminal = Console(file=stream, force_terminal=True, color_system=None, width=80, height=height)
    with Live(console=terminal, auto_refresh=False) as live:
        shown = Screen(live, Page(terminal, QUESTION, zone=UTC), 5.0)
        for inspection in inspections:
            shown.show(inspection)
            stream.seek(0)
            stream.truncate()
            live.refresh()
        page = stream.getvalue()
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", page)


def test_a_terminal_sees_one_page_and_the_last_polls() -> None:
    """The latest first, failures and doubts among them."""
    page = [line.rstrip() for line in screen(polled(), failed(5), polled(10, rows=0)).splitlines()]
    assert page[0] == "lima, ccId 1, vdn 2 (sales): every 5s; 3 polls, 1 failed; Ctrl-C ends it"
    history = page[page.index("") :]
    start = next(n for n, line in enumerate(page) if line.startswith("TIME"))
    assert page[start : start + 5] == [
        "TIME      APPROVED  RESTING  WAITING  LONGEST REST    TOOK",
        "─" * 72,
        "15:06:50         0        1        2             -  0.50 s  doubtful",
        "15:06:45         -        -        -             -  2.00 s  failed: http",
        "15:06:40         0        1        2           10m  0.50 s",
    ]
    assert "doubtful: the server counts more resting agents" in "\n".join(history)


def test_a_failure_takes_the_place_of_the_numbers() -> None:
    """Old ones would look like new ones; the history has them."""
    page = screen(polled(), failed(5, pause=60))
    assert "http: HTTP 502: the server failed: check its log; it asked for a pause of 1m" in page
    assert "approved " not in page
    assert "AGENT" not in page


def test_the_history_is_short_and_the_page_fits() -> None:
    """A long listing is cut off while it is drawn anew."""
    page = screen(*(polled(5 * n, rows=100) for n in range(REMEMBERED + 5)), height=40)
    assert len(re.findall(r"^15:0\d:\d\d ", page, re.MULTILINE)) == REMEMBERED
    assert len(page.splitlines()) <= 40
    assert "Canary" not in page


# The real command


def configured(folder: Path, url: str) -> None:
    """A configuration of one server."""
    shape = {"name": "lima", "url": url, "targets": [{"ccId": 1, "vdn": 1}]}
    (folder / "config.yaml").write_text(json.dumps({"cms": [shape]}), encoding="utf-8")


@pytest.mark.anyio
async def test_a_signal_is_its_only_end(tmp_path: Path) -> None:
    """So its status is 0, also if polls fail."""
    server = Simulator(Settings(scenarios=(parse_scenario("error"),)))
    async with serving(server) as address:
        configured(tmp_path, address.url)
        asking = (COMMAND, "query", "--cc-id=1", "--vdn=1", "--watch=1s")
        async with started(*asking, cwd=tmp_path, environ=MEASURED) as process:
            while len(process.lines) < 2:
                await process.wait_for("HTTP 5")
                await asyncio.sleep(0.05)
            assert await process.stop(signal.SIGTERM) == 0
    assert all(": http: HTTP 5" in line for line in process.lines)


@pytest.mark.anyio
async def test_a_terminal_is_left_as_it_was(tmp_path: Path) -> None:
    """With the last page on it, and its cursor."""
    terminal, other = pty.openpty()
    async with serving(Simulator(Settings())) as address:
        configured(tmp_path, address.url)
        process = await asyncio.create_subprocess_exec(
            *(COMMAND, "query", "--cc-id=1", "--vdn=1", "--watch"),
            cwd=tmp_path,
            env=clean_environment(
                {**MEASURED, "COLUMNS": "80", "LINES": "40", "TERM": "xterm-256color"}
            ),
            stdout=other,
        )
        seen = b""
        while b"TIME" not in seen:
            seen += await asyncio.to_thread(os.read, terminal, 65_536)
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
        seen += read_to_end(terminal, other)
    assert b"every 5s; 1 poll, 0 failed; Ctrl-C ends it" in seen
    assert seen.count(b"\x1b[?25h") == seen.count(b"\x1b[?25l") > 0
    assert seen.endswith(b"\x1b[?25h")


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--watch", "--raw"], "--watch cannot be combined with --raw"),
        (["--raw", "--explain-signature"], "--raw cannot be combined with --explain-signature"),
        (["--json", "--watch"], "--watch cannot be combined with --json"),
        (["--json", "--raw"], "--raw cannot be combined with --json"),
        (
            ["--json", "--explain-signature"],
            "--explain-signature cannot be combined with --json",
        ),
    ],
)
def test_flags_that_contradict_each_other(
    flags: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, before anything is read."""
    assert main(["query", "--cc-id=1", "--vdn=1", *flags]) == 2
    see = "see agent-rest-exporter query --help"
    assert capsys.readouterr() == ("", f"agent-rest-exporter query: {problem}; {see}\n")
