"""Real faults on real sockets, and the exact sentence for each; for TLS see test_transport."""

import asyncio
import gzip
import zlib
from collections.abc import Callable
from email.utils import formatdate

import pytest

from exporter.clock import Moment
from exporter.errors import Reason
from exporter.secret import Secret
from exporter.server import Signature
from tests.support.cms_peer import (
    NAME,
    Step,
    answer,
    connected,
    failed,
    failure,
    http,
    listening,
    read,
    reading,
    said,
    serving,
)
from tests.support.processes import free_port

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.both_loops,
]  # every failure gets the same name on either loop


NOW = 1_750_000_000.0
KEYS = Signature(Secret("AKEXAMPLE0001"), Secret("canary-secret"))
GOOD = Step(http(answer(1, resting=1)))

CLOSED = (
    "127.0.0.1:PORT closed the connection before its reply was complete: look for a crash or a "
    "restart of the server, or a gateway's limit"
)
NO_REPLY = (
    "127.0.0.1:PORT closed the connection without a reply: if this port uses TLS, use https:// in "
    "url; otherwise look for a crash or a restart of the server, or a gateway's limit"
)
NO_HTTP = (
    "the reply of 127.0.0.1:PORT is not valid HTTP: check the port in url, and whether it must "
    "start with https://"
)
NO_JSON = (
    "the reply is not valid JSON: check that url leads to CC-CMS and not to a login page or a "
    "gateway"
)
NO_CODING = "the reply cannot be decompressed: look for a gateway that alters or truncates replies"
TOO_LARGE_DECOMPRESSED = (
    "the compressed reply is larger than 1 MiB when decompressed, and compression was not "
    "requested: turn it off in the gateway or the server"
)
TOO_LARGE = (
    "the reply is larger than 1 MiB, far more than any VDN has: check that url leads to CC-CMS"
)


def clock() -> Moment:
    """A clock that stands still, so that the skew is exact."""
    return Moment(NOW, asyncio.get_running_loop().time(), asyncio.get_running_loop().time())


# No connection


async def test_a_name_that_does_not_exist() -> None:
    """`.invalid` never resolves (RFC 6761)."""
    error = await failure("https://cms.invalid:28443")

    assert said(error, 28443) == (
        Reason.DNS,
        "the name cms.invalid cannot be resolved: check the host in url, and this host's DNS",
    )


async def test_a_port_where_nobody_listens() -> None:
    """A port that no other test is given."""
    port = free_port()
    error = await failure(f"https://127.0.0.1:{port}")

    assert said(error, port) == (
        Reason.CONNECT,
        "127.0.0.1:PORT refused the connection: check the port in url, and that CC-CMS is running",
    )


async def test_an_address_without_a_route() -> None:
    """Nothing can be connected to the broadcast address."""
    error = await failure("https://255.255.255.255:28443")

    assert said(error, 28443) == (
        Reason.CONNECT,
        (
            "255.255.255.255:PORT cannot be reached: network is unreachable; check the address in "
            "url, routes and firewalls"
        ),
    )


@pytest.mark.parametrize(
    ("scheme", "sentence"),
    [
        (
            "http",
            (
                "no complete reply from 127.0.0.1:PORT within 1 s: the server is slow or a "
                "firewall drops packets; raise timeout if it is only slow"
            ),
        ),
        (
            "https",
            (
                "the TLS handshake with 127.0.0.1:PORT did not end within 1 s: check that the "
                "port in url uses TLS, or write http://; otherwise the server hangs"
            ),
        ),
    ],
)
async def test_a_server_that_hangs(scheme: str, sentence: str) -> None:
    """It takes the connection and says nothing, in the handshake or after the request."""

    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(hang) as port:
        error = await failure(f"{scheme}://127.0.0.1:{port}", timeout=1.0)

    assert said(error, port) == (Reason.TIMEOUT, sentence)


