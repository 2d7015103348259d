"""The pollers of all servers: started, kept and stopped as the configuration says.

A new configuration is applied by difference. A server that did not change keeps its client and its
targets their place in time and their numbers; only its idle connections are closed. One that
changed in anything is a new server: its polls end, and are made anew within one interval.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from exporter.clock import Clock
from exporter.cms.client import CmsClient
from exporter.cms.progress import Note
from exporter.config.load import Config
from exporter.history import MINUTE
from exporter.polling import build
from exporter.polling.poller import Poller
from exporter.polling.prober import Prober
from exporter.server import Server
from exporter.store import Store, Target, TargetKey, TargetState


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between two configurations, in targets and in whole servers."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    """Targets with other labels, another limit, or on a server whose settings changed."""
    unchanged: int = 0
    servers: tuple[str, ...] = ()
    """Servers that are new, removed, or have other settings."""

    def __str__(self) -> str:
        servers = ", ".join(self.servers) or "none"
        return (
            f"targets: {self.added} added, {self.removed} removed, {self.changed} changed, "
            f"{self.unchanged} unchanged; servers with changes: {servers}"
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """A configuration that can be applied: everything that can fail or block is done."""

    servers: Sequence[Server]
    targets: Sequence[Target]
    clients: Mapping[str, CmsClient]
    """For servers that are new or have other settings."""


@dataclass(frozen=True, slots=True)
class _Member:
    """One server that is polled."""

    client: CmsClient
    poller: Poller
    prober: Prober


class Fleet:
    """Every server's poller.

    It changes the store together with itself. The clock's monotonic part must be the event loop's.
    """

    def __init__(self, store: Store, environ: Mapping[str, str], clock: Clock) -> None:
        self._store = store
        self._environ = environ
        self._clock = clock
        self._members: dict[str, _Member] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    def prepare(self, config: Config) -> Plan:
        """Read what the configuration names, and change nothing.

        It blocks: call it in a thread. Raises BuildError.
        """
        changed = [server for server in config.servers if not self._polls(server)]
        clients = build.clients(changed, self._environ, self._clock)
        return Plan(config.servers, config.targets, clients)

    def apply(self, plan: Plan) -> Changes:
        """Poll by a new configuration from now on."""
        names = [server.name for server in plan.servers]
        before = dict(self._members)
        gone = before.keys() - set(names)
        changes = self._changes(plan.targets, {*gone, *plan.clients})
        self._store.replace(plan.targets, names)
        for name in [*gone, *plan.clients]:
            self._stop(name)
        keys: dict[str, list[TargetKey]] = {name: [] for name in names}
        for target in plan.targets:
            keys[target.key.cms].append(target.key)
        for name, client in plan.clients.items():
            if name in before and before[name].client.server.url == client.server.url:
                # the gateway that sends surplus replies is the same
                until = before[name].client.condition.single_use_until
                client.condition.single_use_until = until
            poller = Poller(client, keys[name], self._store, self._clock)
            self._members[name] = _Member(client, poller, Prober(client))
            self._start(name)
        for name in set(names) - plan.clients.keys():
            member = self._members[name]
            member.poller.update(keys[name])
            # an address may have changed: resolve names again
            member.client.drop_idle()
        return changes

    def stalled(self) -> list[str]:
        """The servers whose schedule has stopped."""
        now = self._clock().monotonic
        return [name for name, member in self._members.items() if member.poller.stalled(now)]

    def first_round(self) -> float:
        """Seconds within which every target is polled once, even if the server hangs."""
        servers = [member.client.server for member in self._members.values()]
        return max((server.interval + server.timeout for server in servers), default=0.0)

    def next_polls(self) -> Callable[[TargetKey], float | None]:
        """When targets are polled next, as the schedule is now: in monotonic seconds, by target.

        None for a target that is not polled. A server's schedule is looked at when it is first
        asked for, which takes a few milliseconds with ten thousand targets.
        """
        upcoming: dict[str, Mapping[TargetKey, float]] = {}

        def next_poll(key: TargetKey) -> float | None:
            if key.cms not in upcoming:
                member = self._members.get(key.cms)
                upcoming[key.cms] = {} if member is None else member.poller.upcoming()
            return upcoming[key.cms].get(key)

        return next_poll

    async def probe(
        self, target: Target, within: float | None, note: Note | None = None
    ) -> TargetState:
        """Poll one of the configured targets now: see `Prober.probe`."""
        return await self._members[target.key.cms].prober.probe(target, within, note)

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Poll while the block runs. Polls under way are cancelled when it ends."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            sampling = group.create_task(self._sample())
            for name in self._members:
                self._start(name)
            try:
                yield
            finally:
                # a reload during shutdown must not start pollers
                self._group = None
                for member in self._members.values():
                    member.prober.close()
                for task in (sampling, *self._tasks.values()):
                    task.cancel()

    async def _sample(self) -> None:
        """Keep the numbers of every minute. It costs 5 ms with ten thousand targets."""
        while True:
            await asyncio.sleep(MINUTE - self._clock().boot % MINUTE)
            self._store.sample(self._clock())

    def _polls(self, server: Server) -> bool:
        """Whether this very server is polled already."""
        member = self._members.get(server.name)
        return member is not None and member.client.server == server

    def _changes(self, targets: Iterable[Target], servers: set[str]) -> Changes:
        before = {state.target.key: state.target for state in self._store.states()}
        after = {target.key: target for target in targets}
        both = before.keys() & after.keys()
        changed = sum(before[key] != after[key] or key.cms in servers for key in both)
        return Changes(
            added=len(after) - len(both),
            removed=len(before) - len(both),
            changed=changed,
            unchanged=len(both) - changed,
            servers=tuple(sorted(servers)),
        )

    def _start(self, name: str) -> None:
        if self._group is not None:
            self._tasks[name] = self._group.create_task(self._members[name].poller.run())

    def _stop(self, name: str) -> None:
        member, task = self._members.pop(name, None), self._tasks.pop(name, None)
        if member is not None:
            member.prober.close()
            # polls whose reply has come end before they can be cancelled
            member.poller.update(())
        if task is not None:
            task.cancel()
