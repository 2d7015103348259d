"""What curl reads, the exporter reads: each odd reply goes to both."""

import asyncio
import contextlib
import gzip
import json
import zlib

import pytest

from tests.support.cms_peer import Step, answer, connected, http, listening
from tests.support.processes import program

pytestmark = [pytest.mark.anyio, pytest.mark.real]

BODY = answer(1, resting=7)


def raw_deflate(data: bytes) -> bytes:
    """`deflate` as many servers send it: without zlib's header."""
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def chunked(data: bytes) -> bytes:
    """A reply in chunks."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"5\r\n%b\r\n%x;x=y\r\n%b\r\n0\r\nX-End: 1\r\n\r\n" % (
        data[:5],
        len(data) - 5,
        data[5:],
    )


LENGTH = b"%d" % len(BODY)
UNTIL_THE_END = b"HTTP/1.0 200 OK\r\n\r\n" + BODY
REPLIES = {
    "plain": Step(http(BODY)),
    "Content-Encoding: UTF-8": Step(http(BODY, Content_Encoding="UTF-8")),
    "Content-Encoding: none": Step(http(BODY, Content_Encoding="none")),
    "Content-Encoding: identity": Step(http(BODY, Content_Encoding="identity")),
    "gzip": Step(http(gzip.compress(BODY), Content_Encoding="gzip")),
    "x-gzip": Step(http(gzip.compress(BODY), Content_Encoding="x-gzip")),
    "deflate": Step(http(zlib.compress(BODY), Content_Encoding="deflate")),
    "raw deflate": Step(http(raw_deflate(BODY), Content_Encoding="deflate")),
    "byte order mark": Step(http(b"\xef\xbb\xbf" + BODY)),
    "a header of 16 KiB": Step(http(BODY, **{"X-Long": "x" * 16 * 2**10})),
    "200 headers": Step(http(BODY, **{f"X-{number}": "x" for number in range(200)})),
    "chunks": Step(chunked(BODY)),
    "until the end": Step(UNTIL_THE_END, "hang up"),
    "interim reply": Step(b"HTTP/1.1 100 Continue\r\n\r\n" + http(BODY)),
    "line feeds alone": Step(http(BODY).replace(b"\r\n", b"\n")),
    "longer than it says": Step(http(BODY) + b"\r\n\r\nmore"),
    "no reason phrase": Step(http(BODY, "200")),
    "content type of a page": Step(http(BODY, Content_Type="text/html")),
    "lower-case names": Step(http(BODY).replace(b"Content-Length", b"content-length")),
    "103 before it": Step(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + http(BODY)),
    "folded header": Step(http(BODY, X_A="b\r\n  continued")),
    "203 of a proxy": Step(http(BODY, "203 Non-Authoritative Information")),
    "201": Step(http(BODY, "201 Created")),
    "206": Step(http(BODY, "206 Partial Content")),
    "gzip, gzip": Step(http(gzip.compress(gzip.compress(BODY)), Content_Encoding="gzip, gzip")),
    "gzip, identity": Step(http(gzip.compress(BODY), Content_Encoding="gzip, identity")),
    "gzip by name only": Step(http(BODY, Content_Encoding="gzip")),
    "deflate by name only": Step(http(BODY, Content_Encoding="deflate")),
    "zlib called gzip": Step(http(zlib.compress(BODY), Content_Encoding="gzip")),
    "gzip without its end": Step(http(gzip.compress(BODY)[:-8], Content_Encoding="gzip")),
    "gzip with a wrong sum": Step(
        http(gzip.compress(BODY)[:-8] + bytes(8), Content_Encoding="gzip")
    ),
    "half of an emoji": Step(http(BODY.replace(b"Zhang", b"\\ud83d"))),
    "NaN": Step(http(BODY.replace(b"{", b'{"load": NaN, ', 1))),
    "its length twice": Step(http(BODY, **{"content-length": str(len(BODY))})),
    "its length as a list": Step(http(BODY).replace(LENGTH, b"%b, %b" % (LENGTH, LENGTH))),
    "its length with a sign": Step(http(BODY).replace(b": 1", b": +1")),
    "length and chunks": Step(chunked(BODY).replace(b"\r\n", b"\r\nContent-Length: 5\r\n", 1)),
    "a blank in a name": Step(http(BODY, **{"X Foo": "bar"})),
    "a blank after a name": Step(http(BODY, **{"X-Foo ": "bar"})),
    "no name": Step(http(BODY, **{"": "bar"})),
    "two blanks in the status line": Step(http(BODY).replace(b"1.1 200", b"1.1  200")),
    "http in lower case": Step(http(BODY).replace(b"HTTP", b"http")),
    "HTTP/2 in plain text": Step(http(BODY, "200").replace(b"HTTP/1.1", b"HTTP/2")),
    "an interim reply and an odd one": Step(
        b"HTTP/1.1 100 Continue\r\n\r\n" + http(BODY, **{"X Foo": "bar"})
    ),
    "a blank after the size of a chunk": Step(chunked(BODY).replace(b"5\r\n", b"5 ; a\r\n", 1)),
    "line feeds alone, and chunks": Step(chunked(BODY).replace(b"\r\n", b"\n")),
    "a length that is none": Step(http(BODY).replace(LENGTH, b"many"), "hang up"),
    "status 204": Step(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "status 304": Step(b"HTTP/1.1 304 Not Modified\r\n\r\n"),
    "status 404": Step(http(BODY, "404 Not Found")),
    "status 500": Step(http(BODY, "500 Internal Server Error")),
    "cut": Step(http(BODY)[:-3], "hang up"),
    "a chunk that is cut": Step(chunked(BODY)[:-20], "hang up"),
    "a login page": Step(http(b"<html></html>")),
    "damaged gzip": Step(http(gzip.compress(BODY)[:-20], Content_Encoding="gzip")),
    "no HTTP": Step(b"SSH-2.0\r\n", "hang up"),
}


async def by_curl(url: str) -> int | None:
    """The resting agents that curl reads, or None. With --compressed it knows no other codings."""
    for flags in (["--compressed"], []):
        process = await asyncio.create_subprocess_exec(
            program("curl", "curl"),
            *("--silent", "--fail", "--max-time", "10", "--data", "{}", *flags, url),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        if process.returncode == 0:
            with contextlib.suppress(ValueError):
                return int(json.loads(output.decode("utf-8-sig"))["resultDesc"]["onRestNum"])
    return None


@pytest.mark.parametrize("name", REPLIES)
async def test_what_one_reads_the_other_reads(name: str) -> None:
    """The same number, or none."""
    async with listening(REPLIES[name]) as peer:
        url = f"http://127.0.0.1:{peer.port}"
        expected = await by_curl(url)
        async with connected(url) as client:
            snapshot = (await client.poll(1, 1)).snapshot

    assert (snapshot and snapshot.resting) == expected


async def test_curl_reads_what_is_well_formed() -> None:
    """Or the comparison would prove nothing."""
    async with listening(REPLIES["plain"]) as peer:
        assert await by_curl(f"http://127.0.0.1:{peer.port}") == 7
