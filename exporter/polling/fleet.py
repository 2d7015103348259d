"""The pollers of all servers: started, kept, changed and stopped as the configuration says.

Follows a configuration by difference. What did not change is left alone: its connections, its
place in time, its numbers. Knows how rooms are put together, and nothing of files, signals or HTTP.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass

from exporter.clock import Clock
from exporter.cms.client import CmsClient
from exporter.config import Config
from exporter.polling import build
from exporter.polling.build import Identity
from exporter.polling.poller import Poller
from exporter.polling.prober import Prober
from exporter.polling.schedule import first_delay
from exporter.store import Store, Target, TargetKey, TargetState


@dataclass(frozen=True, slots=True)
class Changes:
    """What a configuration changes against the one before, in targets, and in whole servers."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    """Targets with other labels, another limit, or on a server whose settings changed."""
    unchanged: int = 0
    servers: tuple[str, ...] = ()
    """Servers that are new, gone, or have other settings."""

    def __str__(self) -> str:
        servers = ", ".join(self.servers) or "none"
        return (
            f"targets: {self.added} added, {self.removed} removed, {self.changed} changed, "
            f"{self.unchanged} unchanged; servers with changes: {servers}"
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What following a configuration takes: everything that can fail or block is done."""

    config: Config
    targets: Sequence[Target]
    identities: Mapping[str, Identity]
    clients: Mapping[str, CmsClient]
    """For servers that are new or have other settings."""


@dataclass(slots=True)
class _Member:
    """One server at work."""

    identity: Identity
    poller: Poller
    prober: Prober
    interval: float
    task: asyncio.Task[None] | None = None


class Fleet:
    """Every server's poller.

    Args:
        store: where states and stats are kept. It follows the configuration with the fleet.
        environ: where a proxy is looked up if the configuration names none.
        clock: its monotonic part must be the event loop's.
    """

    def __init__(self, store: Store, environ: Mapping[str, str], clock: Clock) -> None:
        self._store = store
        self._environ = environ
        self._clock = clock
        self._members: dict[str, _Member] = {}
        self._group: asyncio.TaskGroup | None = None

    def prepare(self, config: Config) -> Plan:
        """Read what the configuration names, and change nothing. It blocks: it may have a thread.

        Raises:
            AssemblyError: certificates or keys cannot be used, or secrets no longer be read.
        """
        identities = build.identities(config)
        renewed = [
            identity
            for name, identity in identities.items()
            if name not in self._members or self._members[name].identity != identity
        ]
        clients = build.clients(renewed, self._environ, self._clock)
        return Plan(config, build.targets(config), identities, clients)

    def follow(self, plan: Plan) -> Changes:
        """Work by a new configuration from now on, all of it."""
        gone = self._members.keys() - plan.identities.keys()
        servers = plan.config.servers
        slower_or_faster = {
            each.name
            for each in servers
            if each.name in self._members and self._members[each.name].interval != each.interval
        }
        changes = self._changes(plan.targets, {*gone, *slower_or_faster, *plan.clients})
        self._store.replace(plan.targets, plan.identities)
        for name in gone:
            _dismiss(self._members.pop(name))
        keys: dict[str, list[TargetKey]] = {name: [] for name in plan.identities}
        for target in plan.targets:
            keys[target.key.cms].append(target.key)
        for each in servers:
            identity, client = plan.identities[each.name], plan.clients.get(each.name)
            self._employ(identity, client, keys[each.name], each.interval)
        return changes

    def stalled(self) -> list[str]:
        """The servers whose schedule has stopped."""
        now = self._clock().monotonic
        return [name for name, member in self._members.items() if member.poller.stalled(now)]

    def first_round(self) -> float:
        """Seconds within which every target is polled once, also on a server that hangs."""
        return max(
            (
                member.interval + member.poller.client.server.timeout
                for member in self._members.values()
            ),
            default=0.0,
        )

    def next_poll(self, key: TargetKey) -> float | None:
        """When a target is due next, on the monotonic clock; None if it has no server."""
        member = self._members.get(key.cms)
        if member is None:
            return None
        now = self._clock()
        return now.monotonic + first_delay(key, member.interval, now.wall)

    async def probe(self, target: Target, within: float | None) -> TargetState | str:
        """Poll one of the configured targets now: see `Prober.probe`."""
        return await self._members[target.key.cms].prober.probe(target, within)

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Poll while the block runs. Polls in flight are cancelled when it is left."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for member in self._members.values():
                self._start(member)
            try:
                yield
            finally:
                # whatever is followed from here on starts nobody
                self._group = None
                for member in self._members.values():
                    _dismiss(member)

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

    def _employ(
        self,
        identity: Identity,
        client: CmsClient | None,
        keys: list[TargetKey],
        interval: float,
    ) -> None:
        name = identity.server.name
        member = self._members.get(name)
        if member is None:
            assert client is not None  # noqa: S101  # nobody without a client is new
            poller = Poller(client, keys, interval, self._store, self._clock)
            prober = Prober(poller.gate, self._store.server(name), self._clock)
            self._members[name] = member = _Member(identity, poller, prober, interval)
            self._start(member)
            return
        member.poller.update(client or member.poller.client, keys, interval)
        if client is not None:
            member.prober.follow()
        member.identity, member.interval = identity, interval

    def _start(self, member: _Member) -> None:
        if self._group is not None:
            member.task = self._group.create_task(member.poller.run())


def _dismiss(member: _Member) -> None:
    member.prober.close()
    if member.task is not None:
        member.task.cancel()
