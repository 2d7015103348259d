"""`/api/v1/targets`: what the status page shows, as JSON. Pure, from states to bytes.

A number has the name of its metric and comes from the same place, so that a stale number is absent
here too. docs/api.md documents every field.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from aiohttp import hdrs

from exporter.clock import Moment
from exporter.metrics.families import FAMILIES, LabelledFamily, Reading, TargetFamily, value_of
from exporter.store import Failure, Store
from exporter.web.target_query import Query, TargetStatus
from exporter.web.target_search import Entry, NextPoll, find

_Object = dict[str, Any]

PATH: Final = "/api/v1/targets"
HEADERS: Final[Mapping[str, str]] = {hdrs.CONTENT_TYPE: "application/json"}

_ROWS: Final = 100
_ROWS_A_SLICE: Final = 20
_FAMILIES: Final[tuple[tuple[str, TargetFamily], ...]] = tuple(
    (family.name.removeprefix("agent_rest_"), family)
    for family in FAMILIES
    # `error` and `doubts` say more
    if family.name not in {"agent_rest_failing", "agent_rest_doubt"}
)


def slices(store: Store, now: Moment, query: Query, next_poll: NextPoll) -> Iterator[bytes]:
    """The answer at one moment, as slices to be joined; some are empty.

    A page beyond the last one has no targets.
    """
    servers = dict(store.servers())
    listing = yield from find(store.states(), servers, now, query, next_poll)
    limit = query.limit or _ROWS
    entries = listing.page(query.page, limit)
    head: _Object = {
        "timestamp_seconds": now.wall,
        "servers": [
            _present(
                {
                    "cms": name,
                    "targets": listing.servers[name].total(),
                    "states": {each.value: listing.servers[name][each] for each in TargetStatus},
                    "clock_skew_seconds": stats.condition.clock_skew,
                    "pause_remaining_seconds": stats.condition.pause(now) or None,
                    "tls_certificate_expiry_timestamp_seconds": stats.condition.certificate_expiry,
                    "single_use_connections": stats.condition.single_use_until is not None or None,
                }
            )
            for name, stats in servers.items()
        ],
        "found": len(listing.entries),
        "page": query.page,
        "pages": listing.pages(limit),
        "limit": limit,
    }
    yield msgspec.json.encode(head)[:-1] + b',"targets":['
    for start in range(0, len(entries), _ROWS_A_SLICE):
        some = entries[start : start + _ROWS_A_SLICE]
        yield (b"," if start else b"") + b",".join(
            msgspec.json.encode(_target(each, now, next_poll)) for each in some
        )
    yield b"]}\n"


def refusal(message: str) -> bytes:
    """The body of a reply with status 400, with `message` as its sentence."""
    return msgspec.json.encode({"error": message}) + b"\n"


def _target(each: Entry, now: Moment, next_poll: NextPoll) -> _Object:
    state, (cms, cc_id, vdn) = each.state, each.state.target.key
    success, due = state.last_success, next_poll(state.target.key)
    age = None if success is None else now.boot - success.boot
    wait = None if due is None else due - now.monotonic
    return _present(
        {
            "cms": cms,
            "cc_id": cc_id,
            "vdn": vdn,
            "name": state.target.name,
            "labels": dict(state.target.labels),
            "state": each.status.value,
            "error": _error(state.failure, now),
            "doubts": {doubt.value: doubt.sentence for doubt in each.doubts} or None,
            "last_success_age_seconds": age,
            "next_poll_in_seconds": None if wait is None else max(0.0, wait),
            "next_poll_timestamp_seconds": None if wait is None else now.wall + wait,
            **{name: _value(family, each.reading) for name, family in _FAMILIES},
        }
    )


def _error(failure: Failure | None, now: Moment) -> _Object | None:
    if failure is None:
        return None
    return {
        "reason": failure.reason.value,
        "message": failure.message,
        "since_timestamp_seconds": failure.since,
        "lasting_seconds": max(0.0, now.wall - failure.since),
    }


def _value(family: TargetFamily, reading: Reading) -> dict[str, float] | float | None:
    if isinstance(family, LabelledFamily):
        return dict(family.values(reading)) or None
    return value_of(family, reading)


def _present(fields: _Object) -> _Object:
    """The fields that have a value: others are omitted, as a sample would be."""
    return {name: value for name, value in fields.items() if value is not None}
