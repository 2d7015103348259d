"""Broken set-ups, made real on sockets: what a poll is told, and what it runs into.

Addresses are shown as in the documents: the server is 10.22.26.181:28443 there, and the proxy
10.22.0.9:3128.
"""

import asyncio
import contextlib
import datetime as dt
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trustme

from exporter.clock import Moment
from exporter.rest import BeginTimeUnit
from exporter.secret import Secret
from exporter.server import Api, Signature, Tls
from exporter.simulator import Settings, Simulator
from exporter.simulator import serving as simulating
from tests.support.cms_peer import Step, answer, http, listening, serving
from tests.support.dns_peer import naming
from tests.support.proxies import Proxy
from tests.support.tls_servers import appliance, only, presenting

SERVER: Final = "10.22.26.181:28443"
PROXY: Final = "10.22.0.9:3128"
NOW: Final = 1_750_000_000.0
GOOD: Final = http(answer(1, resting=1))


@dataclass(frozen=True, slots=True)
class Case:
    """What a poll is told: the server's URL, and the other facts of `cms_peer.connected`."""

    port: int
    scheme: str = "http"
    host: str = "127.0.0.1"
    facts: dict[str, Any] = field(default_factory=dict)
    proxy_port: int | None = None

    @property
    def url(self) -> str:
        """Of the server."""
        return f"{self.scheme}://{self.host}:{self.port}"

    def shown(self, message: str) -> str:
        """A sentence with the addresses of the documents."""
        if self.proxy_port is not None:
            message = message.replace(f"127.0.0.1:{self.proxy_port}", PROXY)
        message = message.replace(f"127.0.0.1:{self.port}", SERVER)
        return message.replace("127.0.0.1", SERVER.partition(":")[0])


class Pki:
    """A private CA, and certificates of it.

    Args:
        directory: for the CA's file.
    """

    def __init__(self, directory: Path) -> None:
        self.ca = trustme.CA(organization_name="Lima Ltd")
        file = directory / "ca.pem"
        file.write_bytes(self.ca.cert_pem.bytes())
        self.tls = Tls(ca_file=file)

    def leaf(
        self, *names: str, first: str = "2020-01-01", last: str = "2030-01-01"
    ) -> trustme.LeafCert:
        """A certificate with these dates, for the server's address unless there are names."""
        return self.ca.issue_cert(
            *(names or ("127.0.0.1",)),
            key_type=trustme.KeyType.RSA,
            not_before=dt.datetime.fromisoformat(first),
            not_after=dt.datetime.fromisoformat(last),
        )


Setup = Callable[[Pki], AbstractAsyncContextManager[Case]]


def told(scheme: str, host: str = "127.0.0.1", **facts: Any) -> Setup:
    """No server at all."""

    @asynccontextmanager
    async def setup(_pki: Pki) -> AsyncIterator[Case]:
        yield Case(free_port(), scheme, host, facts)

    return setup


@asynccontextmanager
async def unnamed(_pki: Pki) -> AsyncIterator[Case]:
    """A name server that never answers."""
    async with naming({}) as dns:
        facts = {"nameservers": [f"127.0.0.1:{dns.port}"], "timeout": 0.5}
        yield Case(28443, "https", "cms.example.com", facts)


def replying(data: bytes, **facts: Any) -> Setup:
    """A server without TLS that sends this to everybody who asks."""

    @asynccontextmanager
    async def setup(_pki: Pki) -> AsyncIterator[Case]:
        async with listening(Step(data)) as peer:
            yield Case(peer.port, facts=facts)

    return setup


def answering(result: str, **facts: Any) -> Setup:
    """A server that reports a failure with this code."""
    body = {"resultCode": result, "resultDesc": "query failed"}
    return replying(http(json.dumps(body).encode()), **facts)


def with_tls(
    context: Callable[[Pki], ssl.SSLContext],
    reply: bytes = GOOD,
    *,
    scheme: str = "https",
    tls: Tls | None = None,
) -> Setup:
    """A server with TLS, whose CA is known unless `tls` is given."""

    @asynccontextmanager
    async def setup(pki: Pki) -> AsyncIterator[Case]:
        with appliance(context(pki), reply) as port:
            yield Case(port, scheme, facts={"tls": tls or pki.tls})

    return setup


