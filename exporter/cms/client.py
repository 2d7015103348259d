"""One CC-CMS server: signs, sends, pages, and turns every failure into one `PollError`.

Knows the interface and its transport; not when to ask, and nothing of metrics. The source of the
interface is the vendor's page *Querying Agent Rest Information*.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import httpx

from exporter.clock import Clock
from exporter.cms import agent_names, body, failures, unreachable, wire
from exporter.cms.agent_names import NamedRow
from exporter.cms.pacing import http_date
from exporter.cms.paging import MAX_PAGES, Listing
from exporter.cms.requests import Requests
from exporter.cms.server import Auth, Server
from exporter.cms.transport import StaleConnectionError
from exporter.cms.turns import Turns
from exporter.errors import PollError, Reason
from exporter.rest import Row, Snapshot, reduce

MAX_REPLY_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Reading:
    """What a poll that succeeded has brought."""

    snapshot: Snapshot
    requests: int
    """Sent for it, those sent again included."""
    clock_skew: float | None
    """The server's `Date` less this host's clock in seconds, if a reply had one."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """A reading, and every row that it was made from, in the order sent."""

    reading: Reading
    rows: tuple[NamedRow, ...]


@dataclass(slots=True)
class _Poll:
    """One poll's tally."""

    decode: Callable[[bytes, wire.Api], wire.Reply] = wire.decode
    page: int = 1
    requests: int = 0
    clock_skew: float | None = None


