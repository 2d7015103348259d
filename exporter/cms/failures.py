"""Every way in which a poll can fail, as one `PollError`: a reason, and a sentence that helps.

A sentence names the cause, and the key of the configuration or the place to look at. It contains no
secret, and no word of a reply that has not passed `foreign_text`. Exceptions of the transport are
classified by what caused them, because the transport's own names mislead: a dropped connection is
a `ConnectTimeout` there.
"""

import errno
import html
import os
import re
import socket
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import aiohttp
import httpx
from aiohttp.http_exceptions import HttpProcessingError

from exporter.cms import odd_http, proxy_failures, tls_failures
from exporter.cms.body import CodingError, TooLargeError
from exporter.cms.connections import Exchange, Phase
from exporter.cms.foreign_text import ForeignText
from exporter.cms.proxy import ChosenProxy
from exporter.cms.reply_head import LONGEST_HEADER, MOST_HEADERS, OverheadError
from exporter.cms.wire import MAX_PAGES, MAX_ROWS, ResultError, SchemaError, TooManyRowsError
from exporter.errors import Clue, PollError, Reason, internal_error
from exporter.server import Server

_TITLE: Final = re.compile(rb"(?is)<title[^>]{0,200}>(.{1,400}?)</title>")
_SEARCHED: Final = 16 * 2**10
_TITLE_SHOWN: Final = 80
_TYPE_SHOWN: Final = 60

_TOO_MANY_OPEN: Final = frozenset({errno.EMFILE, errno.ENFILE})

_NOT_OURS: Final = (
    "the exporter does not use that interface, so nothing in its configuration helps; ask the "
    "administrator of CC-CMS"
)
_ONLY_CTI_3_8: Final = "0100003"
RESULT_CODES: Final = {
    "0100001": (
        "the call failed",
        "check the CTI platform and BMS behind CC-CMS, and the state of the VDN",
    ),
    "0100002": ("invalid parameter", "check ccId and vdn"),
    _ONLY_CTI_3_8: ("the query needs CTI 3.8", 'this server has CTI 3.6; set cti_version: "3.6"'),
    "0100999": ("unknown error", "check the log of CC-CMS"),
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
    _ONLY_CTI_3_8: (
        'this server has CTI 3.6, as cti_version: "3.6" says; check the releases of CC-CMS and CTI'
    ),
}
_REMEDY_FOR_OTHER_CODES: Final = (
    "check ccId and vdn, the rights of the access key, and the vendor's Error Code Reference"
)


def of_timeout(
    server: Server, seconds: float, page: int, exchange: Exchange, proxy: ChosenProxy | None = None
) -> PollError:
    """A poll that did not end in time, while it read that page."""
    if exchange.phase is Phase.RESOLVING:
        return _not_resolved(exchange.peer, proxy, answer="")
    if exchange.phase is Phase.CONNECTING:
        named = exchange.peer if proxy is None else f"the proxy {proxy}"
        key = "url" if proxy is None else proxy.origin
        return PollError(
            Reason.CONNECT,
            f"no connection to {named} within {seconds:g} s: nothing answers at this address, or a "
            f"firewall drops packets; check {key}, routes and firewalls",
        )
    if proxy is not None and proxy_failures.blames_proxy(exchange):
        return proxy_failures.of_timeout(proxy, server, seconds, exchange)
    if exchange.phase is Phase.HANDSHAKE:
        return PollError(
            Reason.TIMEOUT,
            f"the TLS handshake with {server.address} did not end within {seconds:g} s: check that "
            "the port in url uses TLS, or write http://; otherwise the server hangs",
            clue=Clue.PLAIN_HTTP,
        )
    pages = "" if server.page_size is None else f" (page {page})"
    return PollError(
        Reason.TIMEOUT,
        f"no complete reply from {server.address} within {seconds:g} s{pages}: the server is "
        "slow or a firewall drops packets; raise timeout if it is only slow",
    )


def of_surplus_reply(server: Server) -> PollError:
    """A poll whose reply may have been meant for another one."""
    return PollError(
        Reason.DISCONNECTED,
        f"{server.address} sent more replies than it was asked for, so this one may be another "
        "VDN's and was discarded: look for a gateway or load balancer that repeats or delays "
        "replies",
    )


def of_endless_listing(limit: int) -> PollError:
    """A listing that has more pages of `limit` rows than any VDN can have."""
    return PollError(
        Reason.TOO_LARGE,
        f"the listing did not end after {MAX_PAGES} pages of {limit} rows: the server does not "
        'page correctly; if it sends all rows at once, set cti_version: "3.8"',
    )


def of_oversized_page(rows: int, limit: int) -> PollError:
    """A page with more rows than were asked for."""
    return PollError(
        Reason.SCHEMA,
        f"the server sent {rows} rows where a page of {limit} was requested: it does not page; "
        'set cti_version: "3.8"',
    )


