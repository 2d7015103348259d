"""From a connection that failed to one `PollError`: a reason, and a sentence that helps.

Knows the exceptions of the transport, of aiohttp below it and of TLS. They are classified by what
caused them, since the transport's own names cannot be relied on: a dropped connection is a
`ConnectTimeout` there. Sentences name the option that mends the matter.
"""

import errno
import os
import ssl
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import httpx

from exporter.cms.failures import of_proxy_status
from exporter.cms.proxy import ProxyAddressError
from exporter.cms.server import Server
from exporter.errors import PollError, Reason

_UNTRUSTED: Final = frozenset({18, 19, 20, 21})
"""X509_V_ERR_…: self-signed, self-signed in chain, no issuer to be had, no chain to verify."""
_OUTSIDE_VALIDITY: Final = frozenset({9, 10})
_OTHER_NAME: Final = frozenset({62, 63, 64})
_ALERTS_OF_CLIENT_CERTIFICATES: Final = frozenset(
    # up to TLS 1.2 there is no alert of its own for a certificate that was not sent
    {"SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_UNKNOWN_CA"}
)


def of_transport(error: httpx.TransportError, server: Server) -> PollError:
    """Classify a request that brought no reply, or half of one."""
    if isinstance(error, ProxyAddressError):
        return PollError(
            Reason.CONNECT,
            "the proxy's address cannot be used: write http://host:port into proxy_url, "
            "HTTPS_PROXY or HTTP_PROXY",
        )
    if untrusted := _tls_failure(error, server):
        return PollError(Reason.TLS, untrusted)
    for cause in _causes(error):
        if isinstance(cause, aiohttp.ClientHttpProxyError):
            return of_proxy_status(cause.status)
        if isinstance(cause, aiohttp.ClientConnectorError):
            return _not_connected(cause, server)
    if isinstance(error, httpx.RemoteProtocolError):
        return PollError(
            Reason.HTTP,
            f"what {server.address} sends is no well-formed HTTP: check the port in url, and "
            "whether it must be https:// there",
        )
    return PollError(
        Reason.DISCONNECTED,
        f"{server.address} closed the connection before its reply was whole: look for a crash, a "
        "restart or a gateway's limit on its side",
    )


def _tls_failure(error: httpx.TransportError, server: Server) -> str | None:
    causes = list(_causes(error))
    for cause in causes:
        # aiohttp's own errors of certificates are errors of TLS by name, and hold none of its facts
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, aiohttp.ClientError):
            return _tls(cause, server)
    hung_up = any(isinstance(cause, aiohttp.ClientConnectionResetError) for cause in causes)
    if hung_up and server.url.startswith("https:"):
        # in TLS 1.3 a client certificate is refused when the handshake has just ended; uvloop
        # closes then, and the alert that says so is lost
        return (
            f"{server.address} hung up right after the TLS handshake: if it asks for a client "
            f"certificate, give {_certificate_to_give(server)} in tls.cert_file"
        )
    return None


def _not_connected(error: aiohttp.ClientConnectorError, server: Server) -> PollError:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return PollError(Reason.DNS, _unknown_name(error.host, server))
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return PollError(
            Reason.CONNECT,
            f"the proxy {error.host}:{error.port} cannot be reached: {_os_error(error.os_error)}; "
            "check proxy_url, HTTPS_PROXY and NO_PROXY",
        )
    if isinstance(error.os_error, ConnectionResetError):
        # only TLS talks while the connection is being made
        return PollError(
            Reason.TLS,
            f"{server.address} hung up during the TLS handshake: check the port in url, its TLS "
            "versions, and whether it asks for a client certificate (tls.cert_file)",
        )
    if error.os_error.errno == errno.ECONNREFUSED:
        return PollError(
            Reason.CONNECT,
            f"{server.address} refused the connection: check the port in url, and that CC-CMS runs "
            "there",
        )
    return PollError(
        Reason.CONNECT,
        f"{server.address} cannot be reached: {_os_error(error.os_error)}; check the address in "
        "url, routes and firewalls",
    )


def _unknown_name(host: str, server: Server) -> str:
    if host == urlsplit(server.url).hostname:
        return f"the name {host} cannot be resolved: check the host in url, and this host's DNS"
    return (
        f"the name {host} of the proxy cannot be resolved: check proxy_url, HTTPS_PROXY and this "
        "host's DNS"
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it came from, through aiohttp's own links as well."""
    seen: set[int] = set()
    pending: BaseException | None = error
    while pending is not None and id(pending) not in seen:
        seen.add(id(pending))
        yield pending
        linked = getattr(pending, "certificate_error", None) or getattr(pending, "os_error", None)
        pending = linked or pending.__cause__ or pending.__context__


def _tls(error: ssl.SSLError, server: Server) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate(error, server)
    return _handshake(error, server)


def _certificate(error: ssl.SSLCertVerificationError, server: Server) -> str:
    peer = server.address
    if error.verify_code in _UNTRUSTED:
        return f"the certificate of {peer} is signed by an unknown CA: name its CA in tls.ca_file"
    if error.verify_code in _OUTSIDE_VALIDITY:
        return (
            f"the certificate of {peer} is outside its validity period: renew it there, and check "
            "this host's clock"
        )
    if error.verify_code in _OTHER_NAME:
        asked = server.tls.server_name or urlsplit(server.url).hostname
        return (
            f"the certificate of {peer} is not for {asked}: put a name that it holds into "
            "tls.server_name"
        )
    return f"the certificate of {peer} is refused ({error.verify_message}): check tls.ca_file"


def _handshake(error: ssl.SSLError, server: Server) -> str:
    peer, reason = server.address, (error.reason or "")
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
        return f"{peer} does not speak TLS: check the port in url, or write http:// there"
    if "CERTIFICATE" in reason or reason in _ALERTS_OF_CLIENT_CERTIFICATES:
        option = _certificate_to_give(server)
        return f"{peer} asks for a client certificate: give {option} in tls.cert_file"
    return f"no TLS connection to {peer} ({reason or 'unknown'}): check the port and TLS versions"


def _certificate_to_give(server: Server) -> str:
    return "another one" if server.tls.cert_file else "one"


def _os_error(error: OSError) -> str:
    """The system's words. asyncio's own may list every address tried, so take the number's."""
    return os.strerror(error.errno).lower() if error.errno else "no connection"
