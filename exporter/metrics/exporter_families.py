"""The families of the exporter itself, rendered by prometheus_client from a registry of their own.

There is no global registry: `own_registry` makes one, and whoever serves it holds it.
"""

import math
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from exporter.store import Histogram, ReloadStatus, ServerStats, Store

_PREFIX: Final = "agent_rest_exporter_"


class ExporterCollector:
    """What the exporter tells about itself, built afresh at every `collect()`.

    Args:
        store: whose targets and servers are counted.
        reload: how the configuration was last loaded.
        version: the exporter's own.
        python_version: the interpreter's.
    """

    def __init__(
        self,
        store: Store,
        reload: Callable[[], ReloadStatus],
        *,
        version: str,
        python_version: str,
    ) -> None:
        self._store = store
        self._reload = reload
        self._build = (version, python_version)

    def collect(self) -> Iterator[Metric]:
        """The families with the samples of this moment."""
        yield self._build_info()
        yield self._targets()
        reload = self._reload()
        yield GaugeMetricFamily(
            _PREFIX + "config_last_reload_successful",
            "1 if the last attempt to load the configuration succeeded.",
            int(reload.successful),
        )
        yield GaugeMetricFamily(
            _PREFIX + "config_last_reload_success_timestamp_seconds",
            "When the configuration was last loaded, since the epoch.",
            reload.last_success,
        )
        servers = list(self._store.servers())
        yield _histogram(
            "poll_duration_seconds",
            "How long polls took, all their pages.",
            ((cms, stats.duration) for cms, stats in servers),
        )
        yield _counter(
            "requests",
            "Requests sent, each page one.",
            ((cms, stats.requests) for cms, stats in servers),
        )
        yield _failures(servers)
        yield _gauge(
            "clock_skew_seconds",
            "The server's Date header less this host's clock, from the last reply that had one.",
            ((cms, stats.clock_skew) for cms, stats in servers if stats.clock_skew is not None),
        )
        yield _counter(
            "polls_skipped",
            "Polls that were left out, because the one before was still in flight when due.",
            ((cms, stats.skipped) for cms, stats in servers),
        )
        yield _histogram(
            "poll_delay_seconds",
            "How late polls started.",
            ((cms, stats.delay) for cms, stats in servers),
        )
        yield _gauge(
            "polls_in_flight",
            "Polls that have started and not ended.",
            ((cms, stats.in_flight) for cms, stats in servers),
        )

    def _build_info(self) -> Metric:
        family = GaugeMetricFamily(
            _PREFIX + "build_info",
            "Always 1; the labels tell what is running.",
            labels=["version", "python_version"],
        )
        family.add_metric(self._build, 1)
        return family

    def _targets(self) -> Metric:
        targets = Counter(state.target.key.cms for state in self._store.states())
        return _gauge(
            "targets",
            "Targets that this exporter polls.",
            ((cms, targets[cms]) for cms, _ in self._store.servers()),
        )


def own_registry(
    store: Store, reload: Callable[[], ReloadStatus], *, version: str
) -> CollectorRegistry:
    """A new registry of the exporter's own families, its process's and its interpreter's."""
    # The library's own collectors cannot describe themselves, and `name[]` finds described ones.
    registry = CollectorRegistry(auto_describe=True)
    registry.register(
        ExporterCollector(store, reload, version=version, python_version=platform.python_version())
    )
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def _gauge(name: str, meaning: str, samples: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(_PREFIX + name, meaning, labels=["cms"])
    for cms, value in samples:
        family.add_metric([cms], value)
    return family


def _counter(name: str, meaning: str, samples: Iterable[tuple[str, float]]) -> Metric:
    family = CounterMetricFamily(_PREFIX + name, meaning, labels=["cms"])
    for cms, value in samples:
        family.add_metric([cms], value)
    return family


def _histogram(name: str, meaning: str, samples: Iterable[tuple[str, Histogram]]) -> Metric:
    family = HistogramMetricFamily(_PREFIX + name, meaning, labels=["cms"])
    for cms, histogram in samples:
        buckets = [
            ("+Inf" if bound == math.inf else str(bound), count)
            for bound, count in histogram.cumulative()
        ]
        family.add_metric([cms], buckets, histogram.total)
    return family


def _failures(servers: Iterable[tuple[str, ServerStats]]) -> Metric:
    family = CounterMetricFamily(
        _PREFIX + "poll_failures", "Polls that failed, by reason.", labels=["cms", "reason"]
    )
    for cms, stats in servers:
        for reason, count in stats.failures.items():
            family.add_metric([cms, reason], count)
    return family
