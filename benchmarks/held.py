"""A whole daemon with a heart that beats every millisecond: how long is its loop held at once?

A beat that comes late was held up by whatever ran meanwhile. What counts is the CPU between two
beats, not the time: another process on the machine must not count as a busy loop.

Run as a process of its own: polls and listens, prints its port as JSON, and answers every line of
its input with the longest holds since the line before. Ends with its input.
"""

import asyncio
import gc
import json
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks.processes import free_port
from exporter.cli.signals import run_loop
from exporter.clock import system_clock
from exporter.config.load import load
from exporter.service.daemon import Daemon, Options
from exporter.web.listening.addresses import Address

_BEAT = 0.001


class Heart:
    """Measures the loop that it beats in, and the garbage collector."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._last = time.thread_time()
        self._longest = self._collection = self._began = 0.0
        self._collections = 0
        gc.callbacks.append(self._collected)
        self._beat()

    def report(self) -> dict[str, float]:
        """The longest hold and the longest collection since the last report, in seconds."""
        facts = {
            "held": self._longest,
            "collection": self._collection,
            "full_collections": self._collections,
        }
        self._longest = self._collection = 0.0
        self._collections = 0
        return facts

    def _beat(self) -> None:
        now = time.thread_time()
        self._longest = max(self._longest, now - self._last)
        self._last = now
        self._loop.call_later(_BEAT, self._beat)

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.thread_time()
            return
        self._collection = max(self._collection, time.thread_time() - self._began)
        self._collections += info["generation"] == len(gc.get_threshold()) - 1


async def _main(config: Path) -> None:
    port = free_port()
    options = Options([Address("127.0.0.1", port)], reload_interval=0)
    daemon = Daemon(partial(load, config, {}), options, {}, system_clock)
    async with daemon.serving():
        heart = Heart()
        print(json.dumps({"port": port}), flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(heart.report()), flush=True)


if __name__ == "__main__":
    run_loop(_main(Path(json.loads(sys.argv[1])["config"])))
