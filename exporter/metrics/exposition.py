"""The text of the metrics, in Prometheus' text format 0.0.4 and in OpenMetrics 1.0.

Knows how a sample is written down, and neither what families there are nor what they mean. The
target families are written here because prometheus_client takes seconds for ten thousand targets
and holds the event loop meanwhile; byte for byte the result is the library's. Everything comes in
slices of a few milliseconds' work, so that a caller in the event loop can let polls go on between
them.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from enum import Enum
from itertools import starmap, zip_longest
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics

from exporter.clock import Moment
from exporter.metrics import (
    FAMILIES,
    Data,
    DataFamily,
    Reading,
    ReasonFamily,
    TargetFamily,
    labels,
    metric,
    read,
)
from exporter.metrics.number_format import INTEGERS, SMALL, go_float
from exporter.store import Target, TargetState


class Format(Enum):
    """An exposition format; its value is the Content-Type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


_END: Final = {Format.TEXT: b"", Format.OPENMETRICS: b"# EOF\n"}

_SLICE: Final = 250
"""Targets that are written at once, in all their families: a few milliseconds' work."""
_JOINED: Final = 8
"""Pieces of one family that are given out as one: a packet for each would be wasteful."""


class Exposition:
    """Writes expositions of one set of targets, and after them of one registry.

    It keeps the label texts of the targets that it wrote last, and of no others.

    Args:
        registry: families that follow the targets' own, rendered by the library; may be None.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self._registry = registry
        self._texts: list[_LabelText] = []
        self._headers = {
            form: [_library([metric(family)], form) for family in FAMILIES] for form in Format
        }

    def slices(
        self,
        states: Iterable[TargetState],
        now: Moment,
        form: Format,
        names: Collection[str] | None = None,
    ) -> Iterator[bytes]:
        """One exposition of one moment, in slices that join to the whole; some are empty.

        Args:
            states: the targets, in the order in which they are written. They are taken at once,
                so that all slices tell of the same polls.
            now: the moment of the scrape.
            form: which format.
            names: samples to write, or None for all. Families left without any are left out.
        """
        return self._slices(list(states), now, form, names)

    def _slices(
        self,
        states: Sequence[TargetState],
        now: Moment,
        form: Format,
        names: Collection[str] | None,
    ) -> Iterator[bytes]:
        texts: list[_LabelText] = []
        families = [
            (family, header, list[bytes]())
            for family, header in zip(FAMILIES, self._headers[form], strict=True)
            if names is None or family.name in names
        ]
        # Target by target, because all that one family reads of ten thousand does not fit into the
        # processor's cache: family by family it takes half as long again.
        for start in range(0, len(states), _SLICE):
            batch = self._batch(states, start, now)
            texts += batch.texts
            for family, _, pieces in families:
                pieces.append(_samples(family, batch))
            yield b""
        self._texts = texts
        for _, header, pieces in families:
            if names is None or any(pieces):
                yield header
            for start in range(0, len(pieces), _JOINED):
                yield b"".join(pieces[start : start + _JOINED])
            pieces.clear()
        if self._registry is not None:
            chosen = self._registry if names is None else self._registry.restricted_registry(names)
            # The library takes a millisecond for a hundred samples, so a family is a slice.
            yield from (_library([family], form) for family in chosen.collect())
        yield _END[form]

    def _batch(self, states: Sequence[TargetState], start: int, now: Moment) -> "_Batch":
        """A slice of the targets, at one moment."""
        some = states[start : start + _SLICE]
        # nearly always the same targets at the same places as the last time
        before = self._texts[start : start + _SLICE]
        texts = [
            text if text is not None and text.target is state.target else _label_text(state.target)
            for state, text in zip_longest(some, before[: len(some)])
        ]
        readings = [read(state, now) for state in some]
        fresh = [
            (text.whole, reading.data)
            for text, reading in zip(texts, readings, strict=True)
            if reading.data is not None
        ]
        return _Batch(
            texts,
            [text.whole for text in texts],
            [text.before_reason for text in texts],
            [text.after_reason for text in texts],
            some,
            readings,
            [whole for whole, _ in fresh],
            [data for _, data in fresh],
        )


class _LabelText(NamedTuple):
    """A target's labels as they are written, for samples without and with a `reason`."""

    target: Target
    whole: str
    before_reason: str
    after_reason: str


def _label_text(target: Target) -> _LabelText:
    pairs = sorted(labels(target).items())
    before = [_pair(name, value) for name, value in pairs if name < "reason"]
    after = [_pair(name, value) for name, value in pairs if name > "reason"]
    # Neither side is ever empty: `cms` sorts before `reason`, and `vdn` after it.
    return _LabelText(
        target,
        f"{{{','.join([*before, *after])}}} ",
        f'{{{",".join(before)},reason="',
        f'",{",".join(after)}}} ',
    )


def _pair(name: str, value: str) -> str:
    escaped = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'{name}="{escaped}"'


class _Batch(NamedTuple):
    """Some targets: their label texts, the columns of these, and what is read of each.

    The last two columns hold the targets whose numbers are fresh, and no others.
    """

    texts: list[_LabelText]
    wholes: list[str]
    before_reason: list[str]
    after_reason: list[str]
    states: Sequence[TargetState]
    readings: list[Reading]
    fresh_wholes: list[str]
    fresh: list[Data]


def _samples(family: TargetFamily, batch: _Batch) -> bytes:
    name = family.name
    if isinstance(family, ReasonFamily):
        before, after = batch.before_reason, batch.after_reason
        return _with_reasons(
            name, zip(before, after, map(family.values, batch.readings), strict=True)
        )
    if isinstance(family, DataFamily):
        return _single(
            name, zip(batch.fresh_wholes, starmap(family.value, batch.fresh), strict=True)
        )
    return _single(name, zip(batch.wholes, map(family.value, batch.states), strict=True))


# In both of these a call for each small count would be a tenth of a scrape.


def _single(name: str, samples: Iterable[tuple[str, float | None]]) -> bytes:
    return "".join(
        [
            f"{name}{whole}{INTEGERS[value]}\n"
            if type(value) is int and 0 <= value < SMALL
            else f"{name}{whole}{go_float(value)}\n"
            for whole, value in samples
            if value is not None
        ]
    ).encode()


def _with_reasons(
    name: str, samples: Iterable[tuple[str, str, Iterable[tuple[str, float]]]]
) -> bytes:
    return "".join(
        [
            f"{name}{before}{reason}{after}{INTEGERS[value]}\n"
            if type(value) is int and 0 <= value < SMALL
            else f"{name}{before}{reason}{after}{go_float(value)}\n"
            for before, after, by_reason in samples
            for reason, value in by_reason
        ]
    ).encode()


class _Families(NamedTuple):
    """What the library renders: anything that collects."""

    families: Sequence[Metric]

    def collect(self) -> Sequence[Metric]:
        return self.families


def _library(families: Sequence[Metric], form: Format) -> bytes:
    if form is Format.TEXT:
        return generate_latest(_Families(families))
    # The library's OpenMetrics half has no types.
    text: bytes = openmetrics.generate_latest(_Families(families))  # type: ignore[no-untyped-call]
    return text.removesuffix(_END[form])
