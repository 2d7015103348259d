"""exporter.cms.requests on raw sockets: what arrives is what was signed, byte by byte."""

import string
from urllib.parse import quote

import pytest

from exporter.cms import signing
from exporter.secret import Secret
from exporter.server import Api, Server, Signature
from tests.support.cms_peer import Step, answer, connected, http, listening, read

pytestmark = [pytest.mark.anyio, pytest.mark.both_loops]

KEYS = Signature(Secret("AK1"), Secret("sk"))
PLAIN = string.ascii_letters + string.digits + "._~!$&'()*+,;=:@-"


def parts(request: bytes) -> tuple[str, dict[str, str], bytes]:
    """The path, the headers and the body of a request on the wire."""
    head, body = request.split(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return line.split(" ")[1], headers, body


def signed(request: bytes, *, empty_query_line: bool = False) -> bool:
    """Whether the signature fits the very bytes that have arrived."""
    path, headers, body = parts(request)
    prefix, signature = headers["authorization"].rsplit("/", 1)
    names = prefix.rsplit("/", 1)[1].split(";")
    fields = sorted(f"{name}:{quote(headers[name], safe='')}" for name in names)
    query = [""] if empty_query_line else []
    lines = ["POST", path, *query, ";".join(names), *fields, quote(body, safe="")]
    canonical = "\n".join(lines)
    return signing.authorization("sk", prefix, canonical) == f"{prefix}/{signature}"


async def test_every_character_is_sent_as_it_was_signed() -> None:
    """Literally where a path may hold it, and percent-encoded in either case."""
    encoded = [f"%{ord(character):02x}" for character in string.printable.strip()]
    spellings = {*PLAIN, *encoded, *map(str.upper, encoded)}
    async with listening(Step(http(answer()))) as peer:
        for spelling in spellings:
            url = f"http://127.0.0.1:{peer.port}/gw/a{spelling}b"
            async with connected(url, auth=KEYS) as client:
                read(await client.poll(1, 1))
            path, _, _ = parts(peer.requests[-1])
            assert path == f"/gw/a{spelling}b{Api.AGENT_REST_INFOS.path}"
            assert signed(peer.requests[-1])
        assert len(peer.requests) == len(spellings)


async def test_what_a_proxy_passes_on_is_what_was_signed() -> None:
    """Plain HTTP goes to a proxy as a whole URL, in its normal form."""
    async with listening(Step(http(answer()))) as proxy:
        environ = {"HTTP_PROXY": f"http://127.0.0.1:{proxy.port}"}
        url = "HTTP://CMS.invalid:80/caf%c3%a9%2f%40"
        async with connected(url, auth=KEYS, environ=environ) as client:
            read(await client.poll(1, 1))

    target, headers, _ = parts(proxy.requests[0])
    assert target == f"http://cms.invalid/caf%c3%a9%2f%40{Api.AGENT_REST_INFOS.path}"
    assert headers["host"] == "cms.invalid"
    assert signed(proxy.requests[0].replace(b" http://cms.invalid", b" ", 1))


@pytest.mark.parametrize("host", ["10.22.26.181", "LIMA.example:443", "[::1]:1"])
async def test_the_host_header_is_sent_and_signed(host: str) -> None:
    """In place of host and port of the URL; exactly as it is written, and once."""
    async with (
        listening(Step(http(answer()))) as peer,
        connected(f"http://127.0.0.1:{peer.port}", auth=KEYS, host=host) as client,
    ):
        read(await client.poll(1, 1))

    _, headers, _ = parts(peer.requests[0])
    assert headers["host"] == host
    assert peer.requests[0].lower().count(b"\r\nhost:") == 1
    assert signed(peer.requests[0])


async def test_an_empty_line_may_be_signed_where_the_query_would_be() -> None:
    """Some servers expect it."""
    keys = Signature(Secret("AK1"), Secret("sk"), empty_query_line=True)
    async with (
        listening(Step(http(answer()))) as peer,
        connected(f"http://127.0.0.1:{peer.port}", auth=keys) as client,
    ):
        read(await client.poll(1, 1))

    assert not signed(peer.requests[0])
    assert signed(peer.requests[0], empty_query_line=True)


async def test_an_ipv6_zone_is_for_this_host_alone() -> None:
    """The server is not told: RFC 6874."""
    server = Server("http://[fe80::1%25eth0]:28080")

    assert server.host_header == "[fe80::1]:28080"
    assert server.address == "[fe80::1%eth0]:28080"
    assert server.endpoint.origin == "http://[fe80::1%eth0]:28080"
    assert server.url == "http://[fe80::1%25eth0]:28080"
