"""The status page: every target's state, trouble first. From states to HTML, in slices."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from exporter.clock import Moment
from exporter.rest import Doubt
from exporter.store import ReloadStatus, ServerStats, Store, TargetKey
from exporter.web import status_words as words
from exporter.web.html_pages import HtmlPages
from exporter.web.target_query import Query, TargetStatus
from exporter.web.target_search import Entry, Listing, NextPoll, find

_ROWS: Final = 50
"""On a page by default: quick for a browser, and not too much for a reader."""
_SERVERS: Final = 12
_SHARED: Final = 3
"""Targets from which on a trouble is told once, above the table, and not with each of them.

Targets that fail have no row either, unless a reader asks for some targets or for another order.
"""
_TROUBLES: Final = 8
_CALM: Final = {TargetStatus.WAITING, TargetStatus.UP, "idle", None}


def slices(  # noqa: PLR0913, PLR0917  # all that is on it
    templates: HtmlPages,
    store: Store,
    now: Moment,
    query: Query,
    next_poll: NextPoll,
    reload: ReloadStatus,
) -> Iterator[bytes]:
    """The page at one moment, as slices to be joined; some are empty.

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
    yield from templates.slices(
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
        due=lambda key: due(next_poll, key, now),
        reload=reload,
        rests=store.rests,
        shared=shared,
    )


def due(next_poll: NextPoll, key: TargetKey, now: Moment) -> str:
    """When a target is polled next, in words."""
    at = next_poll(key)
    return words.due(None if at is None else at - now.monotonic)


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
            *words.clock(stats.condition.clock_skew),
            words.certificate(stats.condition.certificate_expiry, now.wall),
        )
        for name, stats in servers.items()
    ]
    return sorted(shown, key=lambda each: (each.worst in _CALM, each.worst != TargetStatus.DOWN))
