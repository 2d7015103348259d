"""`check`: validate the configuration, predict the load that it causes, poll the targets once.

`--live` polls a server as the daemon would: with as many polls in flight, at its rate limit, and
with the pauses that it asks for.
"""

import asyncio
import dataclasses
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from rich.console import Console

from exporter.cli.loop import run_until_stopped
from exporter.cli.signals import Signals, Stopped
from exporter.cli.terminal import console, counted, print_json, print_table, progress
from exporter.clock import system_clock
from exporter.cms.client import CmsClient
from exporter.cms.diagnosis import explain_refusal
from exporter.cms.proxy import chosen_proxy
from exporter.config import ConfigError, Problem, load
from exporter.durations import format_duration
from exporter.errors import PollResult
from exporter.polling import build
from exporter.polling.build import BuildError
from exporter.polling.schedule import peak_per_second
from exporter.server import Server
from exporter.store import TargetKey

_CLOCKS_AGREE: Final = 2.0
"""Seconds: a `Date` has no fractions, and a reply takes its time."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """The load of one server, at one request for each poll."""

    cms: str
    targets: int
    interval: str
    requests_per_hour: int
    peak_per_second: int
    paged: bool
    """With pages (CTI 3.6) a poll of a long listing takes more than one request."""
    warning: str | None
    proxy: str | None = None
    """The proxy that leads to the server, and where it comes from."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The poll of one target."""

    target: TargetKey
    result: PollResult


def forecast(server: Server, targets: Sequence[TargetKey], environ: Mapping[str, str]) -> Forecast:
    """Predict the load of one server's targets."""
    proxy = chosen_proxy(server, environ)
    per_second = len(targets) / server.interval
    limit = server.max_requests_per_second
    warning = None
    if limit is not None and per_second > limit:
        warning = (
            f"{per_second:.3g} polls per second are due, but max_requests_per_second is "
            f"{limit:g}: polls will be skipped; raise it, or lengthen interval"
        )
    return Forecast(
        cms=server.name,
        targets=len(targets),
        interval=format_duration(server.interval),
        requests_per_hour=round(per_second * 3600),
        peak_per_second=peak_per_second((key, server.interval) for key in targets),
        paged=server.page_size is not None,
        warning=warning,
        proxy=str(proxy) if proxy else None,
    )


def run(signals: Signals, *, config_file: str, live: bool, json: bool) -> int:
    """Check the configuration, and poll its targets if asked to.

    0 if all is well, 1 if polls failed, 2 if the configuration is wrong.
    """
    try:
        config = load(Path(config_file), os.environ)
        clients = build.clients(config.servers, os.environ, system_clock)
    except ConfigError as error:
        return _refuse(error.problems, json=json)
    except BuildError as error:
        problems = [Problem(config_file, 1, 1, "", sentence) for sentence in error.sentences]
        return _refuse(problems, json=json)
    targets = [target.key for target in config.targets]
    forecasts = [
        forecast(server, [key for key in targets if key.cms == server.name], os.environ)
        for server in config.servers
    ]
    out = console(sys.stdout)
    if not json:
        out.print(f"{config_file}: valid", style="green")
        _show(out, forecasts)
        sys.stdout.flush()
    found: dict[str, object] = {
        "valid": True,
        "problems": [],
        "servers": [dataclasses.asdict(each) for each in forecasts],
    }
    status = 0
    if live:
        polling = Round(clients, targets, console(sys.stderr))
        try:
            run_until_stopped(polling.poll(), signals)
        except Stopped as stopped:
            status = stopped.status
        answers = polling.answers
        found["live"] = [as_json(answer) for answer in answers]
        found["hints"] = polling.hints
        status = status or int(any(answer.result.error for answer in answers))
        if not json:
            _explain(out, answers, polling.hints)
        if missing := len(targets) - len(answers):
            print(f"interrupted: {missing} of {len(targets)} not polled", file=sys.stderr)
    if json:
        print_json(found)
    return status


def _refuse(problems: Sequence[Problem], *, json: bool) -> int:
    if json:
        found = [dataclasses.asdict(problem) for problem in problems]
        print_json({"valid": False, "problems": found, "servers": []})
    else:
        print(*problems, sep="\n", file=sys.stderr)
    return 2


