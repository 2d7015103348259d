"""The daemon: one exporter from its start to its end.

Wires the rooms together, and shuts them down in order.
"""

import asyncio
import contextlib
import os
import platform
import resource
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter import __version__, log_messages
from exporter.clock import Clock
from exporter.metrics.exporter_families import ExporterCollector, own_registry
from exporter.polling.fleet import Fleet
from exporter.service.reloader import Load, Reloader, watch_files
from exporter.service.systemd import Notifier
from exporter.store import Store
from exporter.web.app import application
from exporter.web.delivery import MAX_REQUESTS
from exporter.web.listening.addresses import Address, Endpoint
from exporter.web.listening.clients import no_refusals
from exporter.web.listening.listener import listen
from exporter.webconfig.guard import protect
from exporter.webconfig.web_config import LiveWebConfig

_WEB_CONFIG_INTERVAL: Final = 1.0
"""Seconds between two looks at the web configuration and its certificates."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says, apart from the configuration.

    Args:
        addresses: where the pages are served.
        telemetry_path: under which path metrics are served.
        reload_interval: seconds between two looks at the configuration's files; 0 for none.
        web_config_file: exporter-toolkit's file for TLS and passwords; None for neither.
        max_requests: bodies that may wait, and replies that are sent at once, apart from one-line
            replies; 0 for any number.
    """

    addresses: Sequence[Endpoint] = (Address("", 10072),)
    telemetry_path: str = "/metrics"
    reload_interval: float = 30.0
    web_config_file: Path | None = None
    max_requests: int = MAX_REQUESTS


class Daemon:
    """One exporter.

    `load` reads the configuration, now and at each reload. The clock's monotonic part must be the
    event loop's.

    Raises:
        ConfigError: the configuration, or that of the pages, cannot be used.
        BuildError: a certificate or key cannot be used.
        TelemetryPathError: the telemetry path cannot be used.
    """

    def __init__(
        self,
        load: Load,
        options: Options,
        environ: Mapping[str, str],
        clock: Clock,
        log_lines_dropped: Callable[[], int] = lambda: 0,
    ) -> None:
        self._options = options
        self._clock = clock
        self.store = Store()
        self._fleet = Fleet(self.store, environ, clock)
        self._notifier = Notifier.of_environment(environ, os.getpid())
        self._reloader = Reloader(load, self._fleet, clock, self._notifier)
        self._first_round_by = clock().monotonic + self._fleet.first_round()
        self._first_round_done = False
        self._draining = False
        path = options.web_config_file
        self._web_config = LiveWebConfig(path) if path else None
        self._refused = no_refusals()
        self._app = application(
            store=self.store,
            moment=clock,
            registry=own_registry(
                ExporterCollector(
                    self.store,
                    lambda: self._reloader.status,
                    clock,
                    version=__version__,
                    refused=self._refused,
                    log_lines_dropped=log_lines_dropped,
                )
            ),
            unhealthy=self.unhealthy,
            unready=self.unready,
            reload=self._reloader.reload,
            poll=self._fleet.probe,
            reload_status=lambda: self._reloader.status,
            configuration=lambda: self._reloader.config.shown(),  # noqa: PLW0108  # reloads replace it
            version=__version__,
            next_polls=self._fleet.next_polls,
            telemetry_path=options.telemetry_path,
            max_requests=options.max_requests,
            refused=self._refused,
            generation=lambda: self._reloader.status,
        )
        if self._web_config:
            protect(self._app, self._web_config)

    def unhealthy(self) -> str | None:
        """Why the exporter does not do its work, or None while it does."""
        stalled = self._fleet.stalled()
        return f"The schedule has stalled for {', '.join(stalled)}." if stalled else None

    def unready(self) -> str | None:
        """Why there is not yet, or no longer, anything to scrape; None while there is.

        Ready means that every target was polled once. A server that hangs holds this back no
        longer than a whole round takes: one interval, and the timeout of the last poll in it.
        """
        if self._draining:
            return "agent-rest-exporter is stopping."
        if not self._first_round_done:
            waiting = sum(state.polls == 0 for state in self.store.states())
            if waiting and self._clock().monotonic < self._first_round_by:
                return f"{waiting} of {len(self.store)} targets wait for their first poll."
            self._first_round_done = True
        return None

    def request_reload(self) -> None:
        """Reload soon, whether or not a file has changed: what SIGHUP means."""
        self._reloader.request_reload()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[tuple[str, ...]]:
        """Serve and poll while the block runs. Gives the addresses that are listened on.

        Raises:
            ListenError: an address cannot be used; nothing has been polled.
        """
        async with contextlib.AsyncExitStack() as stack:
            tls = self._web_config.tls if self._web_config else None
            _raise_descriptor_limit()
            listener = await listen(
                self._app, self._options.addresses, tls=tls, refused=self._refused
            )
            # left last: scrapes are answered until the polls have ended
            stack.push_async_callback(listener.close)
            await stack.enter_async_context(self._fleet.working())
            await stack.enter_async_context(
                _beside(
                    self._reloader.watch(self._options.reload_interval),
                    self._notifier.keep_alive(lambda: not self._fleet.stalled()),
                    self._watch_web_config(),
                )
            )
            self._log_start(listener.addresses)
            self._notifier.ready(f"{len(self.store)} targets")
            try:
                yield listener.addresses
            finally:
                self._draining = True
                self._notifier.stopping()
        log_messages.STOPPED.log()

    async def _watch_web_config(self) -> None:
        live = self._web_config
        if live:
            interval = _WEB_CONFIG_INTERVAL
            await watch_files(lambda: live.seen, live.reload, interval=interval, settle=interval)

    def _log_start(self, addresses: tuple[str, ...]) -> None:
        servers = sum(1 for _ in self.store.servers())
        log_messages.STARTED.log(
            {
                "version": __version__,
                "python": platform.python_version(),
                "config": self._reloader.config.digest[:12],
                "servers": servers,
                "targets": len(self.store),
                "listen": ",".join(addresses),
            },
        )


@contextlib.asynccontextmanager
async def _beside(*works: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Do some work while the block runs, and cancel it when the block ends."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


def _raise_descriptor_limit() -> None:
    """Allow as many descriptors as this process may have: half of them are for connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS has a lower limit of its own
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
