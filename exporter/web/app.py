"""The HTTP side: which path answers what, for Prometheus, for people and for orchestrators.

Handlers read their sources at the moment of the request. Only a probe waits for a poll, and none
blocks the event loop for more than a few milliseconds.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable, Mapping
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CollectorRegistry

from exporter.clock import Clock
from exporter.errors import ProbeRefusedError
from exporter.metrics.exposition import Exposition
from exporter.store import ReloadOutcome, ReloadStatus, Store
from exporter.web import api, probe
from exporter.web.delivery import Delivery
from exporter.web.html_pages import HEADERS, HtmlPages
from exporter.web.listening.clients import SERVER, Refusals
from exporter.web.negotiation import exposition_format
from exporter.web.probe import Probe
from exporter.web.renderings import Priority
from exporter.web.target_query import Query, RequestError, asked_for, configured
from exporter.web.target_search import NextPoll

Problem = Callable[[], str | None]
"""A sentence that says what is wrong, or None. It must not block."""
Reload = Callable[[], Awaitable[ReloadOutcome]]

_STATUS: Final = "/"
_TARGET: Final = "/target"
_CONFIG: Final = "/config"
_RELOAD: Final = "/-/reload"
_PLAIN_TEXT: Final[Mapping[str, str]] = {hdrs.CONTENT_TYPE: "text/plain; charset=utf-8"}
_PATH: Final = re.compile(r"/[A-Za-z0-9._~/-]*")


class TelemetryPathError(ValueError):
    """A path that cannot be used for metrics: the message is a sentence."""


def application(  # noqa: PLR0913 - each is a source of its own; a bag of them would only hide that
    *,
    store: Store,
    moment: Clock,
    registry: CollectorRegistry,
    unhealthy: Problem,
    unready: Problem,
    version: str,
    next_polls: Callable[[], NextPoll],
    reload: Reload,
    poll: Probe,
    reload_status: Callable[[], ReloadStatus],
    configuration: Callable[[], Iterable[bytes]],
    telemetry_path: str,
    max_requests: int,
    refused: Refusals,
    generation: Callable[[], Hashable],
) -> web.Application:
    """The application that serves one exporter.

    Args:
        store: the targets' states.
        moment: the clock.
        registry: the exporter's own families, which follow the targets' in the exposition.
        unhealthy: why the exporter does not work, for `/-/healthy`; None while it does.
        unready: why there is nothing to scrape yet, for `/-/ready`; None once there is.
        version: the exporter's version, for the pages.
        next_polls: when targets are polled next, for the pages and the API.
        reload: reloads the configuration.
        poll: polls one target now, for `/probe`.
        reload_status: how the configuration was last loaded, for the status page.
        configuration: the current configuration as text without secrets.
        telemetry_path: the path of the metrics.
        max_requests: bodies that may wait, and replies that are sent at once, apart from one-line
            replies; 0 for any number.
        refused: where refusals are counted.
        generation: gives another value after a reload, which the next reply must show.

    Raises:
        TelemetryPathError: `telemetry_path` is not a valid path, or is another page's.
    """
    exposition = Exposition(registry)
    pages = HtmlPages(version=version, telemetry_path=telemetry_path)
    delivery = Delivery(max_requests, refused=refused, generation=generation)

    async def metrics(request: web.Request) -> web.StreamResponse:
        form = exposition_format(",".join(request.headers.getall(hdrs.ACCEPT, ())))
        names = frozenset(name for name in request.query.getall("name[]", ()) if name)
        return await delivery.send(
            request,
            (telemetry_path, form, names),
            lambda: exposition.slices(store.states(), moment(), form, names or None),
            {hdrs.CONTENT_TYPE: form.value, hdrs.VARY: hdrs.ACCEPT},
            Priority.SELECTION if names else Priority.SCRAPE,
        )

    async def status(request: web.Request) -> web.StreamResponse:
        query = Query.parse(request.query.items())
        return await delivery.send(
            request,
            (_STATUS, query),
            lambda: pages.status_page(store, moment(), query, next_polls(), reload_status()),
            HEADERS,
            Priority.PAGE,
        )

    async def target(request: web.Request) -> web.StreamResponse:
        asked = configured(store, asked_for(request.query.items(), _TARGET))
        return await delivery.send(
            request,
            (_TARGET, asked.key),
            lambda: pages.target_page(store, moment(), asked, next_polls()),
            HEADERS,
            Priority.PAGE,
        )

    async def targets(request: web.Request) -> web.StreamResponse:
        try:
            query = Query.parse(request.query.items())
        except RequestError as error:
            return web.Response(body=api.refusal(f"{error}"), status=400, headers=api.HEADERS)
        return await delivery.send(
            request,
            (api.PATH, query),
            lambda: api.slices(store, moment(), query, next_polls()),
            api.HEADERS,
            Priority.PAGE,
        )

    async def config(request: web.Request) -> web.StreamResponse:
        # as text, because a browser would save YAML to a file
        return await delivery.send(request, _CONFIG, configuration, _PLAIN_TEXT, Priority.PAGE)

    handlers: dict[str, Handler] = {
        _STATUS: status,
        _TARGET: target,
        api.PATH: targets,
        "/-/healthy": _check(unhealthy, "agent-rest-exporter is healthy."),
        "/-/ready": _check(unready, "agent-rest-exporter is ready."),
        probe.PATH: probe.handler(store, poll, moment, delivery),
        probe.DISCOVERY_PATH: probe.discovery_handler(store, delivery),
        _CONFIG: config,
    }
    _refuse_unfit(telemetry_path, {*handlers, _RELOAD})
    handlers[telemetry_path] = metrics
    app = web.Application(middlewares=[_errors_as_text(sorted([*handlers, _RELOAD]))])
    for path, handler in handlers.items():
        app.router.add_get(path, handler)  # and HEAD with it
    for method in (hdrs.METH_POST, hdrs.METH_PUT):
        app.router.add_route(method, _RELOAD, _reloading(reload, delivery))
    app.on_response_prepare.append(_common_headers)
    return app


def _refuse_unfit(telemetry_path: str, taken: Collection[str]) -> None:
    remedy = "choose another one with --web.telemetry-path, such as /metrics"
    if not _PATH.fullmatch(telemetry_path):
        raise TelemetryPathError(
            f"the telemetry path {telemetry_path!r} must be a slash followed only by letters, "
            f"digits or any of . _ ~ / -: {remedy}"
        )
    if telemetry_path in taken:
        raise TelemetryPathError(
            f"the telemetry path {telemetry_path!r} is already used by another page of the "
            f"exporter: {remedy}"
        )


def _check(problem: Problem, fine: str) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        sentence = problem()
        return web.Response(text=f"{sentence or fine}\n", status=503 if sentence else 200)

    return answer


def _reloading(reload: Reload, delivery: Delivery) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        if _from_another_site(request):
            sentence = "a page of another site must not reload the configuration"
            return web.Response(text=f"403: {sentence}.\n", status=403)
        outcome = await reload()
        return await delivery.send_own(
            request,
            lambda: [f"{outcome.report}\n".encode()],  # thousands of problems, if there are
            _PLAIN_TEXT,
            200 if outcome.successful else 500,
        )

    return answer


def _from_another_site(request: web.Request) -> bool:
    """Whether a browser sends it for a page that is not the exporter's."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = request.headers.get(hdrs.ORIGIN)
    return origin is not None and origin.partition("://")[2] != request.headers.get(hdrs.HOST)


def _errors_as_text(paths: Collection[str]) -> Middleware:
    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        headers = {}
        try:
            return await handler(request)
        except RequestError as error:
            status, sentence = 400, f"{error}"
        except web.HTTPNotFound:
            status, sentence = 404, f"not found. The paths are {', '.join(paths)}"
        except web.HTTPMethodNotAllowed as error:
            allowed = headers[hdrs.ALLOW] = ", ".join(sorted(error.allowed_methods))
            status, sentence = 405, f"{error.method} is not allowed here; use {allowed}"
        except ProbeRefusedError as error:
            status, sentence = 503, f"{error}"
        return web.Response(text=f"{status}: {sentence}.\n", status=status, headers=headers)

    return answer


async def _common_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers[hdrs.SERVER] = SERVER
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
