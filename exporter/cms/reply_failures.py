"""The sentences for replies that bring no counters: by status, result code and content. Pure."""

import html
import ipaddress
import re
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx

from exporter.cms.proxy import ChosenProxy
from exporter.cms.reply_headers import retry_after
from exporter.cms.wire import DecodeError, ResultError, SchemaError, readable
from exporter.errors import PollError, Reason
from exporter.server import Api, Auth, Server, Signature

CLOCKS_DIFFER: Final = 60.0
"""Seconds from which a refused signature is blamed on the clocks."""

_NOT_OURS: Final = (
    "the exporter does not use that interface, so nothing in its configuration helps; ask the "
    "administrator of CC-CMS"
)
_CODES: Final = {
    "0100001": (
        "the call failed",
        "check the CTI platform and BMS behind CC-CMS, and the state of the VDN",
    ),
    "0100002": ("invalid parameter", "check ccId and vdn"),
    "0100003": ("the query needs CTI 3.8", 'this one is CTI 3.6; set cti_version: "3.6"'),
    "0100999": ("unknown error", "look into the log of CC-CMS"),
    "0101001": ("the inspection-relationship interface is abnormal", _NOT_OURS),
    "0101002": ("the number is not on the UAP", _NOT_OURS),
    "0101003": (
        "insufficient permission",
        "check the rights of the access key, and the VDN that it belongs to",
    ),
}
"""All codes of the vendor's page *Error Code Reference* but success: meaning and remedy."""
_REMEDIES_IN_PAGES: Final = {
    "0100002": "check ccId, vdn and page_size",
    "0100003": (
        'this one is CTI 3.6, as cti_version: "3.6" says; check the releases of CC-CMS and its CTI'
    ),
}
_REMEDY_FOR_OTHER_CODES: Final = (
    "check ccId and vdn, the rights of the access key, and the vendor's Error Code Reference"
)

_PLAIN_HTTP_REFUSED: Final = re.compile(
    rb"(?i)plain http request|speaking plain http|requires TLS|http request to an https server"
)
"""What nginx, Apache, Tomcat and Go write on a page with status 400."""
_LOGIN: Final = re.compile(r"(?i)log-?[io]n|sign-?[io]n|\bsso\b|oauth|saml|\bcas\b")
_TITLE: Final = re.compile(rb"(?is)<title[^>]*>(.*?)</title")
_CHARSET: Final = re.compile(r"(?i)charset=[\"']?([\w.-]+)")
_SEARCHED: Final = 2**14
"""Bytes of a page that are searched for its title."""
_LONGEST_TITLE: Final = 80
_LONGEST_TARGET: Final = 100


def of_content(
    error: DecodeError | ResultError | SchemaError,
    server: Server,
    content_type: str,
    body: bytes | bytearray,
) -> PollError:
    """A reply with status 200 that has no counters."""
    if isinstance(error, ResultError):
        return PollError(Reason.API, _result(error, server))
    if isinstance(error, DecodeError):
        return PollError(Reason.DECODE, _not_json(content_type, bytes(body[:_SEARCHED])))
    return PollError(
        Reason.SCHEMA,
        f"the reply does not match the interface: {error}; check that api: {server.api.value} "
        "fits the server's release",
    )


def _result(error: ResultError, server: Server) -> str:
    meaning, remedy = _CODES.get(error.code, ("", _REMEDY_FOR_OTHER_CODES))
    if server.page_size is not None:
        remedy = _REMEDIES_IN_PAGES.get(error.code, remedy)
    described = f" ({error.description})" if error.description else ""
    named = f"{error.code}, {meaning}" if meaning else error.code
    return f"the server returned result code {named}{described}: {remedy}"


def _not_json(content_type: str, start: bytes) -> str:
    kind = readable(content_type.partition(";")[0].strip().lower())
    if not start.strip():
        return "the reply is empty: check that url leads to CC-CMS and not to a gateway"
    if "html" in kind or start.lstrip()[:9].lower().startswith((b"<html", b"<!doctype")):
        facts = [kind or "no content type"]
        if title := _title(content_type, start):
            facts.append(f'title "{title}"')
        return (
            f"the reply is a web page ({', '.join(facts)}) and not JSON: a login page or a gateway "
            "answers instead of CC-CMS; check host, port and path of url"
        )
    typed = "" if not kind or "json" in kind else f" ({kind})"
    return (
        f"the reply is not valid JSON{typed}: check that url leads to CC-CMS and not to a login "
        "page or a gateway"
    )


def _title(content_type: str, start: bytes) -> str:
    found = _TITLE.search(start)
    if found is None:
        return ""
    charset = _CHARSET.search(content_type)
    try:
        text = found[1].decode(charset[1] if charset else "utf-8", "replace")
    except LookupError:
        text = found[1].decode("utf-8", "replace")
    return readable(html.unescape(text), _LONGEST_TITLE)


