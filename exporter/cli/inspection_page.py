"""What `query` shows of one poll: the counters, each agent's row, and what is known of it.

The only place where agents' names become text. They are masked unless full names were asked for,
and nothing that a server sent keeps its control characters.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

from rich.console import Console

from exporter.begin_time import BeginTimeUnit, usable_start
from exporter.cli.output import BLANK, Line, counted, print_lines, sentence_lines, table_lines
from exporter.cms.agent_names import NamedRow
from exporter.cms.client import Inspection
from exporter.cms.foreign_text import MASK, printable
from exporter.durations import format_duration
from exporter.errors import PollResult
from exporter.rest import Kind, Snapshot, WaitReason, classify, once_each
from exporter.secret import Secret
from exporter.store import TargetKey

CHANGED: Final = (
    "the counters changed between the pages of the listing, in two readings of it, so they may not "
    "match the rows: poll again; a larger page_size makes this rarer"
)
"""What `PollResult.moved` means."""
NOTHING: Final = "-"
_HEADS: Final = ("AGENT", "STATE", "BEGAN", "AGE", "REQUESTED", "REASON", "NAME")
_LONGEST: Final = 60
_REASONS: Final = tuple(WaitReason)


@dataclass(frozen=True, slots=True)
class Question:
    """Which target was polled, and how its rows are to be read."""

    target: TargetKey
    name: str | None
    begin_time_unit: BeginTimeUnit
    configured: bool = True
    """Whether the configuration has this target; `query` can also poll others."""

    def __str__(self) -> str:
        name = f" ({self.name})" if self.name else ""
        return f"{self.target.cms}, ccId {self.target.cc_id}, vdn {self.target.vdn}{name}"


@dataclass(frozen=True, slots=True)
class Agent:
    """One row, as it may be shown."""

    work_no: int | str | None
    name: str | None
    """Masked, unless full names were asked for."""
    kind: Kind
    reason: WaitReason | None
    """Why the agent waits; None if it is not certain that it does."""
    reason_code: int | None
    """As sent."""
    start: float | None
    """Epoch seconds by the server's clock; None if `begin_time` is not plausible."""
    begin_time: int | None
    """As sent."""
    requested: int | None
    """Seconds."""


def agents(
    rows: Iterable[NamedRow], seen: Snapshot, unit: BeginTimeUnit, *, show_names: bool
) -> list[Agent]:
    """Every agent once, the earliest start first, those without one last.

    `rows` are those of every page, in the order sent; `seen` is what they were reduced to.
    """
    listing = once_each(rows)
    kinds = classify(seen, listing, unit)
    found = [
        Agent(
            work_no=_short(row.work_no) if isinstance(row.work_no, str) else row.work_no,
            name=None if row.name is None else _shown(row.name, in_full=show_names),
            kind=kind,
            reason=_reason(row.reason) if kind is Kind.WAITS else None,
            reason_code=row.reason,
            start=usable_start(row.begin_time, seen.server_time, unit),
            begin_time=row.begin_time,
            requested=row.duration,
        )
        for row, kind in zip(listing, kinds, strict=True)
    ]
    return sorted(found, key=lambda agent: math.inf if agent.start is None else agent.start)


