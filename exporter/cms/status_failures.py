"""The sentences for HTTP statuses: what each means here, and where to look."""

from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx

from exporter.cms.foreign_text import ForeignText
from exporter.cms.reply_headers import retry_after
from exporter.errors import PollError, Reason
from exporter.server import Api, Auth, Server, Signature

CLOCKS_DIFFER: Final = 60.0
"""Seconds from which a refused signature is blamed on the clocks."""

_PATH_SHOWN: Final = 100


def of_status(  # noqa: PLR0913, PLR0917  # all that one reply tells
    status: int,
    headers: httpx.Headers,
    server: Server,
    server_time: float | None,
    now: float,
    foreign: ForeignText,
) -> PollError:
    """A reply whose HTTP status is not 200.

    Args:
        status: of HTTP.
        headers: of the reply.
        server: that was asked.
        server_time: the reply's `Date` in epoch seconds, if it had one.
        now: epoch seconds by this host's clock.
        foreign: for what it says.
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
        return of_proxy_status(status)
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
        f"HTTP {status}: {_other_status(status, headers, server, foreign)}",
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
    if seconds < CLOCKS_DIFFER:
        return (
            f"the server rejected the signature, and the clocks differ by only {seconds:.0f} s: "
            "check access_key and secret_key"
        )
    way = "ahead of" if clock_skew > 0 else "behind"
    return (
        f"the server rejected the signature, and its clock is {seconds:.0f} s {way} this host's: "
        "synchronize both with NTP"
    )


def _other_status(status: int, headers: httpx.Headers, server: Server, foreign: ForeignText) -> str:
    if httpx.codes.is_redirect(status):
        return _redirect(headers.get("location", ""), server, foreign)
    if status == httpx.codes.NOT_FOUND:
        older = "" if server.api is Api.AGENT_REST_INFO else ", or agentrestinfo for 8.13 and older"
        return f"{server.api.path} was not found: check url, and api ({server.api.value}{older})"
    if status == httpx.codes.BAD_REQUEST and not server.endpoint.tls:
        return "the server does not accept plain HTTP on this port: write https:// into url"
    if status == httpx.codes.IM_A_TEAPOT:
        return (
            "a cloud firewall refuses the request, most likely for its TLS server name: set "
            "tls.server_name to a name that it knows"
        )
    if httpx.codes.is_server_error(status):
        return "the server or a gateway in front of it failed: check its log"
    return "not a status that CC-CMS sends: check url, api and gateways on the way"


def _redirect(location: str, server: Server, foreign: ForeignText) -> str:
    """What a redirect means. Its query may contain a session or the request, and is not shown."""
    try:
        target = urlsplit(urljoin(server.url + server.api.path, location))
        host, port = foreign.host(target.hostname or ""), target.port
    except ValueError:
        host, target, port = "", urlsplit(""), None
    if not location or not host or target.scheme not in {"http", "https"}:
        return "the server redirects, but not to a valid address: check host, port and path in url"
    shown = f"{target.scheme}://{host}{f':{port}' if port else ''}"
    if target.path == server.endpoint.path + server.api.path:
        return f"the server redirects to {shown}, and redirects are not followed: write it into url"
    # together: what is a secret may be in both
    page = foreign.sentence(f"{shown}{target.path}", len(shown) + _PATH_SHOWN)
    page = page or "an address that is not shown"
    return (
        f"the server redirects to {page}, which is a page for people, such as a login: "
        "check host, port and path in url"
    )


def of_proxy_status(status: int) -> PollError:
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
