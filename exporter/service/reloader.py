"""From one configuration to the next while everything runs, and how that went.

Knows when a configuration is read again and who is told of the outcome; what a change means, the
fleet knows.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from exporter.clock import Clock
from exporter.config import Config, ConfigError, Sources
from exporter.errors import internal_error
from exporter.polling.build import BuildError
from exporter.polling.fleet import Fleet, Plan
from exporter.service.systemd import Notifier
from exporter.store import ReloadOutcome, ReloadStatus

_log: Final = logging.getLogger(__name__)

Load = Callable[[], Config]
"""Reads and checks the configuration anew. Raises ConfigError. It may block: it gets a thread."""


class Reloading:
    """Reads the configuration, at once and whenever it is to be read again.

    Args:
        load: reads it.
        fleet: follows it.
        clock: for the time of the last success.
        notifier: told when a reload begins and ends.

    Raises:
        ConfigError: the configuration cannot be used.
        BuildError: a certificate or key cannot be used.
    """

    def __init__(self, load: Load, fleet: Fleet, clock: Clock, notifier: Notifier) -> None:
        self._load = load
        self._fleet = fleet
        self._clock = clock
        self._notifier = notifier
        self._sources = Sources()
        self._seen = ""
        self._one_at_a_time = asyncio.Lock()
        self._asked = asyncio.Event()
        plan = self._read()
        fleet.apply(plan)
        self.digest = plan.digest
        self.status = ReloadStatus(successful=True, last_success=clock().wall)

    async def reload(self) -> ReloadOutcome:
        """Read the configuration and follow it: all of it or, if it has problems, nothing."""
        async with self._one_at_a_time:
            self._notifier.reloading(self._clock().monotonic)
            outcome = await self._follow()
            self.status = replace(self.status, successful=outcome.successful)
            if outcome.successful:
                self.status = replace(self.status, last_success=self._clock().wall)
            self._notifier.ready(
                outcome.report if outcome.successful else "the last reload failed, see the log"
            )
            return outcome

    def look_now(self) -> None:
        """Reload soon, whether or not a file has changed: what SIGHUP means."""
        self._asked.set()

    async def watch(self, interval: float) -> None:
        """Reload when a file has changed in content, or when asked to.

        Args:
            interval: seconds between two looks; 0 for none.
        """
        while True:
            asked = await self._asked_within(interval)
            if asked or await asyncio.to_thread(self._sources.fingerprint) != self._seen:
                await self.reload()

    async def _asked_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds or None):
                await self._asked.wait()
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    async def _follow(self) -> ReloadOutcome:
        try:
            plan = await asyncio.to_thread(self._read)
            changes = self._fleet.apply(plan)
        except (ConfigError, BuildError) as error:
            report = str(error)
        except Exception as error:  # noqa: BLE001  # whatever it is, the old configuration goes on
            report = internal_error(error)
        else:
            self.digest = plan.digest
            fields = {"config": self.digest[:12], "changes": str(changes)}
            _log.info("the configuration was reloaded", extra={"fields": fields})
            return ReloadOutcome(successful=True, report=str(changes))
        for line in report.splitlines():
            _log.error("the configuration was not reloaded", extra={"fields": {"error": line}})
        return ReloadOutcome(successful=False, report=report)

    def _read(self) -> Plan:
        """The plan for what the configuration is now.

        Its files are looked at before they are read, so that whatever changes meanwhile is seen
        to have changed. Which files there are, only reading tells: if there are others than
        before, it is done again.
        """
        while True:
            sources, self._seen = self._sources, self._sources.fingerprint()
            try:
                config = self._load()
            except ConfigError as error:
                self._sources = error.sources
                if self._sources == sources:
                    raise
                continue
            self._sources = config.sources
            if self._sources == sources:
                return self._fleet.prepare(config)