class CmsClient:
    """Asks one server.

    Args:
        server: where it is and how it wants to be asked.
        transport: sends requests; the client closes it.
        clock: for signatures, the server's clock and the pace.
        renew_auth: called after a reply that refuses the request. Reads the secrets again; if they
            have changed, the request is sent once more with the new ones. If it raises, they have
            not.
        max_reply_bytes: of one reply, compressed or not.
    """

    def __init__(
        self,
        server: Server,
        transport: httpx.AsyncBaseTransport,
        clock: Clock,
        *,
        renew_auth: Callable[[], Auth] | None = None,
        max_reply_bytes: int = MAX_REPLY_BYTES,
    ) -> None:
        self.server = server
        self.slots = asyncio.Semaphore(server.max_concurrency)
        """Whoever polls holds one: requests in flight to this server."""
        self._transport = transport
        self._clock = clock
        self._renew_auth = renew_auth
        self._max_reply_bytes = max_reply_bytes
        self._turns = Turns(server.max_requests_per_second, clock)
        self._auth = server.auth
        self._requests = Requests(server, clock)
        self._last_date: tuple[str, float | None] = ("", None)

    async def turn(self) -> None:
        """Wait until the server may be asked: its rate limit, and pauses that it asked for.

        Await it before `poll`; a poll's further pages wait for theirs.
        """
        await self._turns.wait()

    async def poll(self, cc_id: int, vdn: int, within: float = math.inf) -> Reading:
        """Ask for one VDN, every page of it, before one deadline.

        Args:
            cc_id: of the call center.
            vdn: of the virtual call center.
            within: seconds until the deadline; the server's `timeout` if that is less.

        Raises:
            PollError: for whatever went wrong; nothing else but cancellation.
        """
        return await self._poll(cc_id, vdn, _Poll(), within)

    async def inspect(self, cc_id: int, vdn: int) -> Inspection:
        """As `poll`, for one person's eyes: with the rows, and their agents' names.

        Raises:
            PollError: as `poll`.
        """
        rows: list[NamedRow] = []
        reading = await self._poll(cc_id, vdn, _Poll(agent_names.decoder(rows)))
        return Inspection(reading, tuple(rows))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def _poll(self, cc_id: int, vdn: int, tally: _Poll, within: float = math.inf) -> Reading:
        seconds = min(within, self.server.timeout)
        deadline = asyncio.timeout(seconds)
        try:
            async with deadline:
                snapshot = await self._listing(cc_id, vdn, tally)
        except PollError as error:
            failure = error
        except Exception as error:  # noqa: BLE001  # one poll fails, whatever it is, and no other
            if deadline.expired():
                failure = failures.of_timeout(self.server, seconds, tally.page)
            else:
                failure = failures.of_defect(error)
        else:
            return Reading(snapshot, tally.requests, tally.clock_skew)
        failure.requests = tally.requests
        failure.clock_skew = tally.clock_skew
        if failure.retry_after is not None:
            self._turns.pause(failure.retry_after)
        # what it came from may quote a reply or a proxy's password, and nobody needs it any more
        failure.__context__ = None
        raise failure from None

    async def _listing(self, cc_id: int, vdn: int, tally: _Poll) -> Snapshot:
        limit = self.server.page_size
        if limit is None:
            reply = await self._ask(wire.request_body(cc_id, vdn), tally)
            return self._reduce(reply, reply.rows, tally)
        listing = Listing(limit)
        while listing.pages < MAX_PAGES:
            tally.page = listing.pages + 1
            if listing.pages:
                await self.turn()
            reply = await self._ask(wire.request_body(cc_id, vdn, listing.offset, limit), tally)
            if listing.add(reply):
                # counters and rows are two queries on 3.6: take the counters nearest to the end
                return self._reduce(reply, listing.rows, tally)
        raise PollError(
            Reason.TOO_LARGE,
            f"the listing has not ended after {MAX_PAGES} pages of {limit} rows: the server's "
            'paging is at fault; if it answers all rows at once, set cti_version: "3.8"',
        )

    def _reduce(self, reply: wire.Reply, rows: Sequence[Row], tally: _Poll) -> Snapshot:
        server_time = self._clock().wall + (tally.clock_skew or 0.0)
        return reduce(reply.counters, rows, server_time, self.server.begin_time_unit)

    async def _ask(self, question: bytes, tally: _Poll) -> wire.Reply:
        """One request, sent again where that cannot do harm: see `_send` and `renew_auth`."""
        refused = self._auth
        try:
            reply = await self._send(question, tally)
        except PollError as error:
            # another poll may have renewed it while this one was under way
            if error.reason is not Reason.AUTH or self._renewed_auth() == refused:
                raise
            reply = await self._send(question, tally)
        try:
            return tally.decode(reply, self.server.api)
        except (wire.DecodeError, wire.ResultError, wire.SchemaError) as error:
            raise failures.of_reply(error, self.server) from None

    def _renewed_auth(self) -> Auth:
        if self._renew_auth is not None:
            # a secret file that is gone or half written must not hide what the server said
            with contextlib.suppress(Exception):
                self._auth = self._renew_auth()
        return self._auth

    async def _send(self, question: bytes, tally: _Poll) -> bytes:
        """Send, and once more at once if a kept-alive connection was closed: a poll only reads."""
        try:
            try:
                response = await self._transmit(question, tally)
            except StaleConnectionError:
                response = await self._transmit(question, tally)
            stream = cast("httpx.AsyncByteStream", response.stream)
            try:
                return await self._receive(response, stream, tally)
            finally:
                await stream.aclose()
        except httpx.TransportError as error:
            raise unreachable.of_transport(error, self.server) from None

    async def _transmit(self, question: bytes, tally: _Poll) -> httpx.Response:
        tally.requests += 1
        request = self._requests.make(question, self._auth)
        return await self._transport.handle_async_request(request)

    async def _receive(
        self, response: httpx.Response, stream: httpx.AsyncByteStream, tally: _Poll
    ) -> bytes:
        date, coding = _date_and_coding(response.headers.raw)
        now = self._clock().wall
        server_time = self._date(date)
        if server_time is not None:
            tally.clock_skew = server_time - now
        if response.status_code != httpx.codes.OK:
            raise failures.of_status(
                response.status_code, response.headers, self.server, server_time, now
            )
        try:
            return await body.read(stream, coding, self._max_reply_bytes)
        except (body.TooLargeError, body.CodingError) as error:
            raise failures.of_body(error, self._max_reply_bytes) from None

    def _date(self, text: str) -> float | None:
        """The `Date` header in epoch seconds. Thousands of replies share each second."""
        if text != self._last_date[0]:
            self._last_date = (text, http_date(text))
        return self._last_date[1]


def _date_and_coding(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str]:
    """The two headers of every reply that matter, in one pass over the bytes."""
    date = coding = b""
    for name, value in headers:
        if (key := name.lower()) == b"date":
            date = value
        elif key == b"content-encoding":
            coding = value
    return date.decode("latin-1"), coding.decode("latin-1")
