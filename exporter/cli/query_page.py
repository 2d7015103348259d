"""One target's answer with every row, as a page for people and as data for scripts. Pure.

Knows how things are written, not which of them may be seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

from exporter.cli.agents import Agent, agents
from exporter.cms.client import Inspection
from exporter.durations import format_duration
from exporter.errors import PollResult
from exporter.rest import BeginTimeUnit, Snapshot, WaitReason
from exporter.store import TargetKey

_NOTHING: Final = "-"
_HEADS: Final = ("AGENT", "BEGAN", "AGE", "ASKED FOR", "REASON", "NAME")


@dataclass(frozen=True, slots=True)
class Question:
    """Who was asked, and how its rows are to be read."""

    target: TargetKey
    configured: bool
    """Whether it is a target of the configuration, which it need not be."""
    name: str | None
    begin_time_unit: BeginTimeUnit

    def __str__(self) -> str:
        name = f" ({self.name})" if self.name else ""
        return f"{self.target.cms}, ccId {self.target.cc_id}, vdn {self.target.vdn}{name}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was answered, and in how many seconds."""

    question: Question
    inspection: Inspection
    seconds: float


def text(finding: Finding, *, show_names: bool, zone: tzinfo | None = None) -> str:
    """The page for people.

    Args:
        finding: what to tell.
        show_names: whole, not masked.
        zone: of the times; this host's by default.
    """
    question, reading = finding.question, finding.inspection.result
    seen = _snapshot(reading)
    requests = "1 request" if reading.requests == 1 else f"{reading.requests} requests"
    stray = "" if question.configured else "; not a target of the configuration"
    shown = _agents(finding, show_names=show_names)
    page = [
        f"{question}: answered in {finding.seconds:.2f} s, {requests}{stray}",
        "",
        *_aligned(_facts(seen, reading.clock_skew, zone)),
    ]
    if shown:
        now = seen.server_time
        cells = [_cells(agent, now, zone) for agent in shown]
        page += ["", *_aligned([_HEADS, *cells]), ""]
        page.append("A reason holds for agents who wait; the server does not say which ones do.")
    if twice := len(finding.inspection.rows) - len(shown):
        page.append(f"Rows that came again on another page, and count once: {twice}.")
    return "\n".join(page)


def as_json(finding: Finding, *, show_names: bool) -> dict[str, object]:
    """The same for scripts. Times are epoch seconds by the server's clock."""
    reading = finding.inspection.result
    seen = _snapshot(reading)
    now = seen.server_time
    overdue = seen.overdue(now)
    reasons = zip(WaitReason, seen.waiting_by_reason, strict=True)
    return {
        **_identity(finding.question),
        "up": True,
        "duration_seconds": round(finding.seconds, 3),
        "requests": reading.requests,
        "clock_skew_seconds": reading.clock_skew,
        "server_timestamp_seconds": now,
        "approved_agents": seen.approved,
        "resting_agents": seen.resting,
        "waiting_agents": seen.waiting,
        "waiting_reason_agents": {reason.value: count for reason, count in reasons},
        "longest_rest_seconds": seen.longest_rest(now),
        "longest_rest_start_timestamp_seconds": seen.longest_rest_start,
        "overdue_agents": overdue.agents,
        "longest_overdue_seconds": overdue.longest,
        "unclassified_agents": seen.unclassified,
        "unusable_begin_times": seen.unusable_begin_times,
        "rows": [
            {
                "work_no": agent.work_no,
                "agent_name": agent.name,
                "reason": agent.reason and agent.reason.value,
                "reason_code": agent.reason_code,
                "begin_time": agent.begin_time,
                "start_timestamp_seconds": agent.start,
                "requested_seconds": agent.requested,
            }
            for agent in _agents(finding, show_names=show_names)
        ],
    }


def failure_as_json(question: Question, result: PollResult) -> dict[str, object]:
    """For scripts, when there was no answer."""
    error = result.error
    assert error is not None  # noqa: S101
    return {
        **_identity(question),
        "up": False,
        "requests": result.requests,
        "clock_skew_seconds": result.clock_skew,
        "reason": error.reason.value,
        "message": error.message,
    }


def _identity(question: Question) -> dict[str, object]:
    return {
        **question.target._asdict(),
        "name": question.name,
        "configured": question.configured,
    }


def _facts(seen: Snapshot, skew: float | None, zone: tzinfo | None) -> list[tuple[str, str, str]]:
    overdue = seen.overdue(seen.server_time)
    reasons = zip(WaitReason, seen.waiting_by_reason, strict=True)
    facts = [
        ("approved", str(seen.approved), "may rest, and are still at work"),
        ("resting", str(seen.resting), ""),
        (
            "waiting",
            str(seen.waiting),
            ", ".join(f"{count} {_words(reason)}" for reason, count in reasons if count),
        ),
        ("longest rest", *_longest_rest(seen, zone)),
        (
            "overdue",
            str(overdue.agents),
            f"by {_duration(overdue.longest)} at most" if overdue.agents else "",
        ),
    ]
    if seen.unclassified:
        facts.append(
            ("unclassified", str(seen.unclassified), "rows that could rest, beyond those who do")
        )
    if seen.unusable_begin_times:
        facts.append(
            ("unusable", str(seen.unusable_begin_times), "rows without a start to be believed")
        )
    facts.append(
        ("clock skew", _NOTHING, "the reply has no Date")
        if skew is None
        else ("clock skew", f"{skew:+.1f} s", "the server's clock less this host's")
    )
    return facts


def _longest_rest(seen: Snapshot, zone: tzinfo | None) -> tuple[str, str]:
    if not seen.resting:
        return _NOTHING, "nobody rests"
    if seen.longest_rest_start is None:
        return _NOTHING, "no row tells since when"
    at_most = "at most, " if seen.unclassified else ""
    age = _duration(seen.server_time - seen.longest_rest_start)
    return age, f"{at_most}since {_moment(seen.longest_rest_start, zone)}"


def _cells(agent: Agent, now: float, zone: tzinfo | None) -> tuple[str, ...]:
    began, age = _NOTHING, _NOTHING
    if agent.start is not None:
        ago = now - agent.start
        began = _moment(agent.start, zone)
        age = _duration(ago) if ago >= 0 else f"in {_duration(-ago)}"
    elif agent.begin_time is not None:
        began = f"unusable: {agent.begin_time}"
    return (
        _NOTHING if agent.work_no is None else str(agent.work_no),
        began,
        age,
        _NOTHING if agent.requested is None else _duration(agent.requested),
        _NOTHING if agent.reason is None else _words(agent.reason),
        agent.name or _NOTHING,
    )


def _agents(finding: Finding, *, show_names: bool) -> list[Agent]:
    rows, unit = finding.inspection.rows, finding.question.begin_time_unit
    now = _snapshot(finding.inspection.result).server_time
    return agents(rows, now, unit, show_names=show_names)


def _snapshot(result: PollResult) -> Snapshot:
    assert result.snapshot is not None  # noqa: S101
    return result.snapshot


def _words(reason: WaitReason) -> str:
    return reason.value.replace("_", " ")


def _moment(timestamp: float, zone: tzinfo | None) -> str:
    moment = datetime.fromtimestamp(timestamp, UTC).astimezone(zone)
    return moment.isoformat(sep=" ", timespec="seconds")


def _duration(seconds: float) -> str:
    try:
        return format_duration(round(seconds))
    except ValueError:
        return f"{seconds:.0f} s"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of equal width. The last may hold wide characters: nothing stands behind it."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
