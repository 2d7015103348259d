"""The whole page, in slices: a summary, the servers, what to choose by, and one page of targets.

Parts that are marked `data-live` are what the script brings up to date: each has an id, and holds
nothing that a reader types into.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from html import escape
from typing import Final

from exporter.clock import Moment
from exporter.store import ServerStats, Store
from exporter.web.status.assets import ICON, SCRIPT, STYLE
from exporter.web.status.controls import form, pager
from exporter.web.status.rows import header, rows
from exporter.web.status.words import NONE, STANDINGS, count, order, skew
from exporter.web.target_query import Query, Standing
from exporter.web.target_search import Listing, NextPoll, find

_ROWS: Final = 50
"""On a page, if the reader does not say: a browser stays quick, and a reader does not get lost."""
_ROWS_A_SLICE: Final = 50
_SERVERS: Final = 12


def slices(  # noqa: PLR0913 - each is a source of its own
    store: Store,
    now: Moment,
    query: Query,
    *,
    next_poll: NextPoll,
    version: str,
    telemetry_path: str,
) -> Iterator[bytes]:
    """The page at one moment, in slices that join to the whole; some are empty.

    Args:
        store: the targets and the servers, in the order of the configuration.
        now: the moment of the request.
        query: what the reader asks for. A page beyond the last one shows the last.
        next_poll: when a target is due next.
        version: the exporter's own.
        telemetry_path: where the metrics are.
    """
    servers = dict(store.servers())
    listing = yield from find(store.states(), servers, now, query, next_poll)
    limit = query.limit or _ROWS
    pages = listing.pages(limit)
    page = min(query.page, pages)
    entries = listing.page(page, limit)
    totals = sum(listing.servers.values(), Counter[Standing]())
    yield (
        f"{_head(totals)}{_banner(totals, len(servers), now)}<main>\n"
        f"{_servers(servers, listing, query)}{form(query, servers, listing.facets)}"
        '<section id="results" aria-label="Results" tabindex="-1" data-live>\n'
        f"{_found(listing, (page - 1) * limit, len(entries), totals.total())}"
    ).encode()
    if entries:
        caption = f"Targets, {order(query.order)}. Numbers are those of the last success."
        yield (
            f'<table data-key="targets">\n<caption>{caption}</caption>\n{header(query)}<tbody>\n'
        ).encode()
        for start in range(0, len(entries), _ROWS_A_SLICE):
            yield rows(entries[start : start + _ROWS_A_SLICE], now, next_poll).encode()
        yield b"</tbody>\n</table>\n"
    yield (
        f"{pager(query, page, pages)}</section>\n</main>\n"
        f"{_footer(query, version, telemetry_path)}<script>{SCRIPT}</script>\n</body>\n</html>\n"
    ).encode()


def _head(totals: Counter[Standing]) -> str:
    trouble = totals[Standing.DOWN] + totals[Standing.STALE]
    title = f"{trouble:,} in trouble {NONE} " if trouble else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}agent-rest-exporter</title>
<link rel="icon" href="{ICON}">
<style>{STYLE}</style>
</head>
<body>
<a class="skip" href="#results">Skip to the targets</a>
"""


def _banner(totals: Counter[Standing], servers: int, now: Moment) -> str:
    at = datetime.fromtimestamp(now.wall, UTC)
    summary = "No targets are configured."
    if totals:
        targets = count(totals.total(), "target", "targets")
        summary = f"{targets} on {count(servers, 'server', 'servers')}: {_standings(totals)}."
    return f"""<header>
<h1>Agents&rsquo; rests</h1>
<p id="summary" role="status" data-live>{summary}</p>
<div class="refresh">
<p id="as-of" data-live>As of <time datetime="{at:%Y-%m-%dT%H:%M:%SZ}">{at:%Y-%m-%d %H:%M:%S} UTC\
</time></p>
<button type="button" id="pause" hidden>Pause refreshing</button>
<noscript><p>Reload the page for newer numbers.</p></noscript>
</div>
<p id="connection" role="status"></p>
</header>
"""


def _standings(counts: Counter[Standing]) -> str:
    return ", ".join(f"{counts[each]:,} {STANDINGS[each]}" for each in Standing if counts[each])


def _servers(servers: Mapping[str, ServerStats], listing: Listing, query: Query) -> str:
    """The servers with their clocks, those in trouble first."""

    def health(name: str) -> tuple[bool, bool]:
        trouble = listing.servers[name][Standing.DOWN] + listing.servers[name][Standing.STALE]
        return not trouble, not skew(servers[name].clock_skew)[1]

    shown = sorted(servers, key=health)[:_SERVERS]
    cards = "".join(
        _server(name, listing.servers[name], servers[name].clock_skew, query) for name in shown
    )
    left = len(servers) - len(shown)
    more = count(left, "more server is", "more servers are")
    rest = f"<p>{more} not shown here: choose one below.</p>\n" if left else ""
    return (
        '<section aria-labelledby="servers-title">\n<h2 id="servers-title">Servers</h2>\n'
        f'<div id="servers" data-live>\n<ul>\n{cards}</ul>\n{rest}</div>\n</section>\n'
    )


def _server(name: str, counts: Counter[Standing], clock_skew: float | None, query: Query) -> str:
    url = replace(query, cms=name, page=1).url()
    current = ' aria-current="true"' if query.cms == name else ""
    clock, worry = skew(clock_skew)
    worst = next((each.value for each in Standing if counts[each]), "idle")
    return (
        f'<li data-key="{escape(name)}" class="{worst}"><a href="{escape(url)}"{current}>'
        f"<bdi>{escape(name)}</bdi></a> "
        f"<span>{_standings(counts) or 'no targets'}</span> "
        f'<span class="{"worry" if worry else "clock"}">{clock}</span></li>\n'
    )


def _found(listing: Listing, before: int, shown: int, total: int) -> str:
    """Which targets are shown, of how many. A live region: it tells what a search has found."""
    found = len(listing.entries)
    if not total:
        text = ""
    elif not found:
        text = 'No target matches. <a href="?">Show all targets</a>'
    else:
        span = f"{before + 1:,}{NONE}{before + shown:,}" if shown > 1 else f"{before + 1:,}"
        text = f"{span} of {count(found, 'target', 'targets')}"
        text += f", out of {total:,}" if found < total else ""
    return f'<p id="found" role="status" data-key="found">{text}</p>\n'


def _footer(query: Query, version: str, telemetry_path: str) -> str:
    as_json = escape(f"./api/v1/targets{query.url().removesuffix('?')}")
    return (
        f'<footer>\n<p><a href="{escape(f".{telemetry_path}")}">Metrics</a></p>\n'
        f'<p id="json" data-live><a href="{as_json}">These targets as JSON</a></p>\n'
        f"<p>agent-rest-exporter {escape(version)}</p>\n</footer>\n"
    )
