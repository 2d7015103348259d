"""Every way in which a poll can fail, as one `PollError`: a reason, and a sentence that helps.

A sentence names the cause, and the key of the configuration or the place to look at. It contains no
secret, and nothing of a reply but its description of the error, its title, or the address that it
redirects to, shortened. Exceptions of the transport are classified by what caused them, because the
transport's own names mislead: a dropped connection is a `ConnectTimeout` there. What a reply says
is in `reply_failures`, what TLS says in `tls_failures`.
"""

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Final

import aiohttp
import httpx
from aiohttp.http_exceptions import HttpProcessingError

from exporter.cms import reply_failures, tls_failures
from exporter.cms.body import CodingError, TooLargeError
from exporter.cms.connections import LONGEST_HEADER, MOST_HEADERS, Exchange, Phase
from exporter.cms.proxy import ChosenProxy, ProxyAddressError
from exporter.cms.resolver import DnsSilentError
from exporter.errors import PollError, Reason, error_location, internal_error
from exporter.server import Server

_TOO_MANY_OPEN: Final = frozenset({errno.EMFILE, errno.ENFILE})


def of_no_turn(seconds: float) -> PollError:
    """A poll that could not start within so many seconds."""
    return PollError(
        Reason.TIMEOUT,
        f"no free slot for a poll within {seconds:g} s: raise max_concurrency or "
        "max_requests_per_second, or poll less often",
    )


def of_timeout(
    server: Server, seconds: float, page: int, exchange: Exchange, proxy: ChosenProxy | None = None
) -> PollError:
    """A poll that did not end within so many seconds, while it read that page."""
    if exchange.phase is Phase.RESOLVING:
        return PollError(Reason.DNS, _no_answer(exchange.peer, proxy))
    if exchange.phase is Phase.CONNECTING:
        named = exchange.peer if proxy is None else f"the proxy {proxy}"
        key = "url" if proxy is None else proxy.origin
        return PollError(
            Reason.CONNECT,
            f"no connection to {named} within {seconds:g} s: nothing answers at this address, or a "
            f"firewall drops packets; check {key}, routes and firewalls",
        )
    if exchange.phase is Phase.HANDSHAKE:
        return PollError(
            Reason.TIMEOUT,
            f"{server.address} did not complete the TLS handshake within {seconds:g} s: it is "
            "slow, or the port does not use TLS; check the port in url, and raise timeout if it is "
            "only slow",
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


def of_endless_rows(rows: int) -> PollError:
    """More rows than any VDN can have."""
    return PollError(
        Reason.TOO_LARGE,
        f"the server sent {rows} rows, more than any VDN's listing: check that url leads to CC-CMS",
    )


def of_defect(error: BaseException) -> PollError:
    """An error in the exporter itself."""
    return PollError(Reason.INTERNAL, internal_error(error))


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


def of_transport(  # noqa: PLR0911  # a sentence for each cause
    error: httpx.TransportError,
    server: Server,
    exchange: Exchange,
    now: float,
    proxy: ChosenProxy | None = None,
) -> PollError:
    """A request without a reply, or with half of one.

    Args:
        error: of the transport.
        server: that was asked.
        exchange: the request, and what became of it.
        now: epoch seconds by this host's clock.
        proxy: that the request was to go through.
    """
    if isinstance(error, ProxyAddressError):
        return PollError(
            Reason.CONNECT,
            f"the proxy address in {error} is not valid: it must look like http://host:port",
        )
    causes = list(_causes(error))
    if message := tls_failures.sentence(causes, server, now):
        return PollError(Reason.TLS, message)
    for cause in causes:
        match cause:
            case aiohttp.ClientHttpProxyError() if proxy is not None:
                return reply_failures.of_proxy_status(cause.status, proxy, server)
            case aiohttp.ClientConnectorError():
                return _not_connected(cause, server, proxy)
            case HttpProcessingError():
                return _not_http(cause, server, exchange)
            case (
                aiohttp.ServerDisconnectedError()
                | aiohttp.ClientPayloadError()
                | aiohttp.ClientOSError()
            ):
                return _disconnected(cause, server)
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
        return PollError(Reason.HTTP, message)
    if str(error.message).startswith(("Got more than", "Too many headers")):
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


def _disconnected(error: aiohttp.ClientError, server: Server) -> PollError:
    # half of a reply's head comes as the error's message, which is text if there was nothing
    half = isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str)
    if half or isinstance(error, aiohttp.ClientPayloadError) or server.endpoint.tls:
        return PollError(
            Reason.DISCONNECTED,
            f"{server.address} closed the connection before its reply was complete: look for a "
            "crash, a restart or a gateway's limit on its side",
        )
    return PollError(
        Reason.DISCONNECTED,
        f"{server.address} closed the connection without a reply: if this port uses TLS, use "
        "https:// in url; else look for a crash, a restart or a gateway's limit on its side",
    )