@dataclass(frozen=True, slots=True)
class Page:
    """What people see of polls of one target."""

    console: Console
    question: Question
    show_names: bool = False
    """In full instead of masked."""
    zone: tzinfo | None = None
    """Of the times; None for this host's."""

    def show(self, inspection: Inspection) -> None:
        """Print a poll that succeeded."""
        head = sentence_lines(self.console, headline(self.question, inspection), "bold")
        print_lines(self.console, [*head, BLANK, *self.numbers(inspection), *self.rows(inspection)])

    def numbers(self, inspection: Inspection) -> list[Line]:
        """The counters, and what is to be known about them."""
        result, seen = inspection.result, succeeded(inspection.result)
        lines = table_lines(self.console, self._facts(seen, result.clock_skew))
        for doubt in seen.doubts:
            lines += sentence_lines(self.console, f"doubtful: {doubt.sentence}", "yellow")
        if result.moved:
            lines += sentence_lines(self.console, f"changed: {CHANGED}", "yellow")
        return lines

    def rows(self, inspection: Inspection) -> list[Line]:
        """A table of the agents, and the rules by which each of their states was found."""
        seen = succeeded(inspection.result)
        unit = self.question.begin_time_unit
        shown = agents(inspection.rows, seen, unit, show_names=self.show_names)
        lines: list[Line] = []
        if shown:
            cells = [self._cells(agent, seen.server_time) for agent in shown]
            table = table_lines(self.console, cells, _HEADS, {3, 4}, {0, 5, 6})
            lines += [BLANK, *table, BLANK]
        for kind in Kind:
            if any(agent.kind is kind for agent in shown):
                lines += sentence_lines(self.console, f"{kind.state}: {kind.rule}", "dim")
        if twice := len(inspection.rows) - len(shown):
            repeated = f"Rows repeated on a later page, each counted once: {twice}."
            lines += sentence_lines(self.console, repeated, "dim")
        return lines

    def moment(self, timestamp: float) -> str:
        """A time of day with its date and zone."""
        return self._local(timestamp).isoformat(sep=" ", timespec="seconds")

    def time_of_day(self, timestamp: float) -> str:
        """Hours, minutes and seconds."""
        return f"{self._local(timestamp):%H:%M:%S}"

    def _local(self, timestamp: float) -> datetime:
        return datetime.fromtimestamp(timestamp, UTC).astimezone(self.zone)

    def _facts(self, seen: Snapshot, skew: float | None) -> list[tuple[str, str, str]]:
        overdue_by = seen.longest_overdue(seen.server_time)
        by_reason = zip(WaitReason, seen.waiting_by_reason, strict=True)
        reasons = ", ".join(f"{count} {_words(reason)}" for reason, count in by_reason if count)
        late = f"by up to {duration(overdue_by)}" if overdue_by else ""
        waited = seen.longest_wait(seen.server_time)
        facts = [
            ("approved", str(seen.approved), "allowed to rest, still working"),
            ("resting", str(seen.resting), ""),
            ("waiting", str(seen.waiting), reasons),
            ("longest rest", *self._longest_rest(seen)),
            ("overdue", _overdue(seen), late),
        ]
        if seen.waiting:
            facts.append(("longest wait", NOTHING if waited is None else duration(waited), ""))
        doubtful = (
            (
                "unclassified",
                seen.unclassified,
                "rows of agents who may rest or wait, beyond the resting ones",
            ),
            ("unlisted", seen.unlisted, "resting agents without a row with a start"),
            ("unusable", seen.unusable_begin_times, "rows without a plausible start"),
        )
        facts += [(name, str(count), meaning) for name, count, meaning in doubtful if count]
        if skew is None:
            return [*facts, ("clock skew", NOTHING, "the reply has no Date header")]
        return [*facts, ("clock skew", f"{skew:+.1f} s", "the server's clock minus this host's")]

    def _longest_rest(self, seen: Snapshot) -> tuple[str, str]:
        age = longest_rest(seen)
        if not seen.resting:
            return age, "no agent rests"
        if seen.longest_rest_start is None:
            return age, "the reply has no usable start time"
        return age, f"since {self.moment(seen.longest_rest_start)}"

    def _cells(self, agent: Agent, now: float) -> tuple[str, ...]:
        began, age = NOTHING, NOTHING
        if agent.start is not None:
            ago = now - agent.start
            began = self._began(agent.start, now)
            age = duration(ago) if ago >= 0 else f"in {duration(-ago)}"
        elif agent.begin_time is not None:
            began = f"unusable: {agent.begin_time}"
        return (
            NOTHING if agent.work_no is None else str(agent.work_no),
            agent.kind.state,
            began,
            age,
            NOTHING if agent.requested is None else duration(agent.requested),
            NOTHING if agent.reason is None else _words(agent.reason),
            agent.name or NOTHING,
        )

    def _began(self, start: float, now: float) -> str:
        """A terminal has no room for the zone, nor for today's date."""
        if not self.console.is_terminal:
            return self.moment(start)
        began = self._local(start)
        same_day = began.date() == self._local(now).date()
        return self.time_of_day(start) if same_day else f"{began:%Y-%m-%d %H:%M}"


