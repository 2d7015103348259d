"""The web configuration at work: read again when it changes, kept when the change is no good.

Knows when to look and what to keep. Knows nothing of HTTP.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Self

from exporter.config.problems import ConfigError, Problem
from exporter.webconfig.reading import Seen, look
from exporter.webconfig.web_file import Attempt, WebConfig, attempt_to_load

_log: Final = logging.getLogger(__name__)

INTERVAL: Final = 1.0
"""Seconds between two looks at the files."""


class LiveWebConfig:
    """The web configuration of a file, and of the certificates that it names, as they are now.

    Args:
        path: the file, as problems are to name it.

    Attributes:
        current: what is at work.
        problems: what is wrong with the files, if they hold anything else than what is at work.
        tls: for the listening sockets, which keep it: each new connection gets the certificate,
            and everything else, that is then at work. None for plain HTTP.

    Raises:
        ConfigError: with all problems at once.
    """

    def __init__(self, path: Path) -> None:
        attempt = attempt_to_load(path)
        if attempt.config is None:
            raise ConfigError(attempt.problems)
        self.current: WebConfig = attempt.config
        self.problems: tuple[Problem, ...] = ()
        self.tls = None if self.current.tls is None else _LatestContext(self._context)
        self._path = path
        self._seen: Seen = attempt.seen
        self._one_at_a_time = asyncio.Lock()

    async def refresh(self) -> tuple[Problem, ...]:
        """Read the files now. Gives the problems that keep what they hold from being used."""
        async with self._one_at_a_time:
            attempt = await asyncio.to_thread(attempt_to_load, self._path)
            self._seen = attempt.seen
            self._take(attempt)
        return self.problems

    async def watch(
        self, interval: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Refresh whenever the content of a file has changed, until cancelled.

        A change counts once it was seen twice: half a file, or a certificate whose key is still
        on its way, is not worth a warning.

        Args:
            interval: seconds between two looks.
            sleep: waits for so many seconds.
        """
        before = self._seen
        while True:
            await sleep(interval)
            now = await asyncio.to_thread(look, self._seen)
            if now == before and now != self._seen:
                await self.refresh()
            before = now

    def _take(self, attempt: Attempt) -> None:
        config, self.problems = attempt.config, attempt.problems
        if config is not None and (config.tls is None) is not (self.tls is None):
            config, self.problems = None, (self._cannot_turn(),)
        file = {"file": str(self._path)}
        if config is None:
            _log.error(
                "the web configuration cannot be used: the one before stays at work",
                extra={"fields": file | {"problems": "; ".join(map(str, self.problems))}},
            )
        else:
            self.current = config
            _log.info("the web configuration was read again", extra={"fields": file})

    def _cannot_turn(self) -> Problem:
        message = (
            "cannot be added or taken away while the exporter runs: restart it,"
            " and change the scheme in Prometheus"
        )
        return Problem(str(self._path), 1, 1, "tls_server_config", message)

    def _context(self) -> ssl.SSLContext:
        context = self.current.tls
        assert context is not None, "whether there is TLS never changes"  # noqa: S101 - for mypy; `_take` sees to it
        return context


class _LatestContext(ssl.SSLContext):
    """Stands for another context, which is asked for anew at each handshake.

    Python's other way, a change of contexts when the client names a host, changes the certificate
    alone, and leaves versions and client certificates as they were.
    """

    _latest: Callable[[], ssl.SSLContext]

    def __new__(cls, latest: Callable[[], ssl.SSLContext]) -> Self:
        context = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        context._latest = latest
        return context

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - the signature is Python's
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """One connection, by the context that is now at work."""
        return self._latest().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
