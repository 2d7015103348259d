"""The status page: every target's state, trouble first. Pure, from states to HTML.

Works without JavaScript and loads nothing. Everything that comes from elsewhere is escaped, and
the page's own policy forbids the browser to run or load anything even if it were not.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from html import escape
from typing import Final, NamedTuple

from aiohttp import hdrs

from exporter.clock import Moment
from exporter.rest import Snapshot
from exporter.store import TargetState

_ROWS: Final = 500
"""Shown at most: more are no use to a reader, and ten thousand would freeze the browser."""
_SLICE: Final = 1000
_ROWS_A_SLICE: Final = 50


class Standing(Enum):
    """What a target's state comes to, worst first. The value is how the page says it."""

    DOWN = "down"
    STALE = "stale"
    WAITING = "waiting for first poll"
    UP = "up"


class _Row(NamedTuple):
    standing: Standing
    state: TargetState


def standing(state: TargetState, now: Moment) -> Standing:
    """What `state` comes to at `now`. A target that fails is down, however old its numbers are."""
    if state.failure is not None:
        return Standing.DOWN
    if state.polls == 0:
        return Standing.WAITING
    return Standing.UP if state.fresh(now) else Standing.STALE


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


def slices(
    states: Iterable[TargetState], now: Moment, *, version: str, telemetry_path: str
) -> Iterator[bytes]:
    """The page at one moment, in slices that join to the whole; some are empty.

    Args:
        states: the targets, in the order of the configuration. They are taken at once.
        now: the moment of the request.
        version: the exporter's own.
        telemetry_path: where the metrics are, which have every target.
    """
    return (
        text.encode() for text in _page(list(states), now, version, f".{escape(telemetry_path)}")
    )


def _page(states: list[TargetState], now: Moment, version: str, metrics: str) -> Iterator[str]:
    by_standing: dict[Standing, list[TargetState]] = {each: [] for each in Standing}
    for start in range(0, len(states), _SLICE):
        for state in states[start : start + _SLICE]:
            by_standing[standing(state, now)].append(state)
        yield ""
    counts = ", ".join(f"{len(some)} {each.value}" for each, some in by_standing.items() if some)
    rows = [_Row(each, state) for each, some in by_standing.items() for state in some][:_ROWS]
    yield _HEAD
    yield f"<p>{_targets(len(states))}{': ' if counts else ''}{counts}."
    yield " Numbers are those of a target&rsquo;s last success.</p>\n" if states else "</p>\n"
    if rows:
        yield _TABLE_HEAD
        for start in range(0, len(rows), _ROWS_A_SLICE):
            yield "".join(_row(row, now) for row in rows[start : start + _ROWS_A_SLICE])
        yield "</tbody>\n</table>\n</div>\n"
    if left := len(states) - len(rows):
        yield (
            f"<p>The first {_ROWS} targets are shown, trouble first. {left} more are not; "
            f'<a href="{metrics}">the metrics</a> have them all.</p>\n'
        )
    at = datetime.fromtimestamp(now.wall, UTC)
    yield (
        f'</main>\n<footer>\n<p><a href="{metrics}">Metrics</a></p>\n'
        f"<p>agent-rest-exporter {escape(version)}, as of "
        f'<time datetime="{at:%Y-%m-%dT%H:%M:%SZ}">{at:%Y-%m-%d %H:%M:%S} UTC</time></p>\n'
        "</footer>\n</body>\n</html>\n"
    )


def _targets(count: int) -> str:
    if count == 0:
        return "No targets are configured"
    return "1 target" if count == 1 else f"{count} targets"


