"""The web configuration in front of an application: passwords and headers.

TLS has been handled when a request arrives here. Passwords are verified by bcrypt, off the event
loop, and not again for each scrape.
"""

import asyncio
import base64
import hmac
import secrets
from collections.abc import Callable, Hashable, Mapping
from typing import Final

import bcrypt
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from exporter.secret import Secret
from exporter.turns import Turns
from exporter.webconfig.web_config import LiveWebConfig

OPEN_PATHS: Final = frozenset({"/-/healthy", "/-/ready"})
"""For orchestrators, which have no password."""

_CHALLENGE: Final = 'Basic realm="agent-rest-exporter", charset="UTF-8"'
_LONGEST: Final = 72
"""Bytes of a password that bcrypt uses; the tools that create hashes ignore the rest."""
_MOST_WAITING: Final = 64

Compare = Callable[[bytes, bytes], bool]
"""Whether a password matches a hash; slow on purpose."""


class BusyError(Exception):
    """More passwords are waiting to be verified than can be in any useful time."""


class Passwords:
    """Verifies one password at a time, and remembers the correct one of each user.

    Only correct ones are remembered, so that guesses cannot push them out. What is kept is a digest
    that means nothing outside of this process. Clients take turns: one that guesses without end
    delays another by one comparison, whether it waits for its answers or not.
    """

    def __init__(
        self, salt: bytes, compare: Compare = bcrypt.checkpw, most_waiting: int = _MOST_WAITING
    ) -> None:
        self._salt = salt
        self._compare = compare
        self._most_waiting = most_waiting
        self._turns = Turns()
        self._verified: dict[str, bytes] = {}

    async def verify(
        self, users: Mapping[str, Secret], name: str, password: bytes, client: Hashable = None
    ) -> bool:
        """Whether this is the password of a user called `name`.

        `users` has the hash of each user's password; at least one. An unknown user takes as long as
        a known one with a wrong password. Raises BusyError if too many others of this client wait.
        """
        password = password[:_LONGEST]
        hashed = (users.get(name) or self._stand_in(users, name)).reveal().encode()
        digest = self._digest(hashed + password)
        if self._remembers(users, name, digest):
            return True
        if self._turns.waiting[client] >= self._most_waiting:
            raise BusyError
        async with self._turns.turn(client):
            # Prometheus' first scrapes come together: the first check serves the others.
            if self._remembers(users, name, digest):
                return True
            check = asyncio.create_task(asyncio.to_thread(self._matches, password, hashed))
            try:
                matches = await asyncio.shield(check)
            except asyncio.CancelledError:
                # the thread goes on when the client hangs up, and so does its turn
                await asyncio.wait({check})
                raise
        if matches and name in users:
            self._verified = {user: kept for user, kept in self._verified.items() if user in users}
            self._verified[name] = digest
            return True
        return False

    def _remembers(self, users: Mapping[str, Secret], name: str, digest: bytes) -> bool:
        return name in users and hmac.compare_digest(self._verified.get(name, b""), digest)

    def _stand_in(self, users: Mapping[str, Secret], name: str) -> Secret:
        """A known user's hash, always the same one for a name: it costs as much as theirs."""
        hashes = list(users.values())
        return hashes[int.from_bytes(self._digest(name.encode()), "big") % len(hashes)]

    def _matches(self, password: bytes, hashed: bytes) -> bool:
        try:
            return self._compare(password, hashed)
        except ValueError:  # releases of bcrypt differ in what they accept
            return False

    def _digest(self, text: bytes) -> bytes:
        return hmac.digest(self._salt, text, "sha256")


def protect(
    app: web.Application, live: LiveWebConfig, *, passwords: Passwords | None = None
) -> None:
    """Put the web configuration in front of an application that has not been started.

    The application's own middlewares come after the password.
    """
    checker = passwords or Passwords(secrets.token_bytes(32))

    @web.middleware
    async def ask(request: web.Request, handler: Handler) -> web.StreamResponse:
        users = live.current.users
        if not users or request.path in OPEN_PATHS:
            return await handler(request)
        given = credentials(request.headers.get(hdrs.AUTHORIZATION, ""))
        try:
            client = getattr(request.protocol, "client", None)
            verified = given is not None and await checker.verify(users, *given, client)
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

    async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(live.current.headers)

    app.middlewares.insert(0, ask)
    app.on_response_prepare.append(add_headers)


def credentials(header: str) -> tuple[str, bytes] | None:
    """Name and password of an Authorization header (RFC 7617); None for any other header."""
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(token.strip(), validate=True).partition(b":")
        return (name.decode(), password) if colon else None
    except ValueError:
        return None
