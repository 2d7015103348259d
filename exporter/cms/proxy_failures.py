"""The sentences for failures of a proxy itself: before the server was reached, it is to blame."""

from collections.abc import Iterable, Sequence
from typing import Final

import aiohttp
import httpx
from aiohttp.http_exceptions import HttpProcessingError

from exporter.cms import tls_failures
from exporter.cms.connections import Exchange, Phase
from exporter.cms.foreign_text import ForeignText
from exporter.cms.proxy import ChosenProxy
from exporter.errors import Clue, PollError, Reason
from exporter.server import Server

_SCHEMES: Final = {"ntlm": "NTLM", "negotiate": "Negotiate", "digest": "Digest", "bearer": "Bearer"}
"""Ways to sign in that the exporter does not know."""
_NO_TUNNELS: Final = frozenset({404, 405, 501})
_UNREACHED: Final = frozenset({502, 503, 504})
_SIGN_IN: Final = 511
_ONLY_OF_SERVERS: Final = frozenset({Clue.PLAIN_HTTP, Clue.OTHER_NAME})
"""What says nothing of a server, if it is a proxy's."""


def blames_proxy(exchange: Exchange) -> bool:
    """Whether an exchange by way of a proxy had come to the proxy, and no further."""
    with_proxy = exchange.phase is Phase.HANDSHAKE and exchange.connection is None
    return with_proxy or exchange.phase is Phase.TUNNEL


def of_timeout(proxy: ChosenProxy, server: Server, seconds: float, exchange: Exchange) -> PollError:
    """A proxy that did not open its tunnel in time."""
    if exchange.phase is Phase.HANDSHAKE:
        message = (
            f"the TLS handshake with the proxy {proxy} did not end within {seconds:g} s: write "
            f"http:// into {proxy.origin} if it does not use TLS; otherwise it hangs"
        )
    else:
        message = (
            f"the proxy {proxy} did not answer within {seconds:g} s: it hangs, or cannot reach "
            f"{server.address}; check its log; {without(proxy, server)}"
        )
    return PollError(Reason.TIMEOUT, message)


def of_transport(  # noqa: PLR0913, PLR0917  # all that is known of one request
    causes: Sequence[BaseException],
    proxy: ChosenProxy,
    server: Server,
    exchange: Exchange,
    now: float,
    foreign: ForeignText,
) -> PollError:
    """A proxy that did not open its tunnel.

    `causes` are the error, and what caused it; `now` is in epoch seconds by this host's clock.
    """
    for cause in causes:
        if isinstance(cause, aiohttp.ClientHttpProxyError):
            offered = cause.headers.getall("proxy-authenticate", ()) if cause.headers else ()
            return of_status(cause.status, offered, proxy, server)
    itself = tls_failures.Peer.proxy(proxy, server)
    if failure := tls_failures.of_causes(causes, itself, exchange, now, foreign):
        # how the server is to be asked, it does not tell
        clue = None if failure.clue in _ONLY_OF_SERVERS else failure.clue
        return PollError(failure.reason, failure.message, clue=clue)
    if exchange.spoke_tls:
        message = f"the proxy {proxy} uses TLS: write https:// into {proxy.origin}"
    elif any(isinstance(cause, HttpProcessingError) for cause in causes):
        message = (
            f"the proxy {proxy} does not speak HTTP: check {proxy.origin}; SOCKS is not supported"
        )
    else:
        message = (
            f"the proxy {proxy} closed the connection without an answer: check {proxy.origin}, "
            f"whether it must start with https://, and the proxy's log; {without(proxy, server)}"
        )
    return PollError(Reason.CONNECT, message)


def of_status(status: int, offered: Iterable[str], proxy: ChosenProxy, server: Server) -> PollError:
    """A proxy that answers instead of the server. `offered` are values of `Proxy-Authenticate`."""
    if status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
        message = f"HTTP 407: the proxy {proxy} {_password(list(offered), proxy)}"
        return PollError(Reason.AUTH, message)
    if httpx.codes.is_redirect(status) or status == _SIGN_IN:
        what = f"requires a login before it connects to {server.address}"
        remedy = "ask for an exception for this host"
    elif status in _NO_TUNNELS:
        what = f"does not open a connection to {server.address}"
        remedy = f"check that {proxy.origin} leads to a proxy that supports CONNECT"
    elif status in _UNREACHED:
        what = f"cannot reach {server.address}"
        remedy = "check the address in url, and the path from the proxy to it"
    elif httpx.codes.is_server_error(status):
        what, remedy = f"failed to connect to {server.address}", "check the proxy's log"
    else:
        what = f"refuses to connect to {server.address}"
        remedy = "ask for this server to be added to the proxy's rules"
    return PollError(
        Reason.CONNECT,
        f"the proxy {proxy} {what} (HTTP {status}): {remedy}; {without(proxy, server)}",
    )


def without(proxy: ChosenProxy, server: Server) -> str:
    """How to reach a server without its proxy."""
    if proxy.origin == "proxy_url":
        remedy = "remove proxy_url"
    else:
        remedy = f"add {server.endpoint.host} to NO_PROXY"
    return f"if the server can be reached without a proxy, {remedy}"


def through(error: PollError, proxy: ChosenProxy | None) -> PollError:
    """The same failure, with the proxy that was used: it may be the cause."""
    if proxy is None or str(proxy) in error.message:
        return error
    return error.with_message(f"{error.message}; the request went through the proxy {proxy}")


def is_of_proxy(status: int, headers: httpx.Headers) -> bool:
    """Whether a proxy itself sent a reply: Squid says so, and so does RFC 9209."""
    return (
        status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED
        or "x-squid-error" in headers
        or "error=" in headers.get("proxy-status", "")
    )


def _password(offered: list[str], proxy: ChosenProxy) -> str:
    schemes = [value.strip().partition(" ")[0].lower() for value in offered]
    if schemes and "basic" not in " ".join(offered).lower():
        known = ", ".join(dict.fromkeys(_SCHEMES[name] for name in schemes if name in _SCHEMES))
        return (
            f"requires a login by {known or 'another way'}, and the exporter knows user and "
            "password only (Basic): ask for an exception for this host, or for Basic"
        )
    if proxy.headers:
        return f"rejects the user or password: correct them in {proxy.origin}"
    return f"requires a password: add user and password to {proxy.origin}"