def _row(row: _Row, now: Moment) -> str:
    state = row.state
    snapshot, server_time = state.fresh(now), state.server_time(now)
    numbers = (
        _UNKNOWN * 4
        if snapshot is None or server_time is None
        else _numbers(snapshot, server_time, state.target.max_resting)
    )
    age = (
        "never"
        if state.last_success is None
        else f"{duration(now.monotonic - state.last_success.monotonic)} ago"
    )
    return (
        f'<tr>\n<th scope="row">{_name(state)}</th>\n'
        f'<td class="{row.standing.name.lower()}">{row.standing.value}</td>\n'
        f"{numbers}<td>{age}</td>\n<td>{_error(state, now)}</td>\n</tr>\n"
    )


def _name(state: TargetState) -> str:
    target = state.target
    cms, cc_id, vdn = target.key
    place = f"{escape(cms)}, call center {cc_id}, VDN {vdn}"
    first, *rest = [escape(target.name), place] if target.name else [place]
    rest += [f"{escape(label)}={escape(value)}" for label, value in target.labels]
    return "<br>".join([first, *(f"<small>{line}</small>" for line in rest)])


_NONE: Final = "&ndash;"
_UNKNOWN: Final = f'<td class="number">{_NONE}</td>\n'


def _numbers(snapshot: Snapshot, server_time: float, max_resting: int | None) -> str:
    longest = snapshot.longest_rest(server_time)
    rest = "unknown" if longest is None else duration(longest)
    limit = "" if max_resting is None else f" of {max_resting}"
    return "".join(
        f'<td class="number">{text}</td>\n'
        for text in (
            snapshot.approved,
            f"{snapshot.resting}{limit}",
            snapshot.waiting,
            rest if snapshot.resting else _NONE,
        )
    )


def _error(state: TargetState, now: Moment) -> str:
    failure = state.failure
    if failure is None:
        return _NONE
    lasting = duration(now.wall - failure.since)
    return f"<strong>{failure.reason.value}</strong> for {lasting}: {escape(failure.message)}"


_STYLE: Final = """
:root { color-scheme: light dark; --text: #1b1b1f; --soft: #55555e; --page: #fff; --line: #c8c8d0;
  --bad: #a4161a; --warn: #7a4b00; --good: #14602f; --link: #0b4fb3; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e6ea; --soft: #b0b0ba; --page: #16161a; --line: #44444e;
    --bad: #ff8f8f; --warn: #f2bf66; --good: #7fd69b; --link: #8ab8ff; } }
body { margin: 0 auto; padding: 1rem; max-width: 90rem; color: var(--text);
  background: var(--page); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; }
a { color: var(--link); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: start; color: var(--soft); padding-bottom: .5rem; }
th, td { padding: .4rem .6rem; border-bottom: 1px solid var(--line); text-align: start;
  vertical-align: top; }
th[scope=row] { font-weight: 600; min-width: 12rem; }
th[scope=row], td:last-child { overflow-wrap: anywhere; }
td { white-space: nowrap; }
td:last-child { min-width: 16rem; white-space: normal; }
small, footer { color: var(--soft); font-weight: 400; }
.number { text-align: end; font-variant-numeric: tabular-nums; }
.down { color: var(--bad); font-weight: 600; }
.stale { color: var(--warn); font-weight: 600; }
.waiting { color: var(--soft); }
.up { color: var(--good); }
"""

_HEAD: Final = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>agent-rest-exporter</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>Agents&rsquo; rests</h1>
"""

_TABLE_HEAD: Final = """<div class="scroll" role="region" aria-labelledby="caption" tabindex="0">
<table>
<caption id="caption">Targets, trouble first</caption>
<thead>
<tr>
<th scope="col">Target</th>
<th scope="col">State</th>
<th scope="col" class="number">Approved</th>
<th scope="col" class="number">Resting</th>
<th scope="col" class="number">Waiting</th>
<th scope="col" class="number">Longest rest</th>
<th scope="col">Last success</th>
<th scope="col">Last error</th>
</tr>
</thead>
<tbody>
"""

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS: Final[Mapping[str, str]] = {
    hdrs.CONTENT_TYPE: "text/html; charset=utf-8",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}
"""The response headers that belong to the page."""
