"""`check --live`: one poll of each of many targets, as the daemon would make them.

A server is asked with as many polls in flight, at its rate limit, and with the pauses that it asks
for.
"""

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console

from exporter.cli.answers import Answer, Feed
from exporter.cli.terminal import progress, say
from exporter.clock import system_clock
from exporter.cms.client import CmsClient
from exporter.durations import format_duration
from exporter.inspection.survey import explain_refusal
from exporter.store import TargetKey


class Round:
    """One poll of each of many targets.

    `console` shows a progress bar if it is a terminal, and what cannot wait.
    """

    def __init__(
        self,
        clients: Mapping[str, CmsClient],
        targets: Sequence[TargetKey],
        console: Console,
        feed: Feed | None = None,
    ) -> None:
        self._clients = clients
        self._targets = targets
        self._console = console
        self._feed = feed
        self._bar = progress(console)
        self._task = self._bar.add_task("", total=len(targets), failed=0)
        self._answers: dict[TargetKey, Answer] = {}
        self._failed = 0
        self._paused: set[str] = set()
        self.hints: dict[str, str] = {}
        """By server, what would make it accept the signatures that it has refused."""

    @property
    def answers(self) -> list[Answer]:
        """Those that there are by now, in the order of the targets."""
        return [self._answers[target] for target in self._targets if target in self._answers]

    async def poll(self) -> None:
        """Poll all of them, and close the clients, also when cancelled halfway."""
        try:
            with self._bar:
                async with asyncio.TaskGroup() as servers:
                    for cms, client in self._clients.items():
                        targets = [target for target in self._targets if target.cms == cms]
                        servers.create_task(self._poll_server(client, targets))
        finally:
            for client in self._clients.values():
                await client.aclose()

    async def _poll_server(self, client: CmsClient, targets: Sequence[TargetKey]) -> None:
        waiting = iter(targets)
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(len(targets), client.server.max_concurrency)):
                workers.create_task(self._work(client, waiting))
        if self._feed is not None:
            self._feed.server_done(client.server.name)
        for target in targets:
            result, vdn = self._answers[target].result, (target.cc_id, target.vdn)
            hint = await explain_refusal(client.server, result, vdn, os.environ, system_clock)
            if hint is not None:
                self.hints[client.server.name] = hint
                return

    async def _work(self, client: CmsClient, waiting: Iterator[TargetKey]) -> None:
        for target in waiting:
            self._add(Answer(target, await client.poll(target.cc_id, target.vdn)))

    def _add(self, answer: Answer) -> None:
        self._answers[answer.target] = answer
        error, cms = answer.result.error, answer.target.cms
        if error is not None and error.retry_after and cms not in self._paused:
            self._paused.add(cms)
            # without a word this would look like a hang
            pause = format_duration(error.retry_after)
            say(
                self._console,
                f"{cms}: asked for a pause of {pause}: its other targets wait",
                "yellow",
            )
        if self._feed is not None:
            self._feed.add(answer)
        self._failed += error is not None
        self._bar.update(self._task, completed=len(self._answers), failed=self._failed)
