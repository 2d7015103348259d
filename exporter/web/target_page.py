"""The page of one target: its numbers, its last hour, and its last failures."""

from collections.abc import Callable, Iterator
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.clock import Clock, Moment
from exporter.store import Store, Target, TargetState
from exporter.web.delivery import Delivery
from exporter.web.html_pages import HEADERS, HtmlPages
from exporter.web.renderings import Priority
from exporter.web.status_page import due
from exporter.web.target_query import Query, asked_for, configured, parameters
from exporter.web.target_search import NextPoll, entry

PATH: Final = "/target"


def slices(
    templates: HtmlPages, store: Store, now: Moment, target: Target, next_poll: NextPoll
) -> Iterator[bytes]:
    """The page of a configured target at one moment, as slices to be joined."""
    key = target.key
    try:
        state = store.state(key)
    except KeyError:  # a reload has removed it since it was asked for
        state = TargetState(target)
    yield from templates.slices(
        "target.html",
        now,
        each=entry(state, now),
        due=due(next_poll, key, now),
        probe=parameters(key),
        api=Query(cms=key.cms, search=f"cc_id={key.cc_id} vdn={key.vdn}").url(),
        rests=store.rests,
        failures=store.failures.of(key),
    )


def handler(
    templates: HtmlPages,
    store: Store,
    moment: Clock,
    next_polls: Callable[[], NextPoll],
    delivery: Delivery,
) -> Handler:
    """The handler for `/target`, which takes the same parameters as `/probe`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        target = configured(store, asked_for(request.query.items(), PATH))
        return await delivery.send(
            request,
            (PATH, target.key),
            lambda: slices(templates, store, moment(), target, next_polls()),
            HEADERS,
            Priority.PAGE,
        )

    return answer
