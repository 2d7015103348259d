"""`serve`: the daemon."""

import argparse
import asyncio
import os
import sys
from typing import Final

from exporter import logs
from exporter.cli.flags import CONFIG_FILE, LOG_FORMAT, LOG_LEVEL, Command, Flag
from exporter.clock import system_clock
from exporter.config import Config, load
from exporter.daemon import Daemon, WebOptions, stop_on_signals
from exporter.web.listen import Address

LISTEN_ADDRESS: Final = Flag(
    "web.listen-address",
    "where metrics and pages are served, as HOST:PORT or :PORT for every address",
    ":10072",
    metavar="ADDRESS",
    parse=Address.parse,
    repeatable=True,
)
TELEMETRY_PATH: Final = Flag(
    "web.telemetry-path", "under which path metrics are served", "/metrics", metavar="PATH"
)


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal says stop."""
    logs.set_up(arguments.log_level, arguments.log_format, sys.stderr)
    config = load(arguments.config_file, os.environ)
    web = WebOptions(arguments.web_listen_address, arguments.web_telemetry_path)
    asyncio.run(_serve(config, web))
    return 0


async def _serve(config: Config, web: WebOptions) -> None:
    stop = stop_on_signals()
    async with Daemon(config, web, os.environ, system_clock).serving():
        await stop.wait()


COMMAND: Final = Command(
    "serve",
    "poll the configured targets and serve their metrics",
    run,
    (CONFIG_FILE, LISTEN_ADDRESS, TELEMETRY_PATH, LOG_LEVEL, LOG_FORMAT),
)
