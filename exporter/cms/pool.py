"""The pool of connections to one server: which of them a request gets, and which are kept.

A connection rests between two exchanges, so that a surplus reply is seen (see `connections.py`).
The parts of aiohttp's connector that are overridden here are internal: tests on raw sockets hold
them to what they must do.
"""

import bisect
import functools
import math
import operator
from typing import Any, Final, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection as Lease
from aiohttp.tracing import Trace

from exporter.cms.connections import Connection, current

_KEEPALIVE: Final = 75.0
"""Longer than a common interval, so that most polls find an open connection."""
_WATCHED: Final = 1.0
"""Seconds for which a connection with unread bytes is kept, to see whether they are a reply."""
_RESTED_AT: Final = operator.itemgetter(1)
"""Of an idle connection in the pool."""


class Pool(aiohttp.TCPConnector):
    """The connections to one server.

    Args:
        most: connections that are kept, in use or not.
        options: aiohttp's own.
    """

    def __init__(self, most: int, **options: Any) -> None:  # noqa: ANN401  # aiohttp's own
        # the client bounds the requests in flight, so no limit is needed here
        super().__init__(
            limit=0,
            keepalive_timeout=_KEEPALIVE,
            # aiohttp's cache shields lookups from being cancelled; the resolver has its own
            use_dns_cache=False,
            **options,
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
