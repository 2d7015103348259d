"""A fleet whose servers are scripted: on virtual time, without sockets."""

from collections.abc import Iterable
from itertools import zip_longest
from typing import Any, NamedTuple

import httpx
import pytest

from exporter.clock import Clock
from exporter.config.load import Config
from exporter.polling import build
from exporter.polling.fleet import Changes, Fleet
from exporter.server import Server
from exporter.store import Store, Target, TargetKey
from tests.support.scripted_server import Floor
from tests.support.virtual_time import virtual_clock


class Network:
    """Every server's floor by its URL, and every connection that was made to one."""

    def __init__(self) -> None:
        self.floors: dict[str, Floor] = {}
        self.lines: list[Line] = []

    def floor(self, url: str) -> Floor:
        """The floor behind a URL."""
        return self.floors.setdefault(url, Floor())

    def connect(self, server: Server, _: object) -> "Line":
        """In place of the real transport."""
        self.lines.append(Line(server, self.floor(server.url)))
        return self.lines[-1]

    def open(self) -> list[str]:
        """The servers with open connections."""
        return sorted(line.server.name for line in self.lines if not line.closed)


class Line(httpx.MockTransport):
    """Connections to one floor."""

    def __init__(self, server: Server, floor: Floor) -> None:
        super().__init__(floor)
        self.server = server
        self.closed = False

    async def aclose(self) -> None:
        self.closed = True


class Block(NamedTuple):
    """One server of a configuration."""

    server: Server
    targets: tuple[Target, ...]


class World:
    """A fleet and its store."""

    def __init__(self, clock: Clock = virtual_clock) -> None:
        self.store = Store()
        self.fleet = Fleet(self.store, {}, clock)

    def follow(self, *blocks: Block) -> Changes:
        """Apply a configuration of these servers."""
        return self.fleet.apply(self.fleet.prepare(config(*blocks)))

    def polls(self) -> dict[str, int]:
        """How many polls of each server's targets have ended."""
        found = {name: 0 for name, _ in self.store.servers()}
        for state in self.store.states():
            found[state.target.key.cms] += state.polls
        return found


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    """What the fleet's clients connect to."""
    network = Network()
    monkeypatch.setattr(build, "Transport", network.connect)
    return network


def server(
    name: str, vdns: Iterable[int] = (1, 2), names: Iterable[str | None] = (), **settings: Any
) -> Block:
    """A server and its targets, of which some have names."""
    pairs = zip_longest(vdns, names)
    targets = tuple(Target(TargetKey(name, 1, vdn), label) for vdn, label in pairs)
    return Block(Server(name=name, **{"url": f"http://{name}"} | settings), targets)


def config(*blocks: Block) -> Config:
    """A configuration of these servers."""
    targets = tuple(target for block in blocks for target in block.targets)
    return Config(tuple(block.server for block in blocks), targets, "digest")
