"""The stand-in CC-CMS: an HTTP server that answers like the vendor's, for demos and tests.

A request passes the gateway, the check of its signature and the check of its query, in this order.
"""

import asyncio
import json
import re
import socket
import ssl
import time
from collections import Counter, deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from functools import partial
from itertools import count
from typing import Literal

from aiohttp import web

from exporter.simulator import messages
from exporter.simulator.faults import (
    PAGING_FAULTS,
    altered,
    gateway_answer,
    hung_up,
    page_of,
    replayed,
    send,
)
from exporter.simulator.floors import FloorSource, SimulatedFloors
from exporter.simulator.messages import INVALID_PARAMETER, Query, ViolationError, read_query
from exporter.simulator.replay import Recordings, Served
from exporter.simulator.scenarios import Fault, Scenario, scenario_for
from exporter.simulator.signature_check import ALLOWED_DRIFT, RawRequest, verify

_PATH = r"/{prefix:(?:.+/)?}rest/cmsapp/v1/openapi/agentgroup/"
_LARGEST_REQUEST = 65_536
_SHUTDOWN_SECONDS = 0.1
_REMEMBERED_REFUSALS = 1_000
_ROTATED = "-rotated"
"""What follows the secret key once it was rotated."""
_PLAIN = re.compile(r"[!#-<>-~]+")
"""Needs no quotes in logfmt: printable ASCII except the quote and the equals sign."""
_ABOUT = """\
This is a simulator, not a CC-CMS: a part of agent-rest-exporter, with made-up agents.
It answers POST /rest/cmsapp/v1/openapi/agentgroup/agentrestinfos, and .../agentrestinfo as
in 8.13 and earlier.
"""


def accelerated(clock: Callable[[], float], speed: float = 1.0) -> Callable[[], float]:
    """A clock that shows a day in minutes; it starts with what `clock` reads, in seconds.

    `speed` is in simulated seconds in a real one; 1 is real time. The server's `Date` runs with
    the clock, so that a server that checks signatures soon refuses clients on real time, unless its
    allowed drift is infinite.
    """
    started = clock()
    return lambda: started + (clock() - started) * speed


@dataclass(slots=True)
class Seen:
    """What is known of a request; the server fills it in as it goes along.

    Args:
        time: the server's, in seconds since the epoch.
        method: of the request.
        path: as sent, with the query.
        target: (ccId, vdn), if they could be read.
        paging: (offset, limit), if the request has them and the interface knows them.
        scenario: what was played, if anything.
        problem: why the server refused it: its signature, or its query.
        status: of the reply; None if the client got none.
        seconds: that the answer took.
    """

    time: float
    method: str
    path: str
    target: tuple[int, int] | None = None
    paging: tuple[int, int] | None = None
    scenario: str = ""
    problem: str = ""
    status: int | None = None
    seconds: float = 0.0

    def line(self) -> str:
        """A line in logfmt, without its end: no agent's name, and no part of a signature."""
        return " ".join(f"{key}={_value(value)}" for key, value in _fields(self))


