"""A point in time on both of a host's clocks. Passed in wherever time matters."""

import time
from collections.abc import Callable
from typing import NamedTuple


class Moment(NamedTuple):
    """A point in time on both of this host's clocks, in seconds."""

    wall: float
    """Since the epoch: for people, for Prometheus and for signatures. It may jump."""
    monotonic: float
    """For differences. It never jumps, and it is the event loop's own."""


Clock = Callable[[], Moment]


def system_clock() -> Moment:
    """Now, by this host's clocks."""
    return Moment(time.time(), time.monotonic())
