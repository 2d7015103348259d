"""The daemon: one exporter from its configuration to its end.

Wires fleet and pages together, reloads, and leaves in order. Knows every room and none of their
details.
"""

import asyncio
import contextlib
import logging
import platform
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from exporter import __version__
from exporter.assembly import AssemblyError
from exporter.clock import Clock
from exporter.config import Config, ConfigError
from exporter.fleet import Fleet
from exporter.metrics import ReloadStatus, own_registry
from exporter.store import Store
from exporter.web.app import application
from exporter.web.listen import Address, listen
from exporter.web.reload import Outcome

_log: Final = logging.getLogger(__name__)

Load = Callable[[], Config]
"""Reads and checks the configuration anew. Raises ConfigError. It may block: it gets a thread."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says, beside the configuration.

    Args:
        addresses: where the pages are served.
        telemetry_path: under which path metrics are served.
        reload_interval: seconds between two looks at the configuration's files; 0 for none.
    """

    addresses: Sequence[Address] = (Address("", 10072),)
    telemetry_path: str = "/metrics"
    reload_interval: float = 30.0


class Daemon:
    """One exporter.

    Args:
        load: reads the configuration, now and at each reload.
        options: of the command line.
        environ: where a proxy is looked up if the configuration names none.
        clock: its monotonic part must be the event loop's.

    Raises:
        ConfigError: the configuration cannot be used.
        AssemblyError: a certificate or key cannot be used.
        TelemetryPathError: the telemetry path cannot be had.
    """

    def __init__(
        self, load: Load, options: Options, environ: Mapping[str, str], clock: Clock
    ) -> None:
        self._load = load
        self._options = options
        self._clock = clock
        self.store = Store([])
        self._fleet = Fleet(self.store, environ, clock)
        config = load()
        self._fleet.follow(config)
        now = clock()
        self._digest, self._sources = config.digest, config.sources
        self._reload_status = ReloadStatus(successful=True, last_success=now.wall)
        self._reloading = asyncio.Lock()
        self._look_now = asyncio.Event()
        self._first_round_by = now.monotonic + self._fleet.first_round()
        self._first_round_done = False
        self._draining = False
        self._app = application(
            store=self.store,
            moment=clock,
            registry=own_registry(self.store, lambda: self._reload_status, version=__version__),
            healthy=self.unhealthy,
            ready=self.unready,
            reload=self.reload,
            version=__version__,
            telemetry_path=options.telemetry_path,
        )

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

    async def reload(self) -> Outcome:
        """Read the configuration and follow it: all of it or, if it has problems, nothing."""
        async with self._reloading:
            try:
                config = await asyncio.to_thread(self._load)
                changes = self._fleet.follow(config)
            except (ConfigError, AssemblyError) as error:
                if isinstance(error, ConfigError):
                    self._sources = error.sources
                self._reload_status = replace(self._reload_status, successful=False)
                for line in str(error).splitlines():
                    _log.error("the configuration was not reloaded", extra=_fields(error=line))
                return Outcome(successful=False, report=str(error))
            self._digest, self._sources = config.digest, config.sources
            self._reload_status = ReloadStatus(successful=True, last_success=self._clock().wall)
            fields = _fields(config=config.digest[:12], changes=str(changes))
            _log.info("the configuration was reloaded", extra=fields)
            return Outcome(successful=True, report=str(changes))

    def look_now(self) -> None:
        """Reload soon, whether or not a file has changed: what SIGHUP means."""
        self._look_now.set()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[tuple[str, ...]]:
        """Serve and poll while the block runs. Gives the addresses that are listened on.

        Raises:
            ListenError: an address cannot be had; nothing was polled then.
        """
        async with contextlib.AsyncExitStack() as stack:
            listener = await listen(self._app, self._options.addresses)
            # left last: scrapes are answered until the polls have ended
            stack.push_async_callback(listener.close)
            await stack.enter_async_context(self._fleet.working())
            watch = asyncio.create_task(self._watch())
            self._log_start(listener.addresses)
            try:
                yield listener.addresses
            finally:
                self._draining = True
                watch.cancel()
        _log.info("stopped")

    async def _watch(self) -> None:
        """Reload when a file has changed in content, or when told to."""
        seen = await self._fingerprint()
        while True:
            asked = await self._asked_within(self._options.reload_interval)
            found = await self._fingerprint()
            if asked or found != seen:
                await self.reload()
                seen = await self._fingerprint()

    async def _asked_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds or None):
                await self._look_now.wait()
        except TimeoutError:
            return False
        self._look_now.clear()
        return True

    async def _fingerprint(self) -> str:
        return await asyncio.to_thread(self._sources.fingerprint)

    def _log_start(self, addresses: tuple[str, ...]) -> None:
        servers = sum(1 for _ in self.store.servers())
        _log.info(
            "agent-rest-exporter has started",
            extra=_fields(
                version=__version__,
                python=platform.python_version(),
                config=self._digest[:12],
                servers=str(servers),
                targets=str(len(self.store)),
                listen=",".join(addresses),
            ),
        )


def stop_on_signals() -> asyncio.Event:
    """An event of the running loop that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _fields(**fields: str) -> dict[str, dict[str, str]]:
    return {"fields": fields}
