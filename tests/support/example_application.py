"""The web application with sources that do nothing, but for those that a test gives."""

from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry

from exporter.clock import Moment
from exporter.store import ReloadOutcome, ReloadStatus, Target, TargetState
from exporter.web.app import application
from exporter.web.delivery import MAX_REQUESTS
from exporter.web.listening.clients import no_refusals
from exporter.web.probe import Note
from tests.support.stores import store_of


async def _reload() -> ReloadOutcome:
    raise NotImplementedError


async def _poll(_target: Target, _within: float | None, _note: Note | None) -> TargetState:
    raise NotImplementedError


def example_application(**sources: Any) -> web.Application:  # those of `application`
    """All paths. Without targets, unless `store` has some."""
    status = ReloadStatus(successful=True, last_success=0.0)
    idle: dict[str, Any] = {
        "store": store_of([]),
        "moment": lambda: Moment(0.0, 0.0, 0.0),
        "registry": CollectorRegistry(),
        "unhealthy": lambda: None,
        "unready": lambda: None,
        "version": "1.2.3",
        "next_polls": lambda: lambda _: None,
        "reload": _reload,
        "poll": _poll,
        "reload_status": lambda: status,
        "configuration": lambda: (),
        "telemetry_path": "/metrics",
        "max_requests": MAX_REQUESTS,
        "refused": no_refusals(),
        "generation": lambda: None,
    }
    return application(**(idle | sources))
