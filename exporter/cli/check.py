"""`check`: validate the configuration, predict the load that it causes, poll the targets once."""

import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from exporter.cli.check_live import as_json, poll_live
from exporter.cli.output import console, counted, print_json, print_lines, say, table_lines
from exporter.cli.signals import Signals
from exporter.cli.target_flags import some_servers
from exporter.clock import system_clock
from exporter.cms.proxy import chosen_proxy
from exporter.config.load import Config, load
from exporter.config.problems import ConfigError, Problem
from exporter.config.shard import Shard, part
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
    proxy: str | None
    """The proxy that leads to the server, and where it comes from."""


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


@dataclass(frozen=True, slots=True)
class Share:
    """How many of all targets one of several exporters polls."""

    shard: str
    targets: int
    of: int
    warning: str | None


def share(config: Config, shard: Shard) -> Share:
    """Count the targets of a shard."""
    own, every = len(part(config, shard).targets), len(config.targets)
    warning = f"too few targets for {shard.total} shards: lower TOTAL, or add targets"
    return Share(str(shard), own, every, None if own else warning)


def run(  # noqa: PLR0913  # a flag each
    signals: Signals,
    *,
    config_file: str,
    live: bool,
    cms: Sequence[str],
    shard: Shard,
    json: bool,
) -> int:
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
    servers = some_servers(config.servers, cms)
    names = {server.name for server in servers}
    targets = [target.key for target in config.targets if target.key.cms in names]
    forecasts = [
        forecast(server, [key for key in targets if key.cms == server.name], os.environ)
        for server in servers
    ]
    unmatched = [pattern.text for pattern, names in config.seen.matches.items() if not names]
    warnings = [f"target_files: {pattern} matches no file" for pattern in unmatched]
    own = share(config, shard) if shard.total > 1 else None
    out = console(sys.stdout)
    if not json:
        say(out, f"{config_file}: valid", "green")
        for warning in warnings:
            say(out, f"{config_file}: warning: {warning}", "yellow")
        show_forecasts(out, forecasts)
        if own:
            show_share(out, own)
        sys.stdout.flush()
    found: dict[str, object] = {
        "valid": True,
        "problems": [],
        "warnings": warnings,
        "servers": [dataclasses.asdict(each) for each in forecasts],
    }
    if own:
        found["shard"] = dataclasses.asdict(own)
    status = 0
    if live:
        chosen = {name: client for name, client in clients.items() if name in names}
        polling, status = poll_live(signals, out, chosen, targets, quiet=json)
        found["live"] = [as_json(answer) for answer in polling.answers]
        found["hints"] = polling.hints
    if json:
        print_json(found)
    return status


def _refuse(problems: Sequence[Problem], *, json: bool) -> int:
    if json:
        found = [dataclasses.asdict(problem) for problem in problems]
        print_json({"valid": False, "problems": found, "servers": []})
    else:
        err = console(sys.stderr)
        for problem in problems:
            say(err, str(problem))
    return 2


def show_forecasts(out: Console, servers: Sequence[Forecast]) -> None:
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
        rows.append(("all", str(targets), "", str(per_hour), ""))
        print_lines(out, table_lines(out, rows, heads, {1, 2, 3, 4}, {0}))
        out.print()
    indent = "" if out.is_terminal else "  "
    for server in servers:
        if not out.is_terminal:
            out.print(
                f"  {server.cms}: {counted(server.targets, 'target')} every {server.interval}: "
                f"{'at least ' if server.paged else ''}{server.requests_per_hour} requests per "
                f"hour, {server.peak_per_second} in the busiest second"
            )
        if server.proxy:
            say(out, f"{indent}{server.cms}: proxy: {server.proxy}")
        if server.warning:
            say(out, f"{indent}{server.cms}: warning: {server.warning}", "yellow")
    if not out.is_terminal:
        out.print(f"  all: {counted(targets, 'target')}: {per_hour} requests per hour")


def show_share(out: Console, own: Share) -> None:
    """A sentence, and a warning for a shard without targets."""
    indent = "" if out.is_terminal else "  "
    head = f"{indent}shard {own.shard}"
    say(out, f"{head}: polls {own.targets} of {counted(own.of, 'target')}")
    if own.warning:
        say(out, f"{head}: warning: {own.warning}", "yellow")