def signed(secret_key: str, *, ahead: float = 0.0) -> Setup:
    """A server that checks signatures, with its clock so many seconds ahead of this host's."""
    keys = Signature(Secret("AKEXAMPLE0001"), Secret(secret_key))
    settings = Settings(
        clock=lambda: NOW + ahead, access_keys={"AKEXAMPLE0001": "canary"}, allowed_drift=300
    )

    def clock() -> Moment:
        return Moment(NOW, time.monotonic(), time.monotonic())

    @asynccontextmanager
    async def setup(_pki: Pki) -> AsyncIterator[Case]:
        async with simulating(Simulator(settings)) as address:
            yield Case(address.port, facts={"auth": keys, "clock": clock})

    return setup


def proxied(status: str | None, login: str = "", *, no_proxy: str = "") -> Setup:
    """A proxy from the environment, which answers with this status, or is not there."""

    @asynccontextmanager
    async def setup(_pki: Pki) -> AsyncIterator[Case]:
        async with contextlib.AsyncExitStack() as stack:
            port = free_port()
            if status is not None:
                port = await stack.enter_async_context(serving(Proxy(status).converse))
            address = f"http://{login}127.0.0.1:{port}"
            environ = {"HTTPS_PROXY": address, "NO_PROXY": no_proxy}
            yield Case(28443, "https", facts={"environ": environ}, proxy_port=port)

    return setup


@asynccontextmanager
async def relayed(_pki: Pki) -> AsyncIterator[Case]:
    """A proxy from the environment, which passes on what a server says."""
    async with listening(Step(http(b"", "500 Internal Server Error"))) as peer:
        environ = {"HTTP_PROXY": f"http://ann:canary@127.0.0.1:{peer.port}"}
        yield Case(28443, facts={"environ": environ}, proxy_port=peer.port)


@asynccontextmanager
async def filtered(_pki: Pki) -> AsyncIterator[Case]:
    """A port whose packets are dropped.

    Linux drops requests for a connection when a listener's queue is full.
    """
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        yield Case(listener.getsockname()[1], "https", facts={"timeout": 0.5})


@asynccontextmanager
async def hanging(_pki: Pki) -> AsyncIterator[Case]:
    """A server that takes a request and never answers."""
    async with listening(Step(then="hang")) as peer:
        yield Case(peer.port, facts={"timeout": 0.5})


@asynccontextmanager
async def dropping(_pki: Pki) -> AsyncIterator[Case]:
    """A server that closes the connection in the middle of its reply."""
    async with listening(Step(GOOD[:-5], "hang up")) as peer:
        yield Case(peer.port)


@asynccontextmanager
async def without_tls(_pki: Pki) -> AsyncIterator[Case]:
    """A server that speaks HTTP, asked with TLS."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(http(b"", "400 Bad Request"))

    async with serving(refuse) as port:
        yield Case(port, "https")


@asynccontextmanager
async def mute(_pki: Pki) -> AsyncIterator[Case]:
    """A server that waits for a line which TLS does not send."""
    async with listening(Step()) as peer:
        yield Case(peer.port, "https", facts={"timeout": 0.5})


def free_port() -> int:
    """A port where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wanting_a_certificate(pki: Pki) -> ssl.SSLContext:
    """A server that only serves clients with a certificate."""
    context = only(pki.leaf(), ssl.TLSVersion.TLSv1_2)
    context.verify_mode = ssl.CERT_REQUIRED
    pki.ca.configure_trust(context)
    return context


def floor(unit: float) -> bytes:
    """A reply about an agent who has rested for ten minutes, with a start in this unit."""
    row = {"workNo": 1, "cantRestReason": 0, "beginTime": int((time.time() - 600) * unit)}
    detail = {"allowRestNum": 0, "onRestNum": 1, "waitRestNum": 0, "agentsRestDetails": [row]}
    return http(json.dumps({"resultCode": "0100000", "resultDesc": detail}).encode())


