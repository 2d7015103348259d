"""The HTTP side: which path answers what, for Prometheus, for people and for orchestrators.

Everything it tells is read from its arguments at the moment of the request. No handler but the one
that is asked for a poll waits for one, and none holds the event loop for more than a few
milliseconds.
"""

import re
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CollectorRegistry

from exporter.clock import Clock
from exporter.metrics.exposition import Exposition
from exporter.store import Store
from exporter.web import api, discovery, probe, status
from exporter.web import reload as reloading
from exporter.web.delivery import Delivery
from exporter.web.negotiation import exposition_format
from exporter.web.probe import Probe
from exporter.web.reload import Reload
from exporter.web.target_query import Query
from exporter.web.target_search import NextPoll

Check = Callable[[], str | None]
"""None if all is well, else a sentence that says what is not. It must not block."""

_STATUS: Final = "/"
_HEALTHY: Final = "/-/healthy"
_READY: Final = "/-/ready"
_PATH: Final = re.compile(r"/[A-Za-z0-9._~/-]*")


class TelemetryPathError(ValueError):
    """A path that metrics cannot have: a sentence."""


def application(  # noqa: PLR0913 - each is a source of its own; a bag of them would only hide that
    *,
    store: Store,
    moment: Clock,
    registry: CollectorRegistry,
    healthy: Check,
    ready: Check,
    version: str,
    telemetry_path: str = "/metrics",
    next_poll: NextPoll = lambda _: None,
    reload: Reload | None = None,
    poll: Probe | None = None,
) -> web.Application:
    """The application that serves one exporter.

    Args:
        store: the targets' states.
        moment: the clock.
        registry: the exporter's own families, which follow the targets' in the exposition.
        healthy: whether the exporter does its work, for `/-/healthy`.
        ready: whether it has something to tell, for `/-/ready`.
        version: the exporter's own, shown on the status page.
        telemetry_path: where the metrics are.
        next_poll: when a target is due next, for the status page and the API.
        reload: follows the configuration as it is now, for `/-/reload`; None where that cannot be.
        poll: asks for one target now, for `/probe` and for `/sd`, which leads there; None likewise.

    Raises:
        TelemetryPathError: `telemetry_path` is no path, or another page's.
    """
    exposition = Exposition(registry)
    delivery = Delivery()

    async def metrics(request: web.Request) -> web.StreamResponse:
        form = exposition_format(_header(request, hdrs.ACCEPT))
        names = {name for name in request.query.getall("name[]", ()) if name}
        return await delivery.send(
            request,
            lambda: exposition.slices(store.states(), moment(), form, names or None),
            {hdrs.CONTENT_TYPE: form.value, hdrs.VARY: "Accept, Accept-Encoding"},
        )

    async def page(request: web.Request) -> web.StreamResponse:
        try:
            query = Query.parse(request.query.items())
        except ValueError as error:
            return web.Response(text=f"400: {error}.\n", status=400)
        return await delivery.send(
            request,
            lambda: status.slices(
                store,
                moment(),
                query,
                next_poll=next_poll,
                version=version,
                telemetry_path=telemetry_path,
            ),
            {**status.HEADERS, hdrs.VARY: "Accept-Encoding"},
        )

    async def targets(request: web.Request) -> web.StreamResponse:
        try:
            query = Query.parse(request.query.items())
        except ValueError as error:
            return web.Response(body=api.refusal(f"{error}"), status=400, headers=api.HEADERS)
        return await delivery.send(
            request,
            lambda: api.slices(store, moment(), query, next_poll=next_poll),
            {**api.HEADERS, hdrs.VARY: "Accept-Encoding"},
        )

    pages: dict[str, Handler] = {
        _STATUS: page,
        api.PATH: targets,
        _HEALTHY: _check(healthy, "agent-rest-exporter is healthy."),
        _READY: _check(ready, "agent-rest-exporter is ready."),
    }
    if poll:
        pages[probe.PATH] = probe.handler(store, poll, moment)
        pages[discovery.PATH] = discovery.handler(store)
    _refuse_unfit(telemetry_path, {*pages, reloading.PATH})
    pages[telemetry_path] = metrics
    paths = [*pages, *([reloading.PATH] if reload else [])]
    app = web.Application(middlewares=[_plain_refusals(sorted(paths))])
    if reload:
        for method in reloading.METHODS:
            app.router.add_route(method, reloading.PATH, reloading.handler(reload))
    for path, handler in pages.items():
        app.router.add_get(path, handler)  # and HEAD with it
    app.on_response_prepare.append(_common_headers)
    return app


def _refuse_unfit(telemetry_path: str, taken: Collection[str]) -> None:
    remedy = "choose another one with --web.telemetry-path, such as /metrics"
    if not _PATH.fullmatch(telemetry_path):
        raise TelemetryPathError(
            f"the telemetry path {telemetry_path!r} is not a slash followed by letters, digits "
            f"or any of . _ ~ / -: {remedy}"
        )
    if telemetry_path in taken:
        raise TelemetryPathError(
            f"the telemetry path {telemetry_path!r} is taken by a page of the exporter: {remedy}"
        )


def _check(check: Check, fine: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        problem = check()
        return web.Response(text=f"{problem or fine}\n", status=503 if problem else 200)

    return answer


def _plain_refusals(paths: Collection[str]) -> Middleware:
    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return web.Response(
                text=f"404: nothing is here. There are {', '.join(paths)}.\n", status=404
            )
        except web.HTTPMethodNotAllowed as refusal:
            allowed = ", ".join(sorted(refusal.allowed_methods))
            return web.Response(
                text=f"405: {request.path} answers {allowed}.\n",
                status=405,
                headers={hdrs.ALLOW: allowed},
            )

    return refuse


async def _common_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers[hdrs.SERVER] = "agent-rest-exporter"
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"


def _header(request: web.Request, name: str) -> str:
    """A header's items, however many lines they came on."""
    return ",".join(request.headers.getall(name, ()))
