"""The metrics as text, in Prometheus' text format 0.0.4 and in OpenMetrics 1.0.

The target families are written here because prometheus_client takes seconds for ten thousand
targets and blocks the event loop meanwhile; the result is the same, byte for byte, except that
times are rounded. It comes in slices of a few milliseconds' work, so that polls can run between
them.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from enum import Enum
from itertools import starmap, zip_longest
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics

from exporter.clock import Moment
from exporter.metrics.families import (
    FAMILIES,
    Data,
    DataFamily,
    LabelledFamily,
    Reading,
    TargetFamily,
    labels,
    read,
)
from exporter.store import Target, TargetState


class Format(Enum):
    """An exposition format; its value is the Content-Type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


_END: Final = {Format.TEXT: b"", Format.OPENMETRICS: b"# EOF\n"}

_SLICE: Final = 250
"""Targets in one slice, with all their families: a few milliseconds' work."""
_JOINED: Final = 8
"""Pieces of one family that are yielded as one: a packet for each would be wasteful."""

_TEXTS: Final[dict[float, str]] = {number: f"{number}.0" for number in range(10_000)}
"""The text of each small count; most values are one. `5.0` is found like `5`."""
_text_of: Final = _TEXTS.get
_SPECIAL: Final = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
_EXPONENTS: Final = tuple(f"e+{digits - 1:02d}" for digits in range(18))
"""By the number of digits before the point: from 17 on, Python writes an exponent itself."""
_FIRST_WITH_EXPONENT: Final = 1_000_000
"""Go writes an exponent from here on, that is from seven digits before the point."""


class Exposition:
    """Writes the target families, followed by the families of a registry.

    It keeps the label texts of the targets that it wrote last.

    The library renders the registry, if there is one.
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
        """The exposition at one moment, as slices to be joined; some are empty.

        Args:
            states: the targets, in the order of the output. They are read at once, so that all
                slices show the same polls.
            now: the moment of the scrape.
            form: the format.
            names: samples to write, or None for all. A family without any of them is omitted.
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
        # Target by target: what one family reads of ten thousand targets does not fit into the
        # processor's cache, so family by family takes 50 % longer.
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
            # The library takes a millisecond for a hundred samples, so each family is a slice.
            yield from (_library([family], form) for family in chosen.collect())
        yield _END[form]

    def _batch(self, states: Sequence[TargetState], start: int, now: Moment) -> "_Batch":
        """One slice's targets, read at one moment."""
        some = states[start : start + _SLICE]
        # nearly always the same targets, in the same places, as last time
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
            some,
            readings,
            [whole for whole, _ in fresh],
            [data for _, data in fresh],
        )


class _LabelText(NamedTuple):
    """A target's labels as written, whole and around one more label."""

    target: Target
    whole: str
    around: dict[str, tuple[str, str]]
    """What is written before and after the value of another label, by its name."""

    def parts(self, label: str) -> tuple[str, str]:
        """Before and after the value of another label. Few targets need all of them."""
        if label not in self.around:
            pairs = sorted(labels(self.target).items())
            before = "".join([f"{_pair(*pair)}," for pair in pairs if pair[0] < label])
            after = "".join([f",{_pair(*pair)}" for pair in pairs if pair[0] > label])
            self.around[label] = f'{{{before}{label}="', f'"{after}}} '
        return self.around[label]


def _label_text(target: Target) -> _LabelText:
    pairs = sorted(labels(target).items())
    return _LabelText(target, f"{{{','.join([_pair(*pair) for pair in pairs])}}} ", {})


def _pair(name: str, value: str) -> str:
    escaped = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'{name}="{escaped}"'


class _Batch(NamedTuple):
    """Some targets by column: their label texts and what was read of each.

    The last two columns hold only the targets whose numbers are fresh.
    """

    texts: list[_LabelText]
    wholes: list[str]
    states: Sequence[TargetState]
    readings: list[Reading]
    fresh_wholes: list[str]
    fresh: list[Data]


def _samples(family: TargetFamily, batch: _Batch) -> bytes:
    """A line for each sample."""
    name = family.name
    if isinstance(family, LabelledFamily):
        label = family.label
        some = zip(batch.texts, map(family.values, batch.readings), strict=True)
        labelled = [(*text.parts(label), values) for text, values in some if values]
        return _named(
            name,
            [
                f"{before}{text}{after}{_text_of(value) or go_float(value)}"
                for before, after, values in labelled
                for text, value in values
            ],
        )
    samples: Iterable[tuple[str, float | None]]
    if isinstance(family, DataFamily):
        samples = zip(batch.fresh_wholes, starmap(family.value, batch.fresh), strict=True)
    else:
        samples = zip(batch.wholes, map(family.value, batch.states), strict=True)
    if family.decimals is None:
        lines = [
            f"{whole}{_text_of(value) or go_float(value)}"
            for whole, value in samples
            if value is not None
        ]
    else:
        # all seventeen digits take four times as long
        form = f".{family.decimals}f"
        lines = [f"{whole}{value:{form}}" for whole, value in samples if value is not None]
    return _named(name, lines)


def _named(name: str, lines: list[str]) -> bytes:
    """Put the name before each line: with the separator, so that each line is a shorter text."""
    joined = f"\n{name}".join(lines)
    return f"{name}{joined}\n".encode() if joined else b""


def go_float(value: float) -> str:
    """A value as Go writes it: the same as prometheus_client's `floatToGoString`."""
    text = repr(float(value))
    point = text.find(".")
    # from 17 digits on, Python has already written an exponent
    if value >= _FIRST_WITH_EXPONENT and point > 1:
        digits = f"{text[0]}.{text[1:point]}{text[point + 1 :]}"
        return (digits.rstrip("0.") if digits.endswith("0") else digits) + _EXPONENTS[point]
    return text if point > 0 else _SPECIAL.get(text, text)


def metric(family: TargetFamily) -> Metric:
    """The family in prometheus_client's form, without samples."""
    library = CounterMetricFamily if family.type == "counter" else GaugeMetricFamily
    return library(family.name, family.help)


class _Families(NamedTuple):
    """Families as a collector, which is what the library renders."""

    families: Sequence[Metric]

    def collect(self) -> Sequence[Metric]:
        return self.families


def _library(families: Sequence[Metric], form: Format) -> bytes:
    if form is Format.TEXT:
        return generate_latest(_Families(families))
    # The library's OpenMetrics module has no types.
    text: bytes = openmetrics.generate_latest(_Families(families))  # type: ignore[no-untyped-call]
    return text.removesuffix(_END[form])
