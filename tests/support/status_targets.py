"""Targets in every state, for the tests of the status page and of the API."""

import msgspec

from exporter.clock import Moment
from exporter.errors import PollError, Reason
from exporter.rest import Snapshot
from exporter.store import Store, Target, TargetKey
from tests.support.stores import failure, success

NOW = Moment(1_700_000_100.0, 1100.0, 1100.0)
BUSY = Snapshot(
    approved=101,
    resting=3,
    waiting=7,
    waiting_by_reason=(1, 2, 0, 0, 0, 4),
    longest_rest_start=1_699_995_760.0,
    longest_wait_start=1_699_999_000.0,
    deadlines=(),
    starts=None,
    unclassified=0,
    unlisted=0,
    unusable_begin_times=0,
    rows=10,
    doubts=(),
    server_time=1_700_000_060.0,
)
QUIET = msgspec.structs.replace(
    BUSY,
    approved=5,
    resting=0,
    waiting=0,
    waiting_by_reason=(0,) * 6,
    longest_rest_start=None,
    longest_wait_start=None,
    rows=0,
)
TIMEOUT = "no complete reply from 10.22.26.181:28443 within 10 s: raise timeout if it is only slow"


def ago(seconds: float, now: Moment = NOW) -> Moment:
    """A moment before `now`."""
    return Moment(now.wall - seconds, now.monotonic - seconds, now.monotonic - seconds)


def target(
    vdn: int,
    name: str | None = None,
    labels: tuple[tuple[str, str], ...] = (),
    *,
    cms: str = "lima",
    stale_after: float = 90.0,
    max_resting: int | None = None,
) -> Target:
    """A target of call center 1."""
    return Target(TargetKey(cms, 1, vdn), name, labels, max_resting, stale_after)


def succeed(
    store: Store, target: Target, snapshot: Snapshot = BUSY, when: Moment | None = None
) -> None:
    """A poll that succeeded, 20 s ago if nothing else is said."""
    when = when or ago(20)
    started = ago(0.25, when)
    store.record(store.state(target.key).after(success(started, when, snapshot)))


def fail(
    store: Store, target: Target, message: str = TIMEOUT, reason: Reason = Reason.TIMEOUT
) -> None:
    """A poll that failed, 12 min 30 s ago."""
    error = PollError(reason, message)
    store.record(store.state(target.key).after(failure(ago(750), ago(740), error)))
