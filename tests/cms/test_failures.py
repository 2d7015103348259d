"""The sentences for failures that are rare, or that no peer of a test can cause."""

import errno
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import httpx
import pytest
from aiohttp.http_exceptions import BadStatusLine

from exporter.cms import body, status_failures, tls_failures
from exporter.cms.connections import Exchange, Phase
from exporter.cms.failures import of_no_json, of_result, of_transport
from exporter.cms.foreign_text import ForeignText
from exporter.cms.proxy import ChosenProxy
from exporter.cms.proxy_failures import through
from exporter.cms.status_failures import Times
from exporter.cms.tls import Handshake
from exporter.cms.wire import ResultError
from exporter.endpoint import proxy_endpoint
from exporter.errors import Clue, PollError, Reason
from exporter.secret import Secret
from exporter.server import CLOCKS_DIFFER, Server, Signature, StaticAuthorization, Tls
from tests.support.cms_peer import CONNECTION_KEY, Step, connected, failed, http, listening

pytestmark = pytest.mark.anyio

SERVER = Server("https://cms.example.com:28443")
PLAIN = Server("http://10.22.26.181:28080")
PROXY = ChosenProxy(proxy_endpoint("http://10.22.0.9:3128"), "proxy_url")
FOREIGN = ForeignText(())
TIMES = Times(None, 0.0)
SIGNED = Signature(Secret("AK1"), Secret("sk"))


def caused_by(
    cause: Exception, server: Server = SERVER, phase: Phase = Phase.ASKED
) -> tuple[Reason, str]:
    """The reason and the sentence for an exception of the transport with that cause."""
    error = httpx.ConnectError("")
    error.__cause__ = cause
    exchange = Exchange(lambda _: None, phase=phase)
    failure = of_transport(error, server, exchange, 0.0, FOREIGN)
    return failure.reason, failure.message


# Result codes

NOT_OURS = (
    "the exporter does not use that interface, so nothing in its configuration helps; ask the "
    "administrator of CC-CMS"
)
OTHER = "check ccId and vdn, the rights of the access key, and the vendor's Error Code Reference"


@pytest.mark.parametrize(
    ("code", "page_size", "sentence"),
    [
        (
            "0100001",
            None,
            (
                "0100001, the call failed (text): check the CTI platform and BMS behind CC-CMS, "
                "and the state of the VDN"
            ),
        ),
        ("0100002", None, "0100002, invalid parameter (text): check ccId and vdn"),
        ("0100002", 100, "0100002, invalid parameter (text): check ccId, vdn and page_size"),
        (
            "0100003",
            None,
            (
                "0100003, the query needs CTI 3.8 (text): this server has CTI 3.6; set "
                'cti_version: "3.6"'
            ),
        ),
        (
            "0100003",
            100,
            (
                "0100003, the query needs CTI 3.8 (text): this server has CTI 3.6, as cti_version: "
                '"3.6" says; check the releases of CC-CMS and CTI'
            ),
        ),
        ("0100999", None, "0100999, unknown error (text): check the log of CC-CMS"),
        (
            "0101001",
            None,
            f"0101001, the inspection-relationship interface is abnormal (text): {NOT_OURS}",
        ),
        ("0101002", None, f"0101002, the number is not on the UAP (text): {NOT_OURS}"),
        (
            "0101003",
            100,
            (
                "0101003, insufficient permission (text): check the rights of the access key, and "
                "the VDN that it belongs to"
            ),
        ),
        ("0100004", None, f"0100004 (text): {OTHER}"),
        ("1", 100, f"1 (text): {OTHER}"),
    ],
)
def test_every_code_of_the_vendor_has_its_remedy(
    code: str, page_size: int | None, sentence: str
) -> None:
    """By its number: the text is Chinese or English by edition."""
    server = Server("https://cms.example.com", page_size=page_size)
    failure = of_result(ResultError(code, "text"), server, FOREIGN, ())
    assert failure.reason is Reason.API
    assert failure.message == f"the server returned result code {sentence}"


# Content


