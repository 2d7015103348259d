"""One CC-CMS server: when it may be asked, and a poll of one VDN from signature to snapshot.

The source of the interface is the vendor's page *Querying Agent Rest Information*.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import httpx

from exporter import log_messages
from exporter.clock import Clock, Moment
from exporter.cms import (
    agent_names,
    body,
    failures,
    proxy_failures,
    status_failures,
    wire,
)
from exporter.cms.agent_names import NamedRow
from exporter.cms.connections import Connection, Exchange
from exporter.cms.foreign_text import ForeignText, secrets_of
from exporter.cms.limits import MAX_REPLY_BYTES, Allowance, Capacity, Decode, RateLimit
from exporter.cms.progress import MakeExchange, Progress, of_no_turn
from exporter.cms.reply_head import content_type, date_and_coding, http_date
from exporter.cms.requests import Requests, with_secrets
from exporter.cms.transport import StaleConnectionError, Transport
from exporter.errors import PollError, PollResult, Reason, internal_error
from exporter.rest import Asked, Row, Snapshot
from exporter.server import Auth, Server
from exporter.store import ServerCondition, ServerStats

_HALF_A_SECOND: Final = 0.5
"""`Date` is cut to whole seconds: on average it is half a second too early."""

SINGLE_USE: Final = 3600.0
"""Seconds for which no connection is used twice after a server has sent a surplus reply."""

_WITHOUT_BODY: Final = frozenset({httpx.codes.NO_CONTENT, httpx.codes.RESET_CONTENT})
_NO_END: Final = contextlib.nullcontext()


@dataclass(frozen=True, slots=True)
class Inspection:
    """A poll, and every row that it has read, in the order sent."""

    result: PollResult
    rows: tuple[NamedRow, ...]


class CmsClient:
    """Polls one server, within its concurrency and rate limits.

    Args:
        server: its address and settings.
        transport: sends requests; the client closes it.
        clock: for signatures and the rate limit; its monotonic part must be the event loop's.
        max_reply_bytes: of one reply.

    Raises:
        Exception: a secret cannot be read.
    """

    def __init__(
        self,
        server: Server,
        transport: httpx.AsyncBaseTransport,
        clock: Clock,
        *,
        max_reply_bytes: int = MAX_REPLY_BYTES,
    ) -> None:
        self.server = server
        self.stats = ServerStats()
        """Where requests are counted; set it to one that outlives this client."""
        self.condition = ServerCondition()
        """What this client has found out about the server."""
        self.on_doubt: Callable[[int, int, Moment, PollError], None] = lambda *_: None
        """Called for each poll that may have been answered by another's reply, after it has ended:
        with ccId, vdn, the poll's end, and why it counts as failed."""
        self._transport = transport
        self._proxy = transport.proxy_in_use if isinstance(transport, Transport) else None
        self._clock = clock
        self._max_reply_bytes = max_reply_bytes
        self._slots = asyncio.Semaphore(server.max_concurrency)
        self._capacity = Capacity(server.max_concurrency)
        self.rate_limit = RateLimit(server.max_requests_per_second, clock)
        """When the next request may start."""
        self._auth = self._first_auth = with_secrets(server.auth, lambda source: source.loaded)
        self._foreign = self._foreign_text()
        self._requests = Requests(server, clock)
        paged, bounds = server.page_size is not None, bool(server.rest_bounds)
        self._asked = Asked(server.begin_time_unit, paged, 0, bounds)

    def free_by(self, waiting_since: float) -> float:
        """When a poll that waits for its turn can start at the latest, in monotonic seconds.

        Every poll under way ends within `timeout`; a rate limit, or a pause that the server asked
        for, can delay the next one.
        """
        return max(waiting_since, self.rate_limit.next_start) + self.server.timeout

    async def poll(  # noqa: PLR0913  # by name, and most callers give two
        self,
        cc_id: int,
        vdn: int,
        *,
        within: float = math.inf,
        share: asyncio.Semaphore | None = None,
        on_start: Callable[[], None] = lambda: None,
        decode: Decode = wire.decode,
        exchange: MakeExchange = Exchange,
    ) -> PollResult:
        """Poll one VDN, every page of it, once a slot is free and the rate limit allows it.

        Raises nothing but cancellation. All of it may take `within` seconds, waiting included; the
        poll itself has `timeout` seconds in any case. Polls with the same `share` are limited among
        themselves as well: they are probes, whose numbers nobody keeps. `on_start` is called when
        the poll starts. `decode` decodes its replies, and `exchange` makes each of its exchanges:
        `Steps` has some that report what they do.
        """
        asked = self._clock()
        held: list[asyncio.Semaphore] = []
        # one that never ends costs as much as one that does
        patience = _NO_END if within == math.inf else asyncio.timeout(within)
        try:
            try:
                async with patience:
                    for semaphore in (self._slots,) if share is None else (share, self._slots):
                        await semaphore.acquire()
                        held.append(semaphore)
                    await self.rate_limit.wait()
            except TimeoutError:
                ended = self._clock()
                failure = of_no_turn(within, self.condition.pause(ended))
                return PollResult(asked, ended, None, failure)
            on_start()
            started = self._clock()
            left = within - (started.monotonic - asked.monotonic)
            allowance, stored = Allowance(self._capacity), share is None
            progress = Progress(decode, allowance, exchange, within, stored, started)
            return await self._poll(cc_id, vdn, started, min(left, self.server.timeout), progress)
        finally:
            for semaphore in held:
                semaphore.release()

    async def inspect(self, cc_id: int, vdn: int) -> Inspection:
        """Poll one VDN for a person: with the rows, and their agents' names."""
        rows: list[NamedRow] = []
        result = await self.poll(cc_id, vdn, decode=agent_names.decoder(rows))
        return Inspection(result, tuple(rows))

    def drop_idle(self) -> None:
        """Close the connections that are not in use: an address may lead elsewhere by now."""
        if isinstance(self._transport, Transport):
            self._transport.drop_idle()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def _poll(
        self, cc_id: int, vdn: int, started: Moment, seconds: float, progress: Progress
    ) -> PollResult:
        snapshot, failure = None, None
        self.stats.in_flight += 1
        deadline = asyncio.timeout(seconds)
        try:
            async with deadline:
                snapshot = await self._listing(cc_id, vdn, progress)
        except PollError as error:
            # its traceback leads to what it came from: a reply, or a proxy's password
            failure = error.with_traceback(None)
            failure.__context__ = None
        except Exception as error:  # noqa: BLE001  # whatever it is, only this poll fails
            if deadline.expired() and progress.moved is not None:
                snapshot = progress.moved
            elif deadline.expired():
                pause = self.condition.pause(self._clock())
                failure = progress.out_of_time(self.server, self._proxy, seconds, pause)
            else:
                failure = PollError(Reason.INTERNAL, internal_error(error))
        finally:
            self.stats.in_flight -= 1
            progress.allowance.release()
        for exchange in progress.exchanges:
            if exchange.doubtful:
                snapshot, failure = None, failures.of_surplus_reply(self.server)
        ended = self._clock()
        if failure is not None:
            failure = self._failed(failure)
        elif progress.stored:
            for exchange in progress.exchanges:
                exchange.answered((cc_id, vdn), ended)
        return PollResult(
            started,
            ended,
            snapshot,
            failure,
            progress.requests,
            progress.clock_skew,
            snapshot is not None and progress.moved is not None,
            progress.listed,
        )

    def _failed(self, failure: PollError) -> PollError:
        """What a failed poll means for the next ones, and its failure, as it is shown."""
        if failure.reason is not Reason.API:
            # the name may lead to another machine by now; CC-CMS itself sends a result code
            self.drop_idle()
        if failure.retry_after:
            now = self._clock()
            self.rate_limit.pause(now.monotonic, failure.retry_after)
            # a longer pause may have been asked for before
            pause = self.rate_limit.delay(now.monotonic)
            self.condition.paused_until = now.boot + pause
        return proxy_failures.through(failure, self._proxy)

    async def _listing(self, cc_id: int, vdn: int, progress: Progress) -> Snapshot:
        limit = self.server.page_size
        if limit is None:
            reply = await self._ask(wire.request_body(cc_id, vdn), progress)
            if len(reply.rows) > wire.MAX_ROWS:
                raise failures.of_reply(wire.TooManyRowsError(), self.server)
            return await self._reduce(reply, reply.rows, progress)
        while True:
            again = progress.moved is not None
            reply, listing = await self._pages(cc_id, vdn, limit, progress)
            # counters and rows are two queries on 3.6: take the counters nearest to the end
            snapshot = await self._reduce(reply, listing.rows, progress)
            progress.moved = snapshot if listing.moved else None
            if again or not listing.moved:
                return snapshot

    async def _pages(
        self, cc_id: int, vdn: int, limit: int, progress: Progress
    ) -> tuple[wire.Reply, wire.Listing]:
        """The last page of a listing, and all of it."""
        listing = wire.Listing(limit)
        while listing.pages < wire.MAX_PAGES:
            progress.page = listing.pages + 1
            if progress.requests:
                progress.paced = True
                await self.rate_limit.wait()
                progress.paced = False
            question = wire.request_body(cc_id, vdn, listing.offset, limit)
            reply = await self._ask(question, progress)
            if len(reply.rows) > limit:
                raise failures.of_oversized_page(len(reply.rows), limit)
            if listing.add(reply):
                return reply, listing
        raise failures.of_endless_listing(limit)

    async def _reduce(self, reply: wire.Reply, rows: Sequence[Row], progress: Progress) -> Snapshot:
        progress.listed = progress.replied.boot
        server_time = progress.replied.wall + (progress.clock_skew or 0.0)
        snapshot = await self._capacity.reduce(reply.counters, rows, server_time, self._asked)
        if snapshot.rows > self._asked.largest_listing:
            self._asked = self._asked._replace(largest_listing=snapshot.rows)
        return snapshot

    async def _ask(self, question: bytes, progress: Progress) -> wire.Reply:
        """One request; sent once more if the secrets have changed since they were refused."""
        refused = self._auth
        try:
            reply = await self._send(question, progress)
        except PollError as error:
            # another poll may have read them again while this one was under way
            if error.reason is not Reason.AUTH or self._read_auth_again() == refused:
                raise
            reply = await self._send(question, progress)
        try:
            return await self._capacity.decode(
                progress.decode, reply, self.server.api, first=progress.page == 1
            )
        except wire.DecodeError:
            raise failures.of_no_json(
                reply, content_type(progress.headers), self._foreign
            ) from None
        except wire.ResultError as error:
            names = agent_names.mentioned(reply)
            raise failures.of_result(error, self.server, self._foreign, names) from None
        except (wire.TooManyRowsError, wire.SchemaError) as error:
            raise failures.of_reply(error, self.server) from None

    def _read_auth_again(self) -> Auth:
        # a secret file that is missing or half written must not hide what the server said
        with contextlib.suppress(Exception):
            self._auth = with_secrets(self.server.auth, lambda source: source.read())
            self._foreign = self._foreign_text()
        return self._auth

    def _foreign_text(self) -> ForeignText:
        auths = self._first_auth, self._auth
        return ForeignText(secrets_of(self.server, auths, self._proxy))

    async def _send(self, question: bytes, progress: Progress) -> bytes | bytearray:
        """The body of a reply; a request on a kept-alive connection that was closed is repeated."""
        try:
            try:
                response = await self._transmit(question, progress)
            except StaleConnectionError:
                # the next one in the pool may be as dead
                response = await self._transmit(question, progress, fresh=True)
            stream = cast("httpx.AsyncByteStream", response.stream)
            try:
                coding = await self._check(response, stream, progress)
                data = await body.read(stream, coding, self._max_reply_bytes, progress.allowance)
                return data[3:] if data.startswith(wire.BYTE_ORDER_MARK) else data
            except (body.TooLargeError, body.CodingError) as error:
                raise failures.of_reply(error, self.server) from None
            finally:
                await stream.aclose()
        except httpx.TransportError as error:
            now, exchange = self._clock().wall, progress.exchanges[-1]
            raise failures.of_transport(
                error, self.server, exchange, now, self._foreign, self._proxy
            ) from None

    async def _transmit(
        self, question: bytes, progress: Progress, *, fresh: bool = False
    ) -> httpx.Response:
        progress.requests += 1
        self.stats.requests += 1
        single_use = self._uses_connections_once()
        exchange = progress.exchange(self._surplus_seen, fresh or single_use, single_use)
        progress.exchanges.append(exchange)
        try:
            request = self._requests.make(question, self._auth)
        except ValueError as error:
            raise httpx.LocalProtocolError("no request can be made") from error
        request.extensions["exchange"] = exchange
        try:
            return await self._transport.handle_async_request(request)
        finally:
            if exchange.certificate_expiry is not None:
                self.condition.certificate_expiry = exchange.certificate_expiry

    def _uses_connections_once(self) -> bool:
        until = self.condition.single_use_until
        if until is not None and self._clock().boot >= until:
            self.condition.single_use_until = until = None
            log_messages.CONNECTIONS_KEPT.log({"cms": self.server.name})
        return until is not None

    def _surplus_seen(self, connection: Connection) -> None:
        """A connection has received an unexpected reply."""
        if self.condition.single_use_until is None:
            log_messages.SURPLUS_REPLY.log({"cms": self.server.name})
        self.condition.single_use_until = self._clock().boot + SINGLE_USE
        error = failures.of_surplus_reply(self.server)
        for (cc_id, vdn), ended in connection.answers.items():
            self.on_doubt(cc_id, vdn, ended, error)
        connection.answers.clear()

    async def _check(
        self, response: httpx.Response, stream: httpx.AsyncByteStream, progress: Progress
    ) -> str:
        """The coding of a reply that has succeeded. Raises PollError for any other."""
        progress.headers = response.headers.raw
        date, coding = date_and_coding(progress.headers)
        progress.replied = self._clock()
        now = progress.replied.wall
        server_time = http_date(date)
        if server_time is not None:
            progress.clock_skew = self.condition.clock_skew = server_time + _HALF_A_SECOND - now
        status = response.status_code
        if status != httpx.codes.OK and (status in _WITHOUT_BODY or not response.is_success):
            start = await body.excerpt(stream) if status == httpx.codes.BAD_REQUEST else b""
            times = status_failures.Times(server_time, now)
            raise status_failures.of_status(
                response, start, self.server, times, self._foreign, self._proxy
            )
        return coding
