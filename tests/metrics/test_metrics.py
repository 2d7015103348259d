"""The families: their names and types to the letter, and when each has a sample."""

import platform
from collections.abc import Iterable

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from exporter.clock import Moment
from exporter.errors import PollError, Reason
from exporter.metrics.exporter_families import ExporterCollector, own_registry
from exporter.metrics.families import FAMILIES, labels
from exporter.rest import Asked, Counters, Doubt, Row, Snapshot, WaitReason, reduce
from exporter.store import ReloadStatus, Store, Target, TargetKey
from tests.support.stores import failure, snapshot, store_of, success
from tests.support.target_collector import TargetCollector

KEY = TargetKey("lima", 1, 2)
STARTED = Moment(1_700_000_000.0, 100.0, 100.0)
ENDED = Moment(1_700_000_000.5, 100.5, 100.5)
SNAPSHOT = Snapshot(
    approved=101,
    resting=3,
    waiting=7,
    waiting_by_reason=(1, 2, 0, 0, 0, 4),
    longest_rest_start=1_699_999_000.0,
    longest_wait_start=1_699_999_500.0,
    deadlines=(1_699_999_900.0, 1_700_000_100.0),
    starts=(1_699_999_000.0, 1_699_999_800.0),
    unclassified=1,
    unlisted=0,
    unusable_begin_times=2,
    rows=11,
    doubts=(Doubt.UNUSABLE_BEGIN_TIMES,),
    server_time=1_700_000_000.0,
)
DATA = {
    "agent_rest_approved_agents",
    "agent_rest_resting_agents",
    "agent_rest_waiting_agents",
    "agent_rest_waiting_reason_agents",
    "agent_rest_longest_rest_seconds",
    "agent_rest_longest_rest_start_timestamp_seconds",
    "agent_rest_overdue_agents",
    "agent_rest_longest_overdue_seconds",
    "agent_rest_unclassified_agents",
    "agent_rest_unlisted_agents",
    "agent_rest_unusable_begin_times",
    "agent_rest_longest_wait_seconds",
    "agent_rest_doubt",
}

FURTHER = ("reason", "bound", "doubt", "le")
"""Labels by which samples of one family and target differ."""

Samples = dict[tuple[str, str], float]


def _samples(metrics: Iterable[Metric]) -> Samples:
    """Values by sample name and by what tells a sample from others of its family."""
    return {
        (sample.name, "".join(sample.labels.get(name, "") for name in FURTHER)): sample.value
        for metric in metrics
        for sample in metric.samples
    }


def _target_samples(store: Store, now: Moment) -> Samples:
    return _samples(TargetCollector(store, lambda: now).collect())


def _polled(snapshot: Snapshot = SNAPSHOT, target: Target | None = None) -> Store:
    store = store_of([target or Target(KEY)])
    store.record(store.state(KEY).after(success(STARTED, ENDED, snapshot)))
    return store


def _fail(store: Store, reason: Reason = Reason.TIMEOUT) -> None:
    error = PollError(reason, "it did not answer")
    store.record(store.state(KEY).after(failure(STARTED, ENDED, error)))


def _after(seconds: float) -> Moment:
    return Moment(ENDED.wall + seconds, ENDED.monotonic + seconds, ENDED.monotonic + seconds)


def test_target_families_are_the_promised_ones() -> None:
    """Dashboards and alert rules name them, so a changed name or type is a broken promise."""
    assert {family.name: family.type for family in FAMILIES} == {
        "agent_rest_up": "gauge",
        **dict.fromkeys(DATA, "gauge"),
        "agent_rest_resting_longer_agents": "gauge",
        "agent_rest_max_resting_agents": "gauge",
        "agent_rest_max_rest_seconds": "gauge",
        "agent_rest_max_wait_seconds": "gauge",
        "agent_rest_last_attempt_timestamp_seconds": "gauge",
        "agent_rest_last_success_timestamp_seconds": "gauge",
        "agent_rest_last_poll_duration_seconds": "gauge",
        "agent_rest_polls_total": "counter",
        "agent_rest_poll_failures_total": "counter",
        "agent_rest_failing": "gauge",
    }


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("agent_rest_approved_agents", "allowRestNum"),
        ("agent_rest_resting_agents", "onRestNum"),
        ("agent_rest_waiting_agents", "waitRestNum"),
        ("agent_rest_waiting_reason_agents", "cantRestReason"),
        ("agent_rest_longest_rest_seconds", "beginTime"),
        ("agent_rest_longest_rest_start_timestamp_seconds", "beginTime"),
        ("agent_rest_overdue_agents", "restDuration"),
        ("agent_rest_longest_overdue_seconds", "restDuration"),
        ("agent_rest_unclassified_agents", "agentsRestDetails"),
        ("agent_rest_unlisted_agents", "onRestNum"),
        ("agent_rest_unusable_begin_times", "beginTime"),
        ("agent_rest_longest_wait_seconds", "beginTime"),
    ],
)
def test_help_names_the_vendors_field(name: str, field: str) -> None:
    """An operator can find each number in the vendor's documentation."""
    (family,) = (family for family in FAMILIES if family.name == name)
    assert field in family.help


