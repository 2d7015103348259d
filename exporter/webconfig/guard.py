"""The web configuration in front of an application: passwords and headers.

Knows HTTP. TLS has been dealt with when a request comes here.
"""

import asyncio
import base64
import binascii
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from exporter.webconfig.live_web_config import INTERVAL, LiveWebConfig
from exporter.webconfig.passwords import BusyError, Passwords

OPEN_PATHS: Final = frozenset({"/-/healthy", "/-/ready"})
"""What an orchestrator asks, which has no password."""

_CHALLENGE: Final = 'Basic realm="agent-rest-exporter", charset="UTF-8"'


def protect(
    app: web.Application,
    live: LiveWebConfig,
    *,
    passwords: Passwords | None = None,
    interval: float = INTERVAL,
) -> None:
    """Put `live` in front of an application that does not run yet, and watch it while it runs.

    Args:
        app: the application; its own middlewares come after the password.
        live: the configuration at work.
        passwords: checks them; made if left out.
        interval: seconds between two looks at the files.
    """
    checker = passwords or Passwords(secrets.token_bytes(32))
    app.middlewares.insert(0, _ask_for_password(live, checker))
    app.on_response_prepare.append(_add_headers(live))
    app.cleanup_ctx.append(_watching(live, interval))


def _ask_for_password(live: LiveWebConfig, passwords: Passwords) -> Middleware:
    @web.middleware
    async def ask(request: web.Request, handler: Handler) -> web.StreamResponse:
        users = live.current.users
        if not users or request.path in OPEN_PATHS:
            return await handler(request)
        given = credentials(request.headers.get(hdrs.AUTHORIZATION, ""))
        try:
            right = given is not None and await passwords.right(users, *given)
        except BusyError:
            return web.Response(
                text="503: too many passwords wait to be checked.\n",
                status=503,
                headers={hdrs.RETRY_AFTER: "1"},
            )
        if right:
            return await handler(request)
        return web.Response(
            text="401: a user's name and password are needed.\n",
            status=401,
            headers={hdrs.WWW_AUTHENTICATE: _CHALLENGE},
        )

    return ask


def credentials(header: str) -> tuple[str, bytes] | None:
    """Name and password of an Authorization header (RFC 7617), if that is what it holds."""
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(token.strip(), validate=True).partition(b":")
        return (name.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None


def _add_headers(
    live: LiveWebConfig,
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    async def add(_: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(live.current.headers)

    return add


def _watching(
    live: LiveWebConfig, interval: float
) -> Callable[[web.Application], AsyncIterator[None]]:
    async def watch(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(live.watch(interval))
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    return watch
