"""`query`: poll one target now, and show all that the server says about it.

The only command that sees agents' names, the only caller of `CmsClient.inspect`, and the only place
where names become text. It masks them unless it is told to show them, and nothing that a server
sent keeps its control characters.
"""

import difflib
import math
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from exporter.cli.loop import run_until_stopped
from exporter.cli.signals import Signals
from exporter.cli.terminal import console, counted, print_json, print_table
from exporter.clock import system_clock
from exporter.cms.agent_names import NamedRow
from exporter.cms.client import CmsClient, Inspection
from exporter.config import Config, load
from exporter.durations import format_duration
from exporter.polling import build
from exporter.rest import (
    BeginTimeUnit,
    Kind,
    Overdue,
    Snapshot,
    WaitReason,
    classify,
    once_each,
    usable_start,
)
from exporter.secret import Secret
from exporter.server import Server
from exporter.store import TargetKey

_NOTHING: Final = "-"
_HEADS: Final = ("AGENT", "STATE", "BEGAN", "AGE", "REQUESTED", "REASON", "NAME")
_MASK: Final = "***"
_LONGEST: Final = 60
_REASONS: Final = tuple(WaitReason)
_LISTED: Final = 10
"""Servers that an error names at most."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which target was polled, and how its rows are to be read."""

    target: TargetKey
    name: str | None
    begin_time_unit: BeginTimeUnit
    configured: bool = True
    """Whether it is a target of the configuration, which it need not be."""

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


def run(  # noqa: PLR0913  # a flag each
    signals: Signals,
    *,
    config_file: str,
    cms: str | None,
    cc_id: int,
    vdn: int,
    show_names: bool,
    json: bool,
) -> int:
    """Poll one target. 0 if that succeeds, 1 if it fails, 2 if the target cannot be polled."""
    config = load(Path(config_file), os.environ)
    server = _server(config.servers, cms)
    question = _question(config, server, TargetKey(server.name, cc_id, vdn))
    client = build.clients([server], os.environ, system_clock)[server.name]
    inspection = run_until_stopped(_ask(client, question), signals)
    error = inspection.result.error
    if json:
        print_json(as_json(question, inspection, show_names=show_names))
    elif error is not None:
        print(f"{question}: {error.reason.value}: {error.message}", file=sys.stderr)
    else:
        show(console(sys.stdout), question, inspection, show_names=show_names)
    return 0 if error is None else 1


async def _ask(client: CmsClient, question: Question) -> Inspection:
    try:
        return await client.inspect(question.target.cc_id, question.target.vdn)
    finally:
        await client.aclose()


def _server(servers: Sequence[Server], name: str | None) -> Server:
    """The server of that name, or the only one."""
    by_name = {server.name: server for server in servers}
    if name is None and len(servers) == 1:
        return servers[0]
    if name in by_name:
        return by_name[name]
    listed = ", ".join([*by_name][:_LISTED]) + (", …" if len(servers) > _LISTED else "")
    problem = f"--cms is required, because the configuration has {len(servers)} servers: {listed}"
    if name is not None:
        close = difflib.get_close_matches(name, by_name, 1)
        hint = f"did you mean {close[0]}?" if close else f"it has {listed}"
        problem = f"--cms: the configuration has no server {name!r}; {hint}"
    raise click.UsageError(problem, click.get_current_context())


def _question(config: Config, server: Server, target: TargetKey) -> Question:
    for known in config.targets:
        if known.key == target:
            return Question(target, known.name, server.begin_time_unit)
    return Question(target, None, server.begin_time_unit, configured=False)


def parse_cc_id(text: str) -> int:
    """ID of a call center. Raises ValueError with a sentence."""
    return _whole_number(text, 65_535)


def parse_vdn(text: str) -> int:
    """ID of a VDN. Raises ValueError with a sentence."""
    return _whole_number(text, 5_000)


def _whole_number(text: str, highest: int) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= highest):
        raise ValueError(f"{text!r} is not a whole number from 1 to {highest}")
    return int(text)