def test_help_says_that_values_were_polled() -> None:
    """Values are not asked for at the scrape, which departs from what exporters usually do."""
    for family in FAMILIES:
        said = (
            "not polled"
            if "_max_" in family.name
            else "; polled on the exporter's own schedule, or on request by /probe."
        )
        assert said in family.help
        assert family.help.index(".") == len(family.help) - 1, "one sentence"


def test_labels_of_a_target() -> None:
    """A target's identity, its name if it has one, and its own labels."""
    target = Target(KEY, "sales", (("site", "lima"),))
    identity = {"cms": "lima", "cc_id": "1", "vdn": "2"}
    assert labels(target) == identity | {"name": "sales", "site": "lima"}
    assert labels(Target(KEY)) == identity


def test_before_the_first_poll() -> None:
    """Nothing is claimed but the counters' start and the configured limit."""
    store = store_of([Target(KEY, max_resting=20)])
    assert _target_samples(store, ENDED) == {
        ("agent_rest_max_resting_agents", ""): 20,
        ("agent_rest_polls_total", ""): 0,
        ("agent_rest_poll_failures_total", ""): 0,
    }


def test_after_a_success() -> None:
    """Every number, and the ages at the time of the scrape by the server's clock."""
    assert _target_samples(_polled(), _after(10)) == {
        ("agent_rest_up", ""): 1,
        ("agent_rest_approved_agents", ""): 101,
        ("agent_rest_resting_agents", ""): 3,
        ("agent_rest_waiting_agents", ""): 7,
        **{
            ("agent_rest_waiting_reason_agents", reason.value): count
            for reason, count in zip(WaitReason, SNAPSHOT.waiting_by_reason, strict=True)
        },
        ("agent_rest_longest_rest_seconds", ""): 1010,
        ("agent_rest_longest_rest_start_timestamp_seconds", ""): 1_699_999_000,
        ("agent_rest_overdue_agents", ""): 1,
        ("agent_rest_longest_overdue_seconds", ""): 110,
        ("agent_rest_unclassified_agents", ""): 1,
        ("agent_rest_unlisted_agents", ""): 0,
        ("agent_rest_unusable_begin_times", ""): 2,
        ("agent_rest_longest_wait_seconds", ""): 510,
        ("agent_rest_doubt", "unusable_begin_times"): 1,
        ("agent_rest_last_attempt_timestamp_seconds", ""): STARTED.wall,
        ("agent_rest_last_success_timestamp_seconds", ""): ENDED.wall,
        ("agent_rest_last_poll_duration_seconds", ""): 0.5,
        ("agent_rest_polls_total", ""): 1,
        ("agent_rest_poll_failures_total", ""): 0,
    }


def test_nobody_rests() -> None:
    """The longest rest is then known to be 0, and began never."""
    quiet = snapshot(ENDED.wall)
    samples = _target_samples(_polled(quiet), ENDED)
    assert samples["agent_rest_longest_rest_seconds", ""] == 0
    assert ("agent_rest_longest_rest_start_timestamp_seconds", "") not in samples


def test_somebody_rests_and_no_row_tells_since_when() -> None:
    """A false zero would silence an alert, so there is no sample."""
    unknown = reduce(Counters(0, 1, 0), [Row(1)], ENDED.wall, Asked(with_starts=True))
    samples = _target_samples(_polled(unknown, Target(KEY, rest_bounds=(60.0,))), ENDED)
    absent = {
        "agent_rest_longest_rest_seconds",
        "agent_rest_longest_rest_start_timestamp_seconds",
        "agent_rest_overdue_agents",
        "agent_rest_longest_overdue_seconds",
        "agent_rest_resting_longer_agents",
    }
    assert not absent & {name for name, _ in samples}
    assert samples["agent_rest_unlisted_agents", ""] == 1


def test_somebody_waits_and_nobody_knows_since_when() -> None:
    """No sample of the longest wait, rather than a false zero."""
    unknown = reduce(Counters(0, 0, 1), [Row(1, reason=2)], ENDED.wall)
    assert ("agent_rest_longest_wait_seconds", "") not in _target_samples(_polled(unknown), ENDED)