@pytest.mark.parametrize(
    ("media_type", "content", "page"),
    [
        (
            "text/html",
            b"<html><TITLE lang=en>\n Sign &amp; go </TITLE>",
            'with the title "Sign & go" (text/html)',
        ),
        ("", b"  <!DOCTYPE html><p>", "(no content type)"),
        ("application/xhtml+xml", b"<title></title>", "(application/xhtml+xml)"),
        (
            "text/html",
            "<title>\u767b\u5f55</title>".encode("gbk"),
            'with the title "\u767b\u5f55" (text/html)',
        ),
        (
            "text/html",
            b"<title>" + b"x" * 100 + b"</title>",
            f'with the title "{"x" * 79}\u2026" (text/html)',
        ),
        ("text/html", b"<html>" + b" " * 2**14 + b"<title>too late</title>", "(text/html)"),
    ],
)
def test_a_web_page_is_told_by_its_title(media_type: str, content: bytes, page: str) -> None:
    """Chinese ones too."""
    failure = of_no_json(content, media_type, FOREIGN)
    assert (failure.reason, failure.message) == (
        Reason.DECODE,
        (
            f"the reply is a web page {page}, not JSON: a login page or a gateway answers instead "
            "of CC-CMS; check host, port and path of url"
        ),
    )


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [("text/plain", " but text/plain"), ("application/json", ""), ("", "")],
)
def test_what_is_neither_json_nor_a_page(content_type: str, kind: str) -> None:
    """Its content type is told, unless it is a lie."""
    failure = of_no_json(b"canary", content_type, FOREIGN)
    assert failure.message == (
        f"the reply is not valid JSON{kind}: check that url leads to CC-CMS and not to a login "
        "page or a gateway"
    )


# Statuses


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        (
            PLAIN,
            "a cloud firewall in front of the server refuses the request: ask its operator why",
        ),
        (
            SERVER,
            (
                "a gateway or cloud firewall in front of the server does not accept the TLS server "
                "name cms.example.com: set tls.server_name to the name that it expects"
            ),
        ),
        (
            Server("https://[2001:db8::1]:28443"),
            (
                "a gateway or cloud firewall in front of the server requires a TLS server name, "
                "and none is sent for an IP address: set tls.server_name to the name that it "
                "expects"
            ),
        ),
        (
            Server("https://10.22.26.181", tls=Tls(server_name="cms.lima.example")),
            (
                "a gateway or cloud firewall in front of the server does not accept the TLS server "
                "name cms.lima.example: set tls.server_name to the name that it expects"
            ),
        ),
    ],
)
def test_a_firewall_that_dislikes_the_server_name(server: Server, sentence: str) -> None:
    """The name that was sent is told, or that none was."""
    failure = status_failures.of_status(httpx.Response(418), b"", server, TIMES, FOREIGN)
    assert (failure.reason, failure.message) == (Reason.HTTP, f"HTTP 418: {sentence}")


@pytest.mark.parametrize(
    "page",
    [
        b"<title>400 The plain HTTP request was sent to HTTPS port</title>",
        b"Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
        b"Bad Request\r\nThis combination of host and port requires TLS.\r\n",
        b"Client sent an HTTP request to an HTTPS server.\n",
    ],
    ids=["nginx", "Apache", "Tomcat", "Go"],
)
async def test_a_page_that_asks_for_tls(page: bytes) -> None:
    """As the common servers write it."""
    async with (
        listening(Step(http(page, "400 Bad Request"))) as peer,
        connected(f"http://127.0.0.1:{peer.port}") as client,
    ):
        message = failed(await client.poll(1, 1)).message

    assert message == (
        f"HTTP 400: 127.0.0.1:{peer.port} uses TLS: write https:// instead of http:// into url"
    )


@pytest.mark.parametrize(
    "step",
    [
        Step(http(b"x" * 9000, "400 Bad Request")),
        Step(http(b"no such parameter", "400 Bad Request")[:-3], "hang"),
    ],
    ids=["long", "endless"],
)
async def test_another_page_is_not_read_to_its_end(step: Step) -> None:
    """The status is what counts, and the poll does not wait for more."""
    async with (
        listening(step) as peer,
        connected(f"http://127.0.0.1:{peer.port}", timeout=5.0) as client,
    ):
        message = failed(await client.poll(1, 1)).message

    assert message == (
        "HTTP 400: not a status that CC-CMS sends: check url, api and gateways in between"
    )


