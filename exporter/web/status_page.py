"""The status page: every target's state, trouble first. From states to HTML, in slices.

Works without JavaScript, refreshes itself with it, and loads nothing else: style and script are in
the page, so that it is one request, behind any proxy and under any prefix. Everything is escaped,
and the page's policy lets a browser run its own script and nothing else.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib import resources
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from aiohttp import hdrs
from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter.clock import Moment
from exporter.rest import Doubt
from exporter.store import ServerStats, Store, TargetKey
from exporter.web import status_words as words
from exporter.web.target_query import MAX_SEARCH, Query, Sort, TargetStatus
from exporter.web.target_search import Listing, NextPoll, find

_ROWS: Final = 50
"""On a page by default: quick for a browser, and not too much for a reader."""
_PIECES_A_SLICE: Final = 500
"""The template yields text and values piece by piece, about fifty for a row."""
_SERVERS: Final = 12

_FILES: Final = resources.files(__package__).joinpath("templates")
_STYLE: Final = _FILES.joinpath("style.css").read_text(encoding="utf-8")
_SCRIPT: Final = _FILES.joinpath("script.js").read_text(encoding="utf-8")
_ICON: Final = _FILES.joinpath("icon.svg").read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


HEADERS: Final[Mapping[str, str]] = {
    hdrs.CONTENT_TYPE: "text/html; charset=utf-8",
    "Content-Security-Policy": "; ".join(
        [
            "default-src 'none'",
            f"style-src 'sha256-{_digest(_STYLE)}'",
            f"script-src 'sha256-{_digest(_SCRIPT)}'",
            "img-src data:",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    ),
    "Referrer-Policy": "no-referrer",
}
"""The response headers that belong to the page."""


class StatusPage:
    """The status page of one exporter, which has this version and its metrics at this path."""

    def __init__(self, *, version: str, telemetry_path: str) -> None:
        environment = Environment(
            loader=PackageLoader("exporter.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
        )
        environment.filters |= {each.__name__: each for each in _FILTERS}
        environment.globals |= {
            "Status": TargetStatus,
            "icon": f"data:image/svg+xml,{quote(_ICON)}",
            "doubts": list(Doubt),
            "max_search": MAX_SEARCH,
            "orders": words.ORDERS,
            "script": _SCRIPT,
            "statuses": words.STATUSES,
            "style": _STYLE,
            "telemetry_path": telemetry_path,
            "version": version,
        }
        # compiled now: it would hold up the polls during the first request
        for name in environment.list_templates(extensions=["html"]):
            environment.get_template(name)
        self._template = environment.get_template("status.html")

    def slices(
        self, store: Store, now: Moment, query: Query, next_poll: NextPoll
    ) -> Iterator[bytes]:
        """The page at one moment, as slices to be joined; some are empty.

        If `query` asks for a page beyond the last one, the last one is shown.
        """
        servers = dict(store.servers())
        listing = yield from find(store.states(), servers, now, query, next_poll)
        yield b""  # they have just been sorted
        limit = query.limit or _ROWS
        pages = listing.pages(limit)
        page = min(query.page, pages)

        def due(key: TargetKey) -> str:
            at = next_poll(key)
            return words.due(None if at is None else at - now.monotonic)

        stream = self._template.stream(
            now=now,
            date=datetime.fromtimestamp(now.wall, UTC),
            query=query,
            listing=listing,
            totals=sum(listing.servers.values(), Counter[TargetStatus]()),
            servers=_worst_first(servers, listing, now)[:_SERVERS],
            server_names=list(servers),
            page=page,
            pages=pages,
            before=(page - 1) * limit,
            entries=listing.page(page, limit),
            due=due,
        )
        stream.enable_buffering(_PIECES_A_SLICE)
        yield from map(str.encode, stream)


class _Server(NamedTuple):
    """A server as the page shows it."""

    name: str
    counts: Counter[TargetStatus]
    pause: float
    """Seconds for which it will not be polled, because it asked for a pause."""
    sends_surplus: bool
    """Whether it has sent replies that nobody asked for, so that polls share no connection."""
    clock: str
    clock_is_off: bool

    @property
    def worst(self) -> str:
        """The worst status among its targets."""
        return next((each.value for each in TargetStatus if self.counts[each]), "idle")


def _worst_first(
    servers: Mapping[str, ServerStats], listing: Listing, now: Moment
) -> list[_Server]:
    shown = [
        _Server(
            name,
            listing.servers[name],
            stats.pause(now),
            stats.single_use_until is not None,
            *words.clock(stats.clock_skew),
        )
        for name, stats in servers.items()
    ]
    calm = {TargetStatus.WAITING, TargetStatus.UP, "idle"}
    return sorted(shown, key=lambda each: (each.worst in calm, not each.clock_is_off))


def url(query: Query, **changes: Any) -> str:  # noqa: ANN401 - any field of a query
    """The URL of a query with some changes."""
    return replace(query, **changes).url()


def column_url(query: Query, sort: str) -> str:
    """The URL that orders by a column, or reverses the order if that is the order already."""
    descending = sort not in words.ORDERS
    if query.sort == sort:
        descending = not query.descending
    return url(query, sort=Sort(sort), descending=descending, page=1)


_FILTERS: Final = (
    *(words.clock, words.count, words.duration, words.longest_rest, words.longest_wait),
    *(words.order, words.reasons),
    *(words.rest_note, words.statuses, words.thousands, column_url, url),
)