def test_how_many_rest_longer_than_each_bound() -> None:
    """In seconds, as `rest_bounds` has them; absent without bounds."""
    samples = _target_samples(
        _polled(target=Target(KEY, rest_bounds=(300.0, 900.5, 3600.0, 1_036_800.0, 1_036_801.0))),
        ENDED,
    )
    longer = {
        bound: value
        for (name, bound), value in samples.items()
        if name == "agent_rest_resting_longer_agents"
    }
    assert longer == {"300": 1, "900.5": 1, "3600": 0, "1036800": 0, "1036801": 0}


def test_limits_are_exported() -> None:
    """Alert rules compare with them; they need no poll."""
    store = store_of([Target(KEY, max_resting=20, max_rest=2700.0, max_wait=900.0)])
    assert _target_samples(store, ENDED) == {
        ("agent_rest_max_resting_agents", ""): 20,
        ("agent_rest_max_rest_seconds", ""): 2700,
        ("agent_rest_max_wait_seconds", ""): 900,
        ("agent_rest_polls_total", ""): 0,
        ("agent_rest_poll_failures_total", ""): 0,
    }


def test_a_failure_shows_at_once_and_the_numbers_stay_while_fresh() -> None:
    """`up` turns 0 with the first failure; the reason has a sample only while it lasts."""
    store = _polled()
    _fail(store)
    samples = _target_samples(store, ENDED)
    assert samples["agent_rest_up", ""] == 0
    assert samples["agent_rest_failing", "timeout"] == 1
    assert samples["agent_rest_poll_failures_total", ""] == 1
    assert {name for name, _ in samples} >= DATA
    store.record(store.state(KEY).after(success(STARTED, ENDED, SNAPSHOT)))
    after = _target_samples(store, ENDED)
    assert after["agent_rest_up", ""] == 1
    assert "agent_rest_failing" not in {name for name, _ in after}


def test_a_failure_before_any_success() -> None:
    """There are no numbers, and that the target is down is known."""
    store = store_of([Target(KEY)])
    _fail(store, Reason.AUTH)
    samples = _target_samples(store, ENDED)
    assert samples["agent_rest_up", ""] == 0
    assert samples["agent_rest_failing", "auth"] == 1
    assert ("agent_rest_last_success_timestamp_seconds", "") not in samples
    assert not {name for name, _ in samples} & DATA


@pytest.mark.parametrize("max_resting", [None, 20])
def test_stale_numbers_disappear(max_resting: int | None) -> None:
    """They are neither zeroed nor frozen; what does not come from a reply stays."""
    store = _polled(target=Target(KEY, max_resting=max_resting, stale_after=90))
    at_the_limit = {name for name, _ in _target_samples(store, _after(90))}
    beyond = {name for name, _ in _target_samples(store, _after(90.001))}
    assert at_the_limit - beyond == DATA
    assert ("agent_rest_max_resting_agents" in beyond) == (max_resting is not None)


def test_collector_describes_what_it_collects() -> None:
    """A registry learns the names without a scrape, so that `name[]` finds them."""
    store = _polled()
    registry = CollectorRegistry()
    registry.register(TargetCollector(store, lambda: ENDED))
    (found,) = registry.restricted_registry(["agent_rest_polls_total"]).collect()
    assert [(sample.name, sample.value) for sample in found.samples] == [
        ("agent_rest_polls_total", 1)
    ]


