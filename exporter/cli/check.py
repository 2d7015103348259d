"""`check`: validate the configuration, predict the load that it causes, poll the targets once."""

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from exporter.cli.check_live import Answer, Round, as_json, failures, show_summary
from exporter.cli.loop import run_until_stopped
from exporter.cli.signals import Signals, Stopped
from exporter.cli.terminal import console, counted, print_table
from exporter.clock import system_clock
from exporter.config import ConfigError, Problem, load
from exporter.durations import format_duration
from exporter.polling import build
from exporter.polling.build import BuildError
from exporter.polling.schedule import peak_per_second
from exporter.server import Server
from exporter.store import TargetKey


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


def forecast(server: Server, targets: Sequence[TargetKey]) -> Forecast:
    """Predict the load of one server's targets."""
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
        forecast(server, [key for key in targets if key.cms == server.name])
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
        status = status or int(any(answer.result.error for answer in answers))
        if not json:
            _explain(out, answers)
        if missing := len(targets) - len(answers):
            print(f"interrupted: {missing} of {len(targets)} not polled", file=sys.stderr)
    if json:
        _print_json(found)
    return status


def _refuse(problems: Sequence[Problem], *, json: bool) -> int:
    if json:
        found = [dataclasses.asdict(problem) for problem in problems]
        _print_json({"valid": False, "problems": found, "servers": []})
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
        if server.warning:
            out.print(f"  {server.cms}: warning: {server.warning}", style="yellow")
    if not out.is_terminal:
        out.print(f"  all: {counted(targets, 'target')}: {per_hour} requests per hour")


def _explain(out: Console, answers: Sequence[Answer]) -> None:
    err = console(sys.stderr)
    for line in failures(answers):
        err.print(line, style="red")
    if answers:
        show_summary(out, answers)
        sys.stdout.flush()


def _print_json(found: dict[str, object]) -> None:
    print(json.dumps(found, indent=2))
