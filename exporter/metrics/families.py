"""The families of every target: one frozen table.

Freshness is a promise: a reply's numbers reach a family only through `Reading.data`, which is None
once the last success is older than the target's `stale_after`. Their samples then disappear; they
are never set to zero and never frozen.
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
    """One target's state, read at one moment."""

    state: TargetState
    data: Data | None
    """None without fresh numbers."""


def read(state: TargetState, now: Moment) -> Reading:
    """Read `state` at `now`."""
    return Reading(state, state.numbers(now))


@dataclass(frozen=True, slots=True)
class Family:
    """A family that does not depend on a fresh reply."""

    name: str
    """The name of its samples: a counter's ends in `_total`."""
    help: str
    value: Callable[[TargetState], float | None]
    """The sample's value, or None for no sample."""
    decimals: int | None = None
    """Decimals to write, or None for all."""
    type: Literal["gauge", "counter"] = "gauge"


@dataclass(frozen=True, slots=True)
class DataFamily:
    """A family of gauges from a reply: absent when the reply is stale."""

    name: str
    help: str
    value: Callable[[Snapshot, float], float | None]
    """The sample's value from the numbers and the server's time, or None for no sample."""
    decimals: int | None = None
    """As in `Family`."""
    type: Literal["gauge"] = "gauge"


@dataclass(frozen=True, slots=True)
class LabelledFamily:
    """A family of gauges whose samples carry one more label than the target's."""

    name: str
    label: str
    help: str
    values: Callable[[Reading], Iterable[tuple[str, float]]]
    """The label's value, and the sample's."""
    type: Literal["gauge"] = "gauge"


TargetFamily = Family | DataFamily | LabelledFamily


def value_of(family: Family | DataFamily, reading: Reading) -> float | None:
    """The value of the family's single sample, or None for no sample."""
    if isinstance(family, Family):
        return family.value(reading.state)
    return None if reading.data is None else family.value(*reading.data)


def labels(target: Target) -> dict[str, str]:
    """The labels of every sample of a target, in no particular order: renderers sort them."""
    key = target.key
    own = dict(target.labels)
    if target.name is not None:
        own["name"] = target.name
    return own | {"cms": key.cms, "cc_id": str(key.cc_id), "vdn": str(key.vdn)}


# Plain strings: a member of a StrEnum takes three times as long to format.
_WAIT_REASONS: Final = tuple(reason.value for reason in WaitReason)
_MILLISECONDS: Final = 3
"""Decimals of timestamps, and of ages that follow from them: beginTime has as many."""
_MICROSECONDS: Final = 6
_POLLED: Final = "; polled on the exporter's own schedule, or on request by /probe."


def _data(
    name: str,
    text: str,
    value: Callable[[Snapshot, float], float | None],
    decimals: int | None = None,
) -> DataFamily:
    return DataFamily(name, text + _POLLED, value, decimals)


def _up(state: TargetState) -> float | None:
    if state.polls == 0:
        return None
    return 1 if state.failure is None else 0


def _waiting_by_reason(reading: Reading) -> Iterable[tuple[str, float]]:
    if reading.data is None:
        return ()
    return zip(_WAIT_REASONS, reading.data[0].waiting_by_reason, strict=True)


def _resting_longer(reading: Reading) -> Iterable[tuple[str, float]]:
    bounds = reading.state.target.rest_bounds
    if not bounds or reading.data is None:
        return ()
    snapshot, server_time = reading.data
    counts = [(bound, snapshot.resting_longer(bound, server_time)) for bound in bounds]
    return [(_whole(bound), count) for bound, count in counts if count is not None]


def _whole(bound: float) -> str:
    """Every digit of a bound, without a point where it needs none: 900."""
    return str(int(bound)) if bound.is_integer() else str(bound)


def _doubts(reading: Reading) -> Iterable[tuple[str, float]]:
    if reading.data is None or not reading.data[0].doubts:
        return ()
    return [(doubt.value, 1) for doubt in reading.data[0].doubts]


def _failing(reading: Reading) -> Iterable[tuple[str, float]]:
    failure = reading.state.failure
    return () if failure is None else ((failure.reason.value, 1),)


