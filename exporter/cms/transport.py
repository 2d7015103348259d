"""The connections to one server: httpx's transport on aiohttp, with TLS, proxy and keep-alive.

`httpx.MockTransport` takes its place in tests. It hands requests to aiohttp itself: httpx-aiohttp
supports every kind of request, which would double the cost of a poll.
"""

import socket
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import map_aiohttp_exceptions

from exporter.cms.proxy import ProxyAddressError, ProxyInUse, environment_proxy, usable_proxy
from exporter.cms.reply_headers import MAX_HEADER_BYTES, MAX_HEADERS
from exporter.cms.tls import ssl_context
from exporter.server import Server

_KEEPALIVE: Final = 75.0
"""Longer than a common interval, so that polls meet an open connection."""

_dialled: ContextVar[list[aiohttp.AddrInfoType]] = ContextVar("_dialled")
"""The addresses that connections were opened to for the request of this task."""


class StaleConnectionError(httpx.ReadError):
    """A kept-alive connection turned out to be closed: no reply had begun."""


class Transport(AiohttpTransport):
    """httpx's transport interface, with aiohttp's C parser behind it.

    Args:
        server: whose connections these are.
        environ: where a proxy is looked up if the server names none.

    Raises:
        TlsFileError: a certificate or key cannot be used.
    """

    def __init__(self, server: Server, environ: Mapping[str, str]) -> None:
        configured = server.proxy_url
        address = configured.loaded if configured else environment_proxy(server.url, environ)
        proxy = usable_proxy(address) if address else None
        origin = "proxy_url" if configured else f"{urlsplit(server.url).scheme.upper()}_PROXY"
        self._unusable_proxy = origin if address and not proxy else None
        self.proxy_in_use = _in_use(proxy, origin) if proxy else None
        """The proxy that requests go through."""
        # aiohttp sends these to the proxy when it opens a tunnel, and there is none for http://
        tunnel = server.url.startswith("https:")
        self._proxy_headers = dict(proxy.headers) if proxy and not tunnel else {}
        self._tunnel_headers = dict(proxy.headers) if proxy and tunnel else None
        self._context = ssl_context(server.tls)
        self._limit = server.max_concurrency
        super().__init__(verify=self._context, trust_env=False, proxy=proxy, client=self._session)

    def _session(self) -> aiohttp.ClientSession:
        """The session, made with the first request, because it needs a running event loop."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._limit,
                ssl=self._context,
                keepalive_timeout=_KEEPALIVE,
                socket_factory=_dial,
            ),
            # a load balancer's cookie would tie every poll to one machine behind it
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
            # the client has one deadline for the whole poll
            timeout=aiohttp.ClientTimeout(total=None),
            proxy=str(self.proxy.url) if self.proxy else None,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request. Raises `httpx.TransportError`, and its cause tells what happened."""
        if self._unusable_proxy:
            raise ProxyAddressError(self._unusable_proxy)
        if self._proxy_headers:
            request.headers.update(self._proxy_headers)
        if not isinstance(self.client, aiohttp.ClientSession):
            self.client = self._session()
        dialled: list[aiohttp.AddrInfoType] = []
        # aiohttp may dial in tasks of its own: they inherit the same list
        _dialled.set(dialled)
        try:
            response = await self.client.request(
                request.method,
                str(request.url),
                headers=[(name.decode(), value.decode()) for name, value in request.headers.raw],
                data=await request.aread(),
                allow_redirects=False,
                server_hostname=request.extensions.get("sni_hostname"),
                proxy_headers=self._tunnel_headers,
            )
        except aiohttp.ClientError as error:
            raise _translated(error, reused=not dialled) from error
        except (ValueError, OSError) as error:
            # a host or a port that only looks right, or a socket that this host cannot open
            raise httpx.ConnectError("no connection") from error
        return httpx.Response(
            response.status, headers=response.raw_headers, stream=_Body(response), request=request
        )


class _Body(httpx.AsyncByteStream):
    """The body of a reply, as it comes."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    def __aiter__(self) -> "_Body":
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._response.content.readany()
        except aiohttp.ClientError as error:
            raise _translated(error, reused=False) from error
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Give the connection back, or close it if there is more to read."""
        self._response.release()


def _dial(address: aiohttp.AddrInfoType) -> socket.socket:
    _dialled.get().append(address)
    family, kind, protocol, *_ = address
    return socket.socket(family, kind, protocol)


def _in_use(proxy: httpx.Proxy, origin: str) -> ProxyInUse:
    host = f"[{proxy.url.host}]" if ":" in proxy.url.host else proxy.url.host
    port = proxy.url.port or (443 if proxy.url.scheme == "https" else 80)
    return ProxyInUse(f"{host}:{port}", origin, "proxy-authorization" in proxy.headers)


def _translated(error: aiohttp.ClientError, *, reused: bool) -> Exception:
    """What aiohttp raises, as httpx names it."""
    connecting = isinstance(error, aiohttp.ClientConnectorError)
    if reused and isinstance(error, aiohttp.ClientConnectionError) and not connecting:
        return StaleConnectionError(str(error))
    try:
        with map_aiohttp_exceptions():
            raise error
    except httpx.TransportError as translated:
        return translated
    except aiohttp.ClientResponseError:
        # httpx-aiohttp lets it through as it is
        return httpx.RemoteProtocolError("not valid HTTP")
