"""Stores and poll results, as tests make them."""

from collections.abc import Iterable
from typing import Any

import msgspec

from exporter.clock import Moment
from exporter.errors import PollError, PollResult
from exporter.rest import Counters, Snapshot, reduce
from exporter.store import Store, Target


def store_of(targets: Iterable[Target], servers: Iterable[str] = ()) -> Store:
    """A store of these targets, and of their servers after those that are named."""
    listed = list(targets)
    store = Store()
    store.replace(listed, dict.fromkeys([*servers, *(target.key.cms for target in listed)]))
    return store


def success(started: Moment, ended: Moment, snapshot: Snapshot) -> PollResult:
    """A poll that brought a snapshot, with one request."""
    return PollResult(started, ended, snapshot, None, 1)


def failure(started: Moment, ended: Moment, error: PollError) -> PollResult:
    """A poll that failed after one request."""
    return PollResult(started, ended, None, error, 1)


def snapshot(server_time: float, **fields: Any) -> Snapshot:
    """A floor where nobody rests or waits, with some fields changed."""
    quiet = reduce(Counters(0, 0, 0), (), server_time)
    return msgspec.structs.replace(quiet, **fields)