LOGIN: Final = b"<!DOCTYPE html><html><head><title>Sign in\n - Portal</title></head></html>"
PLAIN: Final = b"<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>"
ALERT: Final = b"\x15\x03\x03\x00\x02\x02\x50"

SETUPS: Final[dict[str, Setup]] = {
    "DNS: the name does not exist": told("https", "cms.invalid"),
    "DNS: the name servers are silent": unnamed,
    "port closed": told("https"),
    "port filtered by a firewall": filtered,
    "the server hangs": hanging,
    "the server drops the connection": dropping,
    "http:// on a port with TLS": with_tls(lambda pki: presenting(pki.leaf()), scheme="http"),
    "the same, and it sends a TLS alert": replying(ALERT),
    "the same, and it sends a page": replying(http(PLAIN, "400 Bad Request")),
    "https:// on a port without TLS": without_tls,
    "the same, and it says nothing": mute,
    "private CA, not configured": with_tls(lambda pki: presenting(pki.leaf()), tls=Tls()),
    "certificate expired": with_tls(lambda pki: presenting(pki.leaf(last="2025-06-01"))),
    "certificate not yet valid": with_tls(
        lambda pki: presenting(pki.leaf(first="2099-01-01", last="2099-12-31"))
    ),
    "certificate for another name": with_tls(
        lambda pki: presenting(pki.leaf("cms.example.com", "*.lima.example.com"))
    ),
    "TLS 1.0 only": with_tls(lambda pki: only(pki.leaf(), ssl.TLSVersion.TLSv1)),
    "RSA key exchange only": with_tls(
        lambda pki: only(pki.leaf(), ssl.TLSVersion.TLSv1_2, "AES128-SHA")
    ),
    "client certificate wanted": with_tls(wanting_a_certificate),
    "proxy dead": proxied(None),
    "proxy refuses: 403": proxied("403 Forbidden"),
    "proxy wants a password: 407": proxied("407 Proxy Authentication Required"),
    "proxy gets a wrong password": proxied("407 Proxy Authentication Required", "ann:canary@"),
    "NO_PROXY misses the server": proxied("503 Service Unavailable", no_proxy="10.22.26.18"),
    "a failure behind a proxy": relayed,
    "wrong key": signed("canary-of-another"),
    "clock 10 minutes off": signed("canary", ahead=-600),
    "clock 20 minutes off": signed("canary", ahead=1200),
    "not on the allow-list": replying(http(b"", "403 Forbidden")),
    "firewall, by the TLS name": with_tls(
        lambda pki: presenting(pki.leaf()), http(b"", "418 I'm a teapot")
    ),
    "login page instead of a reply": replying(http(LOGIN, Content_Type="text/html; charset=utf-8")),
    "redirect to a login page": replying(http(b"", "302 Found", Location="/portal/login?t=canary")),
    "redirect to TLS": replying(
        http(
            b"",
            "301 Moved Permanently",
            Location=f"https://{SERVER}/rest/cmsapp/v1/openapi/agentgroup/agentrestinfos",
        )
    ),
    "a server of 8.13 or earlier": replying(http(b"", "404 Not Found")),
    "a later server, configured as 8.13": replying(
        http(b"", "404 Not Found"), api=Api.AGENT_REST_INFO
    ),
    "unknown VDN": answering("0100002"),
    "no rights to the VDN": answering("0101003"),
    "CTI 3.6, configured as 3.8": answering("0100003"),
    "CTI 3.8, configured as 3.6": replying(http(answer(*range(250))), page_size=100),
    "CTI 3.6, configured as 3.8: cut off": replying(http(answer(*range(100), resting=250))),
    "seconds, configured as milliseconds": replying(
        floor(unit=1), begin_time_unit=BeginTimeUnit.MILLISECONDS
    ),
    "milliseconds, configured as seconds": replying(
        floor(unit=1000), begin_time_unit=BeginTimeUnit.SECONDS
    ),
    "too many headers": replying(
        http(b"{}", **{f"X_Gateway_{number}": "1" for number in range(501)})
    ),
}
"""By what is wrong, in the order of the documents."""
