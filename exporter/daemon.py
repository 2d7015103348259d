"""The daemon: wires the rooms together, runs until told to stop, and leaves in order.

Knows every room and none of their details: polls run in the background, scrapes read the store,
and this is where both begin and end.
"""

import asyncio
import contextlib
import logging
import platform
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from exporter import __version__, assembly
from exporter.clock import Clock
from exporter.config import Config
from exporter.metrics import ReloadStatus, own_registry
from exporter.poller import Poller
from exporter.store import Store
from exporter.web.app import application
from exporter.web.listen import Address, listen

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WebOptions:
    """Where the pages are served."""

    addresses: Sequence[Address] = (Address("", 10072),)
    telemetry_path: str = "/metrics"


class Daemon:
    """One exporter, from its configuration to its end.

    Args:
        config: checked.
        web: where the pages are served.
        environ: where a proxy is looked up if the configuration names none.
        clock: its monotonic part must be the event loop's.

    Raises:
        AssemblyError: a certificate or key cannot be used.
        ValueError: the telemetry path cannot be had; the message is a sentence.
    """

    def __init__(
        self, config: Config, web: WebOptions, environ: Mapping[str, str], clock: Clock
    ) -> None:
        self._config = config
        self._addresses = web.addresses
        self._clock = clock
        now = clock()
        targets = assembly.targets(config)
        self.store = Store(targets, [server.name for server in config.servers])
        self._clients = assembly.clients(config, environ, clock)
        self._pollers = [
            Poller(
                client,
                [target.key for target in targets if target.key.cms == server.name],
                server.interval,
                self.store,
                clock,
            )
            for client, server in zip(self._clients, config.servers, strict=True)
        ]
        reload_status = ReloadStatus(successful=True, last_success=now.wall)
        self._app = application(
            store=self.store,
            moment=clock,
            registry=own_registry(self.store, lambda: reload_status, version=__version__),
            healthy=self.unhealthy,
            ready=self.unready,
            version=__version__,
            telemetry_path=web.telemetry_path,
        )
        self._first_round_by = now.monotonic + max(
            server.interval + server.timeout for server in config.servers
        )
        self._first_round_done = False
        self._draining = False

    def unhealthy(self) -> str | None:
        """Why the exporter does not do its work, or None while it does."""
        now = self._clock().monotonic
        stalled = [
            server.name
            for server, poller in zip(self._config.servers, self._pollers, strict=True)
            if poller.stalled(now)
        ]
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

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[tuple[str, ...]]:
        """Serve and poll while the block runs. Gives the addresses that are listened on.

        Raises:
            ListenError: an address cannot be had; nothing was polled then.
        """
        async with contextlib.AsyncExitStack() as stack:
            for client in self._clients:
                stack.push_async_callback(client.aclose)
            listener = await listen(self._app, self._addresses)
            stack.push_async_callback(listener.close)
            self._log_start(listener.addresses)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(poller.run()) for poller in self._pollers]
                try:
                    yield listener.addresses
                finally:
                    self._draining = True
                    for task in tasks:
                        task.cancel()
        _log.info("stopped")

    def _log_start(self, addresses: tuple[str, ...]) -> None:
        fields = {
            "version": __version__,
            "python": platform.python_version(),
            "config": self._config.digest[:12],
            "servers": str(len(self._config.servers)),
            "targets": str(len(self.store)),
            "listen": ",".join(addresses),
        }
        _log.info("agent-rest-exporter has started", extra={"fields": fields})


def stop_on_signals() -> asyncio.Event:
    """An event of the running loop that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
