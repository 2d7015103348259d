"""What may stand around a reply: on real sockets, and the exact bounds."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cms import agent_names, wire
from exporter.cms.body import MAX_DECOMPRESSED, TooLargeError, read
from exporter.cms.limits import Allowance, Capacity
from exporter.cms.reply_head import MAX_HEAD, MAX_OVERHEAD, OverheadError, is_too_much
from exporter.errors import Reason
from exporter.server import Api
from tests.support.cms_peer import Step, answer, connected, failed, http, listening
from tests.support.cms_peer import read as success

pytestmark = [pytest.mark.anyio, pytest.mark.both_loops]  # the same bounds on either loop

INTERIM = b"HTTP/1.1 102 Processing\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OVERHEAD = (
    "the headers, interim replies and chunk headers are far larger than the reply itself: check "
    "that url leads to CC-CMS, and gateways in between"
)
MANY = answer(*range(1, 5001), resting=1)


def chunks(body: bytes, size: int, extension: bytes = b"") -> bytes:
    """The body in chunks."""
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    framed = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
    return CHUNKED + framed + b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "rows"),
    [
        (INTERIM * 100 + http(answer(1, resting=1)), 1),
        (chunks(answer(*range(1, 21), resting=1), 1), 20),
        (chunks(answer(1, resting=1), 100, b";name=value"), 1),
        (chunks(MANY, 64), 5000),
        (chunks(MANY, 2**18), 5000),
        (http(MANY), 5000),
        (http(answer(1, resting=1) + b" " * 2**20), 1),
        (http(answer(1, resting=1), x_a="a" * 30_000, x_b="b" * 30_000), 1),
        (chunks(answer(1, resting=1), 50)[:-2] + b"x-trailer: 1\r\n\r\n", 1),
    ],
    ids=[
        "interim replies",
        "20 rows in chunks of one byte",
        "chunk extensions",
        "5,000 rows in small chunks",
        "5,000 rows in large chunks",
        "5,000 rows",
        "padding",
        "large headers",
        "a trailer",
    ],
)
async def test_what_is_only_unusual_is_read(sent: bytes, rows: int) -> None:
    """Gateways add headers, and servers flush what they have."""
    async with (
        listening(Step(sent, "hang up")) as peer,
        connected(f"http://127.0.0.1:{peer.port}", max_reply_bytes=2**22) as client,
    ):
        assert success(await client.poll(1, 1)).snapshot.rows == rows


@pytest.mark.parametrize(
    "sent",
    [
        INTERIM * 3000,
        CHUNKED + b"1;" + b"a" * 200_000,
        CHUNKED + b"1;aaaaaaaaaaaaaaaaaaaaaaaaaa\r\n \r\n" * 10_000,
        CHUNKED + b"1\r\n \r\n" * 40_000,
    ],
    ids=["interim replies", "a chunk extension", "chunk extensions", "chunks of one byte"],
)
@pytest.mark.parametrize("before", [b"", http(answer(1, resting=1))], ids=["first", "reused"])
async def test_what_has_no_end_is_refused(before: bytes, sent: bytes) -> None:
    """Long before the timeout, on a new connection and on a kept one; and it says why."""
    steps = [Step(before)] * bool(before) + [Step(sent, "hang")]
    async with (
        listening(*steps) as peer,
        connected(f"http://127.0.0.1:{peer.port}", timeout=60.0) as client,
    ):
        if before:
            success(await client.poll(1, 1))
            await client.rested()
        error = failed(await client.poll(1, 1))

    assert (error.reason, error.message) == (Reason.TOO_LARGE, OVERHEAD)


@given(received=st.integers(1, 2**20), body=st.none() | st.integers(0, 2**18))
async def test_the_allowance_is_for_what_is_not_the_body(received: int, body: int | None) -> None:
    """A fixed allowance, and an eighth of the body."""
    allowed = MAX_HEAD if body is None else body + MAX_OVERHEAD + body // 8
    assert is_too_much(received, body) is (received > allowed)


async def test_a_refusal_is_an_error_of_the_reply() -> None:
    """Not of the connection: it is not sent again."""
    assert isinstance(OverheadError(), aiohttp.ClientPayloadError)
    assert not isinstance(OverheadError(), aiohttp.ClientConnectionError)


async def test_decompression_gives_way_to_other_tasks() -> None:
    """Between pieces, and it stops at its own bound."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def one() -> AsyncIterator[bytes]:
        yield gzip.compress(bytes(2 * MAX_DECOMPRESSED))

    task = asyncio.create_task(count())
    with pytest.raises(TooLargeError, match="larger than 4 MiB when decompressed"):
        await read(one(), "gzip", 2**30, Allowance(Capacity(1)))
    task.cancel()
    assert turns >= MAX_DECOMPRESSED // 2**18 - 1