def headline(question: Question, inspection: Inspection) -> str:
    """What was polled, and what it took."""
    result = inspection.result
    stray = "" if question.configured else "; not a target of the configuration"
    requests = counted(result.requests, "request")
    return f"{question}: replied in {result.duration:.2f} s, {requests}{stray}"


def succeeded(result: PollResult) -> Snapshot:
    """What a poll found that has not failed."""
    assert result.snapshot is not None  # noqa: S101  # it is there if there is no error
    return result.snapshot


def as_json(question: Question, inspection: Inspection, *, show_names: bool) -> dict[str, object]:
    """The same for scripts. Times are epoch seconds by the server's clock."""
    result, seen = inspection.result, inspection.result.snapshot
    found: dict[str, object] = {
        **question.target._asdict(),
        "name": question.name,
        "configured": question.configured,
        "up": seen is not None,
        "requests": result.requests,
        "clock_skew_seconds": result.clock_skew,
    }
    if result.error is not None:
        found |= {"reason": result.error.reason.value, "message": result.error.message}
    if seen is None:
        return found
    now = seen.server_time
    reasons = zip(WaitReason, seen.waiting_by_reason, strict=True)
    return found | {
        "duration_seconds": round(result.duration, 3),
        "server_timestamp_seconds": now,
        "approved_agents": seen.approved,
        "resting_agents": seen.resting,
        "waiting_agents": seen.waiting,
        "waiting_reason_agents": {reason.value: count for reason, count in reasons},
        "longest_rest_seconds": seen.longest_rest(now),
        "longest_rest_start_timestamp_seconds": seen.longest_rest_start,
        "longest_wait_seconds": seen.longest_wait(now),
        "overdue_agents": seen.overdue(now),
        "longest_overdue_seconds": seen.longest_overdue(now),
        "unclassified_agents": seen.unclassified,
        "unlisted_agents": seen.unlisted,
        "unusable_begin_times": seen.unusable_begin_times,
        "doubts": [doubt.value for doubt in seen.doubts],
        "changed_while_read": result.moved,
        "rows": [
            {
                "work_no": agent.work_no,
                "agent_name": agent.name,
                "state": agent.kind.state.replace(" ", "_"),
                "rule": agent.kind.rule,
                "reason": agent.reason and agent.reason.value,
                "reason_code": agent.reason_code,
                "begin_time": agent.begin_time,
                "start_timestamp_seconds": agent.start,
                "requested_seconds": agent.requested,
            }
            for agent in agents(
                inspection.rows, seen, question.begin_time_unit, show_names=show_names
            )
        ],
    }


def longest_rest(seen: Snapshot) -> str:
    """The age of the longest rest when it was polled, with "at most" or "at least" if needed."""
    if not seen.resting or seen.longest_rest_start is None:
        return NOTHING
    return f"{seen.bound}{duration(seen.server_time - seen.longest_rest_start)}"


def _overdue(seen: Snapshot) -> str:
    agents = seen.overdue(seen.server_time)
    if agents is None:
        return NOTHING
    none = seen.unclassified and not agents  # an upper bound of 0 is exact
    return "0" if none else f"{seen.bound}{agents}"


def _reason(code: int | None) -> WaitReason | None:
    return None if code is None or code < 0 else _REASONS[min(code, len(_REASONS) - 1)]


def _shown(name: Secret, *, in_full: bool) -> str:
    text = _short(name.reveal().strip())
    if in_full:
        return text
    # the first character of a name of one character would be all of it
    return text[:1] + MASK if len(text) > 1 else MASK


def _short(text: str) -> str:
    return printable(text[:_LONGEST])


def _words(reason: WaitReason) -> str:
    return reason.value.replace("_", " ")


def duration(seconds: float) -> str:
    """A duration as Prometheus writes it, in whole seconds."""
    try:
        return format_duration(round(seconds))
    except ValueError:
        return f"{seconds:.0f} s"
