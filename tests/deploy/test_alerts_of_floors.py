"""Which alerts fire for a floor: from its rows by the exporter's rules to promtool's verdict.

The unit tests in fixtures/rules are written by hand. Here the samples are those that the exporter
makes of a server's replies, minute by minute.
"""

import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from exporter.begin_time import BeginTimeUnit
from exporter.clock import Moment
from exporter.metrics.families import FAMILIES, LabelledFamily, labels, read, value_of
from exporter.rest import Asked, Counters, Row, reduce
from exporter.store import Target, TargetKey, TargetState
from tests.support.alert_rules import RULES
from tests.support.processes import program
from tests.support.stores import success

pytestmark = [pytest.mark.real, pytest.mark.peers]

START = 1_750_000_000.0
MINUTE = 60.0
MINUTES = 120
JOB = {"instance": "exporter:10072", "job": "agent-rest-exporter"}

Floor = Callable[[float], tuple[Counters, list[Row]]]
"""A server's reply at a time in epoch seconds."""


def row(
    work_no: int, start: float, *, reason: int = 0, duration: int = 1800, unit: int = 1000
) -> Row:
    """A row as servers send it: reason 0 where none applies."""
    return Row(work_no, reason, int(start * unit), duration)


def rests(count: int, now: float, length: float = 40 * MINUTE) -> list[Row]:
    """Resting agents; each is followed by the next when the rest ends, at different times."""
    return [
        row(100 + number, now - (now - START + number * length / count) % length)
        for number in range(count)
    ]


def healthy(now: float) -> tuple[Counters, list[Row]]:
    """Zeros on every row: six rest, one at a time waits for approval, one works on for a while.

    Approval takes four minutes of every six. An approved rest begins twenty minutes late.
    """
    waits = (now - START) % (6 * MINUTE) < 4 * MINUTE
    rows = [*rests(6, now), row(300, now - (now - START) % (20 * MINUTE))]
    if waits:
        rows.append(row(200, now - (now - START) % (6 * MINUTE)))
    return Counters(1, 6, int(waits)), rows


def forgotten(now: float) -> tuple[Counters, list[Row]]:
    """The same floor, and one agent who has gone home."""
    (approved, resting, waiting), rows = healthy(now)
    return Counters(approved, resting + 1, waiting), [*rows, row(400, START, duration=86_000)]


def unapproved(now: float) -> tuple[Counters, list[Row]]:
    """Zeros on every row: six rest, and without a supervisor two wait for approval all the time."""
    return Counters(0, 6, 2), [*rests(6, now), row(500, START), row(501, START)]


def of_size(resting: int, listed: int) -> Floor:
    """A floor where a server lists fewer agents than rest."""
    return lambda now: (Counters(0, resting, 0), rests(resting, now)[:listed])


def in_unit(unit: int) -> Floor:
    """A floor whose times have so many units in a second."""

    def floor(now: float) -> tuple[Counters, list[Row]]:
        rows = [row(100, now - 300, unit=unit), row(200, now - 60, reason=1, unit=unit)]
        return Counters(0, 1, 1), rows

    return floor


def series(target: Target, floor: Floor, unit: BeginTimeUnit) -> Iterator[tuple[str, str]]:
    """Each series of a target in promtool's notation, with a sample for every minute."""
    state = TargetState(target)
    found: defaultdict[str, dict[int, float]] = defaultdict(dict)
    for minute in range(MINUTES + 1):
        now = Moment(START + minute * MINUTE, minute * MINUTE, minute * MINUTE)
        counters, rows = floor(now.wall)
        asked = Asked(unit, largest_listing=0)
        state = state.after(success(now, now, reduce(counters, rows, now.wall, asked)))
        for name, value in samples(state, now):
            found[name][minute] = value
    for name, values in found.items():
        yield (
            name,
            " ".join(
                f"{values[minute]:.15g}"
                if minute in values
                else ("stale" if minute - 1 in values else "_")
                for minute in range(MINUTES + 1)
            ),
        )


def samples(state: TargetState, now: Moment) -> Iterator[tuple[str, float]]:
    """What a scrape of a target brings."""
    reading = read(state, now)
    shared = labels(state.target) | JOB
    for family in FAMILIES:
        if isinstance(family, LabelledFamily):
            for of, value in family.values(reading):
                yield _name(family.name, shared | {family.label: of}), value
        elif (single := value_of(family, reading)) is not None:
            yield _name(family.name, shared), single


def _name(family: str, own: dict[str, str]) -> str:
    return family + "{" + ",".join(f'{label}="{own[label]}"' for label in sorted(own)) + "}"


DOUBTFUL, TOO_LONG = "AgentRestNumbersDoubtful", "AgentRestTooLong"
OVERDUE, APPROVALS = "AgentRestOverdue", "AgentRestApprovalsWaiting"


@pytest.mark.parametrize(
    ("floor", "vdns", "unit", "expected"),
    [
        pytest.param(healthy, 2, BeginTimeUnit.AUTO, {}, id="healthy, zeros on every row"),
        pytest.param(
            forgotten, 1, BeginTimeUnit.AUTO, {TOO_LONG: 1}, id="a forgotten rest among zeros"
        ),
        pytest.param(
            unapproved,
            1,
            BeginTimeUnit.AUTO,
            {APPROVALS: 1, TOO_LONG: 1, OVERDUE: 1},  # the last two as upper bounds
            id="no supervisor, zeros hide since when",
        ),
        pytest.param(
            of_size(250, 100), 3, BeginTimeUnit.AUTO, {DOUBTFUL: 3}, id="250 rest, 100 are listed"
        ),
        pytest.param(of_size(7, 5), 1, BeginTimeUnit.AUTO, {DOUBTFUL: 1}, id="5 of 7 are listed"),
        pytest.param(of_size(7, 7), 1, BeginTimeUnit.AUTO, {}, id="all are listed"),
        pytest.param(
            in_unit(1000),
            3,
            BeginTimeUnit.SECONDS,
            {DOUBTFUL: 1},
            id="milliseconds read as seconds",
        ),
        pytest.param(
            in_unit(1), 3, BeginTimeUnit.MILLISECONDS, {DOUBTFUL: 1}, id="seconds read as ms"
        ),
        pytest.param(in_unit(1), 3, BeginTimeUnit.AUTO, {}, id="seconds found out"),
    ],
)
def test_alerts_in_two_hours(
    floor: Floor, vdns: int, unit: BeginTimeUnit, expected: dict[str, int], tmp_path: Path
) -> None:
    """These and no others have fired, for so many VDNs or servers."""
    given = [("up{" + ",".join(f'{k}="{v}"' for k, v in JOB.items()) + "}", "1x120")]
    for vdn in range(1, vdns + 1):
        given += series(Target(TargetKey("lima", 1, vdn)), floor, unit)
    unit_test = {
        "rule_files": [str(RULES / "*.yaml")],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in given],
                "promql_expr_test": [
                    {
                        "expr": "count by (alertname) (count by (alertname, cms, vdn) "
                        '(count_over_time(ALERTS{alertstate="firing"}[2h])))',
                        "eval_time": "2h",
                        "exp_samples": [
                            {"labels": f'{{alertname="{name}"}}', "value": count}
                            for name, count in expected.items()
                        ],
                    }
                ],
            }
        ],
    }
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump(unit_test), encoding="utf-8")
    verdict = subprocess.run(
        [program("promtool", "prometheus"), "test", "rules", file],
        check=False,
        capture_output=True,
        text=True,
    )
    assert verdict.returncode == 0, verdict.stderr or verdict.stdout
