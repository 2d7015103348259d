"""The connections to one server: httpx's transport on aiohttp, with TLS, proxy and keep-alive.

`httpx.MockTransport` takes its place in tests. It hands requests to aiohttp itself: httpx-aiohttp
supports every kind of request, which would double the cost of a poll.

The parts of aiohttp's connector that the pool overrides are internal: tests on raw sockets hold
them to what they must do.
"""

import bisect
import functools
import math
import operator
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

import aiohttp
import httpx
import yarl
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection as Lease
from aiohttp.http import HttpProcessingError
from aiohttp.tracing import Trace
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import map_aiohttp_exceptions

from exporter.cms.connections import Connection, Exchange, Phase, current
from exporter.cms.odd_http import OddConnection, begins
from exporter.cms.proxy import chosen_proxy
from exporter.cms.proxy_failures import blames_proxy
from exporter.cms.reply_head import LONGEST_HEADER, MOST_HEADERS
from exporter.cms.resolver import Resolver
from exporter.cms.tls import ssl_context
from exporter.server import Server

_KEEPALIVE: Final = 75.0
"""Longer than a common interval, so that most polls find an open connection."""
_WATCHED: Final = 1.0
"""Seconds for which a connection with unread bytes is kept, to see whether they are a reply."""
_RESTED_AT: Final = operator.itemgetter(1)
"""Of an idle connection in the pool."""


class StaleConnectionError(httpx.ReadError):
    """The request is to be sent once more, over a new connection.

    A kept-alive connection turned out to be closed, or the reply is odd (see `odd_http`): from now
    on connections are made that read such replies.
    """


