"""Every way in which a poll can fail, as one `PollError`: a reason, and a sentence that helps.

A sentence names the cause, and the key of the configuration or the place to look at. It contains no
secret, and no word of a reply that has not passed `foreign_text`. Exceptions of the transport are
classified by what caused them, because the transport's own names mislead: a dropped connection is
a `ConnectTimeout` there.
"""

import errno
import os
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import aiohttp
import httpx
from aiohttp.http_exceptions import LineTooLong

from exporter.cms import status_failures, tls_failures
from exporter.cms.body import CodingError, TooLargeError
from exporter.cms.connections import LONGEST_HEADER, MOST_HEADERS, Exchange, Phase
from exporter.cms.foreign_text import ForeignText
from exporter.cms.proxy import ChosenProxy
from exporter.cms.reply_meter import OverheadError
from exporter.cms.resolver import DnsSilentError
from exporter.cms.wire import MAX_ROWS, ResultError, SchemaError, TooManyRowsError
from exporter.errors import PollError, Reason, internal_error
from exporter.server import Server

_TITLE: Final = re.compile(rb"(?is)<title[^>]{0,200}>(.{1,400}?)</title>")
_SEARCHED: Final = 16 * 2**10
_TITLE_SHOWN: Final = 80
_TYPE_SHOWN: Final = 60

_DISCONNECTED: Final = (
    httpx.NetworkError,
    aiohttp.ServerDisconnectedError,
    aiohttp.ClientPayloadError,
    aiohttp.ClientOSError,
    ConnectionError,
)


def of_no_turn(seconds: float) -> PollError:
    """A poll that could not start within so many seconds."""
    return PollError(
        Reason.TIMEOUT,
        f"no free slot for a poll within {seconds:g} s: raise max_concurrency or "
        "max_requests_per_second, or poll less often",
    )