async def test_an_excerpt_of_a_body_that_breaks() -> None:
    """What came is enough: the status is what counts."""

    async def stream() -> AsyncIterator[bytes]:
        yield b"half"
        raise httpx.ReadError("")

    assert await body.excerpt(stream()) == b"half"


# Proxies


@pytest.mark.parametrize(
    ("status", "headers", "sentence"),
    [
        (
            403,
            {"X-Squid-Error": "ERR_ACCESS_DENIED 0"},
            (
                "the proxy http://10.22.0.9:3128 (from proxy_url) refuses to connect to "
                "10.22.26.181:28080 (HTTP 403): ask for this server to be added to the proxy's "
                "rules; if the server can be reached without a proxy, remove proxy_url"
            ),
        ),
        (
            504,
            {"Proxy-Status": "gw; error=connection_timeout"},
            (
                "the proxy http://10.22.0.9:3128 (from proxy_url) cannot reach 10.22.26.181:28080 "
                "(HTTP 504): check the address in url, and the path from the proxy to it; if the "
                "server can be reached without a proxy, remove proxy_url"
            ),
        ),
        (
            407,
            {},
            (
                "HTTP 407: the proxy http://10.22.0.9:3128 (from proxy_url) requires a password: "
                "add user and password to proxy_url"
            ),
        ),
        (
            403,
            {"Via": "1.1 gw (squid)"},
            (
                "HTTP 403: this host or the access key is not allowed: ask for this host's address "
                "to be added to the allow-list, and check the rights of the access key"
            ),
        ),
        (
            502,
            {"Proxy-Status": "gw; received-status=502"},
            "HTTP 502: the server or a gateway in front of it failed: check its log",
        ),
    ],
)
def test_a_proxys_own_reply_is_told_from_the_servers(
    status: int, headers: dict[str, str], sentence: str
) -> None:
    """Without a tunnel both look alike, but for headers that only the proxy itself sends."""
    failure = status_failures.of_status(
        httpx.Response(status, headers=headers), b"", PLAIN, TIMES, FOREIGN, PROXY
    )
    assert failure.message == sentence


def test_a_failure_behind_a_proxy_names_it() -> None:
    """Once, and the rest of the failure stays as it is."""
    failure = PollError(Reason.HTTP, "HTTP 503: it failed", retry_after=7.0)
    told = through(
        failure, ChosenProxy(proxy_endpoint("http://ann:canary@10.22.0.9:3128"), "HTTPS_PROXY")
    )
    assert (told.reason, told.message, told.retry_after) == (
        Reason.HTTP,
        (
            "HTTP 503: it failed; the request went through the proxy http://10.22.0.9:3128 (from "
            "HTTPS_PROXY in the environment)"
        ),
        7.0,
    )
    assert through(failure, None) is failure
    named = PollError(Reason.CONNECT, f"the proxy {PROXY} cannot be reached")
    assert through(named, PROXY) is named


# TLS

WEAK = ssl.SSLCertVerificationError()
WEAK.verify_code, WEAK.verify_message = 66, "EE certificate key too weak"
OTHER_FAULT = ssl.SSLCertVerificationError()
OTHER_FAULT.verify_code, OTHER_FAULT.verify_message = 42, "invalid policy"
CIPHERS = (
    "cms.example.com:28443 supports no TLS cipher that this host allows: if it is an old server, "
    "set tls.ciphers to DEFAULT:@SECLEVEL=0"
)
VERSIONS = (
    "cms.example.com:28443 supports no TLS version that this host allows: if it is an old server, "
    "set tls.min_version to TLS10 and tls.ciphers to DEFAULT:@SECLEVEL=0"
)


