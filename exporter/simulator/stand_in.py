"""The stand-in CC-CMS: an HTTP server that answers like the vendor's, for demos and tests.

Knows how a request is judged and in which order. It imports nothing of the exporter, so that what
the client gets wrong cannot be wrong here in the same way.
"""

import asyncio
import ssl
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Literal

from aiohttp import web

from exporter.simulator import replies
from exporter.simulator.floor import FloorSource
from exporter.simulator.floors import SimulatedFloors
from exporter.simulator.misbehaviour import answer_in_front, spoil
from exporter.simulator.pages import FIRST_PAGE, PAGING_FAULTS, page_of
from exporter.simulator.request_check import Query, ViolationError, read_query
from exporter.simulator.scenarios import Fault, Scenario, scenario_for
from exporter.simulator.signature_check import ALLOWED_DRIFT, RawRequest, Verdict, verify

_PATH = r"/{prefix:(?:.+/)?}rest/cmsapp/v1/openapi/agentgroup/"
_LARGEST_REQUEST = 65_536
_SHUTDOWN_SECONDS = 0.1
_REMEMBERED_REFUSALS = 1_000
_ABOUT = """\
This is a simulator, not a CC-CMS: a part of agent-rest-exporter that makes up its agents.
It answers POST /rest/cmsapp/v1/openapi/agentgroup/agentrestinfos, and .../agentrestinfo as
8.13 and earlier did.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the stand-in server behaves.

    Args:
        clock: the server's clock, in seconds since the epoch: it dates replies, judges timestamps
            and tells which moment of the simulated day it is.
        sleep: waits for seconds; only the fault `slow` does.
        cti_version: "3.8" answers all rows at once, "3.6" pages.
        access_keys: the secret key of each access key; if empty, no signature is asked for.
        allowed_drift: seconds that a signature's timestamp may lie from the clock.
        scenarios: the faults.
        floors: what to tell of a VDN at a time; by default simulated days.
        targets: the (ccId, vdn) that exist; None if all do.
    """

    clock: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    cti_version: Literal["3.6", "3.8"] = "3.8"
    access_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    allowed_drift: float = ALLOWED_DRIFT
    scenarios: tuple[Scenario, ...] = ()
    floors: FloorSource = field(default_factory=SimulatedFloors)
    targets: Collection[tuple[int, int]] | None = None


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
        requests: how many queries have arrived, whatever became of them.
        requests_by_target: the same for each (ccId, vdn), of those within the rules.
        refusals: the last thousand signatures that were refused.
        in_flight: queries being answered now.
        most_in_flight: the most of them at any time.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._wrong_shapes = 0
        self.requests = 0
        self.requests_by_target = Counter[tuple[int, int]]()
        self.refusals = deque[Verdict](maxlen=_REMEMBERED_REFUSALS)
        self.in_flight = 0
        self.most_in_flight = 0

    def app(self) -> web.Application:
        """The web application, to be served by `serving` or by a test."""
        app = web.Application(client_max_size=_LARGEST_REQUEST)
        app.router.add_get("/", self._about)
        app.router.add_post(_PATH + "agentrestinfos", self._answer_current)
        app.router.add_post(_PATH + "agentrestinfo", self._answer_legacy)
        return app

    async def _about(self, _request: web.Request) -> web.Response:
        return web.Response(text=_ABOUT)

    async def _answer_current(self, request: web.Request) -> web.StreamResponse:
        return await self._counted(request, legacy=False)

    async def _answer_legacy(self, request: web.Request) -> web.StreamResponse:
        return await self._counted(request, legacy=True)

    async def _counted(self, request: web.Request, *, legacy: bool) -> web.StreamResponse:
        self.requests += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._answer(request, legacy=legacy)
        finally:
            self.in_flight -= 1

    async def _answer(self, request: web.Request, *, legacy: bool) -> web.StreamResponse:
        """Judges a request the way it travels: gateway, signature, rules, numbers."""
        settings = self._settings
        body = await request.read()
        asked: Query | ViolationError
        target: tuple[int, int] | None = None
        try:
            asked = read_query(request.headers.get("Content-Type", ""), body, pages=not legacy)
            target = asked.cc_id, asked.vdn
            self.requests_by_target[target] += 1
        except ViolationError as violation:
            asked = violation

        scenario = scenario_for(settings.scenarios, target)
        fault = scenario.fault if scenario else None
        if scenario and fault is Fault.SLOW:
            await settings.sleep(scenario.seconds)
        now = settings.clock() + (scenario.seconds if scenario and fault is Fault.CLOCK else 0.0)
        date = formatdate(now, usegmt=True)
        if scenario and (answer := await answer_in_front(request, scenario, date)):
            return answer

        if settings.access_keys:
            verdict = verify(_raw(request, body), settings.access_keys, now, settings.allowed_drift)
            if verdict.refusal:
                self.refusals.append(verdict)
                return web.Response(status=401, text=verdict.detail, headers={"Date": date})
        return await spoil(request, fault, self._reply(asked, fault, now, legacy=legacy), date)

    def _reply(
        self, asked: Query | ViolationError, fault: Fault | None, now: float, *, legacy: bool
    ) -> bytes:
        settings = self._settings
        if isinstance(asked, ViolationError):
            return replies.failure(str(asked), legacy=legacy)
        if settings.targets is not None and (asked.cc_id, asked.vdn) not in settings.targets:
            return replies.failure(
                f"call center {asked.cc_id} has no VDN {asked.vdn}", legacy=legacy
            )
        if fault is Fault.API_ERROR:
            return replies.failure("the CTI does not answer", legacy=legacy)

        floor = settings.floors(asked.cc_id, asked.vdn, now)
        rows = floor.rows
        if not legacy and (settings.cti_version == "3.6" or fault in PAGING_FAULTS):
            rows = page_of(rows, *(asked.paging or FIRST_PAGE), fault)
        if fault is Fault.WRONG_SHAPE:
            self._wrong_shapes += 1
            return replies.wrong_shape(floor, rows, self._wrong_shapes - 1, legacy=legacy)
        return replies.success(floor, rows, legacy=legacy)


@asynccontextmanager
async def serving(
    simulator: Simulator,
    host: str = "127.0.0.1",
    port: int = 0,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncIterator[Address]:
    """Serves a simulator until the block is left; requests that still hang are cut off then.

    Args:
        simulator: what to serve.
        host: the address to listen on.
        port: the port; 0 takes a free one.
        ssl_context: serves HTTPS with it, otherwise plain HTTP.

    Yields:
        The address, with the real port.

    Raises:
        OSError: the address cannot be listened on.
    """
    runner = web.AppRunner(
        simulator.app(),
        access_log=None,
        handler_cancellation=True,  # a request that hangs ends when its client leaves
        shutdown_timeout=_SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=ssl_context).start()
        yield Address("https" if ssl_context else "http", host, runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _raw(request: web.Request, body: bytes) -> RawRequest:
    path, _, query = request.raw_path.partition("?")
    return RawRequest(request.method, path, query, request.raw_headers, body)
