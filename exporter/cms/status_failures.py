"""The sentences for HTTP statuses: what each means here, and where to look."""

import re
from typing import Final, NamedTuple
from urllib.parse import urljoin, urlsplit

import httpx

from exporter.cms import proxy_failures
from exporter.cms.foreign_text import ForeignText
from exporter.cms.proxy import ChosenProxy
from exporter.cms.reply_head import retry_after
from exporter.endpoint import is_address
from exporter.errors import Clue, PollError, Reason
from exporter.server import CLOCKS_DIFFER, Api, Auth, Server, Signature

_PLAIN_HTTP_REFUSED: Final = re.compile(
    rb"(?i)plain http request|speaking plain http|requires TLS|http request to an https server"
)
"""What nginx, Apache, Tomcat and Go write on a page with status 400."""
_LOGIN: Final = re.compile(r"(?i)log-?[io]n|sign-?[io]n|\bsso\b|oauth|saml|\bcas\b")
_PATH_SHOWN: Final = 100


class Times(NamedTuple):
    """When a reply came."""

    server_time: float | None
    """Its `Date` in epoch seconds, if it had one."""
    now: float
    """Epoch seconds by this host's clock."""


def of_status(  # noqa: PLR0911, PLR0913, PLR0917  # all that one reply tells, and a sentence for each
    response: httpx.Response,
    body: bytes,
    server: Server,
    times: Times,
    foreign: ForeignText,
    proxy: ChosenProxy | None = None,
) -> PollError:
    """A reply whose HTTP status is not 200.

    `body` is the start of the reply's body, if it was read.
    """
    status, headers = response.status_code, response.headers
    if proxy is not None and proxy_failures.is_of_proxy(status, headers):
        offered = headers.get_list("proxy-authenticate")
        return proxy_failures.of_status(status, offered, proxy, server)
    if status == httpx.codes.UNAUTHORIZED:
        skew = None if times.server_time is None else times.server_time - times.now
        alike = isinstance(server.auth, Signature) and abs(skew or 0.0) < CLOCKS_DIFFER
        return PollError(
            Reason.AUTH,
            f"HTTP 401: {_unauthorized(server.auth, skew)}",
            clue=Clue.SIGNATURE if alike else None,
        )
    if status == httpx.codes.FORBIDDEN:
        return PollError(
            Reason.AUTH,
            "HTTP 403: this host or the access key is not allowed: ask for this host's address to "
            "be added to the allow-list, and check the rights of the access key",
        )
    pause = retry_after(headers.get("retry-after"), times.server_time or times.now)
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return PollError(
            Reason.RATE_LIMITED,
            "HTTP 429: too many requests for this server: lower max_requests_per_second or "
            "lengthen interval",
            retry_after=pause,
        )
    if httpx.codes.is_redirect(status) and status != httpx.codes.NOT_MODIFIED:
        location = headers.get("location", "").strip()
        to_tls = location.lower().startswith("https:") and not server.endpoint.tls
        return PollError(
            Reason.HTTP,
            f"HTTP {status}: {_redirect(location, server, foreign)}",
            clue=Clue.NEEDS_TLS if to_tls else None,
        )
    if status == httpx.codes.BAD_REQUEST and _PLAIN_HTTP_REFUSED.search(body):
        return PollError(
            Reason.HTTP,
            f"HTTP 400: {server.address} uses TLS: write https:// instead of http:// into url",
            clue=Clue.NEEDS_TLS,
        )
    meaning, clue = _other_status(status, server)
    return PollError(
        Reason.HTTP,
        f"HTTP {status}: {meaning}",
        retry_after=pause if status == httpx.codes.SERVICE_UNAVAILABLE else None,
        clue=clue,
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


def _redirect(location: str, server: Server, foreign: ForeignText) -> str:
    """What a redirect means. Its query may contain a session or the request, and is not shown."""
    try:
        target = urlsplit(urljoin(server.url + server.api.path, location))
        host, port = foreign.host(target.hostname or ""), target.port
    except ValueError:
        target, host, port = urlsplit(""), "", None
    if not location or not host or target.scheme not in {"http", "https"}:
        return "the server redirects to an invalid address: check host, port and path of url"
    # a parameter may be a session, too
    path = target.path.partition(";")[0]
    origin = f"{target.scheme}://[{host}]" if ":" in host else f"{target.scheme}://{host}"
    origin += f":{port}" if port else ""
    if path.endswith(server.api.path):
        address = origin + path.removesuffix(server.api.path)
        to_tls = target.scheme == "https" and not server.endpoint.tls
        return _same_interface(
            address, server, foreign, to_tls=to_tls and target.hostname == server.endpoint.host
        )
    # together: what is a secret may be in both
    place = foreign.sentence(origin + path, len(origin) + _PATH_SHOWN) or "not shown"
    if _LOGIN.search(f"{host}{target.path}?{target.query}"):
        return (
            f"a login page ({place}) answers instead of CC-CMS: check host, port and path of url, "
            "and gateways that require a login"
        )
    return (
        f"another page ({place}) answers instead of CC-CMS: check host, port and path of url, and "
        "gateways in between"
    )


def _same_interface(address: str, server: Server, foreign: ForeignText, *, to_tls: bool) -> str:
    if address == server.url:
        return (
            "the server redirects to the requested address itself: look for a gateway that "
            "requires a cookie"
        )
    address = foreign.sentence(address) or "another address"
    if to_tls:
        return f"the server requires TLS: write {address} into url"
    return (
        f"the server redirects to the same interface at {address}, and redirects are not followed: "
        "if this is CC-CMS, set url to it"
    )


def _other_status(status: int, server: Server) -> tuple[str, Clue | None]:
    if status == httpx.codes.NOT_FOUND:
        meaning = f"{server.api.path} was not found: check url; {_OTHER_API[server.api]}"
        return meaning, Clue.NO_INTERFACE
    if status == httpx.codes.IM_A_TEAPOT:
        return _firewall(server), Clue.OTHER_NAME if server.endpoint.tls else None
    if httpx.codes.is_server_error(status):
        return "the server or a gateway in front of it failed: check its log", None
    return "not a status that CC-CMS sends: check url, api and gateways in between", None


_OTHER_API: Final = {
    Api.AGENT_REST_INFOS: "a server of 8.13 or earlier needs api: agentrestinfo",
    Api.AGENT_REST_INFO: "a server later than 8.13 needs api: agentrestinfos",
}


def _firewall(server: Server) -> str:
    if not server.endpoint.tls:
        return "a cloud firewall in front of the server refuses the request: ask its operator why"
    name = server.tls.server_name or server.endpoint.host
    if is_address(name):
        return (
            "a gateway or cloud firewall in front of the server requires a TLS server name, and "
            "none is sent for an IP address: set tls.server_name to the name that it expects"
        )
    return (
        f"a gateway or cloud firewall in front of the server does not accept the TLS server name "
        f"{name}: set tls.server_name to the name that it expects"
    )