def of_no_json(body: bytes | bytearray, media_type: str, foreign: ForeignText) -> PollError:
    """A reply with status 200 that is something else: say what, as a browser would show it."""
    found = _TITLE.search(body[:_SEARCHED])
    title = foreign.sentence(_text(bytes(found[1])), _TITLE_SHOWN) if found else ""
    media_type = foreign.sentence(media_type, _TYPE_SHOWN)
    if "html" in media_type or body[:_SEARCHED].lstrip()[:1] == b"<":
        called = f' with the title "{title}"' if title else ""
        return PollError(
            Reason.DECODE,
            f"the reply is a web page{called} ({media_type or 'no content type'}), not JSON: a "
            "login page or a gateway answers instead of CC-CMS; check host, port and path of url",
        )
    if not body[:_SEARCHED].strip():
        return PollError(
            Reason.DECODE,
            "the reply is empty: check that url leads to CC-CMS and not to a gateway",
        )
    other = f" but {media_type}" if media_type and "json" not in media_type else ""
    return PollError(
        Reason.DECODE,
        f"the reply is not valid JSON{other}: check that url leads to CC-CMS and not to a login "
        "page or a gateway",
    )


def _text(title: bytes) -> str:
    """Chinese pages may use a Chinese character set."""
    try:
        text = title.decode()
    except UnicodeDecodeError:
        text = title.decode("gb18030", "replace")
    return html.unescape(text)


def of_result(
    error: ResultError, server: Server, foreign: ForeignText, names: Collection[str] | None
) -> PollError:
    """A reply that says that the query failed.

    `names` are those of agents in the same reply; None if there are too many to tell.
    """
    code = "" if names is None else foreign.code(error.code, names)
    meaning, remedy = RESULT_CODES.get(code, ("", _REMEDY_FOR_OTHER_CODES))
    if server.page_size is not None:
        remedy = _REMEDIES_IN_PAGES.get(code, remedy)
    shown = f"result code {code}" if code else "a result code that CC-CMS does not have"
    if meaning:
        shown += f", {meaning}"
    description = "" if names is None else foreign.sentence(error.description, names=names)
    if description.lower().rstrip(".") == meaning:
        # an English edition may say no more
        description = ""
    return PollError(
        Reason.API,
        f"the server returned {shown}{f' ({description})' if description else ''}: {remedy}",
        clue=Clue.CTI_3_6 if code == _ONLY_CTI_3_8 and server.page_size is None else None,
    )


def of_reply(
    error: TooLargeError | CodingError | TooManyRowsError | SchemaError, server: Server
) -> PollError:
    """A reply with status 200 that cannot be read, or has no counters."""
    match error:
        case TooLargeError():
            return PollError(Reason.TOO_LARGE, str(error))
        case CodingError():
            return PollError(Reason.DECODE, str(error))
        case TooManyRowsError():
            return PollError(
                Reason.TOO_LARGE,
                f"the server sent more than {MAX_ROWS} rows, more than any VDN has: check that "
                "url leads to CC-CMS",
            )
    return PollError(
        Reason.SCHEMA,
        f"the reply does not match the interface: {error}; check that api: {server.api.value} "
        "fits the server's release",
    )


def of_transport(  # noqa: PLR0911, PLR0913, PLR0917  # a sentence for each cause
    error: httpx.TransportError,
    server: Server,
    exchange: Exchange,
    now: float,
    foreign: ForeignText,
    proxy: ChosenProxy | None = None,
) -> PollError:
    """A request without a reply, or with half of one.

    `now` is in epoch seconds by this host's clock.
    """
    causes = list(_causes(error))
    if proxy is not None and proxy_failures.blames_proxy(exchange):
        return proxy_failures.of_transport(causes, proxy, server, exchange, now, foreign)
    peer = tls_failures.Peer.last(server, proxy)
    if failure := tls_failures.of_causes(causes, peer, exchange, now, foreign):
        return failure
    for cause in causes:
        match cause:
            case OverheadError():
                return PollError(Reason.TOO_LARGE, str(cause))
            case aiohttp.ClientConnectorError():
                return _not_connected(cause, server, proxy)
            case HttpProcessingError():
                return _not_http(cause, server, exchange)
            case (
                aiohttp.ServerDisconnectedError()
                | aiohttp.ClientPayloadError()
                | aiohttp.ClientOSError()
            ):
                return _disconnected(cause, server, exchange)
    return _unexpected(causes, server)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, then what caused it, through aiohttp's own links as well."""
    seen: set[int] = set()
    pending: BaseException | None = error
    while pending is not None and id(pending) not in seen:
        seen.add(id(pending))
        yield pending
        linked = getattr(pending, "certificate_error", None) or getattr(pending, "os_error", None)
        pending = linked or pending.__cause__ or pending.__context__


