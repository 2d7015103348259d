"""TLS between the exporter and a proxy, with real certificates: whose fault a failure is."""

import asyncio
import base64
import datetime as dt
import ssl
from pathlib import Path

import aiohttp
import httpx
import pytest
import trustme

from exporter.cms.connections import Exchange, Phase
from exporter.cms.failures import of_transport
from exporter.cms.foreign_text import ForeignText
from exporter.cms.proxy import ChosenProxy
from exporter.cms.tls import Handshake
from exporter.endpoint import proxy_endpoint
from exporter.errors import Clue, PollError, Reason
from exporter.secret import Secret
from exporter.server import Server, Tls
from tests.support.cms_peer import (
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
from tests.support.connect_proxy import ConnectProxy

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.both_loops,
]  # the loops shake hands in code of their own

GOOD = Step(http(answer(1, resting=1)))
PROXY = ChosenProxy(proxy_endpoint("https://10.22.0.9:3128"), "HTTPS_PROXY")
NAMED = "the proxy https://10.22.0.9:3128 (from HTTPS_PROXY in the environment)"


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    """A private CA, of the proxies and of the servers."""
    return trustme.CA(organization_name="Lima Ltd")


@pytest.fixture(scope="module")
def ca_file(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its certificate in a file."""
    path: Path = tmp_path_factory.mktemp("ca") / "ca.pem"
    path.write_bytes(ca.cert_pem.bytes())
    return path


def presenting(ca: trustme.CA, *names: str) -> ssl.SSLContext:
    """The TLS settings of a proxy or a server with a certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names).configure_cert(context)
    return context


async def test_plain_http_by_way_of_a_proxy_with_tls(ca: trustme.CA, ca_file: Path) -> None:
    """The proxy's certificate is checked with tls.ca_file, and the proxy gets the question."""
    async with listening(GOOD, tls=presenting(ca, "127.0.0.1")) as proxy:
        result = await reading(
            "http://cms.invalid:28080",
            proxy_url=Secret(f"https://user:pass@127.0.0.1:{proxy.port}"),
            tls=Tls(ca_file=ca_file),
        )

    assert result.snapshot.resting == 1
    assert proxy.requests[0].startswith(b"POST http://cms.invalid:28080/rest/cmsapp/v1/")
    credentials = base64.b64encode(b"user:pass").lower()
    assert b"\r\nproxy-authorization: basic " + credentials in proxy.requests[0].lower()


