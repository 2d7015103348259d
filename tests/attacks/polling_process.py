"""Polls a hostile server and a healthy one, and measures what the first costs the second.

A process of its own: its memory is that of a few clients, and its loop does nothing else. Prints
one JSON object.
"""

import asyncio
import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import uvloop

from exporter.clock import system_clock
from exporter.cms.client import CmsClient
from exporter.polling.build import clients
from exporter.server import Server

_TICK: Final = 0.005
_PAGE_SIZE: Final = 4096
"""Bytes; of memory, not of listings."""
_HEALTHY_TIMEOUT: Final = 10.0


def memory() -> int:
    """Bytes that are resident now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_SIZE


class Watch:
    """The most memory, and the longest time for which the loop did nothing else."""

    def __init__(self) -> None:
        self.at_rest = memory()
        self.peak = self.at_rest
        self.hold = 0.0
        """Seconds of CPU time, so that a busy machine does not count."""
        self.late = 0.0
        """Seconds by the clock."""
        self.ended = threading.Event()

    def sample(self) -> None:
        """Watch the memory: in a thread, because the loop may be held."""
        while not self.ended.wait(0.01):
            self.peak = max(self.peak, memory())

    async def tick(self) -> None:
        """Watch the loop."""
        while not self.ended.is_set():
            cpu, clock = time.thread_time(), time.monotonic()
            await asyncio.sleep(_TICK)
            self.hold = max(self.hold, time.thread_time() - cpu)
            self.late = max(self.late, time.monotonic() - clock - _TICK)


async def _poll(
    client: CmsClient, vdn: int, until: float, pause: float, found: list[tuple[str, float]]
) -> None:
    while time.monotonic() < until:
        result = await client.poll(1, vdn)
        found.append((result.error.message if result.error else "", result.duration))
        await asyncio.sleep(pause)


async def measure(  # of the polls
    hostile: int, healthy: int, seconds: float, page_size: int | None, within: float = 10.0
) -> dict[str, Any]:
    """Poll both servers for so long.

    Args:
        hostile: its port.
        healthy: its port.
        seconds: for how long polls start.
        page_size: of the hostile one, if it has CTI 3.6.
        within: for polls of the hostile one, in seconds.
    """
    made = clients(
        [
            Server(
                f"http://127.0.0.1:{hostile}", name="hostile", page_size=page_size, timeout=within
            ),
            Server(f"http://127.0.0.1:{healthy}", name="healthy", timeout=_HEALTHY_TIMEOUT),
        ],
        {},
        system_clock,
    )
    good: list[tuple[str, float]] = []
    await _poll(made["healthy"], 1, time.monotonic() + 0.5, 0.05, good)
    await asyncio.sleep(0.2)
    watch = Watch()
    threading.Thread(target=watch.sample, daemon=True).start()
    ticks = asyncio.create_task(watch.tick())
    good.clear()
    bad: list[tuple[str, float]] = []
    until = time.monotonic() + seconds
    cpu = time.process_time()
    async with asyncio.TaskGroup() as group:
        for vdn in range(1, 9):
            group.create_task(_poll(made["hostile"], vdn, until, 0.25, bad))
        group.create_task(_poll(made["healthy"], 1, until, 0.1, good))
    cpu = time.process_time() - cpu
    watch.ended.set()
    await ticks
    for client in made.values():
        await client.aclose()
    return {
        "memory": round((watch.peak - watch.at_rest) / 2**20, 1),
        "hold": round(watch.hold, 3),
        "late": round(watch.late, 3),
        "cpu": round(cpu, 2),
        "healthy_polls": len(good),
        "healthy_failed": [message for message, _ in good if message],
        "healthy_slowest": round(max(duration for _, duration in good), 3),
        "hostile": dict(Counter(message for message, _ in bad)),
        "hostile_slowest": round(max(duration for _, duration in bad), 3),
    }


def main() -> None:
    """Measure with the arguments of the command line, given as one JSON list."""
    sys.stdout.write(json.dumps(uvloop.run(measure(*json.loads(sys.argv[1])))))


if __name__ == "__main__":
    main()
