"""Broken set-ups, made real on sockets: what a poll is told, and what it runs into."""

import asyncio
import contextlib
import datetime as dt
import functools
import socket
import ssl
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme

from exporter.begin_time import BeginTimeUnit
from exporter.clock import Moment
from exporter.secret import Secret
from exporter.server import Api, Signature, Tls
from tests.support.cms_peer import Step, answer, http, listening, serving
from tests.support.dns_peer import FAILS, naming
from tests.support.picky_server import Picky
from tests.support.processes import free_port

NOW = 1_750_000_000.5
OLD = "DEFAULT:@SECLEVEL=0"
KEYS = Signature(Secret("AK1"), Secret("sk"))
GOOD = Step(http(answer(resting=1)))
DETAIL = b'{"allowRestNum":0,"onRestNum":0,"waitRestNum":0,"agentsRestDetails":[%b]}'


SECONDS = answer(resting=1).replace(
    b'"agentsRestDetails": []',
    b'"agentsRestDetails": [{"workNo": 1, "beginTime": 1749999000, "restDuration": 600}]',
)


@dataclass(slots=True)
class Target:
    """What is polled, once a set-up stands."""

    url: str
    facts: dict[str, Any] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)
    """What differs from run to run, by what it is called in the table."""


@dataclass(slots=True)
class Site:
    """What a set-up is built from."""

    stack: AsyncExitStack
    ca: trustme.CA
    ca_file: Path

    async def plain(self, *steps: Step) -> int:
        """A server without TLS."""
        return (await self.stack.enter_async_context(listening(*steps))).port

    async def handled(self, handler: Callable[..., Awaitable[None]]) -> int:
        """A server that does anything."""
        return await self.stack.enter_async_context(serving(handler))

    async def tls(
        self,
        *names: str,
        first: dt.datetime | None = None,
        last: dt.datetime | None = None,
        reply: Step = GOOD,
    ) -> int:
        """A server with a certificate, valid between two dates."""
        leaf = self.ca.issue_cert(*names, not_before=first, not_after=last)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf.configure_cert(context)
        return (await self.stack.enter_async_context(listening(reply, tls=context))).port

    def appliance(self, change: Callable[[ssl.SSLContext], None]) -> int:
        """A server that sends its TLS alerts, as asyncio's does not."""
        leaf = self.ca.issue_cert("127.0.0.1", key_type=trustme.KeyType.RSA)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf.configure_cert(context)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            change(context)
        return self.stack.enter_context(appliance(context))


@contextlib.contextmanager
def appliance(context: ssl.SSLContext, reply: bytes = b"") -> Iterator[int]:
    """A server that sends its TLS alerts: asyncio's closes the connection instead."""
    secured = functools.partial(context.wrap_socket, server_side=True)

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            with plain, contextlib.suppress(OSError), secured(plain) as secure:
                secure.recv(4096)
                secure.sendall(reply)
                secure.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


SetUp = Callable[[Site], Awaitable[Target]]
CASES: dict[str, SetUp] = {}


def case(name: str) -> Callable[[SetUp], SetUp]:
    """Add a row to the table."""

    def add(set_up: SetUp) -> SetUp:
        CASES[name] = set_up
        return set_up

    return add


def at(port: int, scheme: str = "http", **facts: Any) -> Target:
    """A server on this machine."""
    return Target(f"{scheme}://127.0.0.1:{port}", facts, {str(port): "28443"})


def replying(name: str, step: Step, **facts: Any) -> None:
    """A row for a server that always sends the same."""

    async def set_up(site: Site) -> Target:
        return at(await site.plain(step), **facts)

    CASES[name] = set_up


def clock() -> Moment:
    """A clock that stands still, so that the skew is exact."""
    now = asyncio.get_running_loop().time()
    return Moment(NOW, now, now)


