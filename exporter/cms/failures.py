"""Every way in which a poll can fail, as one `PollError`: a reason, and a sentence that helps.

A sentence names the cause, and the key of the configuration or the place to look at. It contains no
secret, and nothing of a reply but its error description, shortened. Exceptions of the transport are
classified by what caused them, because the transport's own names mislead: a dropped connection is
a `ConnectTimeout` there.
"""

import errno
import os
import ssl
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import httpx

from exporter.cms.body import CodingError, TooLargeError
from exporter.cms.reply_headers import retry_after
from exporter.cms.wire import DecodeError, ResultError, SchemaError
from exporter.errors import PollError, Reason, internal_error
from exporter.server import Auth, Server, Signature

_CLOCKS_DIFFER: Final = 60.0

_UNTRUSTED: Final = frozenset({18, 19, 20, 21})
"""X509_V_ERR_…: self-signed, self-signed in chain, no issuer found, no chain to verify."""
_OUTSIDE_VALIDITY: Final = frozenset({9, 10})
_OTHER_NAME: Final = frozenset({62, 63, 64})
_ALERTS_OF_CLIENT_CERTIFICATES: Final = frozenset(
    # up to TLS 1.2 there is no separate alert for a certificate that was not sent
    {"SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_UNKNOWN_CA"}
)


def of_no_turn(seconds: float) -> PollError:
    """A poll that could not start within so many seconds."""
    return PollError(
        Reason.TIMEOUT,
        f"no free slot for a poll within {seconds:g} s: raise max_concurrency or "
        "max_requests_per_second, or poll less often",
    )


def of_timeout(server: Server, seconds: float, page: int) -> PollError:
    """A poll that did not end within so many seconds, while it read that page."""
    pages = "" if server.page_size is None else f" (page {page})"
    return PollError(
        Reason.TIMEOUT,
        f"no complete reply from {server.address} within {seconds:g} s{pages}: the server is "
        "slow or a firewall drops packets; raise timeout if it is only slow",
    )


def of_endless_listing(pages: int, limit: int) -> PollError:
    """A listing that has more pages than any VDN can have."""
    return PollError(
        Reason.TOO_LARGE,
        f"the listing did not end after {pages} pages of {limit} rows: the server does not page "
        'correctly; if it sends all rows at once, set cti_version: "3.8"',
    )


def of_defect(error: Exception) -> PollError:
    """An error in the exporter itself."""
    return PollError(Reason.INTERNAL, internal_error(error))


def of_reply(error: DecodeError | ResultError | SchemaError, server: Server) -> PollError:
    """A reply with status 200 that has no counters."""
    if isinstance(error, ResultError):
        described = f" ({error.description})" if error.description else ""
        return PollError(
            Reason.API,
            f"the server returned result code {error.code}{described}: check ccId and vdn, the "
            "rights of the access key, and the vendor's Error Code Reference",
        )
    if isinstance(error, DecodeError):
        return PollError(
            Reason.DECODE,
            "the reply is not valid JSON: check that url leads to CC-CMS and not to a login page "
            "or a gateway",
        )
    return PollError(
        Reason.SCHEMA,
        f"the reply does not match the interface: {error}; check that api: {server.api.value} "
        "fits the server's release",
    )


def of_body(error: TooLargeError | CodingError, limit: int) -> PollError:
    """A body with status 200 that cannot be read."""
    if isinstance(error, TooLargeError):
        return PollError(
            Reason.TOO_LARGE,
            f"the reply is larger than {limit / 2**20:g} MiB, far more than any VDN's listing: "
            "check that url leads to CC-CMS",
        )
    return PollError(
        Reason.DECODE,
        "the reply cannot be decompressed: look for a gateway that alters or truncates replies",
    )


def of_status(
    status: int,
    headers: httpx.Headers,
    server: Server,
    server_time: float | None,
    now: float,
) -> PollError:
    """A reply whose HTTP status is not 200.

    Args:
        status: of HTTP.
        headers: of the reply.
        server: that was asked.
        server_time: the reply's `Date` in epoch seconds, if it had one.
        now: epoch seconds by this host's clock.
    """
    if status == httpx.codes.UNAUTHORIZED:
        skew = None if server_time is None else server_time - now
        return PollError(Reason.AUTH, f"HTTP 401: {_unauthorized(server.auth, skew)}")
    if status == httpx.codes.FORBIDDEN:
        return PollError(
            Reason.AUTH,
            "HTTP 403: a gateway refuses this host: ask for its address to be added to the "
            "allow-list, and check the rights of the access key",
        )
    if status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
        return _of_proxy_status(status)
    pause = retry_after(headers.get("retry-after"), server_time or now)
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return PollError(
            Reason.RATE_LIMITED,
            "HTTP 429: too many requests for this server: lower max_requests_per_second or "
            "lengthen interval",
            retry_after=pause,
        )
    return PollError(
        Reason.HTTP,
        f"HTTP {status}: {_other_status(status, headers, server)}",
        retry_after=pause if status == httpx.codes.SERVICE_UNAVAILABLE else None,
    )


def _unauthorized(auth: Auth, clock_skew: float | None) -> str:
    if auth is None:
        return "the server requires a signature: configure auth"
    if not isinstance(auth, Signature):
        return "the server rejected the Authorization header: renew auth.authorization"
    if clock_skew is None:
        return (
            "the server rejected the signature, and its reply has no Date to compare the clocks "
            "with: check access_key, secret_key and this host's clock"
        )
    seconds = abs(clock_skew)
    if seconds < _CLOCKS_DIFFER:
        return (
            f"the server rejected the signature, and the clocks differ by only {seconds:.0f} s: "
            "check access_key and secret_key"
        )
    way = "ahead of" if clock_skew > 0 else "behind"
    return (
        f"the server rejected the signature, and its clock is {seconds:.0f} s {way} this host's: "
        "synchronize both with NTP"
    )


