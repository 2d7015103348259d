"""Numbers and states in the words of a person. Knows nothing of HTML."""

from typing import Final

from exporter.web.target_query import Sort, Standing

NONE: Final = "\N{EN DASH}"

STANDINGS: Final = {
    Standing.DOWN: "down",
    Standing.STALE: "stale",
    Standing.WAITING: "waiting for first poll",
    Standing.UP: "up",
}

ORDERS: Final = {
    "trouble": "trouble first",
    "target": "target",
    "-resting": "most resting",
    "-waiting": "most waiting",
    "-approved": "most approved",
    "-longest_rest": "longest rest",
    "last_success": "oldest success",
    "next_poll": "next poll",
}
"""The orders that a reader is offered first, as the parameter `sort` has them."""

_OTHER_ORDERS: Final = {
    "-trouble": "trouble last",
    "-target": "target, backwards",
    "resting": "fewest resting",
    "waiting": "fewest waiting",
    "approved": "fewest approved",
    "longest_rest": "shortest rest",
    "-last_success": "latest success",
    "-next_poll": "next poll, latest first",
}

_IN_STEP: Final = 2.0
"""A server's `Date` has whole seconds, and takes a while to arrive."""
_SECONDS: Final = 300.0
"""Up to here a clock is told in seconds: rounded to minutes it would say too little."""
_OUT_OF_STEP: Final = 60.0
"""The alert AgentRestClockSkew speaks of the same."""


def order(name: str) -> str:
    """An order by its parameter `sort`."""
    return ORDERS.get(name) or _OTHER_ORDERS[name]


def natural(sort: Sort) -> str:
    """The order by `sort` that a reader most likely wants, as the parameter has it."""
    return sort.value if sort.value in ORDERS else f"-{sort.value}"


def duration(seconds: float) -> str:
    """A length of time as a person writes it, in one unit or two: `1 h 12 min`."""
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86_400
    if not minutes:
        return f"{whole} s"
    if not hours:
        return f"{minutes} min"
    if not days:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def due(seconds: float | None) -> str:
    """How far away the next poll is; a due poll waits for its turn, or is running."""
    if seconds is None:
        return NONE
    return "now" if seconds < 1 else f"in {duration(seconds)}"


def count(number: int, one: str, more: str) -> str:
    """`1 target` or `10,000 targets`."""
    return f"1 {one}" if number == 1 else f"{number:,} {more}"


def skew(seconds: float | None) -> tuple[str, bool]:
    """How a server's clock stands to this host's, and whether that is a worry.

    Args:
        seconds: the server's `Date` less this host's clock; None before its first reply.
    """
    if seconds is None:
        return "clock not seen yet", False
    apart = abs(seconds)
    if apart < _IN_STEP:
        return "clock in step", False
    length = f"{apart:.0f} s" if apart < _SECONDS else duration(apart)
    way = "ahead of" if seconds > 0 else "behind"
    sentence = f"clock {length} {way} this host\N{RIGHT SINGLE QUOTATION MARK}s"
    if apart < _OUT_OF_STEP:
        return sentence, False
    return f"{sentence}: set both by NTP", True
