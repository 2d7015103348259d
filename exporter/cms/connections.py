"""A connection to one server, and what keeps a reply from being taken for another's.

Replies carry no VDN. One that nobody asked for (a duplicate, a late 408, the rest of an exchange
that had ended) would be read as the answer to whatever is asked next on its connection, and shift
every answer after it. So a connection that receives anything while no request is under way is
never used again. The surplus reply can also arrive just after the next request has gone out; that
request's own reply then arrives with nobody waiting for it, and everything that the connection has
answered becomes doubtful. To see that, a connection rests between two exchanges.

aiohttp has no public hook for this: the parts of its protocol that are overridden here are
internal, and tests on raw sockets hold them to what they must do.
"""

import asyncio
import select
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.helpers import _EXC_SENTINEL as _UNSET
from aiohttp.http import HttpProcessingError, RawResponseMessage

from exporter.clock import Moment
from exporter.cms.reply_head import MAX_HEAD, OverheadError, is_too_much, length_of_reply

LONGEST_LIFE: Final = 300.0
"""Seconds after which a connection is replaced: a name may lead to another machine by then."""

_AT_ONCE: Final = 2**16
"""Bytes that are parsed before a look at how much there is around the reply. A loop may read four
times as many."""

_RECENT: Final = 4
"""Exchanges of a connection whose durations are remembered. With more, one slow reply keeps it out
of use for many quick ones, and others are opened in its place."""

_TLS_RECORDS: Final = frozenset({b"\x15\x03", b"\x16\x03"})
"""How an alert and a handshake begin."""

_BEGINNING: Final = 5
"""Bytes that tell HTTP from TLS."""

Vdn = tuple[int, int]
"""Call center and VDN."""


class Phase(Enum):
    """How far a request has come; a time-out names this step."""

    RESOLVING = auto()
    CONNECTING = auto()
    HANDSHAKE = auto()
    TUNNEL = auto()
    """A proxy was asked to connect."""
    ASKED = auto()


@dataclass(slots=True, eq=False)
class Exchange:
    """One request and its reply: which connection it wants, and which one it got."""

    on_surplus: Callable[["Connection"], None]
    """Called when its connection receives an unexpected reply."""
    fresh: bool = False
    """It wants a new connection."""
    single_use: bool = False
    """Its connection is not kept."""
    phase: Phase = Phase.ASKED
    peer: str = ""
    """The name that is being looked up, or the address that is being dialled."""
    dialled: bool = False
    """Whether a connection was opened for it."""
    first_bytes: bytes = b""
    """`_BEGINNING` at most, of the reply."""
    certificate_expiry: float | None = None
    """If a TLS handshake was made for it: when the first certificate that the server showed
    expires, in epoch seconds."""
    connection: "Connection | None" = None
    position: int = 0
    """Its place among the exchanges on its connection, from 1."""

    def reached(self, phase: Phase, peer: str = "") -> None:
        """The request has come this far, with that peer if one is being looked up or dialled."""
        self.phase, self.peer = phase, peer

    def received(self, data: bytes) -> None:
        """Bytes of the reply have come. Called until `first_bytes` is complete."""
        self.first_bytes = (self.first_bytes + data)[:_BEGINNING]

    @property
    def spoke_tls(self) -> bool:
        """Whether the reply began with a message of TLS."""
        return self.first_bytes[:2] in _TLS_RECORDS

    @property
    def doubtful(self) -> bool:
        """Whether its reply may be another request's. The first one of a connection never is."""
        return self.connection is not None and self.connection.tainted and self.position > 1

    def answered(self, vdn: Vdn, ended: Moment) -> None:
        """Remember a poll that this exchange has answered, in case that it becomes doubtful."""
        if self.connection is not None and self.position > 1:
            self.connection.answers[vdn] = ended


current: Final = ContextVar[Exchange]("current")
"""The exchange of this task. aiohttp may dial in tasks of its own, which inherit it."""