_SEEN = web.RequestKey("seen", Seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the stand-in server behaves.

    Args:
        clock: the server's clock, in seconds since the epoch, for dates, timestamps and floors.
        sleep: waits for seconds; used by the fault `slow` only.
        cti_version: "3.8" answers all rows at once, "3.6" answers in pages.
        access_keys: the secret key of each access key; if empty, signatures are not checked.
        allowed_drift: seconds that a signature's timestamp may differ from the clock.
        scenarios: the faults; what happens on the floors is up to `floors`.
        floors: the floor of a VDN at a time; by default simulated days.
        targets: the (ccId, vdn) that exist; None if all do.
        recordings: what answers instead of the floors, if there are any.
        on_answer: called with each query after its answer, valid or not.
    """

    clock: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    cti_version: Literal["3.6", "3.8"] = "3.8"
    access_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    allowed_drift: float = ALLOWED_DRIFT
    scenarios: tuple[Scenario, ...] = ()
    floors: FloorSource = field(default_factory=SimulatedFloors)
    targets: Collection[tuple[int, int]] | None = None
    recordings: Recordings | None = None
    on_answer: Callable[[Seen], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Address:
    """Where a simulator listens."""

    scheme: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """The base URL, to be configured as a server's `url`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Simulator:
    """One stand-in server, and what it has seen.

    Attributes:
        requests: how many queries have arrived, valid or not.
        requests_by_target: valid queries for each (ccId, vdn).
        refusals: why the last thousand refused signatures were.
        in_flight: queries being answered now.
        most_in_flight: the highest value of `in_flight` so far.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._started = self._settings.clock()
        self._wrong_shapes = count()
        self.requests = 0
        self.requests_by_target = Counter[tuple[int, int]]()
        self.refusals = deque[str](maxlen=_REMEMBERED_REFUSALS)
        self.in_flight = 0
        self.most_in_flight = 0

    def app(self) -> web.Application:
        """The web application that `serving` serves."""
        app = web.Application(client_max_size=_LARGEST_REQUEST)
        app.router.add_get("/", self._about)
        app.router.add_post(_PATH + "agentrestinfos", partial(self._counted, legacy=False))
        app.router.add_post(_PATH + "agentrestinfo", partial(self._counted, legacy=True))
        return app

    async def _about(self, _request: web.Request) -> web.Response:
        return web.Response(text=_ABOUT)

    async def _counted(self, request: web.Request, *, legacy: bool) -> web.StreamResponse:
        self.requests += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        clock = self._settings.clock
        seen = request[_SEEN] = Seen(clock(), request.method, request.raw_path)
        started = asyncio.get_running_loop().time()
        try:
            answer = await self._answer(request, legacy=legacy)
        except web.HTTPException as error:
            seen.status = error.status
            raise
        except Exception as error:
            # a client that has left gets nothing
            seen.status = None if isinstance(error, ConnectionError) else 500
            raise
        else:
            gone = request.transport is None or request.transport.is_closing()
            seen.status = answer.status if answer.prepared or not gone else None
            return answer
        finally:
            self.in_flight -= 1
            seen.seconds = asyncio.get_running_loop().time() - started
            self._settings.on_answer(seen)

    async def _answer(self, request: web.Request, *, legacy: bool) -> web.StreamResponse:
        settings, seen = self._settings, request[_SEEN]
        body = await request.read()
        asked: Query | ViolationError
        try:
            asked = read_query(request.headers.get("Content-Type", ""), body, pages=not legacy)
            seen.target, seen.paging = (asked.cc_id, asked.vdn), asked.paging
            self.requests_by_target[seen.target] += 1
        except ViolationError as violation:
            asked = violation
            seen.problem = str(violation)

        scenario = scenario_for(settings.scenarios, seen.target)
        fault = scenario.kind if scenario else None
        seen.scenario = str(fault or "")
        if scenario and fault is Fault.SLOW:
            await settings.sleep(scenario.seconds)
        now = settings.clock() + (scenario.seconds if scenario and fault is Fault.CLOCK else 0.0)
        date = formatdate(now, usegmt=True)
        if scenario and (answer := await gateway_answer(request, scenario, now)):
            return answer
        if fault is Fault.LEGACY_ONLY and not legacy:
            return web.Response(status=404, headers={"Date": date})

        if settings.access_keys:
            keys = self._keys(scenario, now)
            path, _, query = request.raw_path.partition("?")
            raw = RawRequest(request.method, path, query, request.raw_headers, body)
            refusal = verify(raw, keys, now, settings.allowed_drift)
            if refusal:
                self.refusals.append(refusal)
                seen.problem = refusal
                return web.Response(status=401, text=refusal, headers={"Date": date})
        if settings.recordings and isinstance(asked, Query):
            return await self._replay(request, settings.recordings, asked, now, legacy=legacy)
        return await send(request, fault, self._reply(asked, scenario, now, legacy=legacy), date)

    def _keys(self, scenario: Scenario | None, now: float) -> Mapping[str, str]:
        keys = self._settings.access_keys
        if (
            scenario
            and scenario.kind is Fault.KEY_ROTATED
            and now - self._started >= scenario.seconds
        ):
            return {access: secret + _ROTATED for access, secret in keys.items()}
        return keys

    async def _replay(
        self,
        request: web.Request,
        recordings: Recordings,
        asked: Query,
        now: float,
        *,
        legacy: bool,
    ) -> web.StreamResponse:
        offset, limit = asked.paging or (None, None)
        question = asked.cc_id, asked.vdn, offset, limit
        answer = recordings.answer(question, now, legacy=legacy)
        if isinstance(answer, Served):
            return await replayed(request, answer)
        if answer == "none":
            return hung_up(request)
        sentence = f"no recording has this question: ccId {asked.cc_id}, vdn {asked.vdn}"
        if limit is not None:
            sentence += f", offset {offset}, limit {limit}"
        request[_SEEN].problem = sentence
        body = messages.failure(INVALID_PARAMETER, sentence, legacy=legacy)
        return await send(request, None, body, formatdate(now, usegmt=True))

    def _reply(
        self, asked: Query | ViolationError, scenario: Scenario | None, now: float, *, legacy: bool
    ) -> bytes:
        settings = self._settings
        fault = scenario.kind if scenario else None
        if isinstance(asked, ViolationError):
            return messages.failure(INVALID_PARAMETER, str(asked), legacy=legacy)
        exists = settings.targets is None or (asked.cc_id, asked.vdn) in settings.targets
        if not exists or fault is Fault.UNKNOWN_VDN:
            sentence = f"call center {asked.cc_id} has no VDN {asked.vdn}"
            return messages.failure(INVALID_PARAMETER, sentence, legacy=legacy)
        if scenario and fault is Fault.API_ERROR:
            return messages.failure(scenario.code, "the CTI does not answer", legacy=legacy)

        floor = altered(settings.floors(asked.cc_id, asked.vdn, now), fault, now)
        rows = floor.rows
        if not legacy and (settings.cti_version == "3.6" or fault in PAGING_FAULTS):
            offset, limit = asked.paging or (0, 100)  # what CTI 3.6 assumes
            rows = page_of(rows, offset, limit, fault)
        if fault is Fault.WRONG_SHAPE:
            return messages.wrong_shape(floor, rows, next(self._wrong_shapes), legacy=legacy)
        return messages.success(floor, rows, legacy=legacy)


@asynccontextmanager
async def serving(
    simulator: Simulator,
    host: str = "127.0.0.1",
    port: int = 0,
    ssl_context: ssl.SSLContext | None = None,
    *,
    sockets: Sequence[socket.socket] = (),
) -> AsyncIterator[Address]:
    """Serves a simulator until the block is left; requests that still hang are aborted then.

    Gives the address, with the real port if `port` is 0. With an SSL context it serves HTTPS. It
    listens on `sockets`, if there are any, that are bound to the address.

    Raises:
        OSError: it cannot listen on the address.
    """
    runner = web.AppRunner(
        simulator.app(),
        access_log=None,
        auto_decompress=False,  # a body that is compressed is not valid JSON
        handler_cancellation=True,  # a request that hangs ends when its client disconnects
        shutdown_timeout=_SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        sites: Sequence[web.BaseSite] = [
            web.SockSite(runner, each, ssl_context=ssl_context) for each in sockets
        ] or [web.TCPSite(runner, host, port, ssl_context=ssl_context)]
        for site in sites:
            await site.start()
        yield Address("https" if ssl_context else "http", host, runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _fields(seen: Seen) -> Iterator[tuple[str, str]]:
    moment = datetime.fromtimestamp(seen.time, UTC).isoformat(timespec="milliseconds")
    yield "time", moment.removesuffix("+00:00") + "Z"
    yield "method", seen.method
    yield "path", seen.path
    if seen.target:
        yield from zip(("cc_id", "vdn"), map(str, seen.target), strict=True)
    if seen.paging:
        yield from zip(("offset", "limit"), map(str, seen.paging), strict=True)
    yield "status", "none" if seen.status is None else str(seen.status)
    yield "duration_ms", f"{seen.seconds * 1000:.0f}"
    if seen.scenario:
        yield "scenario", seen.scenario
    if seen.problem:
        yield "problem", seen.problem


def _value(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
