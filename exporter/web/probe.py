"""`/probe`: one poll of a configured target, made now, for a scrape that asks the server itself.

`/sd` lists the targets for Prometheus' HTTP service discovery (`http_sd_config`), ready to be
probed. Each target is a group of its own, with the exporter's address and with labels that turn its
scrape into a probe, so that nothing needs relabelling. Each has its own `instance`, so that the
`up` series of different targets do not collide, and that `hashmod` can tell them apart.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from typing import Final, NamedTuple

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from exporter.clock import Clock
from exporter.errors import ProbeRefusedError
from exporter.metrics.exposition import Exposition, Format
from exporter.store import Store, Target, TargetState
from exporter.web.delivery import Delivery
from exporter.web.listening.clients import connection_limit
from exporter.web.negotiation import exposition_format
from exporter.web.renderings import Priority
from exporter.web.target_query import RequestError, asked_for, configured, parameters

PATH: Final = "/probe"
DISCOVERY_PATH: Final = "/sd"

Note = Callable[[str, str], None]
"""Called as a step begins, with its name and what it does. The one before it has ended."""

Probe = Callable[[Target, float | None, Note | None], Awaitable[TargetState]]
"""Polls a target within these seconds, or the server's timeout if None, and reports its steps.

Returns its state as if that had been its first poll. Raises ProbeRefusedError.
"""

_TIMEOUT: Final = "X-Prometheus-Scrape-Timeout-Seconds"
_MARGIN: Final = 0.5
"""Seconds to write and send the reply."""
_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]*)?")

_META: Final = "__meta_agent_rest_"
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_SLICE: Final = 200
"""Targets in one slice: two milliseconds' work."""


def time_left(scrape_timeout: str | None) -> float | None:
    """Seconds for a probe, so that its reply arrives before the scrape times out.

    Raises RequestError if the header is not a number of seconds.
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
        target = configured(store, asked_for(request.query.items(), PATH))
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
            steps = log.end(state)
            return await delivery.send_own(
                request,
                lambda: [steps, *samples(exposition.slices([state], moment(), Format.TEXT))],
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
    """Whether a query asks for the steps instead of the metrics alone. Raises RequestError."""
    given = {value for name, value in query if name == "debug"}
    if not given <= {"true", "false", ""}:
        raise RequestError("debug must be true or false")
    return "true" in given


class _Step(NamedTuple):
    name: str
    text: str
    began: float
    """On the monotonic clock."""


class ProbeLog:
    """The steps of one probe."""

    def __init__(self, target: Target, moment: Clock) -> None:
        self._target = target
        self._moment = moment
        self._steps = [_Step("turn", "wait for a free slot and the rate limit", moment().monotonic)]

    def note(self, name: str, text: str) -> None:
        """A step begins."""
        self._steps.append(_Step(name, text, self._moment().monotonic))

    def end(self, state: TargetState) -> bytes:
        """The probe has ended, and the target's state is this.

        Returns the text: the outcome, every step, the sum of each, and the heading of the samples.
        """
        ended = self._moment().monotonic
        cms, cc_id, vdn = self._target.key
        failure, first = state.failure, self._steps[0].began
        outcome = "succeeded" if failure is None else "failed"
        took = _milliseconds(ended - first)
        text = [
            f"The probe of {cms}, call center {cc_id}, VDN {vdn} {outcome} after {took} ms.",
            "",
        ]
        if failure is not None:
            text += [f"{failure.reason.value}: {failure.message}", ""]
        if state.snapshot is not None:
            text += [f"{each.value}: {each.sentence}" for each in state.snapshot.doubts]
            text += [""] * bool(state.snapshot.doubts)
        text += ["Steps, over a new connection:", "", "     at ms    took ms  step"]
        sums: dict[str, float] = {}
        ends = [step.began for step in self._steps[1:]] + [ended]
        for step, end in zip(self._steps, ends, strict=True):
            sums[step.name] = sums.get(step.name, 0.0) + end - step.began
            last = step is self._steps[-1] and failure is not None
            text.append(
                f"{_milliseconds(step.began - first):>10} {_milliseconds(end - step.began):>10}  "
                f"{step.name:<8} {step.text}{' - the poll failed here' if last else ''}"
            )
        text += ["", "Sums in ms:", ""]
        text += [f"{_milliseconds(sum_):>10}  {name}" for name, sum_ in sums.items()]
        text += ["", "The samples that a scrape would have got:", ""]
        return "".join(f"{line}\n" for line in text).encode()


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.2f}"


def group(target: Target, address: str) -> dict[str, object]:
    """A target as Prometheus discovers it; `address` is where Prometheus reaches the exporter."""
    labels = {"__metrics_path__": PATH}
    labels |= {f"__param_{name}": value for name, value in parameters(target.key).items()}
    labels["instance"] = "{}/{}/{}".format(*target.key)
    # to select targets by: the samples of a probe have both anyway
    if target.name is not None:
        labels[f"{_META}name"] = target.name
    labels |= {f"{_META}label_{name}": value for name, value in target.labels}
    return {"targets": [address], "labels": labels}


def discovered(targets: Iterable[Target], address: str) -> Iterator[bytes]:
    """The JSON of all targets, one line each, as slices to be joined."""
    every = [*targets]
    yield b"["
    for start in range(0, len(every), _SLICE):
        batch = every[start : start + _SLICE]
        lines = [msgspec.json.encode(group(each, address)) for each in batch]
        yield (b",\n" if start else b"\n") + b",\n".join(lines)
    yield b"\n]\n"


def discovery_handler(store: Store, delivery: Delivery) -> Handler:
    """The handler for `/sd`: each target's address is the one at which the request arrived."""

    async def answer(request: web.Request) -> web.StreamResponse:
        address = request.headers.get(hdrs.HOST, "")
        if not _HOST.fullmatch(address):
            raise RequestError(
                "the Host header must be the host and port at which Prometheus reaches the exporter"
            )
        return await delivery.send(
            request,
            (DISCOVERY_PATH, address),
            lambda: discovered((state.target for state in store.states()), address),
            # Prometheus accepts exactly this one
            {hdrs.CONTENT_TYPE: "application/json", hdrs.VARY: hdrs.HOST},
            Priority.SELECTION,
        )

    return answer