def _other_status(status: int, headers: httpx.Headers, server: Server) -> str:
    if httpx.codes.is_redirect(status):
        return (
            f"the server redirects{_destination(headers.get('location', ''))}, and redirects are "
            "not followed: put the final address into url"
        )
    if status == httpx.codes.NOT_FOUND:
        return f"{server.api.path} was not found: check url and api"
    if httpx.codes.is_server_error(status):
        return "the server or a gateway in front of it failed: check its log"
    return "not a status that CC-CMS sends: check url, api and gateways on the way"


def _destination(location: str) -> str:
    try:
        target = urlsplit(location)
    except ValueError:
        return ""
    return f" to {target.scheme}://{target.hostname}" if target.hostname else ""


def _of_proxy_status(status: int) -> PollError:
    """A proxy that answers instead of the server."""
    if status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
        return PollError(
            Reason.AUTH,
            "HTTP 407: the proxy requires a password: add user and password to proxy_url",
        )
    return PollError(
        Reason.CONNECT,
        f"the proxy refused to connect to the server (HTTP {status}): check its rules, or NO_PROXY",
    )


def of_transport(error: httpx.TransportError, server: Server) -> PollError:
    """A request without a reply, or with half of one."""
    causes = list(_causes(error))
    if message := _tls_failure(causes, server):
        return PollError(Reason.TLS, message)
    for cause in causes:
        if isinstance(cause, aiohttp.ClientHttpProxyError):
            return _of_proxy_status(cause.status)
        if isinstance(cause, aiohttp.ClientConnectorError):
            return _not_connected(cause, server)
    if isinstance(error, httpx.RemoteProtocolError):
        return PollError(
            Reason.HTTP,
            f"the reply of {server.address} is not valid HTTP: check the port in url, and whether "
            "it must start with https://",
        )
    return PollError(
        Reason.DISCONNECTED,
        f"{server.address} closed the connection before its reply was complete: look for a crash, "
        "a restart or a gateway's limit on its side",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, then what caused it, through aiohttp's own links as well."""
    seen: set[int] = set()
    pending: BaseException | None = error
    while pending is not None and id(pending) not in seen:
        seen.add(id(pending))
        yield pending
        linked = getattr(pending, "certificate_error", None) or getattr(pending, "os_error", None)
        pending = linked or pending.__cause__ or pending.__context__


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
        # while the connection is being made, only the TLS handshake can be reset
        return PollError(
            Reason.TLS,
            f"{server.address} closed the connection during the TLS handshake: check the port in "
            "url, its TLS versions, and whether it requires a client certificate (tls.cert_file)",
        )
    if error.os_error.errno == errno.ECONNREFUSED:
        return PollError(
            Reason.CONNECT,
            f"{server.address} refused the connection: check the port in url, and that CC-CMS is "
            "running",
        )
    return PollError(
        Reason.CONNECT,
        f"{server.address} cannot be reached: {_os_error(error.os_error)}; check the address in "
        "url, routes and firewalls",
    )


def _unknown_name(host: str, server: Server) -> str:
    if host == server.endpoint.host:
        return f"the name {host} cannot be resolved: check the host in url, and this host's DNS"
    return (
        f"the proxy's name {host} cannot be resolved: check proxy_url, HTTPS_PROXY and this "
        "host's DNS"
    )


def _os_error(error: OSError) -> str:
    """The system's text. asyncio's own may list every address tried, so take the number's."""
    return os.strerror(error.errno).lower() if error.errno else "no connection"


def _tls_failure(causes: list[BaseException], server: Server) -> str | None:
    for cause in causes:
        # aiohttp's own certificate errors are SSLErrors by name, and have none of their facts
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, aiohttp.ClientError):
            if isinstance(cause, ssl.SSLCertVerificationError):
                return _certificate(cause, server)
            return _handshake(cause, server)
    reset = any(isinstance(cause, aiohttp.ClientConnectionResetError) for cause in causes)
    if reset and server.endpoint.tls:
        # TLS 1.3 refuses a client certificate when the handshake has just ended; uvloop closes
        # the connection then, and the alert with the reason is lost
        return (
            f"{server.address} closed the connection right after the TLS handshake: if it requires "
            f"a client certificate, {_set_certificate(server)}"
        )
    return None


def _certificate(error: ssl.SSLCertVerificationError, server: Server) -> str:
    peer = server.address
    if error.verify_code in _UNTRUSTED:
        return f"the certificate of {peer} is signed by an unknown CA: set tls.ca_file to its CA"
    if error.verify_code in _OUTSIDE_VALIDITY:
        return (
            f"the certificate of {peer} has expired or is not yet valid: renew it, and check this "
            "host's clock"
        )
    if error.verify_code in _OTHER_NAME:
        asked = server.tls.server_name or server.endpoint.server_name
        return (
            f"the certificate of {peer} is not for {asked}: set tls.server_name to a name in the "
            "certificate"
        )
    return f"the certificate of {peer} was not accepted ({error.verify_message}): check tls.ca_file"


def _handshake(error: ssl.SSLError, server: Server) -> str:
    peer, reason = server.address, (error.reason or "")
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
        return f"{peer} does not use TLS: check the port in url, or use http://"
    if "CERTIFICATE" in reason or reason in _ALERTS_OF_CLIENT_CERTIFICATES:
        return f"{peer} requires a client certificate: {_set_certificate(server)}"
    return f"no TLS connection to {peer} ({reason or 'unknown'}): check the port and TLS versions"


def _set_certificate(server: Server) -> str:
    return "change tls.cert_file" if server.tls.cert_file else "set tls.cert_file"
