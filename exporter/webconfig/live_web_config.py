"""The web configuration in use: loaded again when it has changed, kept when the change is bad."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Self

from exporter import log_messages
from exporter.config.problems import ConfigError, Problem
from exporter.errors import internal_error
from exporter.webconfig.web_file import WebConfig, load_web_config


class LiveWebConfig:
    """The web configuration of a file, and of the certificates that it names, as they are now.

    Args:
        path: the file, as problems are to name it.

    Attributes:
        current: what is in use.
        seen: what was read last, with or without success.
        tls: for the listening sockets, which keep it: each new connection gets the certificate,
            and everything else, that is then in use. None for plain HTTP.

    Raises:
        ConfigError: with all problems at once.
    """

    def __init__(self, path: Path) -> None:
        self.current: WebConfig = load_web_config(path)
        self.seen = self.current.seen
        self.tls = None if self.current.tls is None else _LatestContext(self._context)
        self._path = path
        self._one_at_a_time = asyncio.Lock()

    async def reload(self) -> None:
        """Load the file again. With problems, which are logged, the old one stays in use."""
        async with self._one_at_a_time:
            try:
                config = await asyncio.to_thread(load_web_config, self._path)
                self._keep_tls_on_or_off(config)
            except ConfigError as error:
                self.seen = error.seen
                self._keep("; ".join(map(str, error.problems)))
            except Exception as error:  # noqa: BLE001  # whatever it is, the old one stays
                # only another change is worth another try
                self.seen = await asyncio.to_thread(self.seen.look)
                self._keep(internal_error(error))
            else:
                self.current, self.seen = config, config.seen
                log_messages.WEB_CONFIG_RELOADED.log({"file": str(self._path)})

    def _keep(self, problems: str) -> None:
        fields = {"file": str(self._path), "problems": problems}
        log_messages.WEB_CONFIG_NOT_RELOADED.log(fields)

    def _keep_tls_on_or_off(self, config: WebConfig) -> None:
        if (config.tls is None) is not (self.tls is None):
            message = (
                "cannot be added or removed while the exporter is running: restart it, and change"
                " the scheme in Prometheus"
            )
            problem = Problem(str(self._path), 1, 1, "tls_server_config", message)
            raise ConfigError([problem], config.seen)

    def _context(self) -> ssl.SSLContext:
        context = self.current.tls
        assert context is not None, "TLS is never switched off while running"  # noqa: S101 - for mypy
        return context


class _LatestContext(ssl.SSLContext):
    """Stands for another context, which is looked up at each handshake.

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
        """One connection, by the context that is now in use."""
        return self._latest().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
