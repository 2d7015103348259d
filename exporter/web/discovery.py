"""`/sd`: the targets for Prometheus' HTTP service discovery (`http_sd_config`), ready to be probed.

Each target is a group of its own, with the exporter's address and with labels that turn its scrape
into a probe, so that nothing needs relabelling. Each has its own `instance`, so that the `up`
series of different targets do not collide, and that `hashmod` can tell them apart.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from exporter.store import Store, Target
from exporter.web import probe
from exporter.web.delivery import Delivery
from exporter.web.renderings import Priority
from exporter.web.target_query import RequestError, parameters

PATH: Final = "/sd"

_META: Final = "__meta_agent_rest_"
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_SLICE: Final = 200
"""Targets in one slice: two milliseconds' work."""


def group(target: Target, address: str) -> dict[str, object]:
    """A target as Prometheus discovers it; `address` is where Prometheus reaches the exporter."""
    labels = {"__metrics_path__": probe.PATH}
    labels |= {f"__param_{name}": value for name, value in parameters(target.key).items()}
    labels["instance"] = "{}/{}/{}".format(*target.key)
    # to select targets by: the samples of a probe have both anyway
    if target.name is not None:
        labels[f"{_META}name"] = target.name
    labels |= {f"{_META}label_{name}": value for name, value in target.labels}
    return {"targets": [address], "labels": labels}


def slices(targets: Iterable[Target], address: str) -> Iterator[bytes]:
    """The JSON of all targets, one line each, as slices to be joined."""
    every = [*targets]
    yield b"["
    for start in range(0, len(every), _SLICE):
        batch = every[start : start + _SLICE]
        lines = [msgspec.json.encode(group(each, address)) for each in batch]
        yield (b",\n" if start else b"\n") + b",\n".join(lines)
    yield b"\n]\n"


def handler(store: Store, delivery: Delivery) -> Handler:
    """The handler for `/sd`: each target's address is the one at which the request arrived."""

    async def answer(request: web.Request) -> web.StreamResponse:
        address = request.headers.get(hdrs.HOST, "")
        if not _HOST.fullmatch(address):
            raise RequestError(
                "the Host header must be the host and port at which Prometheus reaches the exporter"
            )
        return await delivery.send(
            request,
            (PATH, address),
            lambda: slices((state.target for state in store.states()), address),
            # Prometheus accepts exactly this one
            {hdrs.CONTENT_TYPE: "application/json", hdrs.VARY: hdrs.HOST},
            Priority.SELECTION,
        )

    return answer