def _show(out: Console, servers: Sequence[Forecast]) -> None:
    """A table for people at a terminal, a sentence for each server elsewhere."""
    targets = sum(server.targets for server in servers)
    per_hour = sum(server.requests_per_hour for server in servers)
    if out.is_terminal:
        heads = ("SERVER", "TARGETS", "INTERVAL", "REQUESTS/HOUR", "BUSIEST SECOND")
        rows = [
            (
                server.cms,
                str(server.targets),
                server.interval,
                f"{'at least ' if server.paged else ''}{server.requests_per_hour}",
                str(server.peak_per_second),
            )
            for server in servers
        ]
        print_table(out, [*rows, ("all", str(targets), "", str(per_hour), "")], heads)
    for server in servers:
        if not out.is_terminal:
            out.print(
                f"  {server.cms}: {counted(server.targets, 'target')} every {server.interval}: "
                f"{'at least ' if server.paged else ''}{server.requests_per_hour} requests per "
                f"hour, {server.peak_per_second} in the busiest second"
            )
        if server.proxy:
            out.print(f"  {server.cms}: proxy: {server.proxy}")
        if server.warning:
            out.print(f"  {server.cms}: warning: {server.warning}", style="yellow")
    if not out.is_terminal:
        out.print(f"  all: {counted(targets, 'target')}: {per_hour} requests per hour")


def _explain(out: Console, answers: Sequence[Answer], hints: Mapping[str, str]) -> None:
    err = console(sys.stderr)
    for line in failures(answers):
        err.print(line, style="red")
    for cms, hint in hints.items():
        err.print(f"{cms}: {hint}", style="yellow")
    if answers:
        show_summary(out, answers)
        sys.stdout.flush()


class Round:
    """One poll of each of many targets.

    Args:
        clients: of all servers, by name.
        targets: in the order of the configuration.
        console: for a progress bar if it is a terminal, and for what cannot wait.
    """

    def __init__(
        self, clients: Mapping[str, CmsClient], targets: Sequence[TargetKey], console: Console
    ) -> None:
        self._clients = clients
        self._targets = targets
        self._console = console
        self._bar = progress(console)
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
            self._console.print(
                f"{cms}: asked for a pause of {format_duration(error.retry_after)}: its other "
                "targets wait",
                style="yellow",
            )
        self._failed += error is not None
        self._bar.update(self._task, completed=len(self._answers), failed=self._failed)


def failures(answers: Iterable[Answer]) -> list[str]:
    """A line for each failure, and each doubt, that targets of a server have in common."""
    alike: dict[tuple[str, str, str], list[TargetKey]] = {}
    for answer in answers:
        error, seen = answer.result.error, answer.result.snapshot
        found = [(error.reason.value, error.message)] if error else []
        found += [("doubtful", doubt.sentence) for doubt in (seen.doubts if seen else ())]
        for reason, message in found:
            alike.setdefault((answer.target.cms, reason, message), []).append(answer.target)
    return [
        f"{cms}: {_ranges(targets)}: {reason}: {message}"
        for (cms, reason, message), targets in alike.items()
    ]


def _ranges(targets: Iterable[TargetKey]) -> str:
    """Targets of one server, such as `ccId 1, vdn 1-4, 7; ccId 2, vdn 3`."""
    parts = []
    for cc_id, group in groupby(sorted(targets), key=lambda target: target.cc_id):
        runs: list[list[int]] = []
        for target in group:
            if runs and target.vdn == runs[-1][-1] + 1:
                runs[-1].append(target.vdn)
            else:
                runs.append([target.vdn])
        vdns = (f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
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
        print_table(console, rows, ("SERVER", "ANSWERED", "REQUESTS", "SLOWEST", "CLOCK"))
        return
    console.print("live:")
    for name, answered, requests, slowest, clock in rows:
        console.print(
            f"  {name}: {answered} answered, {requests}, the slowest took {slowest}"
            f"{clock and f'; its clock is {clock}'}"
        )


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
    if abs(skew) < _CLOCKS_AGREE:
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
        }
    return found