def of_status(  # noqa: PLR0911, PLR0913  # the facts of one reply; a sentence for each status
    response: httpx.Response,
    body: bytes,
    server: Server,
    *,
    server_time: float | None,
    now: float,
    proxy: ChosenProxy | None = None,
) -> PollError:
    """A reply whose HTTP status is not 200.

    Args:
        response: its status and headers.
        body: the start of the reply's body, if it was read.
        server: that was asked.
        server_time: the reply's `Date` in epoch seconds, if it had one.
        now: epoch seconds by this host's clock.
        proxy: that the request went through.
    """
    status, headers = response.status_code, response.headers
    if proxy is not None and _is_of_proxy(status, headers):
        return of_proxy_status(status, proxy, server)
    if status == httpx.codes.UNAUTHORIZED:
        skew = None if server_time is None else server_time - now
        return PollError(Reason.AUTH, f"HTTP 401: {_unauthorized(server.auth, skew)}")
    if status == httpx.codes.FORBIDDEN:
        return PollError(
            Reason.AUTH,
            "HTTP 403: a gateway refuses this host: ask for its address to be added to the "
            "allow-list, and check the rights of the access key",
        )
    pause = retry_after(headers.get("retry-after"), server_time or now)
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return PollError(
            Reason.RATE_LIMITED,
            "HTTP 429: too many requests for this server: lower max_requests_per_second or "
            "lengthen interval",
            retry_after=pause,
        )
    if httpx.codes.is_redirect(status):
        return PollError(Reason.HTTP, f"HTTP {status}: {_redirect(headers, server)}")
    if status == httpx.codes.BAD_REQUEST and _PLAIN_HTTP_REFUSED.search(body):
        return PollError(
            Reason.HTTP,
            f"HTTP 400: {server.address} uses TLS: write https:// instead of http:// into url",
        )
    return PollError(
        Reason.HTTP,
        f"HTTP {status}: {_other_status(status, server)}",
        retry_after=pause if status == httpx.codes.SERVICE_UNAVAILABLE else None,
    )


def of_proxy_status(status: int, proxy: ChosenProxy, server: Server) -> PollError:
    """A proxy that answers instead of the server."""
    if status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
        return PollError(
            Reason.AUTH,
            f"HTTP 407: the proxy {proxy} does not accept the user and password that it was given: "
            f"correct them in {proxy.origin}"
            if proxy.has_password
            else f"HTTP 407: the proxy {proxy} requires a password: add user and password to "
            f"{proxy.origin}",
        )
    if httpx.codes.is_server_error(status):
        return PollError(
            Reason.CONNECT,
            f"the proxy {proxy} cannot reach {server.address} (HTTP {status}): check the address "
            f"in url, and the way from the proxy to it; {without(proxy, server)}",
        )
    return PollError(
        Reason.CONNECT,
        f"the proxy {proxy} refuses to connect to {server.address} (HTTP {status}): ask for this "
        f"server to be added to the proxy's rules; {without(proxy, server)}",
    )


def without(proxy: ChosenProxy, server: Server) -> str:
    """How to reach a server without its proxy."""
    if proxy.origin == "proxy_url":
        remedy = "remove proxy_url"
    else:
        remedy = f"add {server.endpoint.host} to NO_PROXY"
    return f"if the server can be reached without a proxy, {remedy}"


def _is_of_proxy(status: int, headers: httpx.Headers) -> bool:
    """Whether a proxy itself sent a reply: Squid says so, and so does RFC 9209."""
    return (
        status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED
        or "x-squid-error" in headers
        or "error=" in headers.get("proxy-status", "")
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


def _redirect(headers: httpx.Headers, server: Server) -> str:
    asked = server.url + server.api.path
    location = headers.get("location", "").strip()
    try:
        target = urlsplit(urljoin(asked, location))
        host, port = target.hostname, target.port
    except ValueError:
        target, host, port = urlsplit(""), None, None
    if not location or not host:
        return "the server redirects to no valid address: check that url leads to CC-CMS"
    origin = f"{target.scheme}://[{host}]" if ":" in host else f"{target.scheme}://{host}"
    if port:
        origin += f":{port}"
    # parameters and the query may hold a session or a token
    path = target.path.partition(";")[0]
    place = readable(origin + path, _LONGEST_TARGET)
    if path.endswith(server.api.path):
        address = readable(origin + path.removesuffix(server.api.path), _LONGEST_TARGET)
        if address == server.url:
            return (
                "the server redirects to the address that was asked: look for a gateway that wants "
                "a cookie"
            )
        if target.scheme == "https" and not server.endpoint.tls:
            return f"the server wants to be asked with TLS: put {address} into url"
        return (
            f"the server redirects to the same interface at {address}, and redirects are not "
            "followed: if this is CC-CMS, put it into url"
        )
    if _LOGIN.search(f"{host}{target.path}?{target.query}"):
        return (
            f"a login page ({place}) answers instead of CC-CMS: check host, port and path of url, "
            "and gateways that want people to sign in"
        )
    return (
        f"another page ({place}) answers instead of CC-CMS: check host, port and path of url, and "
        "gateways on the way"
    )


def _other_status(status: int, server: Server) -> str:
    if status == httpx.codes.NOT_FOUND:
        return f"{server.api.path} was not found: check url; {_OTHER_API[server.api]}"
    if status == httpx.codes.IM_A_TEAPOT:
        return _firewall(server)
    if httpx.codes.is_server_error(status):
        return "the server or a gateway in front of it failed: check its log"
    return "not a status that CC-CMS sends: check url, api and gateways on the way"


_OTHER_API: Final = {
    Api.AGENT_REST_INFOS: "a server of 8.13 or earlier needs api: agentrestinfo",
    Api.AGENT_REST_INFO: "a server later than 8.13 needs api: agentrestinfos",
}


def _firewall(server: Server) -> str:
    if not server.endpoint.tls:
        return "a cloud firewall in front of the server refuses the request: ask its operator why"
    name = server.tls.server_name or server.endpoint.host
    if _is_address(name):
        return (
            "a gateway or cloud firewall in front of the server wants a TLS server name, and none "
            "is sent for an address: set tls.server_name to the name that it expects"
        )
    return (
        f"a gateway or cloud firewall in front of the server does not accept the TLS server name "
        f"{name}: set tls.server_name to the name that it expects"
    )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