def refused(reason: str, *, negotiated: bool = True) -> ssl.SSLError:
    """A handshake that failed for this reason of OpenSSL's, before or after the cipher is known."""
    error = ssl.SSLError(1, reason)
    error.reason = reason
    vars(error)["handshake"] = Handshake(negotiated, ())
    return error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (refused("UNSUPPORTED_PROTOCOL"), VERSIONS),
        (refused("TLSV1_ALERT_PROTOCOL_VERSION", negotiated=False), VERSIONS),
        (refused("SSLV3_ALERT_HANDSHAKE_FAILURE", negotiated=False), CIPHERS),
        (refused("DH_KEY_TOO_SMALL"), CIPHERS),
        (
            refused("SSLV3_ALERT_HANDSHAKE_FAILURE"),
            "cms.example.com:28443 requires a client certificate: set tls.cert_file",
        ),
        (
            refused("UNSAFE_LEGACY_RENEGOTIATION_DISABLED"),
            (
                "cms.example.com:28443 does not support secure renegotiation (RFC 5746), which "
                "this host's OpenSSL requires: update the server, or put a gateway in front of it"
            ),
        ),
        (
            refused("TLSV1_UNRECOGNIZED_NAME", negotiated=False),
            (
                "cms.example.com:28443 does not serve the name cms.example.com: set "
                "tls.server_name to one that it serves"
            ),
        ),
        (
            refused("SSLV3_ALERT_CERTIFICATE_EXPIRED"),
            (
                "cms.example.com:28443 refuses the client certificate, which has expired: renew "
                "tls.cert_file"
            ),
        ),
        (
            refused("UNEXPECTED_EOF_WHILE_READING"),
            (
                "cms.example.com:28443 closed the connection during the TLS handshake: check the "
                "port in url, its TLS versions and ciphers (tls.min_version, tls.ciphers), and "
                "whether it requires a client certificate (tls.cert_file)"
            ),
        ),
        (
            refused("UNEXPECTED_MESSAGE"),
            (
                "no TLS connection to cms.example.com:28443 (unexpected message): check the port "
                "in url, and tls.min_version and tls.ciphers"
            ),
        ),
        (
            OTHER_FAULT,
            (
                "the certificate of cms.example.com:28443 was not accepted (invalid policy): check "
                "tls.ca_file"
            ),
        ),
        (
            WEAK,
            (
                "the certificate of cms.example.com:28443 is too weak for this host's OpenSSL (EE "
                "certificate key too weak): renew it, or set tls.ciphers to DEFAULT:@SECLEVEL=0"
            ),
        ),
    ],
)
def test_a_handshake_that_fails(error: ssl.SSLError, sentence: str) -> None:
    """OpenSSL names the symptom; how far the handshake came tells what it means."""
    assert caused_by(error, phase=Phase.HANDSHAKE) == (Reason.TLS, sentence)


@pytest.mark.parametrize(
    ("tls", "reason", "remedy"),
    [
        (Tls(min_version="TLS13"), "UNSUPPORTED_PROTOCOL", "lower tls.min_version, which is TLS13"),
        (
            Tls(ciphers="ECDHE-RSA-AES256-GCM-SHA384"),
            "NO_CIPHERS_AVAILABLE",
            "change tls.ciphers, or remove it; for an old server DEFAULT:@SECLEVEL=0 allows most",
        ),
    ],
)
def test_a_handshake_that_fails_because_of_an_option(tls: Tls, reason: str, remedy: str) -> None:
    """Then the server need not be old."""
    server = replace(SERVER, tls=tls)
    _, sentence = caused_by(refused(reason), server, Phase.HANDSHAKE)

    assert sentence.endswith(f" that this host allows: {remedy}")


def test_what_breaks_after_the_handshake_is_not_its_failure() -> None:
    """The server does use TLS. Its alerts may still come: TLS 1.3 refuses certificates late."""
    _, broken = caused_by(refused("WRONG_VERSION_NUMBER"))
    _, alert = caused_by(refused("TLSV13_ALERT_CERTIFICATE_REQUIRED"))

    assert broken == (
        "the TLS connection to cms.example.com:28443 broke after the handshake (wrong version "
        "number): look for a gateway or firewall that alters what is sent"
    )
    assert alert == "cms.example.com:28443 requires a client certificate: set tls.cert_file"


