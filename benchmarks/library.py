"""The same target families, written by prometheus_client.

Run as a process of its own: prints the CPU seconds of one exposition as JSON.
"""

import json
import sys

from prometheus_client import CollectorRegistry, generate_latest

from benchmarks.processes import own_cpu_seconds
from benchmarks.stores import filled
from exporter.clock import system_clock
from tests.support.target_collector import TargetCollector


def _main(targets: int) -> None:
    registry = CollectorRegistry()
    registry.register(TargetCollector(filled(targets), system_clock))
    generate_latest(registry)
    before = own_cpu_seconds()
    text = generate_latest(registry)
    print(json.dumps({"cpu": own_cpu_seconds() - before, "bytes": len(text)}))


if __name__ == "__main__":
    _main(json.loads(sys.argv[1])["targets"])
