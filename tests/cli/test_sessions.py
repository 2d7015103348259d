"""What commands show, kept in files: on a terminal of 80 columns, and in a pipe.

`SESSIONS=write pytest tests/cli/test_sessions.py` writes them anew: look at them then. Names are
long, Chinese and in trouble on purpose.
"""

import io
import os
import re
from collections.abc import Callable
from datetime import UTC
from functools import partial

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.live import Live

from exporter.begin_time import BeginTimeUnit
from exporter.cli.check import forecast, show_forecasts
from exporter.cli.check_live import Answer, Feed, show_summary
from exporter.cli.inspection_page import Page, Question
from exporter.cli.output import console, print_lines
from exporter.cli.query import Screen, show_line
from exporter.cli.request_pages import exchanges, explanation
from exporter.clock import Moment
from exporter.cms.agent_names import NamedRow
from exporter.cms.client import Inspection
from exporter.errors import PollError, PollResult, Reason
from exporter.inspection.recording import Recorded
from exporter.inspection.redaction import Redaction
from exporter.rest import Counters, Row, reduce
from exporter.secret import Secret
from exporter.server import Server, Signature
from exporter.store import TargetKey
from tests.support.cms_peer import answer
from tests.support.paths import FIXTURES

SESSIONS = FIXTURES / "sessions"
NOW = 1_750_000_000.0
LONG = "客服中心-上海-第一座席组-a-very-long-name-that-does-not-fit"
AUTH = Signature(Secret("canary"), Secret("canary"))
REFUSED = PollError(
    Reason.AUTH,
    "HTTP 401: the server rejected the signature, and the clocks differ by only 0 s: check "
    "access_key and secret_key",
)


def result(
    at: float, *rows: Row, resting: int = 0, waiting: int = 0, error: PollError | None = None
) -> PollResult:
    """A poll that took half a second, so many seconds after noon."""
    times = Moment(NOW + at, at, at), Moment(NOW + at + 0.5, at + 0.5, at + 0.5)
    seen = None if error else reduce(Counters(1, resting, waiting), rows, NOW + at)
    return PollResult(*times, seen, error, requests=1, clock_skew=-3.0)


def inspection(at: float = 0.0, error: PollError | None = None) -> Inspection:
    """A floor with everything that rows can be."""
    rows = (
        NamedRow(10_117, None, int(NOW - 5_000) * 1000, 2700, Secret("Ana María de los Ángeles")),
        NamedRow(10_118, 4, int(NOW + 300), 600, Secret("徐美丽")),
        NamedRow("agent-with-a-long-id-0001", 0, int(NOW - 90_000), 900, Secret("Li")),
        NamedRow(10_120, 1, 17, None, None),
    )
    found = result(at, *rows, resting=1, waiting=3, error=error)
    return Inspection(found, () if error else rows)


def question() -> Question:
    """About a target with a long name."""
    return Question(TargetKey(LONG, 1, 7), "销售 second floor, left", BeginTimeUnit.AUTO)


def forecasts(target: Console) -> None:
    """`check`."""
    slow = Server("https://a.example", name="lima", max_requests_per_second=0.1, page_size=100)
    servers = (slow, Server("https://b.example", name=LONG, interval=5.0))
    targets = [TargetKey("lima", 1, vdn) for vdn in range(1, 41)]
    environ = {"HTTPS_PROXY": "http://user:canary@proxy.internal.example.com:3128"}
    show_forecasts(
        target,
        [
            forecast(servers[0], targets, environ),
            forecast(servers[1], [TargetKey(LONG, 1, 1)], {}),
        ],
    )


def live(target: Console) -> None:
    """`check --live`."""
    few = [result(0.0, Row(1, None, int(NOW - 60)), resting=1), result(0.0, resting=2, waiting=1)]
    answers = [
        Answer(TargetKey("lima", 1, 1), few[0]),
        Answer(TargetKey("lima", 1, 2), few[1]),
        Answer(TargetKey(LONG, 1, 7), result(0.0, error=REFUSED)),
        Answer(TargetKey(LONG, 1, 8), result(0.0, error=REFUSED)),
    ]
    feed = Feed(target, target, {"lima": 2, LONG: 2})
    for each in answers:
        feed.add(each)
    show_summary(target, answers)


