"""`demo`: simulated servers and the exporter in one process, without any configuration."""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from exporter.cli.commands import ACCESS_KEY, SECRET_KEY
from exporter.cli.output import console
from exporter.cli.signals import Signals, run_loop, stop_event
from exporter.cli.simulate import simulator
from exporter.clock import system_clock
from exporter.config.load import Config
from exporter.metrics.exposition import Exposition, Format
from exporter.secret import Secret
from exporter.server import Server, Signature
from exporter.service import logs
from exporter.service.daemon import Daemon, Options
from exporter.service.logs import LogFormat
from exporter.simulator.scenarios import Scenario, parse_scenario
from exporter.simulator.stand_in import serving
from exporter.store import Target, TargetKey
from exporter.web.listening.addresses import Address

INTERVAL: Final = 5.0
MINUTE: Final = 60.0
_FAULTS: Final = (parse_scenario("api-error@3/9"),)
"""One VDN fails, so that the demo shows what a failure looks like."""
_SHOWN: Final = ("agent_rest_resting_agents", "agent_rest_waiting_agents")


def run(  # noqa: PLR0913  # a flag each
    signals: Signals,
    *,
    web_listen_address: Sequence[Address],
    web_telemetry_path: str,
    scenario: Sequence[Scenario],
    seed: int,
    log_level: str,
    log_format: str,
) -> int:
    """Show metrics of a simulated call center until a signal stops it."""
    log = logs.set_up(log_level, LogFormat(log_format), sys.stderr)
    options = Options(web_listen_address, web_telemetry_path, 0)
    run_loop(_demo(options, (*_FAULTS, *scenario), seed, signals, log))
    return 0


async def _demo(
    options: Options,
    scenarios: Sequence[Scenario],
    seed: int,
    signals: Signals,
    log: logs.LogWriter,
) -> None:
    stop = stop_event(signals)
    lima = simulator(scenarios=scenarios, seed=seed)
    quito = simulator(scenarios=scenarios, seed=seed + 1, cti_version="3.6")
    async with serving(lima) as lima_address, serving(quito) as quito_address:
        load = partial(configuration, lima_address.url, quito_address.url)
        daemon = Daemon(load, options, os.environ, system_clock, lambda: log.dropped)
        async with daemon.serving() as addresses:
            address = Address.parse(addresses[0])
            introduction = asyncio.create_task(_introduce(daemon, address, options))
            await stop.wait()
            introduction.cancel()


def configuration(lima_url: str, quito_url: str) -> Config:
    """Two servers, one of each CTI version, with a handful of VDNs."""
    auth = Signature(Secret(ACCESS_KEY), Secret(SECRET_KEY))
    lima = Server(
        lima_url,
        name="lima",
        auth=auth,
        interval=INTERVAL,
        timeout=2.0,
        rest_bounds=(15 * MINUTE, 30 * MINUTE),
    )
    quito = replace(lima, url=quito_url, name="quito", page_size=5)
    rows = (
        ("lima", 1, 1, "sales", "lima", 6, 45 * MINUTE),
        ("lima", 1, 2, "support", "lima", 8, 45 * MINUTE),
        ("lima", 1, 3, "billing", "callao", 4, 30 * MINUTE),
        ("lima", 3, 9, "retention", "callao", None, None),
        ("quito", 2, 1, "sales", "quito", 6, 45 * MINUTE),
        ("quito", 2, 2, "back office", "quito", None, None),
    )
    targets = (
        Target(
            TargetKey(cms, cc_id, vdn),
            name,
            (("site", site),),
            limit,
            3 * INTERVAL,
            max_rest,
            None if max_rest is None else 10 * MINUTE,
            lima.rest_bounds,
        )
        for cms, cc_id, vdn, name, site, limit, max_rest in rows
    )
    return Config((lima, quito), tuple(targets), "demo")


async def _introduce(daemon: Daemon, address: Address, options: Options) -> None:
    """Once every target was polled: what to look at."""
    await asyncio.sleep(INTERVAL + 1.0)
    states = daemon.store.states()
    exposition = Exposition().slices(states, system_clock(), Format.TEXT, _SHOWN)
    lines = b"".join(exposition).decode().splitlines()
    samples = "\n".join(f"    {line}" for line in lines if not line.startswith("#"))
    base = f"http://{address.reached_at}"
    console(sys.stdout).print(
        f"""
A simulated call center, polled every {INTERVAL:g} s. Some of its metrics:

{samples}

Open {base}/ for the status page, {base}{options.telemetry_path} for all metrics.
Scrape it with Prometheus, and try:

    sum by (cms) (agent_rest_resting_agents)
    topk(3, agent_rest_longest_rest_seconds)

Ctrl-C stops it."""
    )
    sys.stdout.flush()