async def test_a_body_that_does_not_end() -> None:
    """Headers have come, and half of the body: the deadline holds for all of it."""
    cut = http(answer())[:-5]
    async with listening(Step(cut, "hang")) as peer:
        error = await failure(f"http://127.0.0.1:{peer.port}", timeout=1.0, page_size=100)

    assert said(error, peer.port) == (
        Reason.TIMEOUT,
        (
            "no complete reply from 127.0.0.1:PORT within 1 s (page 1): the server is slow or a "
            "firewall drops packets; raise timeout if it is only slow"
        ),
    )


# A connection that breaks


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        (b"", NO_REPLY),
        (b"HTTP/1.1 200 OK\r\nX-Half", CLOSED),
        (http(answer())[:-5], CLOSED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", CLOSED),
    ],
    ids=["before the reply", "in a header", "in the body", "in a chunk"],
)
async def test_a_connection_that_is_dropped(sent: bytes, sentence: str) -> None:
    """It is sent no second time: only a kept-alive connection may have been stale."""
    async with listening(Step(sent, "hang up")) as peer:
        error = await failure(f"http://127.0.0.1:{peer.port}")

    assert said(error, peer.port) == (Reason.DISCONNECTED, sentence)
    assert (error.requests, len(peer.requests)) == (1, 1)


