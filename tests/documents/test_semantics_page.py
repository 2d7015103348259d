"""docs/semantics.md: every example is run, and every doubt has the exporter's own words."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import pytest

from exporter.begin_time import BeginTimeUnit
from exporter.clock import Moment
from exporter.cms import wire
from exporter.durations import parse_duration
from exporter.metrics.families import FAMILIES, DataFamily, LabelledFamily, Reading, read, value_of
from exporter.rest import Asked, Doubt, classify, once_each, reduce
from exporter.server import Api
from exporter.store import Target, TargetKey, TargetState
from tests.support.paths import ROOT
from tests.support.stores import success

PAGE = (ROOT / "docs" / "semantics.md").read_text(encoding="utf-8")
EXAMPLES = re.split(r"^### (.+)\n", PAGE.partition("\n## Examples\n")[2], flags=re.MULTILINE)[1:]


@dataclass(frozen=True, slots=True)
class Example:
    """A reply, how it was asked for, and what the page says of it."""

    asked: Asked
    server_time: float
    bounds: tuple[float, ...]
    reply: wire.Reply
    kinds: dict[str, str]
    samples: list[str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an example as the page writes it."""
        (line,) = re.findall(r"^Server time .+$", text, re.MULTILINE)
        settings = dict(re.findall(r"`(\w+): ([^`]+)`", line))
        bounds = tuple(map(parse_duration, re.findall(r"\w+", settings.get("rest_bounds", ""))))
        (detail,) = re.findall(r"```json\n(.+?)```", text, re.DOTALL)
        (samples,) = re.findall(r"```text\n(.+?)```", text, re.DOTALL)
        asked = Asked(
            BeginTimeUnit(settings["begin_time_unit"]),
            paged=settings["cti_version"] == '"3.6"',
            with_starts=bool(bounds),
        )
        body = json.dumps({"resultCode": "0100000", "resultDesc": json.loads(detail)}).encode()
        return cls(
            asked,
            float(line.removeprefix("Server time ").partition(",")[0]),
            bounds,
            wire.decode(body, Api.AGENT_REST_INFOS),
            dict(_rows(re.findall(r"^\| (\d[^|]*) \| ([^|]+) \|$", text, re.MULTILINE))),
            samples.splitlines(),
        )

    def reading(self) -> Reading:
        """The reply as a scrape at server time reads it."""
        now = Moment(self.server_time, 0.0, 0.0)
        snapshot = reduce(self.reply.counters, self.reply.rows, self.server_time, self.asked)
        target = Target(TargetKey("lima", 1, 1), rest_bounds=self.bounds)
        return read(TargetState(target).after(success(now, now, snapshot)), now)


def _rows(cells: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Each row's number and kind; `8001 to 8010` is ten rows."""
    for numbers, kind in cells:
        first, _, last = numbers.partition(" to ")
        for each in range(int(first), int(last or first) + 1):
            yield str(each), kind


def samples(reading: Reading) -> Iterator[str]:
    """What the reply brings, in the order of the exposition, without the target's own labels."""
    for family in FAMILIES:
        if isinstance(family, DataFamily):
            value = value_of(family, reading)
            if value is not None:
                yield f"{family.name} {value:.15g}"
        elif isinstance(family, LabelledFamily):
            for of, value in family.values(reading):
                if value or family.label != "reason":
                    yield f'{family.name}{{{family.label}="{of}"}} {value:.15g}'


examples = pytest.mark.parametrize(
    "text", EXAMPLES[1::2], ids=[title.replace(" ", "-") for title in EXAMPLES[::2]]
)


def test_the_page_has_the_cases_that_matter() -> None:
    """The vendor's two samples, an upper and a lower bound, and a wrong configuration."""
    assert len(EXAMPLES[::2]) == 5
    assert {title.rpartition(": ")[2] for title in EXAMPLES[::2]} >= {"at most", "at least"}
    seen = {doubt for text in EXAMPLES[1::2] for doubt in re.findall(r'doubt="(\w+)"', text)}
    assert seen == set(Doubt)


@examples
def test_each_example_has_these_samples(text: str) -> None:
    """All of them, and no others."""
    example = Example.parse(text)
    assert list(samples(example.reading())) == example.samples


@examples
def test_each_row_is_what_the_page_says(text: str) -> None:
    """As `query` shows it."""
    example = Example.parse(text)
    rows = once_each(example.reply.rows)
    snapshot = reduce(
        example.reply.counters, example.reply.rows, example.server_time, example.asked
    )
    kinds = classify(snapshot, rows, example.asked.unit)
    found = {str(row.work_no): kind.state for row, kind in zip(rows, kinds, strict=True)}
    assert found == example.kinds


def test_doubts_have_the_exporters_own_words() -> None:
    """In its order, each with its sentence."""
    _, *rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE)
    assert rows == [(doubt.value, doubt.sentence) for doubt in Doubt]