class Connection(ResponseHandler):
    """One connection: aiohttp's protocol, with an eye on what arrives while nothing was asked.

    Args:
        loop: that it belongs to.
        on_surplus: called with it at its first surplus reply.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_surplus: Callable[["Connection"], None]
    ) -> None:
        super().__init__(loop)
        self.tainted = False
        """Whether an unexpected reply has come."""
        self.answers: dict[Vdn, Moment] = {}
        """When each poll that it has answered ended; without its first exchange, which is never
        doubtful."""
        self.made_at: float = loop.time()
        self.expires_at = self.made_at + LONGEST_LIFE
        self.single_use = False
        self.retired = False
        """No more requests use it; it is only watched for surplus replies."""
        self._on_surplus = on_surplus
        self._exchanges = 0
        self._asked_at = self.made_at
        self._under_way = False
        self._durations = deque[float](maxlen=_RECENT)
        self._reply: aiohttp.StreamReader | None = None
        self._exchange: Exchange | None = None
        self._params: dict[str, Any] = {}
        self._received = 0
        """Bytes that came during this exchange."""
        self._parsing = False
        self._unread: select.poll | None = None
        self._refusal: OverheadError | None = None
        self._only_segment: bytes | None = None
        """All that this exchange has received, if it came in one piece."""

    def set_response_params(self, **params: Any) -> None:  # noqa: ANN401  # aiohttp's own
        """A request is about to be sent."""
        exchange = current.get()
        exchange.connection = self
        self._exchange = exchange
        self._exchanges += 1
        exchange.position = self._exchanges
        # for the request to a proxy aiohttp sets hardly anything
        exchange.reached(Phase.ASKED if "timer" in params else Phase.TUNNEL)
        self.single_use = exchange.single_use
        self._reply = None
        self._received = 0
        self._only_segment = b""
        self._params = params
        self._under_way = True
        self._asked_at = self._loop.time()
        super().set_response_params(**params)

    def feed_data(
        self, data: tuple[RawResponseMessage, aiohttp.StreamReader], size: int = 0
    ) -> None:
        """A reply has begun, or an interim one."""
        if self._reply is not None:
            self._surplus()
            return
        message, payload = data
        if message.code >= 200 or message.code == 101:  # noqa: PLR2004  # not an interim status
            self._reply = payload
            if self._exchange is not None and self._exchange.phase is Phase.TUNNEL:
                message = _tunnel_reply(message)
            super().feed_data((message, payload), size)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if len(data) <= _AT_ONCE:
            self.take(data)
            return
        for start in range(0, len(data), _AT_ONCE):
            if self._refusal is None:
                self.take(data[start : start + _AT_ONCE])

    def take(self, data: bytes) -> None:
        """Handle at most `_AT_ONCE` bytes."""
        if (self._under_way and not self._has_read_all()) or not data or not self._exchanges:
            self._only_segment = data if self._only_segment == b"" else None
            exchange = self._exchange
            if exchange is not None and len(exchange.first_bytes) < _BEGINNING:
                exchange.received(data)
            self._received += len(data)
            self._parsing = True
            super().data_received(data)
            self._parsing = False
            if not self._under_way and self._has_read_all() and self._holds_unread_bytes():
                self._surplus()
            if self._received > MAX_HEAD:
                self._refuse_excess()
            return
        self.force_close()
        if data.strip(b"\r\n"):
            self._surplus()
        if self.transport is not None:
            self.transport.close()

    def set_exception(self, exc: BaseException, exc_cause: BaseException = _UNSET) -> None:
        """The exchange has failed, unless a whole reply came before the bytes that made it fail."""
        if self._refusal is not None:
            super().set_exception(self._refusal)
            return
        segment, self._only_segment = self._only_segment, None
        if isinstance(exc, HttpProcessingError) and segment:
            length = length_of_reply(segment)
            if 0 < length < len(segment):
                super().set_response_params(**self._params)
                super().data_received(segment[:length])
                if self._reply is not None:
                    self._surplus()
                return
        super().set_exception(exc, exc_cause)
        if isinstance(exc, HttpProcessingError) and self._reply and not self._reply.is_eof():
            self._reply.set_exception(exc)  # or its reader would wait for the end

    def end_exchange(self, now: float) -> float:
        """The exchange is over. Unless it ended cleanly, the connection is not used again.

        Returns:
            When it may be used again: after a silence as long as its slowest recent exchange. If a
            surplus reply has answered the last one, that one's own reply arrives by then.
        """
        self._under_way = False
        self._durations.append(now - self._asked_at)
        if not self._has_read_all():
            self.force_close()
        # a parser that is at work cannot be asked what it holds: `take` does that afterwards
        elif not self._parsing and self._holds_unread_bytes():
            self._surplus()
        return now + max(self._durations)

    def may_be_used(self, now: float) -> bool:
        """Whether it can still be used."""
        return (
            not self.retired
            and now < self.expires_at
            and self.is_connected()
            and not self.should_close
        )

    def has_received(self) -> bool:
        """Whether the socket holds bytes, or its end, that the loop has not read yet."""
        if self._unread is None:
            transport = cast("asyncio.Transport", self.transport)
            self._unread = select.poll()
            self._unread.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(self._unread.poll(0))

    def _has_read_all(self) -> bool:
        return self._reply is not None and self._reply.is_eof()

    def _holds_unread_bytes(self) -> bool:
        """Whether another reply has begun right after the last one."""
        try:
            return self._parser is not None and self._parser.feed_eof() is not None
        except Exception:  # noqa: BLE001  # bytes that it cannot parse are surplus as well
            return True

    def _refuse_excess(self) -> None:
        """Read no more of this reply if there is too much around it."""
        # a parser that waits for the reader keeps bytes of the body
        if self._reading_paused or self.transport is None:
            return
        body = None if self._reply is None else self._reply.total_bytes
        if self._refusal is not None or not is_too_much(self._received, body):
            return
        self._refusal = OverheadError()
        self.set_exception(self._refusal)
        if self._reply is not None:
            self._reply.set_exception(self._refusal)
        # when the connection is lost, nothing must take the place of that error
        self._parser = self._payload = None
        self.transport.abort()

    def _surplus(self) -> None:
        self.force_close()
        if not self.tainted:
            self.tainted = True
            self._on_surplus(self)
            if self._exchange is not None:
                self._exchange.on_surplus(self)


def _tunnel_reply(message: RawResponseMessage) -> RawResponseMessage:
    """With status 200 if the proxy has connected: any 2xx says so (RFC 9110, 9.3.6)."""
    if not 200 < message.code < 300:  # noqa: PLR2004
        return message
    return RawResponseMessage(
        message.version,
        200,
        message.reason,
        message.headers,
        message.raw_headers,
        message.should_close,
        message.compression,
        message.upgrade,
        message.chunked,
    )