NOW = 1_750_000_000.0
PAST, FUTURE = "Jan  1 00:00:00 2020 GMT", "Jan  1 00:00:00 2099 GMT"
GOOD = {"notBefore": PAST, "notAfter": FUTURE}
LEAF = "the certificate of cms.example.com:28443"
ISSUER = "a CA certificate of cms.example.com:28443"
RENEW = "renew it, or correct this host's clock if that is ahead"
UNASKED = (
    ("DirName", ((("countryName", "PE"),), (("commonName", "cms"),))),
    ("email", "cms@lima.example"),
    ("URI", "https://cms.example.com"),
    ("Registered ID", "1.2.3.4"),
    ("othername", "<unsupported>"),
)
"""Names as Python gives them that no connection is checked against; one is no text."""
CORRECT = "correct this host's clock if that is behind, or renew the certificate"


@pytest.mark.parametrize(
    ("code", "chain", "sentence"),
    [
        (18, ({},), f"{LEAF} is self-signed: set tls.ca_file to this certificate"),
        (
            19,
            ({}, {"issuer": ((("organizationName", "Lima Ltd"),), (("commonName", "R1\n"),))}),
            f"{LEAF} is signed by an unknown CA, R1: set tls.ca_file to its CA",
        ),
        (20, (), f"{LEAF} is signed by an unknown CA: set tls.ca_file to its CA"),
        (
            10,
            (GOOD, GOOD | {"notAfter": PAST}),
            f"{ISSUER} expired on 2020-01-01 00:00 UTC: {RENEW}",
        ),
        (
            10,
            (GOOD,),
            (f"the CA certificate (see tls.ca_file) of cms.example.com:28443 has expired: {RENEW}"),
        ),
        (
            26,
            (GOOD,),
            f"{LEAF} is not for servers (its extended key usage): have it issued for a server",
        ),
        (
            7,
            (GOOD,),
            (
                f"{LEAF} does not match its CA: tls.ca_file has a CA of that name with another "
                "key: set it to the present one"
            ),
        ),
        (
            62,
            ({"subjectAltName": (*UNASKED, ("DNS", "cms.lima.example"), ("IP Address", "::1"))},),
            (
                f"{LEAF} is for cms.lima.example, ::1, and not for cms.example.com: set "
                "tls.server_name to a name in the certificate"
            ),
        ),
        (
            62,
            ({"subjectAltName": UNASKED, "subject": ((("commonName", "cms"),),)},),
            (
                f"{LEAF} is not for cms.example.com: it has no subjectAltName of type DNS or IP, "
                "only the common name cms, and needs one; renew it"
            ),
        ),
        (10, (), f"{LEAF} has expired: {RENEW}"),
        (
            10,
            ({"notAfter": "Bad time value"}, GOOD),
            f"a certificate of cms.example.com:28443 has expired: {RENEW}",
        ),
        (
            10,
            ({"notAfter": "Bad time value"}, GOOD | {"notAfter": PAST}),
            f"{ISSUER} expired on 2020-01-01 00:00 UTC: {RENEW}",
        ),
        (9, ({},), f"a certificate of cms.example.com:28443 is not valid yet: {CORRECT}"),
        (9, (), f"{LEAF} is not valid yet: {CORRECT}"),
        (
            9,
            (GOOD | {"notBefore": FUTURE},),
            f"{LEAF} is not valid before 2099-01-01 00:00 UTC: {CORRECT}",
        ),
        (
            62,
            ({"subjectAltName": tuple(("DNS", f"n{number}\u202e") for number in range(7))},),
            (
                f"{LEAF} is for n0, n1, n2, n3, n4 and 2 more, and not for cms.example.com: set "
                "tls.server_name to a name in the certificate"
            ),
        ),
        (
            62,
            ({"subject": ((("commonName", "cms"),),)},),
            (
                f"{LEAF} is not for cms.example.com: it has no subjectAltName, only the common "
                "name cms, and needs one; renew it"
            ),
        ),
        (
            64,
            (),
            (
                f"{LEAF} is not for cms.example.com: it has no subjectAltName and needs one; "
                "renew it"
            ),
        ),
    ],
)
def test_a_certificate_that_is_refused(
    code: int, chain: tuple[dict[str, object], ...], sentence: str
) -> None:
    """Which one of the chain, and since when."""
    error = ssl.SSLCertVerificationError()
    error.verify_code = code
    vars(error)["handshake"] = Handshake(negotiated=True, certificates=chain)
    peer = tls_failures.Peer.server(SERVER)
    failure = tls_failures.of_causes([error], peer, Exchange(lambda _: None), NOW, FOREIGN)
    assert failure is not None
    assert (failure.reason, failure.message) == (Reason.TLS, sentence)


