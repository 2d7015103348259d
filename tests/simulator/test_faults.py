"""Each fault of the simulator, as a client sees it on the wire."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from unittest.mock import Mock

import pytest
from aiohttp import web

from exporter.simulator.faults import gateway_answer
from exporter.simulator.floors import AgentRow, Floor
from exporter.simulator.scenarios import Fault, Scenario, parse_scenario
from exporter.simulator.stand_in import Settings, Simulator, serving

pytestmark = pytest.mark.anyio

NOW = 1_760_000_000.0
ROWS = tuple(AgentRow(f"z{n}", 55_000 + n, 0, 1_759_999_000_000, 600) for n in range(10))
FLOOR = Floor(0, 10, 0, ROWS)
MEBIBYTE = 1 << 20


class Answer(NamedTuple):
    """A reply as raw as possible."""

    status: int
    headers: dict[str, str]
    body: bytes


async def no_sleep(_seconds: float) -> None:
    """Answers at once."""


def simulator_of(*scenarios: str, **changes: Any) -> Simulator:
    """A server at a fixed time with ten agents and these faults."""
    fixed: dict[str, Any] = {
        "clock": lambda: NOW,
        "sleep": no_sleep,
        "floors": lambda *_: FLOOR,
        "scenarios": tuple(map(parse_scenario, scenarios)),
    }
    return Simulator(Settings(**fixed | changes))


@asynccontextmanager
async def asking(
    simulator: Simulator, *, vdn: int = 1, **paging: int
) -> AsyncIterator[asyncio.StreamReader]:
    """Sends one query over a bare connection and hands over what comes back."""
    body = json.dumps({"queryParam": {"ccId": 1, "vdn": vdn, **paging}})
    async with serving(simulator) as address, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(address.host, address.port)
        try:
            writer.write(
                "POST /rest/cmsapp/v1/openapi/agentgroup/agentrestinfos HTTP/1.1\r\n"
                f"Host: {address.host}:{address.port}\r\n"
                "Content-Type: application/json;charset=UTF-8\r\n"
                f"Content-Length: {len(body)}\r\n"
                f"Connection: close\r\n\r\n{body}".encode()
            )
            yield reader
        finally:
            writer.close()
            await writer.wait_closed()


async def head_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """The status and the headers of the reply."""
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    return int(status.split()[1]), dict(line.split(": ", 1) for line in lines)


async def answer_of(simulator: Simulator, *, vdn: int = 1, **paging: int) -> Answer:
    """The whole reply to one query."""
    async with asking(simulator, vdn=vdn, **paging) as reader:
        status, headers = await head_of(reader)
        chunked = headers.get("Transfer-Encoding") == "chunked"
        body = b"".join([c async for c in chunks_of(reader)]) if chunked else await reader.read()
        return Answer(status, headers, body)


async def chunks_of(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The pieces of a chunked body."""
    while size := int(await reader.readline(), 16):
        yield await reader.readexactly(size)
        await reader.readline()


async def pages_of(simulator: Simulator, limit: int, pages: int) -> list[list[int]]:
    """The agents' numbers on each of the first pages."""
    read = []
    for page in range(pages):
        answer = await answer_of(simulator, offset=page * limit, limit=limit)
        detail = json.loads(answer.body)["resultDesc"]
        assert detail["onRestNum"] == 10
        read.append([row["workNo"] - 55_000 for row in detail["agentsRestDetails"]])
    return read


async def test_hang_never_answers() -> None:
    """The request is accepted, and no byte comes back while the server runs."""
    async with asking(simulator_of("hang")) as reader:
        reading = asyncio.create_task(reader.read())
        await asyncio.wait([reading], timeout=0.05)
        assert not reading.done()
    assert await reading == b""


