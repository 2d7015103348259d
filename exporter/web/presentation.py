"""Numbers and states in words, and the last hour as a picture, for the pages. Pure.

Knows nothing of HTML.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from exporter.history import Sample
from exporter.rest import Snapshot, WaitReason
from exporter.server import CLOCKS_AGREE, CLOCKS_DIFFER, EXPIRES_SOON
from exporter.store import TargetKey
from exporter.web.target_query import Query, Sort, TargetStatus, parameters

NONE: Final = "\N{EN DASH}"

STATUSES: Final = {
    TargetStatus.DOWN: "down",
    TargetStatus.STALE: "stale",
    TargetStatus.DOUBTFUL: "doubtful",
    TargetStatus.WAITING: "waiting for first poll",
    TargetStatus.UP: "up",
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
"""The orders that the form offers, by the parameter `sort`; a column's first click gives these."""

_REVERSED_ORDERS: Final = {
    "-trouble": "trouble last",
    "-target": "target, reversed",
    "resting": "fewest resting",
    "waiting": "fewest waiting",
    "approved": "fewest approved",
    "longest_rest": "shortest rest",
    "-last_success": "latest success",
    "-next_poll": "next poll, latest first",
}

_REASONS: Final = {
    WaitReason.AWAITING_APPROVAL: "awaiting approval",
    WaitReason.BUSY: "busy",
    WaitReason.VDN_LIMIT: "VDN limit",
    WaitReason.NO_SKILL_QUEUE: "no skill queue",
    WaitReason.SKILL_QUEUE_LIMIT: "skill queue limit",
    WaitReason.UNKNOWN: "unknown reason",
}

_IN_SECONDS: Final = 300.0
"""A skew up to this is written in seconds: minutes would be too coarse."""

HEIGHT: Final = 24
"""Of the picture, in its own units. Its width is one for each sample."""
_MARGIN: Final = 2
"""Above the highest value, so that its line is not cut off."""


def order(name: str) -> str:
    """An order by its parameter `sort`."""
    return ORDERS.get(name) or _REVERSED_ORDERS[name]


def thousands(number: int) -> str:
    """`10,000`."""
    return f"{number:,}"


def count(number: int, one: str, more: str) -> str:
    """`1 target` or `10,000 targets`."""
    return f"1 {one}" if number == 1 else f"{number:,} {more}"


def statuses(counts: Counter[TargetStatus]) -> str:
    """`1 down, 2 stale`; empty without targets."""
    return ", ".join(f"{counts[each]:,} {text}" for each, text in STATUSES.items() if counts[each])


def duration(seconds: float) -> str:
    """A duration in one unit or two: `1 h 12 min`."""
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86_400
    if not minutes:
        return f"{whole} s"
    if not hours:
        return f"{minutes} min"
    if not days:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def at(seconds: float) -> str:
    """A time, from epoch seconds: `2026-11-26 15:07:13 UTC`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def iso(seconds: float) -> str:
    """A time for programs, from epoch seconds: `2026-11-26T15:07:13Z`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def due(seconds: float | None) -> str:
    """The time until the next poll; a poll that is due is running, or waits for its turn."""
    if seconds is None:
        return NONE
    return "now" if seconds < 1 else f"in {duration(seconds)}"


def reasons(snapshot: Snapshot) -> list[str]:
    """Why agents wait: `2 busy`."""
    named = zip(_REASONS.values(), snapshot.waiting_by_reason, strict=True)
    return [f"{number} {reason}" for reason, number in named if number]


def longest_rest(snapshot: Snapshot, server_time: float) -> str:
    """The longest rest: a duration, a bound, or “unknown”."""
    if not snapshot.resting:
        return NONE
    longest = snapshot.longest_rest(server_time)
    if longest is None:
        return "unknown"
    return f"{snapshot.bound}{duration(longest)}"


def rest_note(snapshot: Snapshot, server_time: float) -> str:
    """A note on the longest rest; empty if there is none."""
    if not snapshot.resting:
        return ""
    if snapshot.longest_rest(server_time) is None:
        return "the reply has no usable start time"
    overdue = snapshot.overdue(server_time)
    longest = snapshot.longest_overdue(server_time)
    if not overdue or longest is None:
        return ""
    most = "by" if overdue == 1 else "by up to"
    return f"{snapshot.bound}{overdue} overdue {most} {duration(longest)}"


