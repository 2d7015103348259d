"""What is known of every target and server: polls write it, scrapes read it.

A poll replaces a target's frozen state with the next one; a scrape reads what is there and never
waits. Everything runs in one event loop, so that nothing here needs a lock.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from exporter.clock import Moment
from exporter.errors import PollError, PollResult, Reason
from exporter.history import MINUTE, FailureHistory, RestHistory, without_seconds
from exporter.rest import Snapshot


class TargetKey(NamedTuple):
    """What identifies a target."""

    cms: str
    cc_id: int
    vdn: int


@dataclass(frozen=True, slots=True)
class Target:
    """One VDN to poll, as configured."""

    key: TargetKey
    name: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    max_resting: int | None = None
    """Agents who may rest at once. The limits are for alert rules to compare with."""
    stale_after: float = 90.0
    """Seconds after its last success for which a target's numbers are shown."""
    max_rest: float | None = None
    """Seconds that a rest may last."""
    max_wait: float | None = None
    """Seconds that an agent may wait."""
    rest_bounds: tuple[float, ...] = ()
    """Seconds, ascending: how many agents rest longer than each is counted."""


class Failure(msgspec.Struct, frozen=True, gc=False):
    """Why the last poll failed."""

    reason: Reason
    message: str
    since: float
    """Epoch seconds of the first of the failures since the last success."""

    @property
    def cause(self) -> tuple[str, str]:
        """What targets that fail alike share: the reason, and the message without its seconds."""
        return self.reason.value, without_seconds(self.message)


class TargetState(msgspec.Struct, frozen=True, gc=False):
    """One target after its latest poll.

    Like all of its fields it cannot be part of a cycle, so the garbage collector skips it.
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
    replied: float | None = None
    """On the boot clock: when it was the server's time that the snapshot has."""

    def after(self, result: PollResult) -> "TargetState":
        """The state after one more poll. If it failed, the last numbers stay until they are stale.

        Built by hand: `msgspec.structs.replace` takes three times as long.
        """
        error, started = result.error, result.started.wall
        if error is None:
            return TargetState(
                self.target,
                self.polls + 1,
                self.failures,
                started,
                result.ended,
                result.duration,
                result.snapshot,
                None,
                result.ended.boot if result.replied is None else result.replied,
            )
        since = started if self.failure is None else self.failure.since
        return TargetState(
            self.target,
            self.polls + 1,
            self.failures + 1,
            started,
            self.last_success,
            result.duration,
            self.snapshot,
            Failure(error.reason, error.message, since),
            self.replied,
        )

    def without_numbers(self, ended: Moment, error: PollError, now: Moment) -> "TargetState | None":
        """The state after its last success has become doubtful: as if that poll had failed.

        None if the numbers are another poll's. `ended` is when that poll ended, `now` when the
        doubt was found out.
        """
        if self.last_success != ended or self.snapshot is None:
            return None
        failed_before = self.failure is not None
        return TargetState(
            self.target,
            self.polls,
            self.failures + (not failed_before),
            self.last_attempt,
            None,
            self.duration,
            None,
            self.failure or Failure(error.reason, error.message, now.wall),
        )

    def numbers(self, now: Moment) -> tuple[Snapshot, float] | None:
        """The numbers of the last success, with the server's time at `now`.

        None if there are none, or if they are older than `stale_after`. The server's time follows
        from its last reply: this host's clock need not be right.
        """
        snapshot, success, replied = self.snapshot, self.last_success, self.replied
        if snapshot is None or success is None or replied is None:
            return None
        if now.boot - success.boot > self.target.stale_after:
            return None
        # most of a large reply comes after its Date
        return snapshot, snapshot.server_time + now.boot - replied

    def fresh(self, now: Moment) -> Snapshot | None:
        """The numbers of the last success, unless there are none or they are too old."""
        numbers = self.numbers(now)
        return None if numbers is None else numbers[0]


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
class ServerCondition:
    """What is known of a server from its replies.

    Each client begins with nothing known: other settings may lead to another machine.
    """

    paused_until: float = 0.0
    """Until when the server asked not to be polled, on the boot clock."""
    clock_skew: float | None = None
    """The server's `Date` less this host's clock in seconds, from the last reply."""
    certificate_expiry: float | None = None
    """Epoch seconds at which the first certificate of the chain expires that the server showed
    when a connection was last opened. None for http and until then."""
    single_use_until: float | None = None
    """On the boot clock: each poll uses a new connection until then. None if they are kept."""

    def pause(self, now: Moment) -> float:
        """Seconds for which the server will not be polled, because it asked for a pause."""
        return max(0.0, self.paused_until - now.boot)