@pytest.mark.parametrize(
    "rows", [b"{}", b'{"workNo":1}', b'{"a":{}}'], ids=["empty", "numbered", "nested"]
)
async def test_too_many_rows_are_not_even_decoded(rows: bytes) -> None:
    """They are counted as bytes."""
    listing = b",".join([rows] * (2 * wire.MAX_ROWS + 101))
    body = b'{"resultCode":"0100000","resultDesc":{"agentsRestDetails":[%b' % listing

    with pytest.raises(wire.TooManyRowsError):
        wire.decode(body, Api.AGENT_REST_INFOS)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**61 * 1000])
@pytest.mark.parametrize("api", Api)
async def test_a_work_number_that_cannot_be_one(number: int, api: Api) -> None:
    """Large integers could all have the same hash. A page of 100 rows is small enough."""
    body = answer(*range(100), number)
    if api is Api.AGENT_REST_INFO:
        body = body.lower().replace(b'"resultcode"', b'"x"').replace(b"resultdesc", b"resultDesc")

    with pytest.raises(wire.SchemaError, match=r"^workNo is out of range$"):
        wire.decode(body, api)
    wire.decode(answer(*range(99), number), Api.AGENT_REST_INFOS)


async def test_a_work_number_that_is_a_long_text() -> None:
    """Megabytes of it would be kept for each row."""
    body = json.loads(answer(1))
    body["resultDesc"]["agentsRestDetails"][0]["workNo"] = "x" * 65

    with pytest.raises(wire.SchemaError, match="workNo"):
        wire.decode(json.dumps(body).encode(), Api.AGENT_REST_INFOS)


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), "x" * 64, "101", None])
async def test_any_other_work_number(number: object) -> None:
    """The vendor calls it an integer, and some servers send text."""
    body = json.loads(answer(1))
    body["resultDesc"]["agentsRestDetails"][0]["workNo"] = number

    reply = wire.decode(json.dumps(body).encode(), Api.AGENT_REST_INFOS)

    assert [row.work_no for row in reply.rows] == [number]


async def test_names_are_found_wherever_they_are() -> None:
    """In any spelling of the key, and escaped; what is no text is none."""
    body = rb"""{"resultDatas": [{"agentName" : "Zhang San"}, {"agentname": "\u674e\"x"},
        {"AGENT_NAME":""}, {"agentName": 5}, {"agentName": "broken\q"}, {"name": "other"}]}"""

    assert agent_names.mentioned(body) == {"Zhang San", '李"x'}


@pytest.mark.parametrize(
    "body",
    [
        b'{"agentName":"a"}' * 201,
        b" " * 2**20 + b" ",
        b"".join(b'{"agentName":"%0100d"}' % number for number in range(41)),
        b'{"agentName":"%b"}' % (b"a" * 201),
        rb'{"agentName":"%b"}' % (rb"\u5f20" * 50),
        b'{"agentName":"Zhang',
    ],
    ids=["names", "bytes", "characters", "a long name", "a long escaped name", "half a name"],
)
async def test_too_many_names_are_none(body: bytes) -> None:
    """Then no word of the reply is shown."""
    assert agent_names.mentioned(body) is None


async def test_as_many_names_as_can_be_looked_for() -> None:
    """The same name does not count twice."""
    names = [f"{number:0100}" for number in range(40)]
    body = "".join(f'{{"agentName":"{name}"}}' * 2 for name in names)

    assert agent_names.mentioned(body.encode()) == set(names)


async def test_a_failure_with_too_many_names_has_no_description() -> None:
    """The code is not shown either: it could be a name."""
    rows = [{"agentName": f"Agent {number}"} for number in range(300)]
    body = {"resultCode": "0100001", "resultDesc": "Agent 299", "rows": rows}
    async with (
        listening(Step(http(json.dumps(body).encode()))) as peer,
        connected(f"http://127.0.0.1:{peer.port}") as client,
    ):
        error = failed(await client.poll(1, 1))

    assert error.message == (
        "the server returned a result code that CC-CMS does not have: check ccId and vdn, the "
        "rights of the access key, and the vendor's Error Code Reference"
    )
