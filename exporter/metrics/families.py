"""The families that every target has: one frozen table.

Freshness is a promise: numbers of a reply reach a family through `Reading.data` alone, which is
None once the last success is older than the target's `stale_after`. They then disappear; they are
never zeroed and never frozen.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from exporter.clock import Moment
from exporter.rest import Snapshot, WaitReason
from exporter.store import Target, TargetState

Data = tuple[Snapshot, float]
"""The numbers of a reply, and the server's time in epoch seconds."""


class Reading(NamedTuple):
    """One target's state as it is read at one moment."""

    state: TargetState
    data: Data | None
    """None if there are no fresh numbers."""


def read(state: TargetState, now: Moment) -> Reading:
    """What `state` says at `now`."""
    snapshot, server_time = state.fresh(now), state.server_time(now)
    return Reading(
        state, None if snapshot is None or server_time is None else (snapshot, server_time)
    )


@dataclass(frozen=True, slots=True)
class Family:
    """A family of what is known of a target whether or not a reply is fresh."""

    name: str
    """As its samples are called: a counter's ends in `_total`."""
    type: Literal["gauge", "counter"]
    help: str
    value: Callable[[TargetState], float | None]
    """The sample's value, or None for no sample."""


@dataclass(frozen=True, slots=True)
class DataFamily:
    """A family of gauges of what a reply says: gone when the reply is stale."""

    name: str
    help: str
    value: Callable[[Snapshot, float], float | None]
    """The sample's value from the numbers and the server's time, or None for no sample."""
    type: Literal["gauge"] = "gauge"


@dataclass(frozen=True, slots=True)
class ReasonFamily:
    """A family of gauges whose samples carry the label `reason` as well."""

    name: str
    help: str
    values: Callable[[Reading], Iterable[tuple[str, float]]]
    """Each sample's `reason` and value."""
    type: Literal["gauge"] = "gauge"


TargetFamily = Family | DataFamily | ReasonFamily


def value_of(family: Family | DataFamily, reading: Reading) -> float | None:
    """The value of a family's one sample, or None for no sample."""
    if isinstance(family, Family):
        return family.value(reading.state)
    return None if reading.data is None else family.value(*reading.data)


def labels(target: Target) -> dict[str, str]:
    """The labels of every sample of a target. Their order means nothing: renderers sort them."""
    key = target.key
    own = dict(target.labels)
    if target.name is not None:
        own["name"] = target.name
    return own | {"cms": key.cms, "cc_id": str(key.cc_id), "vdn": str(key.vdn)}


# Plain texts: a StrEnum's member takes three times as long to format.
_WAIT_REASONS: Final = tuple(reason.value for reason in WaitReason)
_POLLED: Final = " Polled on the exporter's own schedule, or at once for /probe."


def _data(name: str, meaning: str, value: Callable[[Snapshot, float], float | None]) -> DataFamily:
    return DataFamily(name, meaning + _POLLED, value)


def _gauge(name: str, meaning: str, value: Callable[[TargetState], float | None]) -> Family:
    return Family(name, "gauge", meaning, value)


def _counter(name: str, meaning: str, value: Callable[[TargetState], float]) -> Family:
    return Family(name, "counter", meaning, value)


def _up(state: TargetState) -> float | None:
    if state.polls == 0:
        return None
    return 1 if state.failure is None else 0


def _waiting_by_reason(reading: Reading) -> Iterable[tuple[str, float]]:
    if reading.data is None:
        return ()
    return zip(_WAIT_REASONS, reading.data[0].waiting_by_reason, strict=True)


def _failing(reading: Reading) -> Iterable[tuple[str, float]]:
    failure = reading.state.failure
    return () if failure is None else ((failure.reason.value, 1),)


FAMILIES: Final[tuple[TargetFamily, ...]] = (
    _gauge(
        "agent_rest_up",
        "1 if the last poll succeeded, 0 if it failed; absent before the first one has ended."
        + _POLLED,
        _up,
    ),
    _data(
        "agent_rest_approved_agents",
        "Agents whose rest is approved but who are still at work (allowRestNum).",
        lambda snapshot, _: snapshot.approved,
    ),
    _data(
        "agent_rest_resting_agents",
        "Agents who rest (onRestNum).",
        lambda snapshot, _: snapshot.resting,
    ),
    _data(
        "agent_rest_waiting_agents",
        "Agents who have applied for a rest and wait (waitRestNum).",
        lambda snapshot, _: snapshot.waiting,
    ),
    ReasonFamily(
        "agent_rest_waiting_reason_agents",
        "Waiting agents by what keeps them from resting (cantRestReason); the sum is waitRestNum."
        + _POLLED,
        _waiting_by_reason,
    ),
    _data(
        "agent_rest_longest_rest_seconds",
        "Age of the longest rest (beginTime) by the server's clock at the time of the scrape; 0 if "
        "nobody rests, absent if no row tells its start.",
        lambda snapshot, server_time: snapshot.longest_rest(server_time),
    ),
    _data(
        "agent_rest_longest_rest_start_timestamp_seconds",
        "When the longest rest began (beginTime), since the epoch by the server's clock.",
        lambda snapshot, _: snapshot.longest_rest_start,
    ),
    _data(
        "agent_rest_overdue_agents",
        "Agents who rest for longer than they asked for (restDuration) at the time of the scrape.",
        lambda snapshot, server_time: snapshot.overdue(server_time).agents,
    ),
    _data(
        "agent_rest_longest_overdue_seconds",
        "By how much the most overdue rest exceeds its restDuration at the time of the scrape.",
        lambda snapshot, server_time: snapshot.overdue(server_time).longest,
    ),
    _data(
        "agent_rest_unclassified_agents",
        "Rows of agentsRestDetails that could be resting agents beyond onRestNum; above 0 the "
        "longest rest is an upper bound.",
        lambda snapshot, _: snapshot.unclassified,
    ),
    _data(
        "agent_rest_unusable_begin_times",
        "Rows of agentsRestDetails whose beginTime cannot be believed.",
        lambda snapshot, _: snapshot.unusable_begin_times,
    ),
    _gauge(
        "agent_rest_max_resting_agents",
        "Agents who may rest at once: max_resting in the exporter's configuration, not polled.",
        lambda state: state.target.max_resting,
    ),
    _gauge(
        "agent_rest_last_attempt_timestamp_seconds",
        "When the last poll started, since the epoch." + _POLLED,
        lambda state: state.last_attempt,
    ),
    _gauge(
        "agent_rest_last_success_timestamp_seconds",
        "When the last poll that succeeded ended, since the epoch." + _POLLED,
        lambda state: None if state.last_success is None else state.last_success.wall,
    ),
    _gauge(
        "agent_rest_last_poll_duration_seconds",
        "How long the last poll took, all its pages." + _POLLED,
        lambda state: state.duration,
    ),
    _counter(
        "agent_rest_polls_total",
        "Polls that have ended since the target was configured." + _POLLED,
        lambda state: state.polls,
    ),
    _counter(
        "agent_rest_poll_failures_total",
        "Polls that have failed since the target was configured." + _POLLED,
        lambda state: state.failures,
    ),
    ReasonFamily(
        "agent_rest_failing",
        "1 while the last poll has failed, with its reason; absent otherwise." + _POLLED,
        _failing,
    ),
)
"""Every target family, in the order in which they are exposed."""
