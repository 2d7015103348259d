"""When each target is due. Pure.

A target has a phase: its place within the interval, from a stable hash of its key. So the load on
a server is even, and the same after a restart and on every machine.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable

from exporter.store import TargetKey


def phase(key: TargetKey, interval: float) -> float:
    """Seconds from the start of each interval to the target's polls: 0 up to `interval`."""
    digest = hashlib.blake2b(f"{key.cms}/{key.cc_id}/{key.vdn}".encode(), digest_size=6).digest()
    return int.from_bytes(digest) / 2**48 * interval


def first_delay(key: TargetKey, interval: float, wall: float) -> float:
    """Seconds from the time `wall` (since the epoch) to the target's next place in time.

    Intervals are counted from the epoch, so that a restart does not move a target.
    """
    return (phase(key, interval) - wall) % interval


def next_due(due: float, interval: float, now: float) -> tuple[float, int]:
    """When a target is due again whose poll, due at `due`, has just ended at `now`.

    Returns:
        The next due time after `now` in steps of `interval`, and how many due times had passed
        before the poll ended: those are skipped, never made up for.
    """
    skipped = max(0, math.ceil((now - due) / interval) - 1)
    upcoming = due + (skipped + 1) * interval
    return upcoming, skipped


def peak_per_second(targets: Iterable[tuple[TargetKey, float]]) -> int:
    """The most polls that fall due in one second, once all intervals have come round.

    `targets` are keys and their intervals in seconds.
    """
    by_interval: dict[float, Counter[int]] = {}
    for key, interval in targets:
        by_interval.setdefault(interval, Counter())[int(phase(key, interval))] += 1
    # seconds of different intervals meet sooner or later: their busiest ones add up
    return sum(max(seconds.values()) for seconds in by_interval.values())
