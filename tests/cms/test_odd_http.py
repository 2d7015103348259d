"""exporter.cms.odd_http: heads that the parser refuses are rewritten, and nothing is guessed."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cms.odd_http import Chunks, broken_rule, plain
from exporter.errors import Reason
from tests.support.cms_peer import (
    Step,
    answer,
    connected,
    failed,
    failure,
    http,
    listening,
    read,
    said,
    serving,
)

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("head", "rewritten"),
    [
        (b"A: 1\r\nb:2", b"A: 1\r\nb: 2\r\n"),
        (b"A: 1\n  2\r\n\t3", b"A: 1 2 3\r\n"),
        (b"A : 1", b"A: 1\r\n"),
        (b"A b: 1\r\n: 2\r\nno colon\r\nC@: 3", b""),
        (b"A: x\x00y\x7f\rz\tw", b"A: x y  z\tw\r\n"),
        (b"Content-Length: 007", b"Content-Length: 7\r\n"),
        (b"Content-Length: 0", b"Content-Length: 0\r\n"),
        (b"Content-Length: +7\r\ncontent-length: 7", b"Content-Length: 7\r\n"),
        (b"Content-Length: 7, 7", b"Content-Length: 7\r\n"),
        (b"Content-Length: 7, 8", b"Content-Length: 7\r\nContent-Length: 8\r\n"),
        (b"Content-Length: 7\r\nContent-Length:", b"Content-Length: 7\r\nContent-Length: \r\n"),
        (b"Content-Length: many", b"Content-Length: many\r\n"),
        (b"Content-Length: -1", b"Content-Length: -1\r\n"),
        (b"Transfer-Encoding: identity\r\nContent-Length: 7", b"Content-Length: 7\r\n"),
        (b"Transfer-Encoding: identity", b""),
        (b"transfer-encoding: gzip, Chunked", b"Transfer-Encoding: chunked\r\n"),
        (
            b"Content-Length: 7\r\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n",
        ),
    ],
)
def test_fields_become_valid_or_stay_refused(head: bytes, rewritten: bytes) -> None:
    """Two lengths that differ stay two: nobody knows which reply ends where."""
    assert plain(OK + head + b"\r\n\r\n") == OK + rewritten + b"\r\n"


@pytest.mark.parametrize(
    ("line", "rewritten"),
    [
        (b"HTTP/1.0 200 OK", b"HTTP/1.0 200 OK"),
        (b"http/1.1  200  OK", b"HTTP/1.1 200  OK"),
        (b"\r\nHTTP/1.2 200", b"HTTP/1.1 200 "),
        (b"HTTP/2 404 Not Found", b"HTTP/1.1 404 Not Found"),
    ],
)
def test_status_lines_become_valid(line: bytes, rewritten: bytes) -> None:
    """Whatever version they claim: what follows is text."""
    assert plain(line + b"\r\n\r\n") == rewritten + b"\r\n\r\n"


@pytest.mark.parametrize("line", [b"SSH-2.0", b"HTTP/1.1 2000 OK", b"HTTP/1.1 OK", b"ICY 200 OK"])
def test_another_status_line_stays_refused(line: bytes) -> None:
    """It is not HTTP."""
    assert plain(line + b"\r\nA b: 1\r\n\r\n") == line + b"\r\nA b: 1\r\n\r\n"


@given(st.binary(max_size=200))
def test_rewriting_twice_changes_nothing_more(rest: bytes) -> None:
    """And no bytes raise."""
    head = plain(OK + rest + b"\r\n\r\n")
    assert plain(head) == head


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("Invalid character in chunk size:\n\n  b'1 ;'", "a chunk of its body is malformed"),
        ("Bad status line:\n  Invalid HTTP version:\n", "its status line is malformed"),
        ("Data after `Connection: close`:\n\n  b'Content-Length'", ""),
    ],
)
def test_the_parsers_words_name_the_rule(words: str, rule: str) -> None:
    """Only those before the bytes that it quotes."""
    assert broken_rule(words) == rule


CHUNKS = {
    "as they should be": b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    "line feeds alone": b"5\nhello\n6\n world\n0\n\n",
    "blanks": b"5  \r\nhello\r\n 6 ; a=b\r\n world\r\n0 \r\n\r\n",
    "a trailer": b"5;a\r\nhello\r\n6\r\n world\r\n000\r\nX: y\r\nno colon\r\n\r\n",
    "no line end after a chunk": b"5\r\nhello6\r\n world\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("sent", CHUNKS.values(), ids=CHUNKS)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_chunks_become_valid(sent: bytes, size: int) -> None:
    """However they are cut; what follows them is not theirs."""
    chunks, out = Chunks(), b""
    sent += b"HTTP/1.1"
    for start in range(0, len(sent), size):
        out += chunks.feed(sent[start : start + size])

    assert out.replace(b"000\r\n", b"0\r\n") == CHUNKS["as they should be"] + b"HTTP/1.1"


@pytest.mark.parametrize(
    "sent", [b"zz\r\n", b"-1\r\n", b"0x5\r\n", b"\r\n", b"f" * 17 + b"\r\n", b"1" * 2**17]
)
def test_a_size_that_is_none_stays_refused(sent: bytes) -> None:
    """And is not held back."""
    assert Chunks().feed(sent + b"rest").rstrip() == sent + b"rest" or b"rest" not in sent


@given(
    body=st.binary(min_size=1, max_size=300),
    sizes=st.lists(st.integers(1, 50), min_size=1),
    pieces=st.integers(1, 40),
    newline=st.sampled_from([b"\n", b"\r\n"]),
)
def test_any_body_comes_out_as_it_is(
    body: bytes, sizes: list[int], pieces: int, newline: bytes
) -> None:
    """Its bytes may look like sizes and line ends."""
    sent, expected, rest = b"", b"", body
    for size in [*sizes, len(body)]:
        chunk, rest = rest[:size], rest[size:]
        if chunk:
            sent += b"%x ;a=b%b%b%b" % (len(chunk), newline, chunk, newline)
            expected += b"%x\r\n%b\r\n" % (len(chunk), chunk)
    sent += b"0" + newline + newline
    chunks = Chunks()
    out = [chunks.feed(sent[start : start + pieces]) for start in range(0, len(sent), pieces)]

    assert b"".join(out) == expected + b"0\r\n\r\n"
    assert chunks.ended


@given(st.binary(max_size=100), st.integers(1, 20))
def test_no_chunks_raise_and_pieces_change_nothing(data: bytes, size: int) -> None:
    """Whatever comes."""
    whole, pieces = Chunks(), Chunks()
    parts = [pieces.feed(data[start : start + size]) for start in range(0, len(data), size)]
    assert b"".join(parts) == whole.feed(data)


# On sockets


CHUNKED_ODD = b"HTTP/1.1 200 OK\r\nX Foo: bar\r\nTransfer-Encoding: chunked\r\n\r\n"
ODD = http(answer(resting=7), **{"X Foo": "bar"})


@pytest.mark.anyio
@pytest.mark.both_loops
async def test_a_request_is_repeated_once_and_connections_are_kept() -> None:
    """The first odd head costs a connection; later ones nothing."""
    async with (
        listening(Step(ODD)) as peer,
        connected(f"http://127.0.0.1:{peer.port}", max_concurrency=1) as client,
    ):
        first = read(await client.poll(1, 1))
        await client.rested()
        second = read(await client.poll(1, 2))

    assert (first.snapshot.resting, first.requests) == (7, 2)
    assert (second.snapshot.resting, second.requests) == (7, 1)
    assert (peer.connections, len(peer.requests)) == (2, 3)


@pytest.mark.anyio
@pytest.mark.both_loops
@pytest.mark.parametrize("size", [3, 40, 60])
async def test_a_head_may_come_in_pieces(size: int) -> None:
    """And its body after it, with interim replies before it; the empty line in two pieces, too."""

    async def in_pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}}")
        sent = b"HTTP/1.1 100 Continue\r\n\r\n" * 2 + ODD
        for start in range(0, len(sent), size):
            if writer.is_closing():
                return
            writer.write(sent[start : start + size])
            await asyncio.sleep(0.001)
        await reader.read()

    async with (
        serving(in_pieces) as port,
        connected(f"http://127.0.0.1:{port}") as client,
    ):
        assert read(await client.poll(1, 1)).snapshot.resting == 7


@pytest.mark.anyio
@pytest.mark.both_loops
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize(("size", "newline"), [(b"%x ; a", b"\r\n"), (b"%x", b"\n")])
async def test_odd_chunks_are_read(size: bytes, newline: bytes, *, apart: bool) -> None:
    """If the head has come alone, that poll has failed at once, and the next one reads them."""
    body = answer(*range(2000), resting=7)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = (size % len(body)) + newline + body + newline + b"0" + newline + newline

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"}}"):
            writer.write(head if apart else head + chunks)
            if apart:
                await asyncio.sleep(0.05)
                writer.write(chunks)

    async with (
        serving(converse) as port,
        connected(f"http://127.0.0.1:{port}", timeout=5.0) as client,
    ):
        if apart:
            error = failed(await client.poll(1, 1))
            assert error.message.startswith(
                f"the reply of 127.0.0.1:{port} breaks the rules of HTTP: a chunk of its body"
            )
        for _ in range(2):
            assert read(await client.poll(1, 1)).snapshot.resting == 7


@pytest.mark.anyio
@pytest.mark.both_loops
@pytest.mark.parametrize(
    "around",
    [b"1 \r\n \r\n", b"1\n \n", b"1;" + b"a" * 100 + b"\r\n \r\n"],
    ids=["blanks", "line feeds alone", "extensions"],
)
async def test_small_chunks_are_refused_before_the_rest_is_rewritten(
    around: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much a server sends at once: a turn of the loop costs no more than elsewhere."""
    rewritten: list[int] = []
    feed = Chunks.feed

    def counted(chunks: Chunks, data: bytes) -> bytes:
        rewritten.append(len(data))
        return feed(chunks, data)

    monkeypatch.setattr(Chunks, "feed", counted)
    sent = CHUNKED_ODD + around * (2**21 // len(around))
    async with (
        listening(Step(sent, "hang")) as peer,
        connected(f"http://127.0.0.1:{peer.port}", timeout=60.0) as client,
    ):
        error = failed(await client.poll(1, 1))

    assert (error.reason, error.requests) == (Reason.TOO_LARGE, 2)
    assert max(rewritten) <= 2**16
    assert sum(rewritten) <= 3 * 2**16


@pytest.mark.anyio
@pytest.mark.both_loops
@pytest.mark.parametrize(
    "sent",
    [
        CHUNKED_ODD + b"0 \r\n" + b"A: 1\r\n" * 200_000,
        CHUNKED_ODD + b"1 ;" + b"a" * 60_000 + b"\r\n{\r\n1;" + b"a" * 60_000 + b"\r\n}\r\n",
        b"HTTP/1.1 102 Processing\r\nX Foo: bar\r\n\r\n" * 20_000,
    ],
    ids=["trailers", "chunk extensions", "headers of interim replies"],
)
async def test_what_is_left_out_counts(sent: bytes) -> None:
    """The allowance is for what a server sends, not for what the parser gets of it."""
    async with (
        listening(Step(sent, "hang")) as peer,
        connected(f"http://127.0.0.1:{peer.port}", timeout=60.0) as client,
    ):
        error = failed(await client.poll(1, 1))

    assert (error.reason, error.requests) == (Reason.TOO_LARGE, 2)


@pytest.mark.anyio
@pytest.mark.both_loops
async def test_a_surplus_reply_with_an_odd_head_is_seen() -> None:
    """In the segment of the first one: the connection is not used again."""
    async with (
        listening(Step(ODD + ODD)) as peer,
        connected(f"http://127.0.0.1:{peer.port}", max_concurrency=1) as client,
    ):
        read(await client.poll(1, 1))
        assert client.condition.single_use_until is not None


@pytest.mark.anyio
@pytest.mark.both_loops
async def test_a_head_without_an_end_is_bounded() -> None:
    """The parser's own bound holds for odd heads as well."""
    endless = b"HTTP/1.1 200 OK\r\nX Foo: bar\r\n" + b"A: 1\r\n" * 20_000
    async with listening(Step(endless)) as peer:
        error = await failure(f"http://127.0.0.1:{peer.port}", timeout=5.0)

    assert error.reason in {Reason.TOO_LARGE, Reason.HTTP}
    assert error.requests == 2


@pytest.mark.anyio
@pytest.mark.both_loops
@pytest.mark.parametrize(
    ("sent", "rule"),
    [
        (http().replace(b": 0", b": many"), ": its Content-Length is not one number"),
        (http(b"x", **{"content-length": "7"}), ": its Content-Length is not one number"),
        (http().replace(b"200", b"2000"), ": its status line is malformed"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            ": a chunk of its body is malformed",
        ),
    ],
)
async def test_the_broken_rule_is_named(sent: bytes, rule: str) -> None:
    """It is HTTP, so that neither port nor scheme is to blame."""
    async with (
        listening(Step(sent)) as peer,
        connected(f"http://127.0.0.1:{peer.port}") as client,
    ):
        error = failed(await client.poll(1, 1))
        again = failed(await client.poll(1, 1))

    assert (error.requests, again.requests) == (2, 1)
    assert said(error, peer.port) == (
        Reason.HTTP,
        (
            f"the reply of 127.0.0.1:PORT breaks the rules of HTTP{rule}; look for a gateway that "
            "alters replies, or for an update of the server"
        ),
    )
