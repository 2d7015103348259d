"""Whether a password is right: bcrypt, off the event loop, and not again for each scrape.

Knows hashes and passwords. Knows nothing of HTTP.
"""

import asyncio
import hmac
from collections.abc import Callable, Mapping
from typing import Final

import bcrypt

from exporter.secret import Secret

_LONGEST: Final = 72
"""Bytes of a password that bcrypt looks at; the tools that make hashes ignore the rest."""
_MOST_WAITING: Final = 64

Compare = Callable[[bytes, bytes], bool]
"""Whether a password fits a hash; it takes its time, on purpose."""


class BusyError(Exception):
    """More passwords wait to be checked than can be checked in any useful time."""


class Passwords:
    """Checks one password at a time, and remembers the right one of each user.

    Only right ones are remembered, so that nobody who guesses can push them out. What is kept is a
    digest that means nothing outside of this process.

    Args:
        salt: random bytes of this process.
        compare: bcrypt's comparison.
        most_waiting: comparisons that may wait for their turn.
    """

    def __init__(
        self, salt: bytes, compare: Compare = bcrypt.checkpw, most_waiting: int = _MOST_WAITING
    ) -> None:
        self._salt = salt
        self._compare = compare
        self._most_waiting = most_waiting
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._right: dict[str, bytes] = {}

    async def right(self, users: Mapping[str, Secret], name: str, password: bytes) -> bool:
        """Whether `name` is a user whose password this is.

        An unknown user takes as long as a known one with a wrong password.

        Args:
            users: the hash of each user's password; at least one.
            name: as the client gives it.
            password: the same.

        Raises:
            BusyError: too many others wait.
        """
        password = password[:_LONGEST]
        hashed = (users.get(name) or self._stand_in(users, name)).reveal().encode()
        digest = self._digest(hashed + password)
        if self._remembers(users, name, digest):
            return True
        if self._waiting >= self._most_waiting:
            raise BusyError
        self._waiting += 1
        try:
            async with self._turn:
                # Prometheus' first scrapes come together: the first check serves the others.
                if self._remembers(users, name, digest):
                    return True
                fits = await asyncio.to_thread(self._fits, password, hashed)
        finally:
            self._waiting -= 1
        if fits and name in users:
            self._right = {user: kept for user, kept in self._right.items() if user in users}
            self._right[name] = digest
            return True
        return False

    def _remembers(self, users: Mapping[str, Secret], name: str, digest: bytes) -> bool:
        return name in users and hmac.compare_digest(self._right.get(name, b""), digest)

    def _stand_in(self, users: Mapping[str, Secret], name: str) -> Secret:
        """A known user's hash, always the same one for a name: of the same cost as theirs."""
        hashes = list(users.values())
        return hashes[int.from_bytes(self._digest(name.encode()), "big") % len(hashes)]

    def _fits(self, password: bytes, hashed: bytes) -> bool:
        try:
            return self._compare(password, hashed)
        except ValueError:  # releases of bcrypt differ in what they take at all
            return False

    def _digest(self, text: bytes) -> bytes:
        return hmac.digest(self._salt, text, "sha256")