async def test_slow_sleeps_before_it_answers() -> None:
    """The answer itself is correct."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    answer = await answer_of(simulator_of("slow=7s", sleep=sleep))
    assert slept == [7.0]
    assert json.loads(answer.body)["result"] == "0"


async def test_drop_closes_without_a_byte() -> None:
    """The client sees the end of the connection instead of a reply."""
    async with asking(simulator_of("drop")) as reader:
        assert await reader.read() == b""


async def test_drop_does_nothing_if_the_client_has_left_first() -> None:
    """There is no connection left to close."""
    request = Mock(web.Request, transport=None)
    assert await gateway_answer(request, Scenario(Fault.DROP), 0.0) is not None


async def test_cut_ends_before_the_announced_length() -> None:
    """The body is shorter than Content-Length says, and starts like the correct one."""
    sound = (await answer_of(simulator_of())).body
    answer = await answer_of(simulator_of("cut"))
    assert int(answer.headers["Content-Length"]) == len(sound)
    assert answer.body == sound[: len(sound) // 2]


@pytest.mark.parametrize(
    ("scenario", "status", "header", "content_type", "text"),
    [
        ("unauthorized", 401, None, "text/plain", "invalid signature"),
        ("forbidden", 403, None, "text/html", "<h1>403 Forbidden</h1>"),
        ("rate-limited", 429, ("Retry-After", "30"), "text/plain", "too many requests"),
        ("rate-limited=1500ms", 429, ("Retry-After", "2"), "text/plain", "too many requests"),
        ("unavailable=1m", 503, ("Retry-After", "60"), "text/html", "<h1>503"),
        ("error", 500, None, "text/html", "<h1>500 Internal Server Error</h1>"),
        ("redirect", 302, ("Location", "/login"), "text/html", ""),
        ("html", 200, None, "text/html", "<!DOCTYPE html><title>Sign in</title>"),
    ],
)
async def test_answers_of_gateways(
    scenario: str, status: int, header: tuple[str, str] | None, content_type: str, text: str
) -> None:
    """Each has its status, its headers and a body that is not JSON, dated by the server's clock."""
    answer = await answer_of(simulator_of(scenario))
    assert answer.status == status
    assert answer.headers["Content-Type"] == f"{content_type}; charset=utf-8"
    assert answer.body.decode().startswith(text)
    assert parsedate_to_datetime(answer.headers["Date"]).timestamp() == NOW
    special = {k: v for k, v in answer.headers.items() if k in {"Retry-After", "Location"}}
    assert special == dict([header] if header else [])


async def test_clock_is_off_in_date_and_floor() -> None:
    """A server whose clock is ahead dates its replies and its rests alike."""
    asked: list[float] = []

    def floors(_cc_id: int, _vdn: int, now: float) -> Floor:
        asked.append(now)
        return FLOOR

    answer = await answer_of(simulator_of("clock", floors=floors))
    assert answer.status == 200
    assert parsedate_to_datetime(answer.headers["Date"]).timestamp() == NOW + 1200
    assert asked == [NOW + 1200]


async def test_api_error_is_a_failure_with_status_200() -> None:
    """The resultCode is one of the vendor's for failures, and resultDesc is a string."""
    for name, code in (("api-error", "0100001"), ("api-error=0100003", "0100003")):
        answer = await answer_of(simulator_of(name))
        assert answer.status == 200
        assert json.loads(answer.body) == {
            "resultCode": code,
            "resultDesc": "the CTI does not answer",
        }


async def test_a_vdn_that_does_not_exist_is_an_invalid_parameter() -> None:
    """The vendor's code for it, for that VDN alone."""
    simulator = simulator_of("unknown-vdn@1/2")
    unknown, known = await answer_of(simulator, vdn=2), await answer_of(simulator, vdn=1)
    assert json.loads(unknown.body) == {
        "resultCode": "0100002",
        "resultDesc": "call center 1 has no VDN 2",
    }
    assert json.loads(known.body)["resultCode"] == "0100000"


async def test_a_crowd_is_cut_off_unless_it_is_read_in_pages() -> None:
    """CTI 3.6 asked without pages sends 100 rows, with counters that say 250."""
    simulator = simulator_of("crowded")
    cut = json.loads((await answer_of(simulator)).body)["resultDesc"]
    assert (cut["onRestNum"], len(cut["agentsRestDetails"])) == (250, 100)
    pages = [
        json.loads((await answer_of(simulator, offset=offset, limit=100)).body)["resultDesc"]
        for offset in (0, 100, 200)
    ]
    rows = [row for page in pages for row in page["agentsRestDetails"]]
    assert len({row["workNo"] for row in rows}) == 250
    assert max(row["beginTime"] for row in rows) == NOW * 1000


