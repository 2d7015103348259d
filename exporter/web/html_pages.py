"""The pages for people: the status page and each target's own. From states to HTML, in slices.

They work without JavaScript, refresh themselves with it, and load nothing else: style and script
are in each page, so that it is one request, behind any proxy and under any prefix. Everything is
escaped, and the policy lets a browser run the page's own script and nothing else.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import resources
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from aiohttp import hdrs
from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter.clock import Moment
from exporter.rest import Doubt
from exporter.store import ReloadStatus, ServerStats, Store, Target, TargetKey, TargetState
from exporter.web import presentation
from exporter.web.target_query import MAX_SEARCH, Query, TargetStatus, parameters
from exporter.web.target_search import Entry, Listing, NextPoll, entry, find

_PIECES_A_SLICE: Final = 500
"""The template yields text and values piece by piece, about fifty for a row."""
_MOST_PROBLEMS: Final = 20
"""Of a configuration that are shown: the log and the command `check` have all."""
_ROWS: Final = 50
"""On a page by default: quick for a browser, and not too much for a reader."""
_SERVERS: Final = 12
_SHARED: Final = 3
"""Targets from which on a trouble is told once, above the table, and not with each of them.

Targets that fail have no row either, unless a reader asks for some targets or for another order.
"""
_TROUBLES: Final = 8
_CALM: Final = {TargetStatus.WAITING, TargetStatus.UP, "idle", None}

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
"""The response headers that belong to each page."""


class HtmlPages:
    """The templates of one exporter."""

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
        environment.filters |= {each.__name__: each for each in presentation.FILTERS}
        environment.globals |= {
            "Status": TargetStatus,
            "icon": f"data:image/svg+xml,{quote(_ICON)}",
            "doubts": list(Doubt),
            "max_search": MAX_SEARCH,
            "most_problems": _MOST_PROBLEMS,
            "orders": presentation.ORDERS,
            "script": _SCRIPT,
            "sparkline": presentation.sparkline,
            "statuses": presentation.STATUSES,
            "style": _STYLE,
            "telemetry_path": telemetry_path,
            "version": version,
        }
        # compiled now: it would hold up the polls during the first request
        for name in environment.list_templates(extensions=["html"]):
            environment.get_template(name)
        self._environment = environment

    def status_page(
        self, store: Store, now: Moment, query: Query, next_poll: NextPoll, reload: ReloadStatus
    ) -> Iterator[bytes]:
        """`/` at one moment, as slices to be joined; some are empty.

        If `query` asks for a page beyond the last one, the last one is shown.
        """
        servers = dict(store.servers())
        listing = yield from find(store.states(), servers, now, query, next_poll)
        yield b""  # they have just been sorted
        shared = _Shared(listing)
        if query.asks_nothing:
            rows = [each for each in listing.entries if shared.failure(each) is None]
            listing = replace(listing, entries=rows)
            yield b""
        limit = query.limit or _ROWS
        pages = listing.pages(limit)
        page = min(query.page, pages)
        yield from self._slices(
            "status.html",
            now,
            query=query,
            listing=listing,
            totals=sum(listing.servers.values(), Counter[TargetStatus]()),
            servers=_worst_first(servers, listing, now)[:_SERVERS],
            server_names=list(servers),
            page=page,
            pages=pages,
            before=(page - 1) * limit,
            entries=listing.page(page, limit),
            due=lambda key: _due(next_poll, key, now),
            reload=reload,
            rests=store.rests,
            shared=shared,
        )

    def target_page(
        self, store: Store, now: Moment, target: Target, next_poll: NextPoll
    ) -> Iterator[bytes]:
        """`/target` of a configured target at one moment, as slices to be joined."""
        key = target.key
        try:
            state = store.state(key)
        except KeyError:  # a reload has removed it since it was asked for
            state = TargetState(target)
        yield from self._slices(
            "target.html",
            now,
            each=entry(state, now),
            due=_due(next_poll, key, now),
            probe=parameters(key),
            api=Query(cms=key.cms, search=f"cc_id={key.cc_id} vdn={key.vdn}").url(),
            rests=store.rests,
            failures=store.failures.of(key),
        )

    def _slices(self, template: str, now: Moment, **facts: Any) -> Iterator[bytes]:  # noqa: ANN401  # any of a template
        stream = self._environment.get_template(template).stream(now=now, **facts)
        stream.enable_buffering(_PIECES_A_SLICE)
        yield from map(str.encode, stream)


def _due(next_poll: NextPoll, key: TargetKey, now: Moment) -> str:
    """When a target is polled next, in words."""
    at = next_poll(key)
    return presentation.due(None if at is None else at - now.monotonic)


class _Shared:
    """The troubles that several targets have in common, most targets first."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        every = dict.fromkeys(listing.troubles.values())
        all_shared = [each for each in every if each.targets >= _SHARED]
        all_shared.sort(key=lambda each: -each.targets)
        self.shown = all_shared[:_TROUBLES]
        down = any(each.status is TargetStatus.DOWN for each in self.shown)
        self.worst = (TargetStatus.DOWN if down else TargetStatus.DOUBTFUL).value
        self.more = len(all_shared) - len(self.shown)
        self._numbers = {each: number for number, each in enumerate(self.shown, 1)}

    def failure(self, each: Entry) -> int | None:
        """The number of the common cause that explains a target's failure; None if its row does."""
        trouble = self._listing.failure(each)
        return None if trouble is None else self._numbers.get(trouble)

    def doubt(self, each: Entry, doubt: Doubt) -> int | None:
        """The same of a doubt."""
        return self._numbers.get(self._listing.doubt(each, doubt))


class _Server(NamedTuple):
    """A server as the page shows it."""

    name: str
    counts: Counter[TargetStatus]
    pause: float
    """Seconds for which it will not be polled, because it asked for a pause."""
    sends_surplus: bool
    """Whether it has sent unexpected replies, so that polls do not share connections."""
    clock: str
    clock_is_off: bool
    certificate: str
    """That its certificate expires soon, or has expired; empty for neither."""

    @property
    def worst(self) -> str:
        """The worst status of its targets; stale at best if the server itself has a problem."""
        worst = next((each for each in TargetStatus if self.counts[each]), None)
        worry = self.pause or self.sends_surplus or self.clock_is_off or self.certificate
        if worry and worst in _CALM:
            worst = TargetStatus.STALE
        return worst.value if worst else "idle"


def _worst_first(
    servers: Mapping[str, ServerStats], listing: Listing, now: Moment
) -> list[_Server]:
    shown = [
        _Server(
            name,
            listing.servers[name],
            stats.condition.pause(now),
            stats.condition.single_use_until is not None,
            *presentation.clock(stats.condition.clock_skew),
            presentation.certificate(stats.condition.certificate_expiry, now.wall),
        )
        for name, stats in servers.items()
    ]
    return sorted(shown, key=lambda each: (each.worst in _CALM, each.worst != TargetStatus.DOWN))
