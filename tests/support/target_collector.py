"""The target families rendered by prometheus_client: slow, and the reference for our own text."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric, Sample

from exporter.clock import Clock
from exporter.metrics.exposition import metric
from exporter.metrics.families import (
    FAMILIES,
    LabelledFamily,
    Reading,
    TargetFamily,
    labels,
    read,
    value_of,
)
from exporter.store import Store


class TargetCollector:
    """The families of all targets for prometheus_client, built anew at every `collect()`."""

    def __init__(self, store: Store, moment: Clock) -> None:
        self._store = store
        self._moment = moment

    def describe(self) -> Iterator[Metric]:
        """The families without samples."""
        return map(metric, FAMILIES)

    def collect(self) -> Iterator[Metric]:
        """The families with the samples of one moment."""
        now = self._moment()
        readings = [(labels(state.target), read(state, now)) for state in self._store.states()]
        for family in FAMILIES:
            whole = metric(family)
            whole.samples = list(_samples(family, readings))
            yield whole


def _samples(
    family: TargetFamily, readings: Iterable[tuple[dict[str, str], Reading]]
) -> Iterator[Sample]:
    for names, reading in readings:
        if isinstance(family, LabelledFamily):
            for text, value in family.values(reading):
                yield Sample(family.name, names | {family.label: text}, value)
        elif (single := value_of(family, reading)) is not None:
            value = single if family.decimals is None else round(single, family.decimals)
            yield Sample(family.name, names, value)
