"""`check --live`: one poll of each of many targets, and what is said of it.

A server is asked as the daemon would ask it: with as many polls in flight, at its rate limit, and
with the pauses that it asks for. Each result is printed as it arrives, then a summary. Of servers
with more than 20 targets only failures are, each cause once: what several targets have in common is
one line of the summary.
"""

import asyncio
import math
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Final, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from exporter.cli.inspection_page import CHANGED
from exporter.cli.output import console, counted, print_lines, say, table_lines
from exporter.cli.signals import Signals, Stopped, run_until_stopped
from exporter.clock import system_clock
from exporter.cms.client import CmsClient
from exporter.config.fields import written_vdns
from exporter.durations import format_duration
from exporter.errors import PollResult
from exporter.history import without_seconds
from exporter.inspection.survey import explain_refusal
from exporter.server import CLOCKS_AGREE, EXPIRES_SOON, Server
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


def _findings(result: PollResult) -> list[_Finding]:
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
        for finding in _findings(result):
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


class Round:
    """The polls. `console` shows a progress bar if it is a terminal, and what cannot wait."""

    def __init__(
        self,
        clients: Mapping[str, CmsClient],
        targets: Sequence[TargetKey],
        console: Console,
        feed: Feed | None = None,
    ) -> None:
        self._clients = clients
        self._targets = targets
        self._console = console
        self._feed = feed
        self._bar = Progress(
            BarColumn(complete_style="green"),
            MofNCompleteColumn(),
            TextColumn("polled, {task.fields[failed]} failed"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=len(targets), failed=0)
        self._answers: dict[TargetKey, Answer] = {}
        self._failed = 0
        self._paused: set[str] = set()
        self.hints: dict[str, str] = {}
        """By server, what would make it accept the signatures that it has refused."""

    @property
    def answers(self) -> list[Answer]:
        """Those that there are by now, in the order of the targets."""
        return [self._answers[target] for target in self._targets if target in self._answers]

    async def poll(self) -> None:
        """Poll all of them, and close the clients, also when cancelled halfway."""
        try:
            with self._bar:
                async with asyncio.TaskGroup() as servers:
                    for cms, client in self._clients.items():
                        targets = [target for target in self._targets if target.cms == cms]
                        servers.create_task(self._poll_server(client, targets))
        finally:
            for client in self._clients.values():
                await client.aclose()

    async def _poll_server(self, client: CmsClient, targets: Sequence[TargetKey]) -> None:
        waiting = iter(targets)
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(len(targets), client.server.max_concurrency)):
                workers.create_task(self._work(client, waiting))
        if self._feed is not None:
            self._feed.server_done(client.server.name)
        for target in targets:
            result, vdn = self._answers[target].result, (target.cc_id, target.vdn)
            hint = await explain_refusal(client.server, result, vdn, os.environ, system_clock)
            if hint is not None:
                self.hints[client.server.name] = hint
                return

    async def _work(self, client: CmsClient, waiting: Iterator[TargetKey]) -> None:
        for target in waiting:
            self._add(Answer(target, await client.poll(target.cc_id, target.vdn)))

    def _add(self, answer: Answer) -> None:
        self._answers[answer.target] = answer
        error, cms = answer.result.error, answer.target.cms
        if error is not None and error.retry_after and cms not in self._paused:
            self._paused.add(cms)
            # without a word this would look like a hang
            pause = format_duration(error.retry_after)
            say(
                self._console,
                f"{cms}: asked for a pause of {pause}: its other targets wait",
                "yellow",
            )
        if self._feed is not None:
            self._feed.add(answer)
        self._failed += error is not None
        self._bar.update(self._task, completed=len(self._answers), failed=self._failed)


def grouped(answers: Iterable[Answer]) -> list[Group]:
    """A line for each thing that is to be said of targets of a server."""
    alike: dict[_Cause, list[tuple[TargetKey, _Finding]]] = {}
    for answer in answers:
        for finding in _findings(answer.result):
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
        print_lines(console, table_lines(console, rows, heads, {3}, {0}))
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


def too_slow(server: Server, results: Sequence[PollResult]) -> str | None:
    """A sentence about a server whose replies take too long for its interval.

    `results` are of all its targets. Under a rate limit they say nothing: they may have waited.
    """
    took = [result.duration for result in results if result.error is None]
    if not took or server.max_requests_per_second is not None:
        return None
    mean = sum(took) / len(took)
    needed = math.ceil(mean * len(results) / server.interval)
    if needed <= server.max_concurrency:
        return None
    return (
        f"a poll takes {mean:.2f} s on average, so {counted(len(results), 'target')} every "
        f"{format_duration(server.interval)} need {needed} polls at once, but max_concurrency is "
        f"{server.max_concurrency}: polls will be skipped; raise it, or lengthen interval"
    )


def poll_live(
    signals: Signals,
    out: Console,
    clients: Mapping[str, CmsClient],
    targets: Sequence[TargetKey],
    *,
    quiet: bool,
) -> tuple[Round, int]:
    """Poll every target once, and say what comes of it. Gives the exit status, too."""
    err = console(sys.stderr)
    feed = None if quiet else Feed(out, err, Counter(target.cms for target in targets))
    polling = Round(clients, targets, err, feed)
    status = 0
    try:
        run_until_stopped(polling.poll(), signals)
    except Stopped as stopped:
        status = stopped.status
    answers = polling.answers
    if feed is not None:
        for group in grouped(answers):
            # what concerns one target was said when it came
            if group.targets > 1:
                say(err, group.text, group.style)
        for cms, client in clients.items():
            own = [answer.result for answer in answers if answer.target.cms == cms]
            for sentence in (
                polling.hints.get(cms),
                expiring(client.condition.certificate_expiry, system_clock().wall),
                too_slow(client.server, own),
            ):
                if sentence:
                    say(err, f"{cms}: {sentence}", "yellow")
        if answers:
            show_summary(out, answers)
            sys.stdout.flush()
    if missing := len(targets) - len(answers):
        print(f"interrupted: {missing} of {len(targets)} not polled", file=sys.stderr)
    return polling, status or int(any(answer.result.error for answer in answers))


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