def longest_wait(snapshot: Snapshot, server_time: float) -> str:
    """The longest wait, for the cell of the agents who wait; empty if nobody waits or unknown."""
    longest = snapshot.longest_wait(server_time)
    return f"longest {duration(longest)}" if snapshot.waiting and longest else ""


def clock(skew: float | None) -> tuple[str, bool]:
    """A server's clock compared with this host's, and whether that is a problem.

    `skew` is the server's clock minus this host's in seconds, None before its first reply.
    """
    if skew is None:
        return "clock not known yet", False
    apart = abs(skew)
    if apart < CLOCKS_AGREE:
        return "clock in sync", False
    length = f"{apart:.0f} s" if apart < _IN_SECONDS else duration(apart)
    way = "ahead of" if skew > 0 else "behind"
    sentence = f"clock {length} {way} this host\N{RIGHT SINGLE QUOTATION MARK}s"
    if apart < CLOCKS_DIFFER:
        return sentence, False
    return f"{sentence}: synchronize both with NTP", True


def certificate(expiry: float | None, now: float) -> str:
    """A warning that a server's certificate expires soon or has expired; otherwise empty.

    Both are epoch seconds.
    """
    if expiry is None or expiry - now > EXPIRES_SOON:
        return ""
    if expiry <= now:
        return f"its certificate expired {duration(now - expiry)} ago: renew it"
    return f"its certificate expires in {duration(expiry - now)}: renew it"


def url(query: Query, **changes: Any) -> str:  # noqa: ANN401 - any field of a query
    """The URL of a query with some changes."""
    return replace(query, **changes).url()


def column_url(query: Query, sort: str) -> str:
    """The URL that orders by a column, or reverses the order if that is the order already."""
    descending = sort not in ORDERS
    if query.sort == sort:
        descending = not query.descending
    return url(query, sort=Sort(sort), descending=descending, page=1)


def target_url(key: TargetKey) -> str:
    """Where a target's own page is."""
    return f"./target?{urlencode(parameters(key))}"


class Sparkline(NamedTuple):
    """A picture, as the `d` of two paths of SVG, and what it shows in words."""

    width: int
    resting: str
    """A filled area."""
    waiting: str
    """A line."""
    top: int
    """The number of agents at the upper edge."""
    words: str


def sparkline(samples: Sequence[Sample], current: Sample) -> Sparkline | None:
    """The picture of these samples, the oldest first, and of the present; None for nothing.

    Who rested is an area, who waited a line. A value holds for its minute, so the picture has
    steps. Minutes without a number are gaps.
    """
    shown = [*samples, current]
    known = [each for each in shown if each is not None]
    if not samples or not known:
        return None
    resting, waiting = zip(*known, strict=True)
    top = max(*resting, *waiting, 1)
    return Sparkline(
        len(shown),
        _path([each and each[0] for each in shown], top, closed=True),
        _path([each and each[1] for each in shown], top, closed=False),
        top,
        f"last hour: {_range(resting)} resting, {_range(waiting)} waiting",
    )


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


def _path(values: Sequence[int | None], top: int, *, closed: bool) -> str:
    """Steps from left to right, each run of known values by itself."""
    parts: list[str] = []
    before: int | None = None
    for x, value in enumerate([*values, None]):
        if value == before:
            continue
        if before is not None:
            parts.append(f"H{x}")
        if value is None:
            if closed:
                parts.append(f"V{HEIGHT}Z")
        else:
            y = round(HEIGHT - (HEIGHT - _MARGIN) * value / top, 1)
            if before is not None:
                parts.append(f"V{y:g}")
            else:
                parts.append(f"M{x} {HEIGHT}V{y:g}" if closed else f"M{x} {y:g}")
        before = value
    return "".join(parts)


FILTERS: Final = (
    *(at, column_url, count, duration, iso, longest_rest, longest_wait, order, reasons),
    *(rest_note, statuses, target_url, thousands, url),
)
"""For the templates, each by its own name."""