async def test_a_tunnel_through_a_proxy_with_tls(ca: trustme.CA, ca_file: Path) -> None:
    """TLS to the server in TLS to the proxy: tls.server_name is the server's alone."""
    proxy = ConnectProxy()
    async with (
        serving(proxy.converse, presenting(ca, "127.0.0.1")) as port,
        listening(GOOD, tls=presenting(ca, "cms.example.com")) as peer,
    ):
        result = await reading(
            f"https://127.0.0.1:{peer.port}",
            proxy_url=Secret(f"https://127.0.0.1:{port}"),
            tls=Tls(ca_file=ca_file, server_name="cms.example.com"),
        )

    assert result.snapshot.resting == 1
    assert proxy.heads[0].startswith(f"CONNECT 127.0.0.1:{peer.port} HTTP/1.1\r\n")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_of_an_unknown_ca(ca: trustme.CA, scheme: str) -> None:
    """tls.ca_file was forgotten: it counts for the proxy as well."""
    async with serving(ConnectProxy().converse, presenting(ca, "127.0.0.1")) as port:
        url = Secret(f"https://user:canary@127.0.0.1:{port}")
        error = await failure(f"{scheme}://cms.invalid:28443", proxy_url=url)

    assert said(error, port) == (
        Reason.TLS,
        (
            "the certificate of the proxy https://127.0.0.1:PORT (from proxy_url) is signed by an "
            "unknown CA, Lima Ltd: set tls.ca_file to its CA"
        ),
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("server_name", [None, "proxy.example.com", "other.example.com"])
@pytest.mark.parametrize("origin", ["proxy_url", "the environment"])
async def test_a_proxy_with_a_certificate_for_another_name(
    ca: trustme.CA, ca_file: Path, *, scheme: str, server_name: str | None, origin: str
) -> None:
    """Its name is in the proxy's address. tls.server_name has no part in it."""
    tls = Tls(ca_file=ca_file, server_name=server_name)
    async with serving(ConnectProxy().converse, presenting(ca, "proxy.example.com")) as port:
        url, variable = f"https://127.0.0.1:{port}", f"{scheme.upper()}_PROXY"
        if origin == "proxy_url":
            named, key = f"{url} (from proxy_url)", "proxy_url"
            error = await failure(f"{scheme}://cms.invalid", proxy_url=Secret(url), tls=tls)
        else:
            named, key = f"{url} (from {variable} in the environment)", variable
            error = await failure(f"{scheme}://cms.invalid", environ={variable: url}, tls=tls)

    assert (error.reason, error.message) == (
        Reason.TLS,
        (
            f"the certificate of the proxy {named} is for proxy.example.com, and not for "
            f"127.0.0.1: write a name in the certificate into {key}"
        ),
    )


async def test_the_server_behind_a_proxy_with_a_certificate_for_another_name(
    ca: trustme.CA, ca_file: Path
) -> None:
    """The tunnel is open: now it is the server's."""
    proxy = ConnectProxy()
    async with (
        serving(proxy.converse) as port,
        listening(GOOD, tls=presenting(ca, "cms.example.com")) as peer,
    ):
        error = await failure(
            f"https://127.0.0.1:{peer.port}",
            proxy_url=Secret(f"http://127.0.0.1:{port}"),
            tls=Tls(ca_file=ca_file),
        )

    assert (error.reason, error.message) == (
        Reason.TLS,
        (
            f"the certificate of 127.0.0.1:{peer.port} is for cms.example.com, and not for "
            "127.0.0.1: set tls.server_name to a name in the certificate; the request went through "
            f"the proxy http://127.0.0.1:{port} (from proxy_url)"
        ),
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("names", [("127.0.0.1",), ("proxy.example.com",)])
async def test_a_proxys_certificate_is_not_exported_as_the_servers(
    ca: trustme.CA, ca_file: Path, scheme: str, names: tuple[str, ...]
) -> None:
    """Whether its handshake fails, or the proxy answers by itself."""
    proxy = ConnectProxy("403 Forbidden")
    async with (
        serving(proxy.converse, presenting(ca, *names)) as port,
        connected(
            f"{scheme}://cms.invalid",
            proxy_url=Secret(f"https://127.0.0.1:{port}"),
            tls=Tls(ca_file=ca_file),
        ) as client,
    ):
        failed(await client.poll(1, 1))

        assert client.condition.certificate_expiry is None


async def test_the_servers_certificate_in_a_tunnel_is_exported(
    ca: trustme.CA, ca_file: Path
) -> None:
    """The handshake with the proxy came before."""
    proxy, last = ConnectProxy(), dt.datetime.now(dt.UTC).replace(microsecond=0)
    last += dt.timedelta(days=3)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1", not_after=last).configure_cert(context)
    async with (
        serving(proxy.converse, presenting(ca, "127.0.0.1")) as port,
        listening(GOOD, tls=context) as peer,
        connected(
            f"https://127.0.0.1:{peer.port}",
            proxy_url=Secret(f"https://127.0.0.1:{port}"),
            tls=Tls(ca_file=ca_file),
        ) as client,
    ):
        read(await client.poll(1, 1))

        assert client.condition.certificate_expiry == last.timestamp()


async def test_a_proxy_that_drops_the_connection_in_the_handshake() -> None:
    """It is the proxy's port that is to be checked."""

    async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"\x15\x03\x03\x00\x02\x02\x50")
        await reader.read()

    async with serving(drop) as port:
        url = Secret(f"https://127.0.0.1:{port}")
        error = await failure("http://cms.invalid:28080", proxy_url=url)

    assert said(error, port) == (
        Reason.TLS,
        (
            "the proxy https://127.0.0.1:PORT (from proxy_url) broke off the TLS handshake "
            "(internal error): check its log; it may refuse this host, or want another name in "
            "proxy_url"
        ),
    )


def refused(reason: str) -> ssl.SSLError:
    """A handshake that failed for this reason of OpenSSL's."""
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


def for_another_name(*names: tuple[str, str]) -> ssl.SSLCertVerificationError:
    """A certificate that OpenSSL refuses for its names."""
    error = ssl.SSLCertVerificationError()
    error.verify_code = 64
    vars(error)["handshake"] = Handshake(negotiated=True, certificates=({"subjectAltName": names},))
    return error


def told(cause: Exception, url: str, phase: Phase) -> PollError:
    """The failure of a request for a server by way of the proxy."""
    error = httpx.ConnectError("")
    error.__cause__ = cause
    exchange = Exchange(lambda _: None, phase=phase)
    return of_transport(error, Server(url), exchange, 0.0, ForeignText(()), PROXY)


@pytest.mark.parametrize(
    ("cause", "sentence", "clue"),
    [
        (
            for_another_name(("DNS", "10.22.0.9")),
            (
                f"the certificate of {NAMED} has the address 10.22.0.9 as a name of type DNS, "
                "where only one of type IP counts: renew it with IP:10.22.0.9, or use a host name "
                "in HTTPS_PROXY"
            ),
            Clue.CERTIFICATE,
        ),
        (
            refused("TLSV1_UNRECOGNIZED_NAME"),
            (
                f"{NAMED} does not serve the name 10.22.0.9: write one that it serves into "
                "HTTPS_PROXY"
            ),
            None,
        ),
        (
            refused("WRONG_VERSION_NUMBER"),
            f"{NAMED} does not use TLS: check the port in HTTPS_PROXY, or use http://",
            None,
        ),
        (
            refused("UNEXPECTED_EOF_WHILE_READING"),
            (
                f"{NAMED} closed the connection during the TLS handshake: check the port in "
                "HTTPS_PROXY, its TLS versions and ciphers (tls.min_version, tls.ciphers), and "
                "whether it requires a client certificate (tls.cert_file)"
            ),
            Clue.OLD_TLS,
        ),
        (
            refused("UNEXPECTED_MESSAGE"),
            (
                f"no TLS connection to {NAMED} (unexpected message): check the port in "
                "HTTPS_PROXY, and tls.min_version and tls.ciphers"
            ),
            Clue.OLD_TLS,
        ),
    ],
)
@pytest.mark.parametrize("url", ["http://cms.example.com", "https://cms.example.com"])
def test_a_handshake_with_a_proxy_that_fails(
    url: str, cause: ssl.SSLError, sentence: str, clue: Clue | None
) -> None:
    """Nothing is said of the server, nor to those who look for its settings."""
    failure = told(cause, url, Phase.HANDSHAKE)
    assert (failure.reason, failure.message, failure.clue) == (Reason.TLS, sentence, clue)


@pytest.mark.parametrize(
    ("url", "peer"),
    [("http://cms.example.com", NAMED), ("https://cms.example.com", "cms.example.com:443")],
)
def test_what_breaks_after_the_handshake_is_of_the_one_it_was_made_with(
    url: str, peer: str
) -> None:
    """A request for an http URL is encrypted for the proxy, one in a tunnel for the server."""
    broken = told(refused("WRONG_VERSION_NUMBER"), url, Phase.ASKED)
    reset = aiohttp.ClientOSError()
    reset.__cause__ = aiohttp.ClientConnectionResetError("Cannot write")
    hung_up = told(reset, url, Phase.ASKED)

    assert broken.message == (
        f"the TLS connection to {peer} broke after the handshake (wrong version number): look for "
        "a gateway or firewall that alters what is sent"
    )
    assert hung_up.message == (
        f"{peer} closed the connection right after the TLS handshake: if it requires a client "
        "certificate, set tls.cert_file"
    )
