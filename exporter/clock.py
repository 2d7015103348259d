"""A point in time on this host's clocks. Passed in wherever time matters."""

import time
from collections.abc import Callable
from typing import NamedTuple


class Moment(NamedTuple):
    """A point in time on each of this host's clocks, in seconds."""

    wall: float
    """Since the epoch: for people, for Prometheus and for signatures. It may jump."""
    monotonic: float
    """For deadlines. It never jumps, and it is the event loop's own; it may stop in suspension."""
    boot: float
    """For ages. It never jumps, and it counts the time that the host was suspended."""


Clock = Callable[[], Moment]


def _boot_time() -> float:
    """CLOCK_BOOTTIME where there is one (Linux), else the monotonic clock."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def system_clock() -> Moment:
    """Now, by this host's clocks."""
    return Moment(time.time(), time.monotonic(), _boot_time())
