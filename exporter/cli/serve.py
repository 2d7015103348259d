"""`serve`: the daemon."""

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from functools import partial
from pathlib import Path
from typing import Final

from exporter.cli import loop
from exporter.cli.flags import CONFIG_FILE, LOG_FORMAT, LOG_LEVEL, Command, Flag
from exporter.clock import system_clock
from exporter.config import Config, load
from exporter.config.shard import Shard, part
from exporter.durations import parse_duration
from exporter.service import logs
from exporter.service.daemon import Daemon, Options, stop_on_signals
from exporter.service.reloader import Load
from exporter.web.listening.addresses import parse_endpoint
from exporter.web.listening.sockets import activated

_log: Final = logging.getLogger(__name__)

LISTEN_ADDRESS: Final = Flag(
    "web.listen-address",
    "where metrics and pages are served, as HOST:PORT, :PORT for every address, or unix:PATH",
    ":10072",
    metavar="ADDRESS",
    parse=parse_endpoint,
    repeatable=True,
)
SYSTEMD_SOCKET: Final = Flag(
    "web.systemd-socket",
    "serve on the sockets of systemd's socket activation instead of --web.listen-address",
    metavar="",
)
WEB_CONFIG_FILE: Final = Flag(
    "web.config.file",
    "TLS, passwords and headers of the pages, in the format of Prometheus' exporter-toolkit",
    metavar="FILE",
    parse=Path,
)
TELEMETRY_PATH: Final = Flag(
    "web.telemetry-path", "under which path metrics are served", "/metrics", metavar="PATH"
)
RELOAD_INTERVAL: Final = Flag(
    "config.auto-reload-interval",
    "how often to look whether the configuration's files have changed; 0 for never",
    "30s",
    metavar="DURATION",
    parse=parse_duration,
)


def _shard(text: str) -> Shard:
    return Shard.parse(text, os.environ, socket.gethostname())


SHARD: Final = Flag(
    "shard",
    "which share of the targets to poll, counted from 0; INDEX may be auto, for the number at the "
    "end of $POD_NAME or of the host name",
    "0/1",
    metavar="INDEX/TOTAL",
    parse=_shard,
)


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal says stop."""
    logs.set_up(arguments.log_level, arguments.log_format, sys.stderr)
    by_systemd = arguments.web_systemd_socket
    options = Options(
        activated(os.environ, os.getpid()) if by_systemd else arguments.web_listen_address,
        arguments.web_telemetry_path,
        arguments.config_auto_reload_interval,
        arguments.web_config_file,
    )
    shard: Shard = arguments.shard
    if shard.total > 1:
        _log.info("polling one shard of the targets", extra={"fields": {"shard": str(shard)}})
    loop.run(_serve(partial(_load, arguments.config_file, shard), options))
    return 0


def _load(path: Path, shard: Shard) -> Config:
    return part(load(path, os.environ, once=False), shard)


async def _serve(load_config: Load, options: Options) -> None:
    stop = stop_on_signals()
    daemon = Daemon(load_config, options, os.environ, system_clock)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, daemon.request_reload)
    # what has been made so far stays: a full collection must not walk through it again and again,
    # which takes tens of milliseconds with ten thousand targets
    gc.collect()
    gc.freeze()
    async with daemon.serving():
        await stop.wait()


COMMAND: Final = Command(
    "serve",
    "poll the configured targets and serve their metrics",
    run,
    (
        CONFIG_FILE,
        LISTEN_ADDRESS,
        SYSTEMD_SOCKET,
        WEB_CONFIG_FILE,
        TELEMETRY_PATH,
        RELOAD_INTERVAL,
        SHARD,
        LOG_LEVEL,
        LOG_FORMAT,
    ),
)
