"""Prints each result of `check --live` as it arrives, then a summary.

Servers with more than 20 targets: failures only, each cause once. What several targets have in
common is one line of the summary.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Final, NamedTuple

from rich.console import Console

from exporter.cli.inspection_page import CHANGED
from exporter.cli.terminal import counted, print_table, say
from exporter.config.fields import written_vdns
from exporter.durations import format_duration
from exporter.errors import PollResult
from exporter.history import without_seconds
from exporter.server import CLOCKS_AGREE, EXPIRES_SOON
from exporter.store import TargetKey

FEW: Final = 20
"""Targets of one server that have a line each."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The poll of one target."""

    target: TargetKey
    result: PollResult


class _Finding(NamedTuple):
    """Something that is to be said of a poll."""

    label: str
    sentence: str
    style: str


_Cause = tuple[str, str, str]
"""Server, label and sentence, less the seconds in it: these differ from poll to poll."""


class Group(NamedTuple):
    """What targets of one server have in common: a line, its style, and how many they are."""

    text: str
    style: str
    targets: int


def findings(result: PollResult) -> list[_Finding]:
    """What is to be said of a poll, if anything: why it failed, or what is doubtful about it."""
    if result.error is not None:
        return [_Finding(result.error.reason.value, result.error.message, "red")]
    doubts = result.snapshot.doubts if result.snapshot else ()
    found = [_Finding("doubtful", doubt.sentence, "yellow") for doubt in doubts]
    return [*found, _Finding("changed", CHANGED, "yellow")] if result.moved else found


class Feed:
    """Says each answer as it comes: what is wrong to stderr, the rest to stdout.

    If both streams are one terminal, everything goes to stderr, above a progress bar. `targets`
    says how many each server has.
    """

    def __init__(self, out: Console, err: Console, targets: Mapping[str, int]) -> None:
        self._out = err if out.is_terminal and err.is_terminal else out
        self._indent = "" if out.is_terminal else "  "
        self._err = err
        self._targets = targets
        self._first: dict[_Cause, TargetKey] = {}
        self._answered = Counter[str]()
        self._unfinished = {*targets}
        if not out.is_terminal:
            out.print("live:")
            out.file.flush()

    def add(self, answer: Answer) -> None:
        """Say one answer."""
        cms, result = answer.target.cms, answer.result
        self._answered[cms] += result.error is None
        few = self._targets[cms] <= FEW
        if few and result.snapshot is not None:
            seen = result.snapshot
            self._say(
                f"{_place(answer.target)}: answered in {result.duration:.2f} s: {seen.resting} "
                f"resting, {seen.waiting} waiting, {seen.approved} approved"
            )
        for finding in findings(result):
            place = _place(answer.target)
            first = self._first.setdefault(_cause(answer, finding), answer.target)
            if first == answer.target:
                say(self._err, f"{place}: {finding.label}: {finding.sentence}", finding.style)
            elif few:
                self._say(f"{place}: {finding.label}: as for {_place(first).partition(': ')[2]}")

    def server_done(self, cms: str) -> None:
        """Say that a server has answered for its last target, if others have not yet."""
        self._unfinished.discard(cms)
        if self._targets[cms] > FEW and self._unfinished:
            targets = self._targets[cms]
            self._say(f"{cms}: done: {self._answered[cms]} of {targets} targets answered")

    def _say(self, text: str) -> None:
        say(self._out, f"{self._indent}{text}")
        self._out.file.flush()


def grouped(answers: Iterable[Answer]) -> list[Group]:
    """A line for each thing that is to be said of targets of a server."""
    alike: dict[_Cause, list[tuple[TargetKey, _Finding]]] = {}
    for answer in answers:
        for finding in findings(answer.result):
            alike.setdefault(_cause(answer, finding), []).append((answer.target, finding))
    return [
        Group(
            f"{cms}: {_ranges(target for target, _ in found)}: {label}: {found[0][1].sentence}",
            found[0][1].style,
            len(found),
        )
        for (cms, label, _), found in alike.items()
    ]


def _cause(answer: Answer, finding: _Finding) -> _Cause:
    return answer.target.cms, finding.label, without_seconds(finding.sentence)


def _place(target: TargetKey) -> str:
    return f"{target.cms}: ccId {target.cc_id}, vdn {target.vdn}"


def _ranges(targets: Iterable[TargetKey]) -> str:
    """Targets of one server, such as `ccId 1, vdn 1-4, 7; ccId 2, vdn 3`."""
    parts = []
    for cc_id, group in groupby(sorted(targets), key=lambda target: target.cc_id):
        vdns = written_vdns(target.vdn for target in group)
        parts.append(f"ccId {cc_id}, vdn {', '.join(vdns)}")
    return "; ".join(parts)


def show_summary(console: Console, answers: Sequence[Answer]) -> None:
    """Print what was polled: a line for each server, and one for all."""
    by_server: dict[str, list[Answer]] = {}
    for answer in answers:
        by_server.setdefault(answer.target.cms, []).append(answer)
    rows = [(cms, *_tally(group), _clock(group)) for cms, group in by_server.items()]
    rows.append(("all", *_tally(answers), ""))
    if console.is_terminal:
        console.print()
        heads = ("SERVER", "ANSWERED", "REQUESTS", "SLOWEST", "CLOCK")
        print_table(console, rows, heads, {3}, {0})
        return
    for name, answered, requests, slowest, clock in rows:
        console.print(
            f"  {name}: {answered} answered, {requests}, the slowest took {slowest}"
            f"{clock and f'; its clock is {clock}'}"
        )


def expiring(expiry: float | None, now: float) -> str | None:
    """A sentence about a certificate that has expired or soon will.

    `expiry` is that of the first certificate of a server's chain, if it sent one; both are epoch
    seconds.
    """
    if expiry is None or expiry - now >= EXPIRES_SOON:
        return None
    moment = datetime.fromtimestamp(expiry, UTC).isoformat(" ", "minutes")
    if expiry <= now:
        return f"a certificate that the server presents has expired: at {moment}"
    left = format_duration(60 * math.ceil((expiry - now) / 60))
    return f"a certificate that the server presents expires in {left}: at {moment}"


def _tally(answers: Sequence[Answer]) -> tuple[str, str, str]:
    answered = sum(answer.result.error is None for answer in answers)
    requests = sum(answer.result.requests for answer in answers)
    slowest = max(answer.result.duration for answer in answers)
    targets = counted(len(answers), "target")
    return f"{answered} of {targets}", counted(requests, "request"), f"{slowest:.2f} s"


def _clock(answers: Iterable[Answer]) -> str:
    """How the server's clock differs from this host's, if it does."""
    skews = [answer.result.clock_skew for answer in answers]
    skew = max((skew for skew in skews if skew is not None), key=abs, default=0.0)
    if abs(skew) < CLOCKS_AGREE:
        return ""
    return f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this host's"


def as_json(answer: Answer) -> dict[str, object]:
    """One answer for scripts."""
    result = answer.result
    found: dict[str, object] = {
        **answer.target._asdict(),
        "up": result.error is None,
        "duration_seconds": round(result.duration, 3),
        "requests": result.requests,
        "clock_skew_seconds": result.clock_skew,
    }
    if result.error is not None:
        found |= {"reason": result.error.reason.value, "message": result.error.message}
    if (seen := result.snapshot) is not None:
        found |= {
            "approved_agents": seen.approved,
            "resting_agents": seen.resting,
            "waiting_agents": seen.waiting,
            "doubts": [doubt.value for doubt in seen.doubts],
            "changed_while_read": result.moved,
        }
    return found