def signed_by(name: str, **kind: Any) -> None:
    """A row for a server that checks signatures."""

    async def set_up(site: Site) -> Target:
        picky = Picky(now=lambda: NOW, **kind)
        picky.port = await site.handled(picky.converse)
        return at(picky.port, auth=KEYS, clock=clock)

    CASES[name] = set_up


def status(text: str, body: bytes = b"", **headers: str) -> Step:
    """A reply without numbers."""
    return Step(http(body, text, **headers))


signed_by("wrong secret key", key="other")
signed_by("clock 10 minutes behind the server's", key="other", skew=600.0)
signed_by("clock 20 minutes ahead of the server's", key="other", skew=-1200.0)
replying("no auth, but the server requires a signature", status("401 Unauthorized"))
replying(
    "unknown VDN",
    Step(http(b'{"resultCode": "0100002", "resultDesc": "Invalid parameter."}')),
)
replying(
    "CTI 3.6 that is asked without pages, and cuts its listing off",
    Step(http(answer(*range(100), resting=250))),
)
replying(
    "times in seconds, read as milliseconds",
    Step(http(SECONDS, Date="Sun, 15 Jun 2025 15:06:40 GMT")),
    begin_time_unit=BeginTimeUnit.MILLISECONDS,
)
replying(
    "times in milliseconds, read as seconds",
    Step(
        http(SECONDS.replace(b"1749999000", b"1749999000000"), Date="Sun, 15 Jun 2025 15:06:40 GMT")
    ),
    begin_time_unit=BeginTimeUnit.SECONDS,
)
replying(
    "CTI 3.6 that refuses to be asked without pages",
    Step(http(b'{"resultCode": "0100003", "resultDesc": "CTI 3.8 is required"}')),
)
replying(
    "access key without rights to the VDN",
    Step(http(b'{"resultCode": "0101003", "resultDesc": "insufficient permission"}')),
)
replying("CTI 3.8 that is asked in pages", Step(http(answer(*range(101)))), page_size=100)
replying("release 8.13 or older, asked by the path of newer ones", status("404 Not Found"))
replying("legacy interface, but it is not there", status("404 Not Found"), api=Api.AGENT_REST_INFO)
replying("not on the gateway's allow-list", status("403 Forbidden"))


@case("cloud firewall that dislikes the TLS name")
async def _(site: Site) -> Target:
    port = await site.tls("cms.example.com", reply=status("418 I'm a teapot"))
    tls = Tls(ca_file=site.ca_file, server_name="cms.example.com")
    return at(port, "https", tls=tls)


@case("cloud firewall that wants a TLS name")
async def _(site: Site) -> Target:
    port = await site.tls("127.0.0.1", reply=status("418 I'm a teapot"))
    return at(port, "https", tls=Tls(ca_file=site.ca_file))


replying("rate limit", status("429 Too Many Requests", Retry_After="30"))
replying("the server fails", status("502 Bad Gateway"))
replying("login page", Step(http(b"<html><title>Sign in</title>", Content_Type="text/html")))
replying("redirect to a login page", status("302 Found", Location="/login?session=1"))
replying(
    "redirect to another machine",
    status("307 Temporary Redirect", Location=f"https://gw.example.com{Api.AGENT_REST_INFOS.path}"),
)
replying(
    "redirect to TLS",
    status(
        "301 Moved Permanently",
        Location=f"https://127.0.0.1:28443{Api.AGENT_REST_INFOS.path}",
    ),
)
replying("plain text", Step(http(b"OK", Content_Type="text/plain")))
replying("damaged compression", Step(http(b"\x1f\x8b{}", Content_Encoding="gzip")))
replying(
    "compression that nobody asked for",
    Step(http(b"\x28\xb5\x2f\xfd", Content_Encoding="zstd")),
)
replying(
    "two lengths that differ",
    Step(http(b"{}", Connection="close", **{"content-length": "7"})),
)
replying("501 headers", Step(http(b"", **{f"X-{number}": "x" for number in range(501)})))
replying("another service on the port", Step(b"SSH-2.0-OpenSSH_9.2\r\n", "hang up"))
replying("http:// for a TLS port", Step(b"\x15\x03\x01\x00\x02\x02\x46", "hang up"))
replying(
    "http:// for a TLS port of nginx",
    status(
        "400 Bad Request",
        b"<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>",
    ),
)
replying("http:// for a TLS port that closes the connection", Step(b"", "hang up"))
replying("the connection is cut", Step(GOOD.data[:-9], "hang up"))
replying("reply of another interface", Step(http(b'{"status": "UP"}')))
replying(
    "more rows than a floor can have",
    Step(http(b'{"resultCode":"0100000","resultDesc":%b}' % (DETAIL % (b"{}," * 100_000 + b"{}")))),
    max_reply_bytes=2**24,
)