FAMILIES: Final[tuple[TargetFamily, ...]] = (
    Family(
        "agent_rest_up",
        "Whether the last poll succeeded (1) or failed (0), absent before the first one has ended"
        + _POLLED,
        _up,
    ),
    _data(
        "agent_rest_approved_agents",
        "Agents whose rest is approved but who are still working (allowRestNum)",
        lambda snapshot, _: snapshot.approved,
    ),
    _data(
        "agent_rest_resting_agents",
        "Agents who are resting (onRestNum)",
        lambda snapshot, _: snapshot.resting,
    ),
    _data(
        "agent_rest_waiting_agents",
        "Agents who have requested a rest and are waiting for it (waitRestNum)",
        lambda snapshot, _: snapshot.waiting,
    ),
    LabelledFamily(
        "agent_rest_waiting_reason_agents",
        "reason",
        "Waiting agents by reason (cantRestReason); the sum is waitRestNum" + _POLLED,
        _waiting_by_reason,
    ),
    _data(
        "agent_rest_longest_rest_seconds",
        "Time since the beginTime of the longest rest, by the server's clock at the scrape (0 if no"
        " agent is resting, absent if the reply has no usable start time)",
        Snapshot.longest_rest,
        _MILLISECONDS,
    ),
    _data(
        "agent_rest_longest_rest_start_timestamp_seconds",
        "Unix time at which the longest rest started (beginTime), by the server's clock",
        lambda snapshot, _: snapshot.longest_rest_start,
        _MILLISECONDS,
    ),
    _data(
        "agent_rest_overdue_agents",
        "Agents who have rested longer than their restDuration, at the scrape (absent if the "
        "reply has no usable start time)",
        Snapshot.overdue,
    ),
    _data(
        "agent_rest_longest_overdue_seconds",
        "Time by which the most overdue rest exceeds its restDuration, at the scrape (absent if "
        "the reply has no usable start time)",
        Snapshot.longest_overdue,
        _MILLISECONDS,
    ),
    _data(
        "agent_rest_unclassified_agents",
        "Rows of agentsRestDetails that may be resting agents, in excess of onRestNum (if above 0, "
        "the longest rest is an upper bound)",
        lambda snapshot, _: snapshot.unclassified,
    ),
    _data(
        "agent_rest_unlisted_agents",
        "Resting agents (onRestNum) in excess of the rows of agentsRestDetails that may be resting "
        "(if above 0, the longest rest is a lower bound)",
        lambda snapshot, _: snapshot.unlisted,
    ),
    _data(
        "agent_rest_unusable_begin_times",
        "Rows of agentsRestDetails with an implausible beginTime",
        lambda snapshot, _: snapshot.unusable_begin_times,
    ),
    _data(
        "agent_rest_longest_wait_seconds",
        "Time since the earliest requested start (beginTime) of an agent who is certainly waiting, "
        "by the server's clock at the scrape (0 if no agent waits, absent if unknown)",
        Snapshot.longest_wait,
        _MILLISECONDS,
    ),
    LabelledFamily(
        "agent_rest_resting_longer_agents",
        "bound",
        "Agents who have rested longer than the bound in seconds (rest_bounds in the "
        "configuration), at the scrape" + _POLLED,
        _resting_longer,
    ),
    LabelledFamily(
        "agent_rest_doubt",
        "doubt",
        "1 while the numbers of the last successful poll are doubtful, with the doubt, otherwise "
        "absent" + _POLLED,
        _doubts,
    ),
    Family(
        "agent_rest_max_resting_agents",
        "Maximum number of resting agents, from max_resting in the configuration; not polled.",
        lambda state: state.target.max_resting,
    ),
    Family(
        "agent_rest_max_rest_seconds",
        "Maximum duration of a rest, from max_rest in the configuration; not polled.",
        lambda state: state.target.max_rest,
    ),
    Family(
        "agent_rest_max_wait_seconds",
        "Maximum duration of a wait, from max_wait in the configuration; not polled.",
        lambda state: state.target.max_wait,
    ),
    Family(
        "agent_rest_last_attempt_timestamp_seconds",
        "Unix time at which the last poll started" + _POLLED,
        lambda state: state.last_attempt,
        _MILLISECONDS,
    ),
    Family(
        "agent_rest_last_success_timestamp_seconds",
        "Unix time at which the last successful poll ended" + _POLLED,
        lambda state: None if state.last_success is None else state.last_success.wall,
        _MILLISECONDS,
    ),
    Family(
        "agent_rest_last_poll_duration_seconds",
        "Duration of the last poll, with all its pages" + _POLLED,
        lambda state: state.duration,
        _MICROSECONDS,
    ),
    Family(
        "agent_rest_polls_total",
        "Polls that have ended since the target was configured" + _POLLED,
        lambda state: state.polls,
        type="counter",
    ),
    Family(
        "agent_rest_poll_failures_total",
        "Polls that have failed since the target was configured" + _POLLED,
        lambda state: state.failures,
        type="counter",
    ),
    LabelledFamily(
        "agent_rest_failing",
        "reason",
        "1 if the last poll failed, with the reason, otherwise absent" + _POLLED,
        _failing,
    ),
)
"""Every target family, in the order of the exposition."""