def agents(
    rows: Iterable[NamedRow], seen: Snapshot, unit: BeginTimeUnit, *, show_names: bool
) -> list[Agent]:
    """Every agent once, the earliest start first, those without one last.

    Args:
        rows: of every page, in the order sent.
        seen: what these rows were reduced to.
        unit: of `begin_time`.
        show_names: in full instead of masked.
    """
    listing = once_each(rows)
    kinds = classify(seen, listing, unit)
    found = [
        Agent(
            work_no=_printable(row.work_no) if isinstance(row.work_no, str) else row.work_no,
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


def show(
    console: Console,
    question: Question,
    inspection: Inspection,
    *,
    show_names: bool,
    zone: tzinfo | None = None,
) -> None:
    """Print the page for people.

    Args:
        console: where.
        question: what was polled.
        inspection: of a poll that succeeded.
        show_names: in full instead of masked.
        zone: of the times; this host's by default.
    """
    result, seen = inspection.result, inspection.result.snapshot
    assert seen is not None  # noqa: S101  # it succeeded
    stray = "" if question.configured else "; not a target of the configuration"
    shown = _agents(question, inspection, seen, show_names=show_names)
    console.print(
        f"{question}: replied in {result.duration:.2f} s, "
        f"{counted(result.requests, 'request')}{stray}\n",
        style="bold",
    )
    print_table(console, _facts(seen, result.clock_skew, zone))
    for doubt in seen.doubts:
        console.print(f"doubtful: {doubt.sentence}", style="yellow")
    if shown:
        console.print()
        print_table(console, [_cells(agent, seen.server_time, zone) for agent in shown], _HEADS)
        console.print()
        for kind in Kind:
            if any(agent.kind is kind for agent in shown):
                console.print(f"{kind.state}: {kind.rule}", style="dim")
    if twice := len(inspection.rows) - len(shown):
        console.print(f"Rows repeated on a later page, each counted once: {twice}.", style="dim")


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
    now, overdue = seen.server_time, seen.overdue(seen.server_time)
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
        "overdue_agents": overdue and overdue.agents,
        "longest_overdue_seconds": overdue and overdue.longest,
        "unclassified_agents": seen.unclassified,
        "unlisted_agents": seen.unlisted,
        "unusable_begin_times": seen.unusable_begin_times,
        "doubts": [doubt.value for doubt in seen.doubts],
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
            for agent in _agents(question, inspection, seen, show_names=show_names)
        ],
    }


def _facts(seen: Snapshot, skew: float | None, zone: tzinfo | None) -> list[tuple[str, str, str]]:
    overdue = seen.overdue(seen.server_time)
    by_reason = zip(WaitReason, seen.waiting_by_reason, strict=True)
    reasons = ", ".join(f"{count} {_words(reason)}" for reason, count in by_reason if count)
    late = f"by up to {_duration(overdue.longest)}" if overdue and overdue.agents else ""
    waited = seen.longest_wait(seen.server_time)
    facts = [
        ("approved", str(seen.approved), "allowed to rest, still working"),
        ("resting", str(seen.resting), ""),
        ("waiting", str(seen.waiting), reasons),
        ("longest rest", *_longest_rest(seen, zone)),
        ("overdue", _overdue(seen, overdue), late),
    ]
    if seen.waiting:
        facts.append(("longest wait", _NOTHING if waited is None else _duration(waited), ""))
    if seen.unclassified:
        facts.append(
            (
                "unclassified",
                str(seen.unclassified),
                "rows of agents who may rest or wait, beyond the resting ones",
            )
        )
    if seen.unlisted:
        facts.append(
            ("unlisted", str(seen.unlisted), "resting agents without a row that has a start")
        )
    if seen.unusable_begin_times:
        facts.append(("unusable", str(seen.unusable_begin_times), "rows without a plausible start"))
    if skew is None:
        return [*facts, ("clock skew", _NOTHING, "the reply has no Date header")]
    return [*facts, ("clock skew", f"{skew:+.1f} s", "the server's clock minus this host's")]


def _longest_rest(seen: Snapshot, zone: tzinfo | None) -> tuple[str, str]:
    if not seen.resting:
        return _NOTHING, "no agent rests"
    if seen.longest_rest_start is None:
        return _NOTHING, "the reply has no usable start time"
    age = _duration(seen.server_time - seen.longest_rest_start)
    return f"{seen.bound}{age}", f"since {_moment(seen.longest_rest_start, zone)}"


def _overdue(seen: Snapshot, overdue: Overdue | None) -> str:
    if overdue is None:
        return _NOTHING
    none = seen.unclassified and not overdue.agents  # at most none is none
    return "0" if none else f"{seen.bound}{overdue.agents}"


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
        agent.kind.state,
        began,
        age,
        _NOTHING if agent.requested is None else _duration(agent.requested),
        _NOTHING if agent.reason is None else _words(agent.reason),
        agent.name or _NOTHING,
    )


def _agents(
    question: Question, inspection: Inspection, seen: Snapshot, *, show_names: bool
) -> list[Agent]:
    return agents(inspection.rows, seen, question.begin_time_unit, show_names=show_names)


def _reason(code: int | None) -> WaitReason | None:
    return None if code is None or code < 0 else _REASONS[min(code, len(_REASONS) - 1)]


def _shown(name: Secret, *, in_full: bool) -> str:
    text = _printable(name.reveal().strip())
    if in_full:
        return text
    # the first character of a name of one character would be all of it
    return text[:1] + _MASK if len(text) > 1 else _MASK


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:_LONGEST])


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
