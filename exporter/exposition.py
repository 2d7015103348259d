"""The text of the metrics, in Prometheus' text format 0.0.4 and in OpenMetrics 1.0.

Knows how a sample is written down, and neither what families there are nor what they mean. The
target families are written here because prometheus_client takes seconds for ten thousand targets
and holds the event loop meanwhile; byte for byte the result is the library's. Everything comes in
slices of a few milliseconds' work, so that a caller in the event loop can let polls go on between
them.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from enum import Enum
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics

from exporter.clock import Moment
from exporter.metrics import FAMILIES, Reading, ReasonFamily, TargetFamily, labels, metric, read
from exporter.store import Target, TargetKey, TargetState


class Format(Enum):
    """An exposition format; its value is the Content-Type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


_END: Final = {Format.TEXT: b"", Format.OPENMETRICS: b"# EOF\n"}

_SLICE: Final = 500
"""Targets of one family that are written at once: a millisecond's work or two."""

_SMALL: Final = 10_000
_INTEGERS: Final = tuple(f"{number}.0" for number in range(_SMALL))
_SPECIAL: Final = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
_EXPONENTS: Final = tuple(f"e+{digits - 1:02d}" for digits in range(18))
"""By digits before the point: from 17 on Python writes an exponent of its own."""
_MOST_DIGITS: Final = 6
"""Digits before the point from which up Prometheus' own programs write an exponent."""


def go_float(value: float) -> str:
    """A value as prometheus_client's `floatToGoString` writes it, which follows Go's habits."""
    # Most samples are small counts.
    if type(value) is int and 0 <= value < _SMALL:
        return _INTEGERS[value]
    text = repr(float(value))
    point = text.find(".")
    if point > _MOST_DIGITS and value > 0:
        digits = f"{text[0]}.{text[1:point]}{text[point + 1 :]}"
        return digits.rstrip("0.") + _EXPONENTS[point]
    return text if point > 0 else _SPECIAL.get(text, text)


class Exposition:
    """Writes expositions of one set of targets, and after them of one registry.

    It keeps the label texts of the targets that it wrote last, and of no others.

    Args:
        registry: families that follow the targets' own, rendered by the library; may be None.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self._registry = registry
        self._texts: dict[TargetKey, _LabelText] = {}
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
        texts: dict[TargetKey, _LabelText] = {}
        batches: list[_Batch] = []
        for start in range(0, len(states), _SLICE):
            batches.append([])
            for state in states[start : start + _SLICE]:
                text = self._texts.get(state.target.key)
                if text is None or text.target is not state.target:
                    text = _label_text(state.target)
                texts[state.target.key] = text
                batches[-1].append((text, read(state, now)))
            yield b""
        self._texts = texts
        for family, header in zip(FAMILIES, self._headers[form], strict=True):
            if names is None:
                yield header
                yield from (_samples(family, batch) for batch in batches)
            elif family.name in names:
                yield from _unless_empty(header, (_samples(family, batch) for batch in batches))
        if self._registry is not None:
            chosen = self._registry if names is None else self._registry.restricted_registry(names)
            # The library takes a millisecond for a hundred samples, so a family is a slice.
            yield from (_library([family], form) for family in chosen.collect())
        yield _END[form]


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


_Batch = list[tuple[_LabelText, Reading]]


def _samples(family: TargetFamily, batch: _Batch) -> bytes:
    name = family.name
    if isinstance(family, ReasonFamily):
        return "".join(
            [
                f"{name}{text.before_reason}{reason}{text.after_reason}{go_float(value)}\n"
                for text, reading in batch
                for reason, value in family.values(reading)
            ]
        ).encode()
    return "".join(
        [
            f"{name}{text.whole}{go_float(value)}\n"
            for text, reading in batch
            if (value := family.value(reading)) is not None
        ]
    ).encode()


def _unless_empty(header: bytes, slices: Iterable[bytes]) -> Iterator[bytes]:
    for piece in slices:
        if piece:
            yield header
            header = b""
        yield piece


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
