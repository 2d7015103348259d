"""Verifying passwords: bcrypt, off the event loop, and not again for each scrape."""

import asyncio
import hmac
from collections.abc import Callable, Hashable, Mapping
from typing import Final

import bcrypt

from exporter.secret import Secret
from exporter.turns import Turns

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
