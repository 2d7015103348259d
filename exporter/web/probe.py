"""`/probe`: one poll of a configured target, made now, for a scrape that asks the server itself."""

import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from exporter.clock import Clock
from exporter.errors import ProbeRefusedError
from exporter.metrics.exposition import Exposition, Format
from exporter.store import Store, Target, TargetKey, TargetState
from exporter.web.delivery import Delivery
from exporter.web.listening.clients import connection_limit
from exporter.web.negotiation import exposition_format
from exporter.web.probe_log import Note, ProbeLog
from exporter.web.target_query import RequestError

PATH: Final = "/probe"

Probe = Callable[[Target, float | None, Note | None], Awaitable[TargetState]]
"""Polls a target within so many seconds, or None for the server's timeout, and tells its steps.

Returns its state as if that had been its first poll. Raises ProbeRefusedError.
"""

_TIMEOUT: Final = "X-Prometheus-Scrape-Timeout-Seconds"
_MARGIN: Final = 0.5
"""Seconds to write and send the reply."""
_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]*)?")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")


def parameters(key: TargetKey) -> Mapping[str, str]:
    """The query that asks for a target."""
    return {"cms": key.cms, "cc_id": str(key.cc_id), "vdn": str(key.vdn)}


def asked_for(query: Collection[tuple[str, str]], path: str = PATH) -> TargetKey:
    """The key of the target that a query's names and values ask for, configured or not.

    `path` is that of the page, for an example.

    Raises:
        RequestError: it does not identify exactly one target.
    """
    wrong: list[str] = []
    values: dict[str, str] = {}
    for name in TargetKey._fields:
        given = [value for key, value in query if key == name and value]
        if len(given) != 1:
            wrong.append(f"{name} is given {len(given)} times" if given else f"{name} is missing")
        elif name != "cms" and not _NUMBER.fullmatch(given[0]):
            wrong.append(f"{name} is not a whole number")
        else:
            values[name] = given[0]
    if wrong:
        raise RequestError(
            f"{', '.join(wrong)}: write it like {path}?cms=lima&cc_id=1&vdn=2; /sd lists all "
            "targets"
        )
    return TargetKey(values["cms"], int(values["cc_id"]), int(values["vdn"]))


def time_left(scrape_timeout: str | None) -> float | None:
    """Seconds for a probe, so that its reply arrives before the scrape times out.

    Raises:
        RequestError: the header is not a number of seconds.
    """
    if scrape_timeout is None:
        return None
    seconds = float(scrape_timeout) if _SECONDS.fullmatch(scrape_timeout) else 0.0
    if seconds <= 0:
        raise RequestError(f"{_TIMEOUT} must be a number of seconds above 0, such as 10")
    # of a second or less, the margin leaves half
    return max(seconds - _MARGIN, seconds / 2)


def handler(store: Store, probe: Probe, moment: Clock, delivery: Delivery) -> Handler:
    """The handler for `/probe`: it replies with the target's families only.

    A failed poll is a reply like any other: 200 with `agent_rest_up` 0. With `debug=true`, the
    steps of the poll come first, each with its time.
    """
    exposition = Exposition()
    in_progress = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal in_progress
        target = configured(store, asked_for(request.query.items()))
        within = time_left(request.headers.get(_TIMEOUT))
        # they hold a connection each, for seconds: others are kept for scrapes and checks
        if in_progress >= connection_limit() // 2:
            raise ProbeRefusedError(f"{in_progress} probes are in progress: scrape less often")
        log = ProbeLog(target, moment) if debugged(request.query.items()) else None
        in_progress += 1
        try:
            state = await probe(target, within, None if log is None else log.note)
        finally:
            in_progress -= 1
        if log is not None:
            log.end(state)
            return await delivery.send_own(
                request,
                lambda: [*log.lines(), *samples(exposition.slices([state], moment(), Format.TEXT))],
                {hdrs.CONTENT_TYPE: "text/plain; charset=utf-8"},
            )
        form = exposition_format(",".join(request.headers.getall(hdrs.ACCEPT, ())))
        return await delivery.send_own(
            request,
            lambda: exposition.slices([state], moment(), form),
            {hdrs.CONTENT_TYPE: form.value, hdrs.VARY: hdrs.ACCEPT},
        )

    return answer


def samples(text: Iterable[bytes]) -> list[bytes]:
    """The lines of a scrape without its comments: most of a probe's families have few samples."""
    lines = b"".join(text).splitlines(keepends=True)
    return [line for line in lines if not line.startswith(b"#")]


def debugged(query: Collection[tuple[str, str]]) -> bool:
    """Whether a query asks for the steps instead of the metrics alone.

    Raises:
        RequestError: `debug` is neither true nor false.
    """
    given = {value for name, value in query if name == "debug"}
    if not given <= {"true", "false", ""}:
        raise RequestError("debug must be true or false")
    return "true" in given


def configured(store: Store, key: TargetKey) -> Target:
    """The target with this key.

    Raises:
        RequestError: there is none.
    """
    try:
        return store.state(key).target
    except KeyError:
        raise RequestError(
            f"no target is configured with cms {key.cms!r}, cc_id {key.cc_id} and vdn {key.vdn}: "
            "/sd lists all targets"
        ) from None
