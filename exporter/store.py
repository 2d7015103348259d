"""What is known of every target: polls write it, scrapes read it.

A poll replaces a target's frozen state by the next one; a scrape reads whatever stands there and
never waits. Knows no I/O, no metric names and no schedule. Everything runs in one event loop, so
that nothing here needs a lock.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from exporter.clock import Moment
from exporter.errors import PollError, Reason
from exporter.rest import Snapshot


class TargetKey(NamedTuple):
    """What tells one target from every other."""

    cms: str
    cc_id: int
    vdn: int


@dataclass(frozen=True, slots=True)
class Target:
    """One VDN that is polled: what the configuration says of it."""

    key: TargetKey
    name: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    max_resting: int | None = None
    stale_after: float = 90.0
    """Seconds after its last success for which a target's numbers are shown."""


class Failure(msgspec.Struct, frozen=True, gc=False):
    """Why the last poll failed."""

    reason: Reason
    message: str
    since: float
    """Epoch seconds of the first failure in an unbroken row of them, whatever their reasons."""


class TargetState(msgspec.Struct, frozen=True, gc=False):
    """One target after its latest poll. Numbers outlive failures until they are stale.

    Like all that it holds it cannot be part of a cycle: the garbage collector need not look.
    """

    target: Target
    polls: int = 0
    failures: int = 0
    last_attempt: float | None = None
    last_success: Moment | None = None
    duration: float | None = None
    """Seconds that the last poll took, all its pages."""
    snapshot: Snapshot | None = None
    failure: Failure | None = None

    def succeeded(self, started: Moment, ended: Moment, snapshot: Snapshot) -> "TargetState":
        """The state after a poll that brought `snapshot`."""
        return TargetState(
            self.target,
            self.polls + 1,
            self.failures,
            started.wall,
            ended,
            ended.monotonic - started.monotonic,
            snapshot,
            None,
        )

    def failed(self, started: Moment, ended: Moment, error: PollError) -> "TargetState":
        """The state after a poll that failed: the last numbers stay until they are stale."""
        since = started.wall if self.failure is None else self.failure.since
        return TargetState(
            self.target,
            self.polls + 1,
            self.failures + 1,
            started.wall,
            self.last_success,
            ended.monotonic - started.monotonic,
            self.snapshot,
            Failure(error.reason, error.message, since),
        )

    def fresh(self, now: Moment) -> Snapshot | None:
        """The numbers, unless there are none or the last success is older than `stale_after`."""
        if self.last_success is None:
            return None
        age = now.monotonic - self.last_success.monotonic
        return self.snapshot if age <= self.target.stale_after else None

    def server_time(self, now: Moment) -> float | None:
        """The server's clock at `now` as last seen: it does not need this host's to be right."""
        if self.snapshot is None or self.last_success is None:
            return None
        return self.snapshot.server_time + (now.monotonic - self.last_success.monotonic)


POLL_DURATION_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
POLL_DELAY_BUCKETS: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Histogram:
    """Counts of observations in seconds by upper bound, as Prometheus counts them."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """Each upper bound, the last one infinite, with the count of observations up to it."""
        running = 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            running += count
            yield bound, running


@dataclass(slots=True)
class ServerStats:
    """What the exporter has done to one CC-CMS since it started: it only ever grows."""

    requests: int = 0
    skipped: int = 0
    in_flight: int = 0
    clock_skew: float | None = None
    """The server's `Date` less this host's clock in seconds, from the last reply."""
    failures: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(Reason, 0))
    duration: Histogram = field(default_factory=lambda: Histogram(POLL_DURATION_BUCKETS))
    delay: Histogram = field(default_factory=lambda: Histogram(POLL_DELAY_BUCKETS))


class Store:
    """The states of all targets by key, in the order of the configuration, and each server's stats.

    Readers take a state and keep it as long as they like: it is never changed, only replaced.
    """

    def __init__(self, targets: Iterable[Target], servers: Iterable[str] = ()) -> None:
        self._states: dict[TargetKey, TargetState] = {}
        self._servers: dict[str, ServerStats] = {}
        self.replace(targets, servers)

    def __len__(self) -> int:
        return len(self._states)

    def states(self) -> Iterable[TargetState]:
        """Every target's state, in the order of the configuration."""
        return self._states.values()

    def state(self, key: TargetKey) -> TargetState:
        """One target's state. Raises KeyError if it is no target."""
        return self._states[key]

    def servers(self) -> Iterable[tuple[str, ServerStats]]:
        """Every server's name and stats, in the order of the configuration."""
        return self._servers.items()

    def server(self, name: str) -> ServerStats:
        """One server's stats. Raises KeyError if there is no such server."""
        return self._servers[name]

    def replace(self, targets: Iterable[Target], servers: Iterable[str] = ()) -> None:
        """Follow a new configuration, in its order. What stays keeps its state and its stats.

        Args:
            targets: all of them from now on. A target with other labels keeps its numbers.
            servers: all servers from now on, those without targets included.
        """
        states = {}
        for target in targets:
            old = self._states.get(target.key)
            if old is None:
                states[target.key] = TargetState(target)
            else:
                states[target.key] = (
                    old if old.target == target else msgspec.structs.replace(old, target=target)
                )
        names = dict.fromkeys([*servers, *(key.cms for key in states)])
        self._servers = {name: self._servers.get(name) or ServerStats() for name in names}
        self._states = states

    def record(self, state: TargetState) -> None:
        """Replace a target's state by its next one; a target that is gone stays gone."""
        if state.target.key in self._states:
            self._states[state.target.key] = state
