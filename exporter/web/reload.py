"""`/-/reload`: follow the configuration as it is now, and say what changed or why not."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

PATH: Final = "/-/reload"
METHODS: Final = (hdrs.METH_POST, hdrs.METH_PUT)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a reload went."""

    successful: bool
    """If not, the old configuration is still at work, all of it."""
    report: str
    """What changed, in one line; or what is wrong, a line for each problem."""


Reload = Callable[[], Awaitable[Outcome]]


def handler(reload: Reload) -> Handler:
    """What answers a request to reload: 200 with what changed, or 500 with every problem."""

    async def answer(_: web.Request) -> web.StreamResponse:
        outcome = await reload()
        return web.Response(text=f"{outcome.report}\n", status=200 if outcome.successful else 500)

    return answer