@pytest.mark.parametrize(("fault", "begin_time"), [("zeros", 0), ("seconds", 1_759_999_000)])
async def test_begin_times_are_zero_or_in_seconds(fault: str, begin_time: int) -> None:
    """The counters stay correct; zeros are in every field of a row but its name and ID."""
    detail = json.loads((await answer_of(simulator_of(fault))).body)["resultDesc"]
    assert detail["onRestNum"] == 10
    assert {row["beginTime"] for row in detail["agentsRestDetails"]} == {begin_time}
    durations = {row["restDuration"] for row in detail["agentsRestDetails"]}
    assert durations == ({0} if fault == "zeros" else {600})
    assert [row["workNo"] for row in detail["agentsRestDetails"]] == [r.work_no for r in ROWS]


async def test_garbage_is_not_json() -> None:
    """It says that it is JSON, and is neither that nor UTF-8."""
    answer = await answer_of(simulator_of("garbage"))
    assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"
    with pytest.raises(UnicodeDecodeError):
        answer.body.decode()


async def test_wrong_shapes_take_turns() -> None:
    """A counter is missing, negative, a string and null, in turn."""
    simulator = simulator_of("wrong-shape")
    told = [json.loads((await answer_of(simulator)).body)["resultDesc"] for _ in range(5)]
    assert [detail.get("waitRestNum", "missing") for detail in told] == [
        "missing",
        -1,
        "many",
        None,
        "missing",
    ]


async def test_oversized_goes_on_beyond_16_mib() -> None:
    """A client that reads without a cap never comes to the end."""
    async with asking(simulator_of("oversized")) as reader:
        status, headers = await head_of(reader)
        assert (status, headers.get("Content-Length")) == (200, None)
        for _ in range(17):
            assert len(await reader.readexactly(MEBIBYTE)) == MEBIBYTE


async def test_gzip_bomb_is_small_on_the_wire() -> None:
    """About a megabyte of gzip that announces more than a gibibyte, and starts to deliver it."""
    answer = await answer_of(simulator_of("gzip-bomb"))
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.body) < 1.5 * MEBIBYTE
    assert int.from_bytes(answer.body[-4:], "little") > 1 << 30
    expander = zlib.decompressobj(wbits=31)
    assert expander.decompress(answer.body, 17 * MEBIBYTE) == b" " * 17 * MEBIBYTE


async def test_ignore_offset_answers_the_first_page_always() -> None:
    """Even on a server that is CTI 3.8 otherwise."""
    assert await pages_of(simulator_of("ignore-offset"), 4, 3) == [[0, 1, 2, 3]] * 3


async def test_endless_has_always_one_more_page() -> None:
    """Pages stay full, of agents who are new each time."""
    pages = await pages_of(simulator_of("endless"), 6, 4)
    assert pages[0] == [0, 1, 2, 3, 4, 5]
    assert pages[1][:4] == [6, 7, 8, 9]
    numbers = [number for page in pages for number in page]
    assert len(numbers) == len(set(numbers)) == 24


async def test_overlap_repeats_rows_of_the_page_before() -> None:
    """Nothing is left out, some rows come twice, and the last page is short."""
    pages = await pages_of(simulator_of("overlap"), 4, 5)
    assert pages == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7], [6, 7, 8, 9], [8, 9]]


async def test_a_fault_applies_only_to_its_target() -> None:
    """Other targets of the server are answered."""
    simulator = simulator_of("error@1/2")
    assert (await answer_of(simulator, vdn=2)).status == 500
    assert (await answer_of(simulator, vdn=1)).status == 200


async def test_flapping_fails_in_the_first_half_of_each_period() -> None:
    """By the server's clock, so that polls see failures and successes in turn."""
    statuses = [
        (await answer_of(simulator_of("flapping=4s", clock=lambda now=now: now))).status
        for now in (NOW, NOW + 1, NOW + 2, NOW + 3, NOW + 4)
    ]
    assert NOW % 4 == 0
    assert statuses == [502, 502, 200, 200, 502]


async def test_flapping_asks_for_no_pause() -> None:
    """A pause would make the failures rarer than they are meant to be."""
    answer = await answer_of(simulator_of("flapping", clock=lambda: 0.0))
    assert "Retry-After" not in answer.headers
    assert answer.body == b"<h1>502 Bad Gateway</h1>"
