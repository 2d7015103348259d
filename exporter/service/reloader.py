"""From one configuration to the next while everything runs, and how that went.

A reload reads and checks everything first, in a thread; then the fleet applies all of it or, if
there are problems, nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from exporter import log_messages
from exporter.clock import Clock
from exporter.config.files import Seen
from exporter.config.load import Config
from exporter.config.problems import ConfigError
from exporter.errors import internal_error
from exporter.polling.build import BuildError
from exporter.polling.fleet import Fleet, Plan
from exporter.service.systemd import Notifier
from exporter.store import ReloadOutcome, ReloadStatus

SETTLE: Final = 2.0
"""Seconds between the two looks that must find the same before a changed file is read: longer than
a program that writes line by line pauses."""

_BURST: Final = 10
"""Reloads that may come at once; then one more every `_REFILL` seconds."""
_REFILL: Final = 1.0
_MOST_LOGGED: Final = 50
"""Problems of one configuration that are logged."""

Load = Callable[[], Config]
"""Reads and checks the configuration. Raises ConfigError. It may block: it gets a thread."""


class Reloader:
    """Loads the configuration, at once and whenever it is to be loaded again.

    Raises:
        ConfigError: the configuration cannot be used.
        BuildError: a certificate or key cannot be used.
    """

    def __init__(self, load: Load, fleet: Fleet, clock: Clock, notifier: Notifier) -> None:
        self._load = load
        self._fleet = fleet
        self._clock = clock
        self._notifier = notifier
        self._one_at_a_time = asyncio.Lock()
        self._next: asyncio.Task[ReloadOutcome] | None = None
        self._requested = asyncio.Event()
        self._allowed = float(_BURST)
        self._refilled_at = clock().monotonic
        config = load()
        self._seen = config.seen
        fleet.apply(fleet.prepare(config))
        self.config = config
        """The configuration in use."""
        self.status = ReloadStatus(successful=True, last_success=clock().wall)

    async def reload(self) -> ReloadOutcome:
        """Load the configuration and apply it: all of it or, if it has problems, nothing.

        One reload may wait for another one to end: everyone who asks meanwhile shares its outcome.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._reload_in_turn())
        return await asyncio.shield(self._next)

    async def _reload_in_turn(self) -> ReloadOutcome:
        async with self._one_at_a_time:
            await self._pace()
            self._next = None  # what is read from here on may be too late for whoever asks now
            self._notifier.reloading(self._clock().monotonic)
            outcome = await self._reload()
            ended = self._clock().wall
            if outcome.successful:
                self.status = ReloadStatus(successful=True, last_success=ended)
            else:
                self.status = ReloadStatus(
                    successful=False,
                    last_success=self.status.last_success,
                    last_failure=ended,
                    problems=tuple(outcome.report.splitlines()),
                )
            self._notifier.ready(
                outcome.report if outcome.successful else "the last reload failed, see the log"
            )
            return outcome

    async def _pace(self) -> None:
        """Wait if there were many for nothing: strangers can ask for them, but change no file."""
        now = self._clock().monotonic
        self._allowed = min(_BURST, self._allowed + (now - self._refilled_at) / _REFILL)
        self._refilled_at = now
        self._allowed -= 1
        if self._allowed < 0:
            if await asyncio.to_thread(self._seen.look) == self._seen:
                await asyncio.sleep(-self._allowed * _REFILL)
            else:
                self._allowed = 0.0

    def request_reload(self) -> None:
        """Reload soon, whether or not a file has changed: what SIGHUP means."""
        self._requested.set()

    async def watch(self, interval: float, settle: float = SETTLE) -> None:
        """Reload when a file has changed in content, and when requested, until cancelled.

        Args:
            interval: seconds between two looks at the files; 0 for none.
            settle: seconds until the next look after one that found something new.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._serve_requests())
            if interval:
                watching = watch_files(
                    lambda: self._seen, self.reload, interval=interval, settle=settle
                )
                group.create_task(watching)

    async def _serve_requests(self) -> None:
        while True:
            await self._requested.wait()
            self._requested.clear()
            await self.reload()

    async def _reload(self) -> ReloadOutcome:
        try:
            config, plan = await asyncio.to_thread(self._prepare)
            changes = self._fleet.apply(plan)
        except (ConfigError, BuildError) as error:
            report = str(error)
        except Exception as error:  # noqa: BLE001  # whatever it is, the old configuration stays
            report = internal_error(error)
            # only another change is worth another try
            self._seen = await asyncio.to_thread(self._seen.look)
        else:
            self.config = config
            fields = {"config": config.digest[:12], "changes": str(changes)}
            log_messages.RELOADED.log(fields)
            return ReloadOutcome(successful=True, report=str(changes))
        problems = report.splitlines()
        for line in problems[:_MOST_LOGGED]:
            log_messages.NOT_RELOADED.log({"error": line})
        more = len(problems) - _MOST_LOGGED
        if more > 0:
            rest = f"and {more} more problems: agent-rest-exporter check lists them all"
            log_messages.NOT_RELOADED.log({"error": rest})
        return ReloadOutcome(successful=False, report=report)

    def _prepare(self) -> tuple[Config, Plan]:
        try:
            config = self._load()
        except ConfigError as error:
            self._seen = error.seen
            raise
        self._seen = config.seen
        return config, self._fleet.prepare(config)


async def watch_files(
    seen: Callable[[], Seen],
    reload: Callable[[], Awaitable[object]],
    *,
    interval: float,
    settle: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Reload whenever files differ from what was last read, until cancelled.

    A change counts once two looks in a row have found the same: a file that is still being
    written, or a certificate whose key comes a moment later, is waited for. Files are looked at
    every so often, because changes on network drives, and of the symbolic links that Kubernetes
    swaps, do not arrive as events.

    Args:
        seen: gives what the files held when they were last read, with or without success.
        reload: reads them again.
        interval: seconds between two looks.
        settle: seconds until the next look after one that found something new.
        sleep: waits for so many seconds.
    """
    before = seen()
    while True:
        await sleep(interval if before == seen() else settle)
        now = await asyncio.to_thread(seen().look)
        if now == before and now != seen():
            await reload()
        before = now
