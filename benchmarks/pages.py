"""The exporter's pages over a store that nothing changes: what a scrape costs by itself.

Run as a process of its own: listens, prints its port as JSON, ends with its input.
"""

import asyncio
import json
import sys
import time
from itertools import count

from benchmarks.stores import filled
from exporter import __version__
from exporter.cli.signals import run_loop
from exporter.clock import system_clock
from exporter.metrics.exporter_families import ExporterCollector, own_registry
from exporter.store import ReloadStatus
from exporter.web.listening.addresses import Address
from exporter.web.listening.listener import listen
from tests.support.example_application import example_application


async def _main(targets: int) -> None:
    store = filled(targets)
    status = ReloadStatus(successful=True, last_success=time.time())
    app = example_application(
        store=store,
        moment=system_clock,
        registry=own_registry(
            ExporterCollector(store, lambda: status, system_clock, version=__version__)
        ),
        version=__version__,
        # each scrape is rendered: those of one second would share it
        generation=count().__next__,
    )
    listener = await listen(app, [Address("127.0.0.1", 0)])
    print(json.dumps({"port": int(listener.addresses[0].rpartition(":")[2])}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await listener.close()


if __name__ == "__main__":
    run_loop(_main(json.loads(sys.argv[1])["targets"]))