def _unexpected(causes: Sequence[BaseException], server: Server) -> PollError:
    """What libraries may raise besides. Their own words may quote a password."""
    if any(isinstance(cause, ValueError) for cause in causes):
        return PollError(
            Reason.CONNECT,
            "no valid request can be made: check host and port of url and of the proxy, and look "
            "for characters that HTTP does not allow in headers and auth",
        )
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno is not None:
            return PollError(Reason.CONNECT, _no_connection(cause, server))
    return PollError(
        Reason.DISCONNECTED,
        f"the request to {server.address} failed in a way that is not known "
        f"({error_location(causes[-1])}): please report it",
    )


def _not_connected(
    error: aiohttp.ClientConnectorError, server: Server, proxy: ChosenProxy | None
) -> PollError:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        silent = isinstance(error.os_error, DnsSilentError)
        message = (_no_answer if silent else _unknown_name)(error.host, proxy)
        return PollError(Reason.DNS, message)
    if isinstance(error, aiohttp.ClientProxyConnectionError) and proxy is not None:
        return PollError(
            Reason.CONNECT,
            f"the proxy {proxy} cannot be reached: {_os_error(error.os_error)}; correct "
            f"{proxy.origin}; {reply_failures.without(proxy, server)}",
        )
    if isinstance(error.os_error, ConnectionResetError):
        # while the connection is being made, only the TLS handshake can be reset
        return PollError(Reason.TLS, tls_failures.of_hang_up(server))
    if error.os_error.errno == errno.ECONNREFUSED:
        return PollError(
            Reason.CONNECT,
            f"{server.address} refused the connection: check the port in url, and that CC-CMS is "
            "running",
        )
    return PollError(Reason.CONNECT, _no_connection(error.os_error, server))


def _no_connection(error: OSError, server: Server) -> str:
    if error.errno in _TOO_MANY_OPEN:
        return (
            f"no connection to {server.address}: {_os_error(error)} on this host; raise its limit "
            "(LimitNOFILE of the service, ulimit -n), or lower max_concurrency"
        )
    return (
        f"{server.address} cannot be reached: {_os_error(error)}; check the address in url, routes "
        "and firewalls"
    )


def _no_answer(host: str, proxy: ChosenProxy | None) -> str:
    name = f"the name {host}" if proxy is None else f"the name of the proxy {proxy}"
    return (
        f"no name server answered for {name}: check the name servers in /etc/resolv.conf, and the "
        "firewalls on the way to them"
    )


def _unknown_name(host: str, proxy: ChosenProxy | None) -> str:
    if proxy is None:
        return f"the name {host} cannot be resolved: check the host in url, and this host's DNS"
    return (
        f"the name of the proxy {proxy} cannot be resolved: check {proxy.origin}, and this host's "
        "DNS"
    )


def _os_error(error: OSError) -> str:
    """The system's text. asyncio's own may list every address tried, so take the number's."""
    if isinstance(error, socket.gaierror):
        # its numbers are of its own
        return (error.strerror or "no address").lower()
    return os.strerror(error.errno).lower() if error.errno else "no connection"


def through(failure: PollError, proxy: ChosenProxy | None) -> PollError:
    """The failure, with the proxy named in it that the request went through, if there is one."""
    if proxy is None or str(proxy) in failure.message:
        return failure
    message = f"{failure.message}; the request went through the proxy {proxy}"
    return PollError(failure.reason, message, retry_after=failure.retry_after)
