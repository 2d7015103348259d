"""The exporter's own families, rendered by prometheus_client from a registry of their own."""

import math
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from exporter.clock import Clock
from exporter.store import Histogram, ReloadStatus, ServerStats, Store

_PREFIX: Final = "agent_rest_exporter_"


class ExporterCollector:
    """The exporter's metrics about itself, built at every `collect()`.

    `refused` are refused requests and connections of clients, by reason.
    """

    def __init__(  # noqa: PLR0913  # independent sources
        self,
        store: Store,
        reload: Callable[[], ReloadStatus],
        clock: Clock,
        *,
        version: str,
        python_version: str = platform.python_version(),
        refused: Mapping[str, int] | None = None,
        log_lines_dropped: Callable[[], int] = lambda: 0,
    ) -> None:
        self._store = store
        self._reload = reload
        self._clock = clock
        self._build = (version, python_version)
        self._refused = refused or {}
        self._log_lines_dropped = log_lines_dropped

    def collect(self) -> Iterator[Metric]:
        """The families with the samples of this moment."""
        build = GaugeMetricFamily(
            _PREFIX + "build_info",
            "Always 1; the labels show the versions of the exporter and of Python.",
            labels=["version", "python_version"],
        )
        build.add_metric(self._build, 1)
        yield build
        servers = list(self._store.servers())
        targets = Counter(state.target.key.cms for state in self._store.states())
        yield _gauge(
            "targets",
            "Targets that this exporter polls.",
            ((cms, targets[cms]) for cms, _ in servers),
        )
        reload = self._reload()
        yield GaugeMetricFamily(
            _PREFIX + "config_last_reload_successful",
            "Whether the last attempt to load the configuration succeeded (1) or failed (0).",
            int(reload.successful),
        )
        yield GaugeMetricFamily(
            _PREFIX + "config_last_reload_success_timestamp_seconds",
            "Unix time at which the configuration was last loaded successfully.",
            reload.last_success,
        )
        yield _histogram(
            "poll_duration_seconds",
            "Duration of polls, with all their pages.",
            ((cms, stats.duration) for cms, stats in servers),
        )
        yield _counter(
            "requests",
            "Requests sent to the server, one for each page.",
            ((cms, stats.requests) for cms, stats in servers),
        )
        yield _failures(servers)
        yield _gauge(
            "clock_skew_seconds",
            "The server's clock minus this host's clock, from the last Date header received.",
            ((cms, stats.condition.clock_skew) for cms, stats in servers),
        )
        yield _gauge(
            "tls_certificate_expiry_timestamp_seconds",
            "Unix time of the earliest expiry in the certificate chain that the server sent last, "
            "even if it was not trusted. Absent for http.",
            ((cms, stats.condition.certificate_expiry) for cms, stats in servers),
        )
        yield _counter(
            "polls_skipped",
            "Polls skipped because the target's previous poll was still running.",
            ((cms, stats.skipped) for cms, stats in servers),
        )
        yield _histogram(
            "poll_delay_seconds",
            "Delay between the time at which a poll was due and its start.",
            ((cms, stats.delay) for cms, stats in servers),
        )
        yield _gauge(
            "polls_in_flight",
            "Polls that are running.",
            ((cms, stats.in_flight) for cms, stats in servers),
        )
        now = self._clock()
        yield _gauge(
            "pause_remaining_seconds",
            "Time until a server that asked for a pause (Retry-After) is polled again, else 0.",
            ((cms, stats.condition.pause(now)) for cms, stats in servers),
        )
        yield _gauge(
            "single_use_connections",
            "1 while each request uses a new connection, because the server sent an unexpected "
            "reply, else 0.",
            ((cms, stats.condition.single_use_until is not None) for cms, stats in servers),
        )
        yield _counter(
            "web_refused",
            "Requests and connections of clients that were refused or cut off, by reason.",
            self._refused.items(),
            "reason",
        )
        yield CounterMetricFamily(
            _PREFIX + "log_lines_dropped",
            "Log lines that were not written, because stderr was blocked or failed.",
            self._log_lines_dropped(),
        )


def own_registry(own: ExporterCollector) -> CollectorRegistry:
    """A new registry with the exporter's own families, and the process's and interpreter's."""
    # The library's own collectors cannot describe themselves, and `name[]` finds described ones.
    registry = CollectorRegistry(auto_describe=True)
    registry.register(own)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def _gauge(name: str, text: str, samples: Iterable[tuple[str, float | None]]) -> Metric:
    family = GaugeMetricFamily(_PREFIX + name, text, labels=["cms"])
    for cms, value in samples:
        if value is not None:
            family.add_metric([cms], value)
    return family


def _counter(
    name: str, text: str, samples: Iterable[tuple[str, float]], label: str = "cms"
) -> Metric:
    family = CounterMetricFamily(_PREFIX + name, text, labels=[label])
    for each, value in samples:
        family.add_metric([each], value)
    return family


def _histogram(name: str, text: str, samples: Iterable[tuple[str, Histogram]]) -> Metric:
    family = HistogramMetricFamily(_PREFIX + name, text, labels=["cms"])
    for cms, histogram in samples:
        buckets = [
            ("+Inf" if bound == math.inf else str(bound), count)
            for bound, count in histogram.cumulative()
        ]
        family.add_metric([cms], buckets, histogram.total)
    return family


def _failures(servers: Iterable[tuple[str, ServerStats]]) -> Metric:
    family = CounterMetricFamily(
        _PREFIX + "poll_failures", "Failed polls by reason.", labels=["cms", "reason"]
    )
    for cms, stats in servers:
        for reason, count in stats.failures.items():
            family.add_metric([cms, reason], count)
    return family
