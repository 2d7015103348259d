"""The web configuration in front of an application: passwords and headers.

TLS has been handled when a request arrives here.
"""

import base64
import binascii
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from exporter.webconfig.live_web_config import LiveWebConfig
from exporter.webconfig.passwords import BusyError, Passwords

OPEN_PATHS: Final = frozenset({"/-/healthy", "/-/ready"})
"""For orchestrators, which have no password."""

_CHALLENGE: Final = 'Basic realm="agent-rest-exporter", charset="UTF-8"'


def protect(
    app: web.Application, live: LiveWebConfig, *, passwords: Passwords | None = None
) -> None:
    """Put the web configuration in front of an application that has not been started.

    The application's own middlewares come after the password.
    """
    checker = passwords or Passwords(secrets.token_bytes(32))
    app.middlewares.insert(0, _ask_for_password(live, checker))
    app.on_response_prepare.append(_add_headers(live))


def _ask_for_password(live: LiveWebConfig, passwords: Passwords) -> Middleware:
    @web.middleware
    async def ask(request: web.Request, handler: Handler) -> web.StreamResponse:
        users = live.current.users
        if not users or request.path in OPEN_PATHS:
            return await handler(request)
        given = credentials(request.headers.get(hdrs.AUTHORIZATION, ""))
        try:
            client = getattr(request.protocol, "client", None)
            verified = given is not None and await passwords.verify(users, *given, client)
        except BusyError:
            return web.Response(
                text="503: too many password checks are waiting; try again.\n",
                status=503,
                headers={hdrs.RETRY_AFTER: "1"},
            )
        if verified:
            return await handler(request)
        return web.Response(
            text="401: user name and password required.\n",
            status=401,
            headers={hdrs.WWW_AUTHENTICATE: _CHALLENGE},
        )

    return ask


def credentials(header: str) -> tuple[str, bytes] | None:
    """Name and password of an Authorization header (RFC 7617); None for any other header."""
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
