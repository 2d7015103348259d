"""`/-/reload`: follow the configuration as it is now, and say what changed or why not."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from exporter.store import ReloadOutcome

PATH: Final = "/-/reload"
METHODS: Final = (hdrs.METH_POST, hdrs.METH_PUT)


Reload = Callable[[], Awaitable[ReloadOutcome]]


def handler(reload: Reload) -> Handler:
    """What answers a request to reload: 200 with what changed, or 500 with every problem."""

    async def answer(_: web.Request) -> web.StreamResponse:
        outcome = await reload()
        return web.Response(text=f"{outcome.report}\n", status=200 if outcome.successful else 500)

    return answer
