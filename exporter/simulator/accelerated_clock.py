"""A clock that runs faster than the one it reads, so that a demo shows a day in minutes.

Knows nothing of days, floors or HTTP.
"""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Accelerated:
    """A clock: `start + (clock() - its first reading) * speed`, in seconds since the epoch.

    The server's `Date` runs with it. A client on real time sees the two drift apart, and a server
    that checks signatures soon refuses it unless its allowed drift is infinite.

    Args:
        clock: the clock to speed up, in seconds.
        speed: simulated seconds in a real one; 1 is real time.
        start: the simulated time at which it starts; by default what `clock` reads.
    """

    clock: Callable[[], float]
    speed: float = 1.0
    start: float | None = None
    _started: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.speed <= 0:
            raise ValueError(f"the speed of a clock must be above 0, not {self.speed:g}")
        object.__setattr__(self, "_started", self.clock())

    def __call__(self) -> float:
        """The simulated time, in seconds since the epoch."""
        start = self._started if self.start is None else self.start
        return start + (self.clock() - self._started) * self.speed
