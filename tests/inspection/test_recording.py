"""exporter.inspection.recording on real sockets: what is kept of a request and its reply."""

import gzip
import json

import httpx
import pytest

from exporter.clock import system_clock
from exporter.cms.client import CmsClient
from exporter.errors import PollResult, Reason
from exporter.inspection.recording import RecordingTransport
from exporter.secret import Secret
from exporter.server import Server, Signature
from tests.support.cms_peer import Step, answer, http, listening

pytestmark = pytest.mark.anyio

KEYS = Signature(Secret("AK1"), Secret("sk"))


async def polled(server: Server) -> tuple[PollResult, RecordingTransport]:
    """The result of one poll, and the transport that recorded it."""
    transport = RecordingTransport(server, {})
    client = CmsClient(server, transport, system_clock)
    try:
        return await client.poll(1, 2), transport
    finally:
        await client.aclose()


async def test_what_is_recorded_is_what_was_sent_and_received() -> None:
    """To the byte, and in the order of the wire."""
    reply = answer(1001, resting=1)
    async with listening(Step(http(reply, X_Request="a, b"))) as peer:
        result, transport = await polled(Server(f"http://127.0.0.1:{peer.port}", auth=KEYS))
    (found,) = transport.recorded
    lines = [b"%b: %b" % header for header in found.request_headers]
    line = f"{found.method} {found.target} HTTP/1.1".encode()
    assert b"\r\n".join([line, *lines, b"", found.request_body]) == peer.requests[0]
    assert (found.status, bytes(found.reply_body), found.complete) == (200, reply, True)
    assert list(found.reply_headers) == [
        (b"Content-Length", str(len(reply)).encode()),
        (b"X-Request", b"a, b"),
    ]
    assert result.snapshot is not None
    assert "AK1" not in repr(transport.recorded)
    assert "1001" not in repr(transport.recorded)


async def test_every_page_is_recorded() -> None:
    """In the order asked."""
    pages = [Step(http(answer(1, 2, resting=3))), Step(http(answer(3, resting=3)))]
    async with listening(*pages) as peer:
        _, transport = await polled(Server(f"http://127.0.0.1:{peer.port}", page_size=2))
    asked = [json.loads(each.request_body)["queryParam"] for each in transport.recorded]
    assert [query["offset"] for query in asked] == [0, 2]
    assert [each.complete for each in transport.recorded] == [True, True]


async def test_a_compressed_reply_is_kept_as_received() -> None:
    """Whoever shows it decompresses it."""
    packed = gzip.compress(answer(1, resting=1))
    async with listening(Step(http(packed, Content_Encoding="gzip"))) as peer:
        result, transport = await polled(Server(f"http://127.0.0.1:{peer.port}"))
    assert result.snapshot is not None
    assert bytes(transport.recorded[0].reply_body) == packed


async def test_a_refusal_is_recorded_with_its_explanation() -> None:
    """The client itself does not read it; the failure is the same with and without."""
    refused = Step(http(b"signature expired", "401 Unauthorized"))
    async with listening(refused) as peer:
        result, transport = await polled(Server(f"http://127.0.0.1:{peer.port}"))
    assert result.error is not None
    assert result.error.reason is Reason.AUTH
    (found,) = transport.recorded
    assert (found.status, bytes(found.reply_body)) == (401, b"signature expired")
    assert found.complete


@pytest.mark.parametrize("sent", [b"sorry", b"x" * 2**17], ids=["hangs", "long"])
async def test_an_explanation_has_bounds(sent: bytes) -> None:
    """One that never ends, or that is long, is cut off; the failure is still its status."""
    head = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 10000000\r\n\r\n"
    async with listening(Step(head + sent, "hang")) as peer:
        result, transport = await polled(Server(f"http://127.0.0.1:{peer.port}"))
    assert result.error is not None
    assert result.error.reason is Reason.HTTP
    (found,) = transport.recorded
    assert found.reply_body
    assert len(found.reply_body) <= 2**17
    assert sent.startswith(found.reply_body)
    assert not found.complete


async def test_a_server_that_is_not_there_leaves_a_request_without_a_reply() -> None:
    """So that what was sent can be seen."""
    result, transport = await polled(Server("http://127.0.0.1:1", auth=KEYS))
    assert result.error is not None
    assert result.error.reason is Reason.CONNECT
    (found,) = transport.recorded
    assert (found.status, found.complete) == (None, False)
    assert b"authorization" in {name.lower() for name, _ in found.request_headers}
    assert isinstance(transport, httpx.AsyncBaseTransport)