def test_an_address_as_a_name_of_the_wrong_type() -> None:
    """Browsers accept it, OpenSSL does not."""
    error = ssl.SSLCertVerificationError()
    error.verify_code = 64
    certificate = {"subjectAltName": (("DNS", "10.22.26.181"),)}
    vars(error)["handshake"] = Handshake(negotiated=True, certificates=(certificate,))
    server = Server("https://10.22.26.181:28443")
    assert caused_by(error, server, Phase.HANDSHAKE) == (
        Reason.TLS,
        (
            "the certificate of 10.22.26.181:28443 has the address 10.22.26.181 as a name of type "
            "DNS, where only one of type IP counts: renew it with IP:10.22.26.181, or use a host "
            "name in url"
        ),
    )


# What the commands that look for settings are told


def certificate_error(code: int) -> ssl.SSLCertVerificationError:
    """A certificate that OpenSSL refuses for this reason."""
    error = ssl.SSLCertVerificationError()
    error.verify_code = code
    vars(error)["handshake"] = Handshake(
        negotiated=True, certificates=({"subjectAltName": (("DNS", "cms.lima.example"),)},)
    )
    return error


@pytest.mark.parametrize(
    ("cause", "clue"),
    [
        (refused("WRONG_VERSION_NUMBER"), Clue.PLAIN_HTTP),
        (refused("UNSUPPORTED_PROTOCOL"), Clue.OLD_TLS),
        (refused("SSLV3_ALERT_HANDSHAKE_FAILURE", negotiated=False), Clue.OLD_TLS),
        (refused("SSLV3_ALERT_HANDSHAKE_FAILURE"), Clue.CERTIFICATE),
        (refused("UNEXPECTED_EOF_WHILE_READING"), Clue.OLD_TLS),
        (refused("TLSV1_UNRECOGNIZED_NAME"), Clue.OTHER_NAME),
        (refused("TLSV1_ALERT_INTERNAL_ERROR"), None),
        (refused("UNSAFE_LEGACY_RENEGOTIATION_DISABLED"), None),
        (certificate_error(18), Clue.UNKNOWN_CA),
        (certificate_error(20), Clue.UNKNOWN_CA),
        (certificate_error(62), Clue.OTHER_NAME),
        (certificate_error(26), Clue.CERTIFICATE),
    ],
)
def test_what_a_handshake_tells_of_the_settings(cause: ssl.SSLError, clue: Clue | None) -> None:
    """Behind a proxy, too."""
    error = httpx.ConnectError("")
    error.__cause__ = cause
    exchange = Exchange(lambda _: None, phase=Phase.HANDSHAKE)
    failure = of_transport(error, SERVER, exchange, NOW, FOREIGN)
    assert failure.clue is clue
    assert through(failure, PROXY).clue is clue


@pytest.mark.parametrize(
    ("response", "server", "clue"),
    [
        (httpx.Response(404), SERVER, Clue.NO_INTERFACE),
        (httpx.Response(418), SERVER, Clue.OTHER_NAME),
        (httpx.Response(418), PLAIN, None),
        (httpx.Response(401), SERVER, None),
        (httpx.Response(401), replace(SERVER, auth=SIGNED), Clue.SIGNATURE),
        (httpx.Response(307, headers={"Location": "https://other/"}), PLAIN, Clue.NEEDS_TLS),
        (httpx.Response(307, headers={"Location": "https://other/"}), SERVER, None),
        (httpx.Response(307, headers={"Location": "/login"}), PLAIN, None),
        (httpx.Response(500), SERVER, None),
    ],
)
def test_what_a_status_tells_of_the_settings(
    response: httpx.Response, server: Server, clue: Clue | None
) -> None:
    """Of a refused signature only if the clocks are not to blame."""
    assert status_failures.of_status(response, b"", server, TIMES, FOREIGN).clue is clue
    far = Times(TIMES.now + CLOCKS_DIFFER, TIMES.now)
    late = status_failures.of_status(response, b"", server, far, FOREIGN)
    assert late.clue is (None if clue is Clue.SIGNATURE else clue)