class Transport(AiohttpTransport):
    """httpx's transport interface, with aiohttp's C parser behind it.

    Args:
        server: whose connections these are.
        environ: where a proxy is looked up if the server names none.
        nameservers: whom to ask for its addresses; the system's if there are none.

    Raises:
        TlsFileError: a certificate, a key or ciphers cannot be used.
        ProxyAddressError: the environment's proxy cannot be used.
    """

    def __init__(
        self, server: Server, environ: Mapping[str, str], nameservers: Sequence[str] = ()
    ) -> None:
        self.proxy_in_use = chosen_proxy(server, environ)
        """The proxy that leads to the server, if there is one."""
        headers = self.proxy_in_use.headers if self.proxy_in_use else {}
        # aiohttp sends these to the proxy when it opens a tunnel, and there is none for http://
        self._proxy_headers = {} if server.endpoint.tls else headers
        self._tunnel_headers = headers if server.endpoint.tls and headers else None
        self._server_tls = server.endpoint.tls
        self._proxy_tls = self.proxy_in_use is not None and self.proxy_in_use.endpoint.tls
        # plain HTTP needs no authorities: to load the system's takes 30 ms for each server
        unused = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context = ssl_context(server.tls) if self._server_tls or self._proxy_tls else unused
        self._origin = server.endpoint.origin
        self._resolver = Resolver(nameservers)
        self._most_connections = 3 * server.max_concurrency
        super().__init__(verify=self._context, trust_env=False, client=self._session)

    def _session(self) -> aiohttp.ClientSession:
        """The session, made with the first request, because it needs a running event loop."""
        return aiohttp.ClientSession(
            connector=_Pool(self._most_connections, self._context, self._resolver),
            # a load balancer's cookie would tie every poll to one machine behind it
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # what a reply may have in the buffer, twice, while the client has no use for it
            read_bufsize=2**16,
            # twice of what any known gateway adds, and still bounded
            max_line_size=LONGEST_HEADER,
            max_field_size=LONGEST_HEADER,
            max_headers=MOST_HEADERS,
            # the client has one deadline for the whole poll
            timeout=aiohttp.ClientTimeout(total=None),
            proxy=self.proxy_in_use.endpoint.origin if self.proxy_in_use else None,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request. Raises `httpx.TransportError`, and its cause tells what happened.

        Its extension `exchange` says which connection it wants, and learns which one it got.
        """
        if self._proxy_headers:
            request.headers.update(self._proxy_headers)
        if not isinstance(self.client, aiohttp.ClientSession):
            self.client = self._session()
        exchange = request.extensions["exchange"]
        current.set(exchange)
        try:
            response = await self.client.request(
                request.method,
                # the bytes that were signed: yarl must not encode anything anew
                yarl.URL(self._origin + request.extensions["target"].decode(), encoded=True),
                headers=[(name.decode(), value.decode()) for name, value in request.headers.raw],
                # `Request.aread` takes five times as long
                data=b"".join(cast("httpx.ByteStream", request.stream)),
                allow_redirects=False,
                server_hostname=request.extensions.get("sni_hostname"),
                proxy_headers=self._tunnel_headers,
            )
        except aiohttp.ClientError as error:
            if self._reads_odd_heads_from_now_on(error, exchange):
                raise StaleConnectionError("the head of the reply is not valid HTTP") from error
            raise _translated(error, reused=not exchange.dialled) from error
        except (ValueError, OSError) as error:
            # a value that HTTP does not allow, or a socket that this host cannot open
            raise httpx.ConnectError("no request can be made") from error
        finally:
            if self._proxy_tls and (not self._server_tls or blames_proxy(exchange)):
                # the certificates were the proxy's
                exchange.certificate_expiry = None
        body = _Body(response, self._read_odd_replies)
        return httpx.Response(
            response.status, headers=response.raw_headers, stream=body, request=request
        )

    def _reads_odd_heads_from_now_on(self, error: aiohttp.ClientError, exchange: Exchange) -> bool:
        """Whether a reply was refused that may be read by a connection for odd ones."""
        odd = isinstance(error, aiohttp.ClientResponseError) and begins(exchange.first_bytes)
        if not odd or isinstance(exchange.connection, OddConnection):
            return False
        self._read_odd_replies()
        return True

    def _read_odd_replies(self) -> None:
        client = cast("aiohttp.ClientSession", self.client)
        cast("_Pool", client.connector).make(OddConnection)

    async def aclose(self) -> None:
        """Close the connections, and cancel lookups that are under way."""
        await super().aclose()
        await self._resolver.close()

    def drop_idle(self) -> None:
        """Close the connections that are not in use: the next request makes a new one."""
        if isinstance(self.client, aiohttp.ClientSession):
            cast("_Pool", self.client.connector).drop_idle()


class _Pool(aiohttp.TCPConnector):
    """The pool of connections to one server: which a request gets, and which are kept.

    A connection rests between two exchanges, so that a surplus reply is seen: see `connections`.
    At most `most` are kept, in use or not.
    """

    def __init__(self, most: int, context: ssl.SSLContext, resolver: Resolver) -> None:
        super().__init__(
            ssl=context,
            resolver=resolver,
            socket_factory=_dial,
            # the client bounds the requests in flight, so no limit is needed here
            limit=0,
            keepalive_timeout=_KEEPALIVE,
            # aiohttp's cache shields lookups from being cancelled; the resolver has its own
            use_dns_cache=False,
        )
        self._most = most
        self._kept_since = -math.inf
        self.make(Connection)

    def make(self, kind: type[Connection]) -> None:
        """Make connections of this kind from now on."""
        self._factory = cast(
            "functools.partial[ResponseHandler]",
            functools.partial(kind, self._loop, self._surplus_seen),
        )

    def drop_idle(self) -> None:
        """Close the connections that are not used, and those in use as soon as they are not."""
        self._kept_since = self._loop.time()
        for idle in self._conns.values():
            for connection, _ in idle:
                connection.close()
        self._conns.clear()

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Lease | None:  # noqa: ARG002
        """A kept connection that has rested, if the exchange may have one."""
        if current.get().fresh:
            return None
        idle = self._conns[key]
        now = self._loop.time()
        # at the limit the first idle one is taken even if it should rest longer: all others were
        # released after it, so it has rested for two exchanges on average. A new connection would
        # be closed after its first use
        while idle and (idle[0][1] <= now or len(idle) + len(self._acquired) >= self._most):
            # of those that have rested the last used: its memory is likely in the processor's cache
            place = max(0, bisect.bisect_right(idle, now, key=_RESTED_AT) - 1)
            connection = cast("Connection", idle[place][0])
            del idle[place]
            if not connection.may_be_used(now):
                connection.close()
            elif connection.has_received():
                self._watch(key, connection)
            else:
                self._acquired.add(connection)
                return Lease(self, key, connection, self._loop)
        return None

    def _release(
        self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False
    ) -> None:
        connection = cast("Connection", protocol)
        now = self._loop.time()
        rested_at = connection.end_exchange(now)
        idle = self._conns[key]
        before = len(idle)
        super()._release(
            key,
            protocol,
            should_close=should_close
            or connection.single_use
            or connection.made_at <= self._kept_since
            or now >= connection.expires_at
            or before + len(self._acquired) > self._most,
        )
        if len(idle) > before:
            # in the order in which they may be used again, which is nearly that of their release
            idle.pop()
            if idle and idle[-1][1] > rested_at:
                bisect.insort(idle, (connection, rested_at), key=_RESTED_AT)
            else:
                idle.append((connection, rested_at))

    def _watch(self, key: ConnectionKey, connection: Connection) -> None:
        """Stop using it, and watch it briefly for a surplus reply."""
        connection.retired = True
        watched = (connection, self._loop.time() + _WATCHED)
        bisect.insort(self._conns[key], watched, key=_RESTED_AT)

    def _surplus_seen(self, _connection: Connection) -> None:
        """The server sends more than it is asked for: let no kept connection be used again."""
        kept = [connection for idle in self._conns.values() for connection, _ in idle]
        for connection in [*kept, *self._acquired]:
            # a connection that is being made is a placeholder there
            if isinstance(connection, Connection):
                connection.retired = True


class _Body(httpx.AsyncByteStream):
    """The body of a reply, as it comes."""

    def __init__(self, response: aiohttp.ClientResponse, on_odd: Callable[[], None]) -> None:
        self._response = response
        self._on_odd = on_odd

    def __aiter__(self) -> "_Body":
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._response.content.readany()
        except (aiohttp.ClientError, HttpProcessingError) as error:
            if isinstance(error, HttpProcessingError):
                # too late to send this request again
                self._on_odd()
            raise _translated(error, reused=False) from error
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Give the connection back, or close it if there is more to read."""
        self._response.release()


def _translated(error: aiohttp.ClientError | HttpProcessingError, *, reused: bool) -> Exception:
    """What aiohttp raises, as httpx names it."""
    connecting = isinstance(error, aiohttp.ClientConnectorError)
    if reused and isinstance(error, aiohttp.ClientConnectionError) and not connecting:
        return StaleConnectionError(str(error))
    try:
        with map_aiohttp_exceptions():
            raise error
    except httpx.TransportError as translated:
        return translated
    except (aiohttp.ClientResponseError, HttpProcessingError):
        # httpx-aiohttp lets it through as it is
        return httpx.RemoteProtocolError("not valid HTTP")


def _dial(address: aiohttp.AddrInfoType) -> socket.socket:
    exchange = current.get()
    exchange.dialled = True
    family, kind, protocol, _, (host, port, *_) = address
    peer = f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"
    exchange.reached(Phase.CONNECTING, peer)
    return socket.socket(family, kind, protocol)
