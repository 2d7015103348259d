"""`serve`: the daemon."""

import gc
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from exporter import log_messages
from exporter.cli.signals import Signals, run_loop, stop_event
from exporter.clock import system_clock
from exporter.config.load import Config, load
from exporter.config.shard import Shard, part
from exporter.service import logs
from exporter.service.daemon import Daemon, Options
from exporter.service.logs import LogFormat
from exporter.service.reloader import Load
from exporter.web.listening.addresses import Endpoint, activated

_SWITCH_INTERVAL: Final = 0.0005
"""Seconds for which a thread may keep the interpreter while the event loop wants it. The loop gives
it away with each system call: with Python's 5 ms, each would take as long during a reload."""
_COLLECT_AFTER: Final = (5_000, 5, 5)
"""Python's is 700, 10, 10. A poll leaves hardly anything in cycles, and to look for them every few
polls takes 2% of its CPU time. With ten thousand targets a full one comes every two minutes."""


def run(  # noqa: PLR0913  # a flag each
    signals: Signals,
    *,
    config_file: str,
    config_auto_reload_interval: float,
    shard: Shard,
    web_listen_address: Sequence[Endpoint],
    web_config_file: str | None,
    web_telemetry_path: str,
    web_max_requests: int,
    log_level: str,
    log_format: str,
    web_systemd_socket: bool,
) -> int:
    """Serve until a signal stops it."""
    log = logs.set_up(log_level, LogFormat(log_format), sys.stderr)
    options = Options(
        activated(os.environ, os.getpid()) if web_systemd_socket else web_listen_address,
        web_telemetry_path,
        config_auto_reload_interval,
        Path(web_config_file) if web_config_file else None,
        web_max_requests,
    )
    # if the working directory is moved or replaced later, a reload still finds the same files
    path = Path(config_file)
    base = Path() if path.is_absolute() else Path.cwd()
    load_config = partial(_load, path, base, shard)
    run_loop(_serve(load_config, options, signals, log))
    return 0


def _load(path: Path, base: Path, shard: Shard) -> Config:
    config = load(path, os.environ, once=False, base=base)
    own = part(config, shard)
    if shard.total > 1:
        counts = {"targets": len(own.targets), "of": len(config.targets)}
        log_messages.ONE_SHARD.log({"shard": str(shard), **counts})
    return own


async def _serve(
    load_config: Load, options: Options, signals: Signals, log: logs.LogWriter
) -> None:
    daemon = Daemon(load_config, options, os.environ, system_clock, lambda: log.dropped)
    stop = stop_event(signals, reload=daemon.request_reload)
    # What has been made so far stays: a full collection need not walk through it again and again,
    # which takes tens of milliseconds with ten thousand targets.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    sys.setswitchinterval(_SWITCH_INTERVAL)
    async with daemon.serving():
        await stop.wait()
