"""The web application without targets, to see which paths it has."""

from aiohttp import web

from exporter.clock import Moment, system_clock
from exporter.metrics import ExporterCollector, own_registry
from exporter.store import ReloadOutcome, ReloadStatus, Target, TargetState
from exporter.web.app import application
from exporter.web.probe_log import Note
from tests.support.stores import store_of


def example_application() -> web.Application:
    """All paths, also those that need a poller and a reloader; it must not be asked for them."""
    status = ReloadStatus(successful=True, last_success=0.0)
    store = store_of([])

    async def reload() -> ReloadOutcome:
        raise NotImplementedError

    async def poll(_target: Target, _within: float | None, _note: Note | None) -> TargetState:
        raise NotImplementedError

    return application(
        store=store,
        moment=lambda: Moment(0.0, 0.0, 0.0),
        registry=own_registry(ExporterCollector(store, lambda: status, system_clock, version="1")),
        unhealthy=lambda: None,
        unready=lambda: None,
        reload=reload,
        poll=poll,
        configuration=lambda: (),
        version="1",
    )
