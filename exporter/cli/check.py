"""`check`: is the configuration right, and what will it ask of the servers?

Knows how to say it to people and to scripts; what is right is the configuration's own matter.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.cli import report
from exporter.cli.check_live import Answer, Round
from exporter.cli.flags import CONFIG_FILE, JSON, Command, Flag
from exporter.cli.progress import Progress
from exporter.clock import system_clock
from exporter.cms.client import CmsClient
from exporter.config import ConfigError, Problem, load
from exporter.durations import format_duration
from exporter.polling import build
from exporter.polling.build import BuildError
from exporter.polling.schedule import peak_per_second
from exporter.server import Server
from exporter.store import TargetKey

_LIVE: Final = Flag("live", "also ask every target once, and explain each failure", metavar="")


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one server will be asked, at one request for each poll."""

    cms: str
    targets: int
    interval: str
    requests_per_hour: int
    peak_per_second: int
    paged: bool
    """With pages (CTI 3.6) a poll of a long listing takes more than one request."""
    warning: str | None


def forecast(server: Server, keys: Sequence[TargetKey]) -> Forecast:
    """Predict the load of one server's targets."""
    count = len(keys)
    per_second = count / server.interval
    limit = server.max_requests_per_second
    warning = None
    if limit is not None and per_second > limit:
        warning = (
            f"{per_second:.3g} polls fall due each second and max_requests_per_second allows "
            f"{limit:g}: polls will be skipped; raise it or lengthen interval"
        )
    return Forecast(
        cms=server.name,
        targets=count,
        interval=format_duration(server.interval),
        requests_per_hour=round(per_second * 3600),
        peak_per_second=peak_per_second((key, server.interval) for key in keys),
        paged=server.page_size is not None,
        warning=warning,
    )


def run(arguments: argparse.Namespace) -> int:
    """Check the configuration, and ask its targets if told to.

    0 if all is well, 1 if targets did not answer, 2 if the configuration is wrong.
    """
    path: Path = arguments.config_file
    try:
        config = load(path, os.environ)
        clients = build.clients(config.servers, os.environ, system_clock)
    except ConfigError as error:
        return _refuse(error.problems, as_json=arguments.json)
    except BuildError as error:
        problems = [Problem(str(path), 1, 1, "", sentence) for sentence in error.sentences]
        return _refuse(problems, as_json=arguments.json)
    targets = [target.key for target in config.targets]
    forecasts = [
        forecast(server, [key for key in targets if key.cms == server.name])
        for server in config.servers
    ]
    findings = {
        "valid": True,
        "problems": [],
        "servers": [dataclasses.asdict(server) for server in forecasts],
    }
    if not arguments.json:
        print(f"{path}: valid", *map(_sentence, forecasts), _total(forecasts), sep="\n", flush=True)
    status = 0
    if arguments.live:
        answers = _ask(clients, targets)
        findings["live"] = [report.as_json(answer) for answer in answers]
        if answers and not arguments.json:
            _explain(answers)
        status = _status(answers, len(targets))
    if arguments.json:
        _print_json(findings)
    return status


def _refuse(problems: Sequence[Problem], *, as_json: bool) -> int:
    if as_json:
        found = [dataclasses.asdict(problem) for problem in problems]
        _print_json({"valid": False, "problems": found, "servers": []})
    else:
        print(*problems, sep="\n", file=sys.stderr)
    return 2


def _ask(clients: Mapping[str, CmsClient], targets: Sequence[TargetKey]) -> list[Answer]:
    """The answers; without those that Ctrl-C has cut off."""
    asking = Round(clients, targets, Progress(len(targets), sys.stderr))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(asking.ask())
    return asking.answers


def _explain(answers: Sequence[Answer]) -> None:
    for line in report.failures(answers):
        print(line, file=sys.stderr)
    print(*report.summary(answers), sep="\n", flush=True)


def _status(answers: Sequence[Answer], targets: int) -> int:
    if len(answers) < targets:
        print(f"interrupted: {targets - len(answers)} of {targets} not asked", file=sys.stderr)
        return 130
    return int(any(answer.result.error is not None for answer in answers))


def _sentence(server: Forecast) -> str:
    at_least = "at least " if server.paged else ""
    text = (
        f"  {server.cms}: {_targets(server.targets)} every {server.interval}: "
        f"{at_least}{server.requests_per_hour} requests per hour, "
        f"{server.peak_per_second} in the busiest second"
    )
    return text if server.warning is None else f"{text}\n  {server.cms}: warning: {server.warning}"


def _total(servers: list[Forecast]) -> str:
    return (
        f"  all: {_targets(sum(server.targets for server in servers))}: "
        f"{sum(server.requests_per_hour for server in servers)} requests per hour"
    )


def _targets(count: int) -> str:
    return "1 target" if count == 1 else f"{count} targets"


def _print_json(findings: Mapping[str, object]) -> None:
    json.dump(findings, sys.stdout, indent=2)
    print()


COMMAND: Final = Command(
    "check",
    "validate the configuration and predict the load it makes",
    run,
    (CONFIG_FILE, _LIVE, JSON),
)
