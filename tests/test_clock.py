"""exporter.clock: both clocks of this host."""

import time

from exporter.clock import system_clock


def test_the_system_clock_reads_both_clocks() -> None:
    """The wall's is the epoch's, the monotonic one is the event loop's."""
    wall, monotonic = time.time(), time.monotonic()
    moment = system_clock()

    assert wall <= moment.wall <= time.time()
    assert monotonic <= moment.monotonic <= time.monotonic()
