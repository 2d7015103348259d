"""`check --live`: every target asked once.

Every server is asked as the daemon would ask it: with as many requests in flight, at its pace, and
with the pauses that it asks for. Knows nothing of how the command is told its wishes.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from exporter.cli.progress import Progress
from exporter.cms.client import CmsClient
from exporter.durations import format_duration
from exporter.errors import PollResult
from exporter.store import TargetKey


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of asking one target."""

    target: TargetKey
    result: PollResult


class Round:
    """One question to each of many targets.

    Args:
        clients: of all servers, by name.
        targets: in the order of the configuration, one or more.
        progress: of as many steps as there are targets.
    """

    def __init__(
        self,
        clients: Mapping[str, CmsClient],
        targets: Sequence[TargetKey],
        progress: Progress,
    ) -> None:
        self._clients = clients
        self._targets = targets
        self._progress = progress
        self._answers: dict[TargetKey, Answer] = {}
        self._failures = 0
        self._paused: set[str] = set()

    @property
    def answers(self) -> list[Answer]:
        """Those that there are by now, in the order of the targets."""
        return [self._answers[target] for target in self._targets if target in self._answers]

    async def ask(self) -> None:
        """Ask all of them, and close the clients, also when cancelled halfway."""
        self._draw()
        try:
            async with asyncio.TaskGroup() as servers:
                for cms, client in self._clients.items():
                    targets = [target for target in self._targets if target.cms == cms]
                    servers.create_task(self._ask_server(client, targets))
        finally:
            self._progress.clear()
            for client in self._clients.values():
                await client.aclose()

    async def _ask_server(self, client: CmsClient, targets: Sequence[TargetKey]) -> None:
        waiting = iter(targets)
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(len(targets), client.server.max_concurrency)):
                workers.create_task(self._work(client, waiting))

    async def _work(self, client: CmsClient, waiting: Iterator[TargetKey]) -> None:
        for target in waiting:
            self._hear(Answer(target, await client.poll(target.cc_id, target.vdn)))

    def _hear(self, answer: Answer) -> None:
        self._answers[answer.target] = answer
        if answer.result.error is not None:
            self._failures += 1
            self._tell_pause(answer.target.cms, answer.result.error.retry_after)
        self._draw()

    def _tell_pause(self, cms: str, pause: float | None) -> None:
        if pause and cms not in self._paused:
            self._paused.add(cms)
            self._progress.say(
                f"{cms}: asks to be left alone for {format_duration(pause)}: the rest of its "
                "targets wait"
            )

    def _draw(self) -> None:
        self._progress.draw(len(self._answers), f"asked, {self._failures} failed")