@pytest.mark.parametrize(("page_size", "clue"), [(None, Clue.CTI_3_6), (100, None)])
def test_what_a_result_code_tells_of_the_settings(page_size: int | None, clue: Clue | None) -> None:
    """A server that is asked for pages already is told nothing by it."""
    server = replace(SERVER, page_size=page_size)
    assert of_result(ResultError("0100003", ""), server, FOREIGN, ()).clue is clue
    assert of_result(ResultError("0100002", ""), server, FOREIGN, ()).clue is None


# What nobody expects


@pytest.mark.parametrize(
    ("cause", "reason", "sentence"),
    [
        (
            UnicodeError("canary"),
            Reason.CONNECT,
            (
                "no valid request can be made: check host and port of url and of the proxy, and "
                "look for characters that HTTP does not allow in headers and auth"
            ),
        ),
        (
            OSError(errno.EMFILE, "canary"),
            Reason.CONNECT,
            (
                "no connection to cms.example.com:28443: too many open files on this host; raise "
                "its limit (LimitNOFILE of the service, ulimit -n), or lower max_concurrency"
            ),
        ),
        (
            aiohttp.ClientConnectorError(CONNECTION_KEY, OSError(errno.EMFILE, "canary")),
            Reason.CONNECT,
            (
                "no connection to cms.example.com:28443: too many open files on this host; raise "
                "its limit (LimitNOFILE of the service, ulimit -n), or lower max_concurrency"
            ),
        ),
        (
            OSError(errno.ENETDOWN, "canary"),
            Reason.CONNECT,
            (
                "cms.example.com:28443 cannot be reached: network is down; check the address in "
                "url, routes and firewalls"
            ),
        ),
        (
            aiohttp.ClientConnectorError(
                CONNECTION_KEY, socket.gaierror(-2, "Name or service not known")
            ),
            Reason.CONNECT,
            (
                "cms.example.com:28443 cannot be reached: name or service not known; check the "
                "address in url, routes and firewalls"
            ),
        ),
        (
            aiohttp.ClientError("canary"),
            Reason.INTERNAL,
            "internal error in the exporter (ClientError): please report it",
        ),
        (
            BadStatusLine("\x00"),
            Reason.HTTP,
            "the reply of cms.example.com:28443 is not valid HTTP: check the port in url",
        ),
    ],
    ids=[
        "a host that cannot be encoded",
        "no socket",
        "no socket to connect",
        "an odd error of the system",
        "a zone that does not exist",
        "a new error of aiohttp",
        "no status line",
    ],
)
def test_an_error_that_nobody_expects(cause: Exception, reason: Reason, sentence: str) -> None:
    """It is neither taken for another one, nor quoted."""
    assert caused_by(cause) == (reason, sentence)


@pytest.mark.parametrize(
    "facts",
    [
        {"auth": StaticAuthorization(Secret("canary\nX-Other: canary"))},
        {"headers": (("x-tenant", Secret("caf\u00e9")),)},
    ],
    ids=["a line break", "not ASCII"],
)
async def test_a_value_that_no_header_can_have(facts: dict[str, Any]) -> None:
    """A rotated token may be anything: that is no defect of the exporter."""
    async with (
        listening(Step(http(b"{}"))) as peer,
        connected(f"http://127.0.0.1:{peer.port}", **facts) as client,
    ):
        error = failed(await client.poll(1, 1))

    assert error.reason is Reason.CONNECT
    assert error.message.startswith("no valid request can be made: check host and port of url")
    assert peer.requests == []