@case("https:// for a plain HTTP port")
async def _(site: Site) -> Target:
    async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(http(b"", "400 Bad Request"))

    return at(await site.handled(refuse), "https")


@case("https:// for a plain HTTP port that waits for the end of the request")
async def _(site: Site) -> Target:
    return at(await site.plain(GOOD), "https", timeout=0.5)


@case("private CA")
async def _(site: Site) -> Target:
    return at(await site.tls("127.0.0.1"), "https")


@case("expired certificate")
async def _(site: Site) -> Target:
    ends = dt.datetime(2025, 1, 31, 12, 0, tzinfo=dt.UTC)
    port = await site.tls("127.0.0.1", first=ends - dt.timedelta(9), last=ends)
    return at(port, "https", tls=Tls(ca_file=site.ca_file))


@case("certificate that is not valid yet")
async def _(site: Site) -> Target:
    starts = dt.datetime(2037, 1, 31, 12, 0, tzinfo=dt.UTC)
    port = await site.tls("127.0.0.1", first=starts, last=starts + dt.timedelta(9))
    return at(port, "https", tls=Tls(ca_file=site.ca_file))


@case("certificate for another name")
async def _(site: Site) -> Target:
    port = await site.tls("cms.example.com", "10.22.26.181")
    return at(port, "https", tls=Tls(ca_file=site.ca_file))


@case("TLS 1.0 only")
async def _(site: Site) -> Target:
    def change(context: ssl.SSLContext) -> None:
        context.set_ciphers(OLD)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1

    return at(site.appliance(change), "https", tls=Tls(ca_file=site.ca_file))


@case("TLS 1.2 only, and min_version is TLS 1.3")
async def _(site: Site) -> Target:
    def change(context: ssl.SSLContext) -> None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2

    tls = Tls(ca_file=site.ca_file, min_version="TLS13")
    return at(site.appliance(change), "https", tls=tls)


@case("CA other than that of ca_file")
async def _(site: Site) -> Target:
    other = trustme.CA(organization_name="Cusco Ltd")
    other.cert_pem.write_to_path(str(site.ca_file))
    return at(await site.tls("127.0.0.1"), "https", tls=Tls(ca_file=site.ca_file))


@case("RSA key exchange only")
async def _(site: Site) -> Target:
    def change(context: ssl.SSLContext) -> None:
        context.set_ciphers("AES128-SHA")
        context.maximum_version = ssl.TLSVersion.TLSv1_2

    return at(site.appliance(change), "https", tls=Tls(ca_file=site.ca_file))


@case("client certificate required")
async def _(site: Site) -> Target:
    def change(context: ssl.SSLContext) -> None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        site.ca.configure_trust(context)

    return at(site.appliance(change), "https", tls=Tls(ca_file=site.ca_file))


@case("port closed")
async def _(_site: Site) -> Target:
    return at(free_port())


@case("port filtered")
async def _(site: Site) -> Target:
    # a full queue of connections drops packets, as a firewall does
    listener = site.stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(3):
        waiting = site.stack.enter_context(socket.socket())
        waiting.setblocking(False)  # noqa: FBT003  # its only argument
        waiting.connect_ex(listener.getsockname())
    return at(listener.getsockname()[1], timeout=0.5)