def _not_http(error: HttpProcessingError, server: Server, exchange: Exchange) -> PollError:
    if exchange.spoke_tls:
        message = f"{server.address} uses TLS: write https:// instead of http:// into url"
        return PollError(Reason.HTTP, message, clue=Clue.NEEDS_TLS)
    if str(error.message).startswith(("Got more than", "Too many headers")):
        return PollError(
            Reason.TOO_LARGE,
            f"the reply of {server.address} has more than {MOST_HEADERS} headers, or one of more "
            f"than {LONGEST_HEADER // 2**10} KiB: look for a gateway that adds them",
        )
    if odd_http.begins(exchange.first_bytes):
        rule = odd_http.broken_rule(error.message)
        return PollError(
            Reason.HTTP,
            f"the reply of {server.address} breaks the rules of HTTP{rule and f': {rule}'}; look "
            "for a gateway that alters replies, or for an update of the server",
        )
    scheme = "" if server.endpoint.tls else ", and whether it must start with https://"
    return PollError(
        Reason.HTTP,
        f"the reply of {server.address} is not valid HTTP: check the port in url{scheme}",
    )


def _disconnected(error: aiohttp.ClientError, server: Server, exchange: Exchange) -> PollError:
    # half of a reply's head comes as the error's message, which is text if there was nothing
    half = isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str)
    if half or isinstance(error, aiohttp.ClientPayloadError) or exchange.first_bytes:
        return _broken_off(server)
    maybe = "this port uses TLS, use https:// in url"
    if server.endpoint.tls:
        maybe = f"it requires a client certificate, {tls_failures.set_certificate(server.tls)}"
    return PollError(
        Reason.DISCONNECTED,
        f"{server.address} closed the connection without a reply: if {maybe}; otherwise look "
        "for a crash or a restart of the server, or a gateway's limit",
    )


def _broken_off(server: Server) -> PollError:
    return PollError(
        Reason.DISCONNECTED,
        f"{server.address} closed the connection before its reply was complete: look for a crash "
        "or a restart of the server, or a gateway's limit",
    )


def _unexpected(causes: Sequence[BaseException], server: Server) -> PollError:
    """What libraries may raise besides. Their own words may quote a password."""
    if any(isinstance(cause, ValueError) for cause in causes):
        return PollError(
            Reason.CONNECT,
            "no valid request can be made: check host and port of url and of the proxy, and look "
            "for characters that HTTP does not allow in headers and auth",
        )
    if isinstance(causes[-1], httpx.NetworkError | ConnectionError):
        return _broken_off(server)
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno is not None:
            return _no_connection(cause, server)
    return PollError(Reason.INTERNAL, internal_error(causes[-1]))


def _not_connected(
    error: aiohttp.ClientConnectorError, server: Server, proxy: ChosenProxy | None
) -> PollError:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _not_resolved(error.host, proxy, getattr(error.os_error, "answer", None))
    if isinstance(error, aiohttp.ClientProxyConnectionError) and proxy is not None:
        return PollError(
            Reason.CONNECT,
            f"the proxy {proxy} cannot be reached: {_os_error(error.os_error)}; correct "
            f"{proxy.origin}; {proxy_failures.without(proxy, server)}",
        )
    if isinstance(error.os_error, ConnectionResetError):
        # while the connection is being made, only the TLS handshake can be reset
        return tls_failures.of_hang_up(tls_failures.Peer.server(server))
    if error.os_error.errno == errno.ECONNREFUSED:
        return PollError(
            Reason.CONNECT,
            f"{server.address} refused the connection: check the port in url, and that CC-CMS is "
            "running",
        )
    return _no_connection(error.os_error, server)


def _no_connection(error: OSError, server: Server) -> PollError:
    if error.errno in _TOO_MANY_OPEN:
        return PollError(
            Reason.CONNECT,
            f"no connection to {server.address}: {_os_error(error)} on this host; raise its limit "
            "(LimitNOFILE of the service, ulimit -n), or lower max_concurrency",
        )
    return PollError(
        Reason.CONNECT,
        f"{server.address} cannot be reached: {_os_error(error)}; check the address in url, routes "
        "and firewalls",
    )


def _not_resolved(host: str, proxy: ChosenProxy | None, answer: str | None) -> PollError:
    """A name without an address.

    `answer` is the refusal of the name servers; empty if none of them answered, None if there is no
    such name.
    """
    name, place = f"the name {host}", "the host in url"
    if proxy is not None:
        name, place = f"the name of the proxy {proxy}", proxy.origin
    if answer is None:
        message = f"{name} cannot be resolved: check {place}, and this host's DNS"
    elif answer:
        message = (
            f"the name servers cannot look up {name} ({answer}): check them, and the name servers "
            "in /etc/resolv.conf"
        )
    else:
        message = (
            f"no name server answered for {name}: check the name servers in /etc/resolv.conf, and "
            "firewalls in between"
        )
    return PollError(Reason.DNS, message)


def _os_error(error: OSError) -> str:
    """The system's text. asyncio's own may list every address tried, so take the number's."""
    if isinstance(error, socket.gaierror):
        # its numbers are not errno values
        return (error.strerror or "no address").lower()
    return os.strerror(error.errno).lower() if error.errno else "no connection"
