"""`check`: is the configuration right, and what will it ask of the servers?

Knows how to say it to people and to scripts; what is right is the configuration's own matter.
"""

import argparse
import dataclasses
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter import assembly
from exporter.assembly import AssemblyError
from exporter.cli.flags import CONFIG_FILE, Command, Flag
from exporter.clock import system_clock
from exporter.config import ConfigError, Problem, ServerConfig, format_duration, load
from exporter.schedule import peak_per_second
from exporter.store import TargetKey

_JSON: Final = Flag("json", "print the findings as JSON, for scripts", metavar="")


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


def forecast(server: ServerConfig) -> Forecast:
    """Predict the load of one server's targets."""
    count = len(server.targets)
    keys = [TargetKey(server.name, target.cc_id, target.vdn) for target in server.targets]
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
        paged=assembly.server(server).page_size is not None,
        warning=warning,
    )


def run(arguments: argparse.Namespace) -> int:
    """Check the configuration. 0 if it is right, 2 if it is not."""
    path: Path = arguments.config_file
    try:
        config = load(path, os.environ)
        assembly.clients(assembly.identities(config).values(), os.environ, system_clock)
    except ConfigError as error:
        problems = error.problems
    except AssemblyError as error:
        problems = tuple(Problem(str(path), 1, 1, "", sentence) for sentence in error.sentences)
    else:
        forecasts = [forecast(server) for server in config.servers]
        if arguments.json:
            _print_json(valid=True, problems=[], servers=list(map(dataclasses.asdict, forecasts)))
        else:
            print("\n".join([f"{path}: valid", *map(_sentence, forecasts), _total(forecasts)]))
        return 0
    if arguments.json:
        _print_json(valid=False, problems=list(map(dataclasses.asdict, problems)), servers=[])
    else:
        print(*problems, sep="\n", file=sys.stderr)
    return 2


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


def _print_json(**findings: object) -> None:
    json.dump(findings, sys.stdout, indent=2)
    print()


COMMAND: Final = Command(
    "check",
    "validate the configuration and predict the load it makes",
    run,
    (CONFIG_FILE, _JSON),
)