@dataclass(slots=True)
class ServerStats:
    """What was done to one CC-CMS since the exporter started, whatever its settings were.

    The client counts requests and polls in flight; the poller counts the rest.
    """

    condition: ServerCondition = field(default_factory=ServerCondition)
    """As its present client has found it."""
    requests: int = 0
    in_flight: int = 0
    skipped: int = 0
    failures: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(Reason, 0))
    duration: Histogram = field(default_factory=lambda: Histogram(POLL_DURATION_BUCKETS))
    delay: Histogram = field(default_factory=lambda: Histogram(POLL_DELAY_BUCKETS))

    def count(self, result: PollResult, due: float) -> None:
        """Count a scheduled poll that was due at `due` on the monotonic clock."""
        self.delay.observe(max(0.0, result.started.monotonic - due))
        self.duration.observe(result.duration)
        if result.error is not None:
            self.failures[result.error.reason] += 1


class Store:
    """The states of all targets by key, and the stats of all servers by name.

    Both in the order of the configuration. A state is never changed, only replaced.
    """

    def __init__(self) -> None:
        self._states: dict[TargetKey, TargetState] = {}
        self._servers: dict[str, ServerStats] = {}
        self.rests = RestHistory()
        """The numbers of the last hour."""
        self.failures = FailureHistory()
        """The last failures."""

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

    def replace(self, targets: Iterable[Target], servers: Iterable[str]) -> None:
        """Apply a new configuration, in its order. What stays keeps its state and its stats.

        A target with other labels keeps its numbers.
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
        self._servers = {name: self._servers.get(name) or ServerStats() for name in servers}
        self._states = states
        self.rests.replace(states)
        self.failures.keep(states)

    def record(self, state: TargetState) -> None:
        """Replace a target's state with its next one, if it is still a target."""
        key = state.target.key
        before = self._states.get(key)
        if before is None:
            return
        self._states[key] = state
        if state.failure is not before.failure:
            self._note_failure(key, state)

    def sample(self, now: Moment) -> None:
        """Keep the numbers of this minute, as far as they are fresh."""
        self.rests.add(
            int(now.boot // MINUTE),
            (
                None if snapshot is None else (snapshot.resting, snapshot.waiting)
                for snapshot in (state.fresh(now) for state in self._states.values())
            ),
        )

    def _note_failure(self, key: TargetKey, state: TargetState) -> None:
        failure = state.failure
        if failure is not None:
            at = failure.since if state.last_attempt is None else state.last_attempt
            self.failures.failed(key, failure.reason, failure.message, at)
            return
        assert state.last_success is not None, "there is no failure"  # noqa: S101 - for mypy
        self.failures.ended(key, state.last_success.wall)


@dataclass(frozen=True, slots=True)
class ReloadStatus:
    """How the configuration was last loaded."""

    successful: bool
    """Whether the last attempt succeeded."""
    last_success: float
    """Epoch seconds of the last attempt that succeeded."""
    last_failure: float | None = None
    """Epoch seconds of the last attempt, if it failed."""
    problems: tuple[str, ...] = ()
    """What was wrong with it, a sentence each."""


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """How one reload went."""

    successful: bool
    """If not, the whole previous configuration stays in use."""
    report: str
    """What changed, in one line; or what is wrong, one line for each problem."""