@case("server hangs")
async def _(site: Site) -> Target:
    return at(await site.plain(Step(then="hang")), timeout=0.5)


@case("name does not exist")
async def _(site: Site) -> Target:
    dns = await site.stack.enter_async_context(naming({"cms.test": None}))
    return Target("http://cms.test", {"nameservers": [f"127.0.0.1:{dns.port}"]})


@case("name server fails")
async def _(site: Site) -> Target:
    dns = await site.stack.enter_async_context(naming({"cms.test": FAILS}))
    return Target("http://cms.test", {"nameservers": [f"127.0.0.1:{dns.port}"]})


@case("DNS silent")
async def _(site: Site) -> Target:
    dns = await site.stack.enter_async_context(naming({}))
    facts = {"nameservers": [f"127.0.0.1:{dns.port}"], "timeout": 0.5}
    return Target("http://cms.test", facts)


@case("DNS dead")
async def _(_site: Site) -> Target:
    return Target("http://cms.test", {"nameservers": ["127.0.0.1:1"], "timeout": 9.0})


def proxied(
    name: str, reply: bytes | None, scheme: str = "https", login: str = "", **facts: Any
) -> None:
    """A row for a proxy that does not let the request through."""

    async def set_up(site: Site) -> Target:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply or b"")
            if "timeout" in facts:
                await reader.read()

        port = free_port() if reply is None else await site.handled(refuse)
        environ = {f"{scheme.upper()}_PROXY": f"http://{login}127.0.0.1:{port}"}
        environ["NO_PROXY"] = "cms.example.org"
        replaced = {str(port): "3128"}
        return Target(f"{scheme}://cms.example.com:28443", {"environ": environ, **facts}, replaced)

    CASES[name] = set_up


proxied("proxy dead", None, login="user:secret@")
proxied("proxy refuses", http(b"", "403 Forbidden"))
proxied("proxy requires a password", http(b"", "407 Proxy Authentication Required"))
proxied(
    "proxy rejects the password",
    http(b"", "407 Proxy Authentication Required"),
    login="user:secret@",
)
proxied(
    "proxy wants NTLM",
    http(b"", "407 Proxy Authentication Required", Proxy_Authenticate="NTLM"),
)
proxied("proxy wants people to sign in", http(b"", "302 Found", Location="http://login.example"))
proxied("web server instead of a proxy", http(b"", "405 Method Not Allowed"))
proxied("proxy fails", http(b"", "500 Internal Server Error"))
proxied("another service at the proxy's address", b"SSH-2.0-OpenSSH_9.2\r\n")
proxied("proxy that uses TLS", b"\x15\x03\x01\x00\x02\x02\x46")
proxied("proxy closes the connection", b"")
proxied("proxy hangs", b"", timeout=0.5)
proxied("NO_PROXY misses the server", http(b"", "502 Bad Gateway"))
proxied("server refuses behind a proxy", http(b"", "403 Forbidden"), "http")


@case("proxy with a certificate of a private CA")
async def _(site: Site) -> Target:
    port = await site.tls("127.0.0.1")
    facts = {"proxy_url": Secret(f"https://127.0.0.1:{port}")}
    return Target("https://cms.example.com:28443", facts, {str(port): "3128"})


@case("https:// for a proxy without TLS")
async def _(site: Site) -> Target:
    port = await site.plain(Step(b"HTTP/1.1 400 Bad Request\r\n\r\n", "hang up"))
    facts = {"proxy_url": Secret(f"https://127.0.0.1:{port}"), "timeout": 0.5}
    return Target("https://cms.example.com:28443", facts, {str(port): "3128"})


@case("proxy with a certificate for another name")
async def _(site: Site) -> Target:
    port = await site.tls("proxy.example.com")
    facts = {
        "proxy_url": Secret(f"https://127.0.0.1:{port}"),
        "tls": Tls(ca_file=site.ca_file, server_name="cms.example.com"),
    }
    return Target("http://cms.example.com:28080", facts, {str(port): "3128"})