def of_timeout(server: Server, seconds: float, page: int, exchange: Exchange) -> PollError:
    """A poll that did not end within so many seconds, while it read that page."""
    if exchange.phase is Phase.RESOLVING:
        return PollError(Reason.DNS, _no_answer(exchange.peer, server))
    if exchange.phase is Phase.CONNECTING:
        return PollError(
            Reason.CONNECT,
            f"no connection to {exchange.peer} within {seconds:g} s: nothing answers at this "
            "address, or a firewall drops packets; check url, proxies, routes and firewalls",
        )
    if exchange.phase is Phase.HANDSHAKE:
        return PollError(
            Reason.TIMEOUT,
            f"the TLS handshake with {server.address} did not end within {seconds:g} s: check that "
            "the port in url uses TLS, or write http://; else the server hangs",
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


def of_endless_listing(pages: int, limit: int) -> PollError:
    """A listing that has more pages than any VDN can have."""
    return PollError(
        Reason.TOO_LARGE,
        f"the listing did not end after {pages} pages of {limit} rows: the server does not page "
        'correctly; if it sends all rows at once, set cti_version: "3.8"',
    )


def of_oversized_page(rows: int, limit: int) -> PollError:
    """A page with more rows than were asked for."""
    return PollError(
        Reason.SCHEMA,
        f"the server sent {rows} rows where a page of {limit} was requested: it does not page; "
        'set cti_version: "3.8"',
    )


def of_defect(error: BaseException) -> PollError:
    """An error in the exporter itself."""
    return PollError(Reason.INTERNAL, internal_error(error))


def of_no_json(body: bytes | bytearray, media_type: str, foreign: ForeignText) -> PollError:
    """A reply with status 200 that is something else: say what, as a browser would show it."""
    found = _TITLE.search(body[:_SEARCHED])
    title = foreign.sentence(found[1].decode(errors="replace"), _TITLE_SHOWN) if found else ""
    media_type = foreign.sentence(media_type, _TYPE_SHOWN)
    if "html" in media_type or body[:_SEARCHED].lstrip()[:1] == b"<":
        called = f' with the title "{title}"' if title else ""
        return PollError(
            Reason.DECODE,
            f"the reply is a web page{called} ({media_type or 'no content type'}), not JSON: check "
            "that url leads to CC-CMS and not to a login page or a gateway",
        )
    other = f" but {media_type}" if media_type and "json" not in media_type else ""
    return PollError(
        Reason.DECODE,
        f"the reply is not valid JSON{other}: check that url leads to CC-CMS and not to a login "
        "page or a gateway",
    )


def through(error: PollError, proxy: ChosenProxy | None) -> PollError:
    """The same failure, with the proxy that was used: it may be the cause."""
    if proxy is None or proxy.shown in error.message:
        return error
    message = f"{error.message} (proxy: {proxy.shown})"
    return PollError(error.reason, message, retry_after=error.retry_after)


def of_result(error: ResultError, foreign: ForeignText, names: Collection[str] | None) -> PollError:
    """A reply that says that the query failed.

    Args:
        error: what it says.
        foreign: for its words.
        names: of agents, in the same reply; None if there are too many to tell.
    """
    code = "" if names is None else foreign.code(error.code, names)
    shown = f"result code {code}" if code else "a result code that is none of CC-CMS's"
    description = "" if names is None else foreign.sentence(error.description, names=names)
    return PollError(
        Reason.API,
        f"the server returned {shown}{f' ({description})' if description else ''}: check ccId and "
        "vdn, the rights of the access key, and the vendor's Error Code Reference",
    )


def of_reply(error: TooManyRowsError | SchemaError, server: Server) -> PollError:
    """A reply with status 200 that has no counters."""
    if isinstance(error, TooManyRowsError):
        return PollError(
            Reason.TOO_LARGE,
            f"the server sent more than {MAX_ROWS} rows, more than any VDN's listing: check that "
            "url leads to CC-CMS",
        )
    return PollError(
        Reason.SCHEMA,
        f"the reply does not match the interface: {error}; check that api: {server.api.value} "
        "fits the server's release",
    )


def of_body(error: TooLargeError | CodingError) -> PollError:
    """A body with status 200 that cannot be read."""
    if isinstance(error, TooLargeError):
        return PollError(Reason.TOO_LARGE, error.sentence)
    return PollError(
        Reason.DECODE,
        "the reply cannot be decompressed: look for a gateway that alters or truncates replies",
    )


def of_transport(
    error: httpx.TransportError, server: Server, foreign: ForeignText, *, spoke_tls: bool = False
) -> PollError:
    """A request without a reply, or with half of one.

    Args:
        error: of the transport.
        server: that was asked.
        foreign: for what it says.
        spoke_tls: whether the reply was a message of TLS.
    """
    causes = list(_causes(error))
    if message := tls_failures.sentence(causes, server, foreign):
        return PollError(Reason.TLS, message)
    if failure := next(filter(None, (_not_connected(cause, server) for cause in causes)), None):
        return failure
    if isinstance(error, httpx.RemoteProtocolError):
        return _not_http(causes, server, spoke_tls=spoke_tls)
    if any(isinstance(cause, _DISCONNECTED) for cause in causes):
        return PollError(
            Reason.DISCONNECTED,
            f"{server.address} closed the connection before its reply was complete: look for a "
            "crash, a restart or a gateway's limit on its side",
        )
    return of_defect(causes[-1])


def _not_http(causes: Sequence[BaseException], server: Server, *, spoke_tls: bool) -> PollError:
    if spoke_tls:
        return PollError(
            Reason.HTTP,
            f"{server.address} uses TLS: write https:// instead of http:// into url",
        )
    if any(isinstance(cause, LineTooLong) or "Too many headers" in str(cause) for cause in causes):
        return PollError(
            Reason.TOO_LARGE,
            f"the reply of {server.address} has more than {MOST_HEADERS} headers, or one of more "
            f"than {LONGEST_HEADER // 2**10} KiB: look for a gateway that adds them",
        )
    return PollError(
        Reason.HTTP,
        f"the reply of {server.address} is not valid HTTP: check the port in url, and whether it "
        "must start with https://",
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


def _not_connected(error: BaseException, server: Server) -> PollError | None:
    if isinstance(error, OverheadError):
        return PollError(Reason.TOO_LARGE, str(error))
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return status_failures.of_proxy_status(error.status)
    if isinstance(error, aiohttp.ClientConnectorError):
        return _no_connection(error, server)
    return None


def _no_connection(error: aiohttp.ClientConnectorError, server: Server) -> PollError:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        if isinstance(error.os_error, DnsSilentError):
            return PollError(Reason.DNS, _no_answer(error.host, server))
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
            "url, its TLS versions and ciphers (tls.min_version, tls.ciphers), and whether it "
            "requires a client certificate (tls.cert_file)",
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


def _no_answer(host: str, server: Server) -> str:
    proxy = "the name" if host == server.endpoint.host else "the proxy's name"
    return (
        f"no name server answered for {proxy} {host}: check the name servers in "
        "/etc/resolv.conf, and the firewalls on the way to them"
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
