"""`/probe`: one poll of a configured target, made now and told to whoever asks.

For those who want a scrape to ask the server, as exporters usually do. Knows what a request for a
probe must say; how a target is polled, it is told.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from exporter.clock import Clock
from exporter.metrics.exposition import Exposition
from exporter.store import Store, Target, TargetKey, TargetState
from exporter.web.delivery import Delivery
from exporter.web.negotiation import exposition_format

PATH: Final = "/probe"

Probe = Callable[[Target, float | None], Awaitable[TargetState | str]]
"""Polls a target within so many seconds, None for as long as one poll may take.

Gives its state as if that had been the first poll, or what kept it from being polled.
"""

_TIMEOUT: Final = "X-Prometheus-Scrape-Timeout-Seconds"
_MARGIN: Final = 0.5
"""Seconds that the reply is given to be made and to travel."""
_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]*)?")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")


class RequestError(ValueError):
    """A request that names no target or no time: what is wrong with it."""


def parameters(key: TargetKey) -> Mapping[str, str]:
    """The query that asks for a target."""
    return {"cms": key.cms, "cc_id": str(key.cc_id), "vdn": str(key.vdn)}


def asked_for(query: Collection[tuple[str, str]]) -> TargetKey:
    """The target that a query asks for, whether or not there is such a target.

    Args:
        query: its names and values. Names that are no part of a target are left to others.

    Raises:
        RequestError: it asks for none, or for several.
    """
    wrong: list[str] = []
    values: dict[str, str] = {}
    for name in TargetKey._fields:
        given = [value for key, value in query if key == name and value]
        if len(given) != 1:
            wrong.append(f"{name} is given {len(given)} times" if given else f"{name} is missing")
        elif name != "cms" and not _NUMBER.fullmatch(given[0]):
            wrong.append(f"{name} is no whole number")
        else:
            values[name] = given[0]
    if wrong:
        raise RequestError(
            f"{', '.join(wrong)}: ask as in /probe?cms=lima&cc_id=1&vdn=2; /sd lists every target"
        )
    return TargetKey(values["cms"], int(values["cc_id"]), int(values["vdn"]))


def time_left(scrape_timeout: str | None) -> float | None:
    """Seconds that a probe may take, so that its reply comes before the scrape times out.

    Args:
        scrape_timeout: the header that Prometheus sends, in seconds; None if there was none.

    Raises:
        RequestError: the header is no number of seconds.
    """
    if scrape_timeout is None:
        return None
    seconds = float(scrape_timeout) if _SECONDS.fullmatch(scrape_timeout) else 0.0
    if seconds <= 0:
        raise RequestError(f"{_TIMEOUT} must be a number of seconds above 0, such as 10")
    # of a second or less, the margin leaves half
    return max(seconds - _MARGIN, seconds / 2)


def handler(store: Store, probe: Probe, moment: Clock) -> Handler:
    """What answers a request for a probe: the target's families, and nothing of the exporter's.

    A poll that fails is an answer like any other, 200 with `agent_rest_up` 0. A mistake in the
    request is 400, and a probe that cannot be made 503, each with a sentence.
    """
    exposition = Exposition()
    delivery = Delivery()

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            target = _configured(store, asked_for(request.query.items()))
            within = time_left(request.headers.get(_TIMEOUT))
        except RequestError as error:
            return web.Response(text=f"400: {error}.\n", status=400)
        state = await probe(target, within)
        if isinstance(state, str):
            return web.Response(text=f"503: {state}.\n", status=503)
        form = exposition_format(",".join(request.headers.getall(hdrs.ACCEPT, ())))
        return await delivery.send(
            request,
            lambda: exposition.slices([state], moment(), form),
            {hdrs.CONTENT_TYPE: form.value, hdrs.VARY: "Accept, Accept-Encoding"},
        )

    return answer


def _configured(store: Store, key: TargetKey) -> Target:
    try:
        return store.state(key).target
    except KeyError:
        raise RequestError(
            f"no target is configured with cms {key.cms!r}, cc_id {key.cc_id} and vdn {key.vdn}: "
            "/sd lists every target"
        ) from None