def query(target: Console) -> None:
    """`query`."""
    Page(target, question(), show_names=True, zone=UTC).show(inspection())


def watch(target: Console) -> None:
    """`query --watch`, its third poll."""
    with Live(console=target, auto_refresh=False) as shown:
        page = Page(target, question(), zone=UTC)
        show = Screen(shown, page, 5.0).show if target.is_terminal else partial(show_line, page)
        show(inspection())
        show(inspection(5.0, REFUSED))
        show(inspection(10.0))
    if target.is_terminal:
        # of all that was drawn, the last
        stream = target.file
        assert isinstance(stream, io.StringIO)
        last = stream.getvalue().rpartition("\x1b[2K")[2]
        stream.seek(0)
        stream.truncate()
        stream.write(last.replace("\x1b[?25h", ""))


def raw(target: Console) -> None:
    """`query --raw`."""
    done = Recorded("POST", "/rest/cmsapp/v1/openapi/agentgroup/agentrestinfos", status=200)
    done.request_headers = [
        (b"host", b"cms.example:28443"),
        (b"x-tenant", b"canary"),
        (b"authorization", b"auth-v2/canary/2025-06-15T15:06:40.000Z/content-length;host/ab12"),
    ]
    done.request_body = b'{"queryParam":{"ccId":1,"vdn":7}}'
    done.reply_headers = [(b"Date", b"Sun, 15 Jun 2025 15:06:40 GMT"), (b"Set-Cookie", b"canary")]
    done.reply_body += answer(1001, 1002, resting=2)
    done.complete = True
    lost = Recorded(done.method, done.target, done.request_headers, done.request_body)
    server = Server("https://cms.example:28443", auth=AUTH)
    print_lines(target, exchanges([done, lost], Redaction(server)))


def explain(target: Console) -> None:
    """`query --explain-signature`."""
    server = Server("https://cms.example:28443", name=LONG, auth=AUTH, page_size=100)
    at = Moment(NOW, 0.0, 0.0)
    print_lines(target, explanation(target, server, AUTH, TargetKey(LONG, 1, 7), lambda: at))


PAGES: dict[str, Callable[[Console], None]] = {
    "check": forecasts,
    "check-live": live,
    "query": query,
    "query-watch": watch,
    "query-raw": raw,
    "query-explain-signature": explain,
}
EXACT = {"query-raw", "query-explain-signature"}
"""What a person compares byte by byte is not wrapped."""


@pytest.mark.parametrize("kind", ["terminal", "piped"])
@pytest.mark.parametrize("name", PAGES)
def test_what_a_command_shows(name: str, kind: str) -> None:
    """As it was looked at, and found good."""
    stream = io.StringIO()
    target = console(stream)
    if kind == "terminal":
        target = Console(
            file=stream,
            force_terminal=True,
            color_system=None,
            width=80,
            height=60,
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    PAGES[name](target)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", stream.getvalue())
    lines = [line.rstrip() for line in text.rstrip("\n").split("\n")]
    shown = "\n".join(lines) + "\n"
    file = SESSIONS / f"{name}.{kind}.txt"
    if os.environ.get("SESSIONS") == "write":
        SESSIONS.mkdir(exist_ok=True)
        file.write_text(shown, encoding="utf-8")
    assert shown == file.read_text(encoding="utf-8")
    assert "canary" not in shown
    if kind == "terminal" and name not in EXACT:
        assert max(map(cell_len, lines)) <= 80
    if kind == "piped":
        assert "…" not in shown
        assert "─" not in shown


def test_there_is_no_session_of_what_is_not_shown() -> None:
    """A file that is left over is not believed."""
    kept = {f"{name}.{kind}.txt" for name in PAGES for kind in ("terminal", "piped")}
    assert {path.name for path in SESSIONS.iterdir()} == kept