def test_own_families_of_an_idle_exporter() -> None:
    """Every counter starts at 0, each failure reason too; the unknown skew is absent."""
    collector = ExporterCollector(
        store_of([Target(KEY), Target(KEY._replace(vdn=3))], ["lima"]),
        lambda: ReloadStatus(successful=True, last_success=1_700_000_000.0),
        lambda: ENDED,
        version="1.2.3",
        python_version="3.11.0",
    )
    metrics = list(collector.collect())
    prefix = "agent_rest_exporter_"
    assert {metric.name.removeprefix(prefix): metric.type for metric in metrics} == {
        "build_info": "gauge",
        "targets": "gauge",
        "config_last_reload_successful": "gauge",
        "config_last_reload_success_timestamp_seconds": "gauge",
        "poll_duration_seconds": "histogram",
        "requests": "counter",
        "poll_failures": "counter",
        "clock_skew_seconds": "gauge",
        "tls_certificate_expiry_timestamp_seconds": "gauge",
        "polls_skipped": "counter",
        "poll_delay_seconds": "histogram",
        "polls_in_flight": "gauge",
        "pause_remaining_seconds": "gauge",
        "single_use_connections": "gauge",
        "web_refused": "counter",
        "log_lines_dropped": "counter",
    }
    samples = _samples(metrics)
    assert {reason for name, reason in samples if name == f"{prefix}poll_failures_total"} == set(
        Reason
    )
    assert samples.pop((f"{prefix}build_info", "")) == 1
    assert samples.pop((f"{prefix}targets", "")) == 2
    assert samples.pop((f"{prefix}config_last_reload_successful", "")) == 1
    assert (
        samples.pop((f"{prefix}config_last_reload_success_timestamp_seconds", ""))
        == 1_700_000_000.0
    )
    assert set(samples.values()) == {0}
    assert (f"{prefix}clock_skew_seconds", "") not in samples
    assert (f"{prefix}tls_certificate_expiry_timestamp_seconds", "") not in samples
    assert metrics[0].samples[0].labels == {"version": "1.2.3", "python_version": "3.11.0"}


def test_own_families_of_a_busy_exporter() -> None:
    """Each number of a server's stats reaches its family; a failed reload is told."""
    store = store_of([], ["lima"])
    stats = store.server("lima")
    stats.requests, stats.skipped, stats.in_flight, stats.condition.clock_skew = 9, 2, 3, -1.5
    stats.condition.paused_until = ENDED.boot + 45
    stats.condition.certificate_expiry = 1_700_000_000.0
    stats.failures[Reason.TLS] += 4
    stats.condition.single_use_until = 1.0
    stats.duration.observe(0.3)
    stats.delay.observe(99)
    collector = ExporterCollector(
        store,
        lambda: ReloadStatus(successful=False, last_success=1.0),
        lambda: ENDED,
        version="1.2.3",
        python_version="3.11.0",
        refused={"busy": 5, "malformed": 0},
        log_lines_dropped=lambda: 6,
    )
    samples = _samples(collector.collect())
    prefix = "agent_rest_exporter_"
    assert samples[f"{prefix}targets", ""] == 0
    assert samples[f"{prefix}config_last_reload_successful", ""] == 0
    assert samples[f"{prefix}requests_total", ""] == 9
    assert samples[f"{prefix}polls_skipped_total", ""] == 2
    assert samples[f"{prefix}polls_in_flight", ""] == 3
    assert samples[f"{prefix}pause_remaining_seconds", ""] == 45
    assert samples[f"{prefix}single_use_connections", ""] == 1
    assert samples[f"{prefix}clock_skew_seconds", ""] == -1.5
    assert samples[f"{prefix}tls_certificate_expiry_timestamp_seconds", ""] == 1_700_000_000
    assert samples[f"{prefix}poll_failures_total", "tls"] == 4
    assert samples[f"{prefix}poll_failures_total", "dns"] == 0
    assert samples[f"{prefix}web_refused_total", "busy"] == 5
    assert samples[f"{prefix}web_refused_total", "malformed"] == 0
    assert samples[f"{prefix}log_lines_dropped_total", ""] == 6
    assert samples[f"{prefix}poll_duration_seconds_bucket", "0.25"] == 0
    assert samples[f"{prefix}poll_duration_seconds_bucket", "0.5"] == 1
    assert samples[f"{prefix}poll_duration_seconds_sum", ""] == 0.3
    assert samples[f"{prefix}poll_delay_seconds_bucket", "30.0"] == 0
    assert samples[f"{prefix}poll_delay_seconds_bucket", "+Inf"] == 1
    assert samples[f"{prefix}poll_delay_seconds_count", ""] == 1


def test_own_registry_holds_process_and_interpreter_too() -> None:
    """It is a new one each time, beside the target families and clashing with none of them."""
    store = _polled()
    status = ReloadStatus(successful=True, last_success=1.0)
    registry = own_registry(
        ExporterCollector(store, lambda: status, lambda: ENDED, version="1.2.3")
    )
    registry.register(TargetCollector(store, lambda: ENDED))
    names = {metric.name for metric in registry.collect()}
    assert names >= {
        "agent_rest_exporter_build_info",
        "process_cpu_seconds",
        "process_open_fds",
        "python_info",
        "python_gc_collections",
        "agent_rest_up",
    }
    build = {"version": "1.2.3", "python_version": platform.python_version()}
    assert registry.get_sample_value("agent_rest_exporter_build_info", build) == 1
    (found,) = registry.restricted_registry(["process_open_fds"]).collect()
    assert found.name == "process_open_fds"