async def test_a_connection_that_is_dropped_when_it_is_made() -> None:
    """A load balancer without a server behind it."""

    async def drop(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        return

    async with serving(drop) as port:
        error = await failure(f"http://127.0.0.1:{port}")

    assert said(error, port) == (Reason.DISCONNECTED, NO_REPLY)


@pytest.mark.parametrize(
    "sent",
    [
        f"{NAME}\r\n\r\n".encode(),
        b"RTSP/1.0 200 OK\r\nno colon\r\n\r\n",
    ],
    ids=["words", "another protocol"],
)
async def test_a_reply_that_is_no_http(sent: bytes) -> None:
    """Another service on the port."""
    async with listening(Step(sent, "hang up")) as peer:
        error = await failure(f"http://127.0.0.1:{peer.port}")

    assert said(error, peer.port) == (Reason.HTTP, NO_HTTP)


@pytest.mark.parametrize("record", [b"\x15\x03\x01\x00\x02\x02\x16", b"\x16\x03\x03\x00\x31"])
async def test_tls_where_http_was_expected(record: bytes) -> None:
    """http:// in front of a TLS port."""
    async with listening(Step(record, "hang up")) as peer:
        error = await failure(f"http://127.0.0.1:{peer.port}")

    assert said(error, peer.port) == (
        Reason.HTTP,
        "127.0.0.1:PORT uses TLS: write https:// instead of http:// into url",
    )


async def test_many_and_long_headers_are_read() -> None:
    """200 headers, and one of 16 KiB: gateways add them."""
    headers = {f"X-{number}": "x" for number in range(200)} | {"X-Long": "x" * 16 * 2**10}
    async with listening(Step(http(answer(resting=3), **headers))) as peer:
        result = await reading(f"http://127.0.0.1:{peer.port}")

    assert result.snapshot.resting == 3


@pytest.mark.parametrize(
    "headers",
    [{f"X-{number}": "x" for number in range(501)}, {"X-Long": "x" * 33 * 2**10}],
    ids=["too many", "too long"],
)
async def test_headers_are_bounded(headers: dict[str, str]) -> None:
    """With a sentence of their own."""
    async with listening(Step(http(answer(), **headers))) as peer:
        error = await failure(f"http://127.0.0.1:{peer.port}")

    assert said(error, peer.port) == (
        Reason.TOO_LARGE,
        (
            "the reply of 127.0.0.1:PORT has more than 500 headers, or one of more than 32 KiB: "
            "look for a gateway that adds them"
        ),
    )


@pytest.mark.parametrize("coding", ["UTF-8", "none", "identity", ""])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
async def test_plain_json_is_read_whatever_it_is_called(coding: str, mark: bytes) -> None:
    """With a byte order mark, too."""
    headers = {"Content_Encoding": coding} if coding else {}
    async with listening(Step(http(mark + answer(resting=3), **headers))) as peer:
        result = await reading(f"http://127.0.0.1:{peer.port}")

    assert result.snapshot.resting == 3


# Statuses


@pytest.mark.parametrize(
    ("date", "sentence"),
    [
        (
            NOW + 1200,
            (
                "HTTP 401: the server rejected the signature, and its clock is 1200 s ahead of "
                "this host's: synchronize both with NTP"
            ),
        ),
        (
            NOW - 1200,
            (
                "HTTP 401: the server rejected the signature, and its clock is 1200 s behind this "
                "host's: synchronize both with NTP"
            ),
        ),
        (
            NOW + 2,
            (
                "HTTP 401: the server rejected the signature, and the clocks differ by only 2 s: "
                "check access_key and secret_key"
            ),
        ),
        (
            None,
            (
                "HTTP 401: the server rejected the signature, and its reply has no Date to "
                "compare the clocks with: check access_key, secret_key and this host's clock"
            ),
        ),
    ],
)
async def test_a_refused_signature(date: float | None, sentence: str) -> None:
    """The server's Date tells a skewed clock from a wrong key."""
    headers = {} if date is None else {"Date": formatdate(date, usegmt=True)}
    async with (
        listening(Step(http(b"", "401 Unauthorized", **headers))) as peer,
        connected(f"http://127.0.0.1:{peer.port}", auth=KEYS, clock=clock) as client,
    ):
        result = await client.poll(1, 1)

    assert said(failed(result), peer.port) == (Reason.AUTH, sentence)
    assert result.clock_skew == (None if date is None else date + 0.5 - NOW)


@pytest.mark.parametrize(
    ("status", "headers", "reason", "sentence", "retry_after"),
    [
        (
            "403 Forbidden",
            {},
            Reason.AUTH,
            (
                "HTTP 403: this host or the access key is not allowed: ask for this host's address "
                "to be added to the allow-list, and check the rights of the access key"
            ),
            None,
        ),
        (
            "429 Too Many Requests",
            {"Retry_After": "30"},
            Reason.RATE_LIMITED,
            (
                "HTTP 429: too many requests for this server: lower max_requests_per_second or "
                "lengthen interval"
            ),
            30.0,
        ),
        (
            "500 Internal Server Error",
            {"Retry_After": "30"},
            Reason.HTTP,
            "HTTP 500: the server or a gateway in front of it failed: check its log",
            None,
        ),
        (
            "503 Service Unavailable",
            {"Retry_After": formatdate(NOW + 45, usegmt=True)},
            Reason.HTTP,
            "HTTP 503: the server or a gateway in front of it failed: check its log",
            45.0,
        ),
        (
            "404 Not Found",
            {},
            Reason.HTTP,
            (
                "HTTP 404: /rest/cmsapp/v1/openapi/agentgroup/agentrestinfos was not found: check "
                "url; a server of 8.13 or earlier needs api: agentrestinfo"
            ),
            None,
        ),
        (
            "204 No Content",
            {},
            Reason.HTTP,
            ("HTTP 204: not a status that CC-CMS sends: check url, api and gateways in between"),
            None,
        ),
        (
            "304 Not Modified",
            {},
            Reason.HTTP,
            ("HTTP 304: not a status that CC-CMS sends: check url, api and gateways in between"),
            None,
        ),
    ],
)
async def test_a_status_other_than_200(
    status: str, headers: dict[str, str], reason: Reason, sentence: str, retry_after: float | None
) -> None:
    """Whatever the body says."""
    async with (
        listening(Step(http(b"", status, **headers))) as peer,
        connected(f"http://127.0.0.1:{peer.port}", clock=clock) as client,
    ):
        result = await client.poll(1, 1)

    assert said(failed(result), peer.port) == (reason, sentence)
    assert result.error is not None
    assert result.error.retry_after == retry_after


async def test_a_redirect_is_not_followed() -> None:
    """A signed request must not be shown to whomever a gateway names."""
    async with (
        listening(GOOD) as other,
        listening(
            Step(http(b"", "302 Found", Location=f"http://127.0.0.1:{other.port}/x"))
        ) as peer,
    ):
        error = await failure(f"http://127.0.0.1:{peer.port}", auth=KEYS)

    assert said(error, peer.port) == (
        Reason.HTTP,
        (
            f"HTTP 302: another page (http://127.0.0.1:{other.port}/x) answers instead of CC-CMS: "
            "check host, port and path of url, and gateways in between"
        ),
    )
    assert other.connections == 0


# Bodies


@pytest.mark.parametrize(
    ("sent", "reason", "sentence"),
    [
        (http(b"\x00\xff" + NAME.encode()), Reason.DECODE, NO_JSON),
        (
            http(b"<html>Login</html>", Content_Type="text/html"),
            Reason.DECODE,
            (
                "the reply is a web page (text/html), not JSON: a login page or a gateway answers "
                "instead of CC-CMS; check host, port and path of url"
            ),
        ),
        (
            http(b""),
            Reason.DECODE,
            "the reply is empty: check that url leads to CC-CMS and not to a gateway",
        ),
        (
            http(b"\x0b\x02", Content_Encoding="br"),
            Reason.DECODE,
            (
                "the reply is compressed with br, and compression was not requested: turn it off "
                "in the gateway or the server"
            ),
        ),
        (http(b"no" + answer(), Content_Encoding="gzip"), Reason.DECODE, NO_CODING),
        (http(gzip.compress(answer())[:-30], Content_Encoding="gzip"), Reason.DECODE, NO_CODING),
        (http(b" " * 2**20 + b"{}"), Reason.TOO_LARGE, TOO_LARGE),
        (
            http(gzip.compress(bytes(2**25)), Content_Encoding="gzip"),
            Reason.TOO_LARGE,
            TOO_LARGE_DECOMPRESSED,
        ),
        (
            http(b'{"status": "UP"}'),
            Reason.SCHEMA,
            (
                "the reply does not match the interface: it has neither resultCode nor result; "
                "check that api: agentrestinfos fits the server's release"
            ),
        ),
        (
            http(answer(1).replace(b'"workNo": 1', b'"workNo": true')),
            Reason.SCHEMA,
            (
                "the reply does not match the interface: agentsRestDetails[0].workNo is true or "
                "false, not a whole number or text; check that api: agentrestinfos fits the "
                "server's release"
            ),
        ),
        (
            http(b'{"resultCode": "0100002", "resultDesc": "vdn does not exist"}'),
            Reason.API,
            (
                "the server returned result code 0100002, invalid parameter (vdn does not exist): "
                "check ccId and vdn"
            ),
        ),
        (
            http(answer(1, code="1")),
            Reason.API,
            (
                "the server returned result code 1: check ccId and vdn, the rights of the access "
                "key, and the vendor's Error Code Reference"
            ),
        ),
    ],
    ids=[
        "garbage",
        "html",
        "empty",
        "an unknown coding",
        "no gzip",
        "gzip that is cut",
        "oversized",
        "a gzip bomb",
        "wrong shape",
        "a wrong row",
        "an error with its description",
        "an error without one",
    ],
)
async def test_a_body_that_is_no_answer(sent: bytes, reason: Reason, sentence: str) -> None:
    """With status 200."""
    async with listening(Step(sent)) as peer:
        error = await failure(f"http://127.0.0.1:{peer.port}")

    assert said(error, peer.port) == (reason, sentence)


@pytest.mark.parametrize(
    ("coding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
async def test_a_compressed_reply_is_read(coding: str, compress: Callable[[bytes], bytes]) -> None:
    """Though nobody asked for it."""
    async with listening(Step(http(compress(answer(resting=3)), Content_Encoding=coding))) as peer:
        result = await reading(f"http://127.0.0.1:{peer.port}")

    assert result.snapshot.resting == 3
    assert b"accept-encoding: identity" in peer.requests[0].lower()


async def test_a_connection_is_not_used_again_after_an_oversized_reply() -> None:
    """The rest of that reply would be taken for the next one's start."""
    async with (
        listening(Step(http(b" " * 2**22)), GOOD) as peer,
        connected(f"http://127.0.0.1:{peer.port}") as client,
    ):
        failed(await client.poll(1, 1))
        result = read(await client.poll(1, 1))

    assert (result.snapshot.resting, result.requests, peer.connections) == (1, 1, 2)
