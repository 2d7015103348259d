"""From the file of `--web.config.file` to the web configuration in use, or to all that is wrong.

It is loaded again when it has changed, and kept when the change is bad.
"""

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self, cast

from pydantic import Field

from exporter import log_messages
from exporter.config.files import Seen
from exporter.config.model import Shape
from exporter.config.problems import ConfigError, Problem, did_you_mean, listed
from exporter.config.reader import Reader
from exporter.config.validation import Block, validate
from exporter.config.yaml_document import Document, Place
from exporter.errors import internal_error
from exporter.secret import Secret
from exporter.webconfig.tls_server import ServerContext, TlsServer, server_context

ALLOWED_HEADERS: Final[dict[str, tuple[str, ...]]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
"""Each with the values that it may have, if these are few. As in exporter-toolkit, case matters."""

# Version, cost from 4 to 31, salt and hash. Version 2 without a letter is obsolete.
_BCRYPT: Final = re.compile(r"\$2[abxy]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")


class HttpServer(Shape):
    """What each response carries."""

    http2: bool = False
    # An empty value has a special meaning here.
    headers: dict[str, Any] = Field(default={})


class WebFile(Shape):
    """The whole file."""

    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer | None = None
    # Checked by hand, because a problem must not show what may be a password without its space.
    basic_auth_users: dict[str, Any] = Field(default={})
    rate_limit: Any = None


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What the file says, ready for use.

    Args:
        tls: None for plain HTTP.
        headers: name and value of each header that every response carries.
        users: the bcrypt hash of each user's password; empty if no password is required.
        seen: every file that was read.
    """

    tls: ServerContext | None
    headers: tuple[tuple[str, str], ...]
    users: Mapping[str, Secret]
    seen: Seen


def load_web_config(path: Path) -> WebConfig:
    """The web configuration in a file; certificates and keys are read too.

    Raises ConfigError with all problems at once.
    """
    reader = Reader(path)
    document = reader.document(path)
    config = _web_config(document, reader) if document else None
    if config is None or reader.problems:
        raise ConfigError(reader.problems, reader.seen)
    return config


def _web_config(document: Document, reader: Reader) -> WebConfig:
    top = Place(document)
    data, block = document.data, None
    if isinstance(data, dict) and isinstance(data.get("tls_server_config"), dict):
        # Checked separately, to know which of its keys are wrong.
        data, block = {**data, "tls_server_config": None}, data["tls_server_config"]
    whole = validate(WebFile, data, top, reader)
    file = whole.shape if whole else WebFile()
    if "rate_limit" in file.model_fields_set:
        message = "not supported: scrapes only read cached results"
        reader.report(top / "rate_limit", message, on_key=True)
    http = file.http_server_config or HttpServer()
    place = top / "http_server_config"
    if http.http2:
        message = "must be false or omitted: only HTTP/1.1 is supported"
        reader.report(place / "http2", message)
    tls = None
    if block:  # `{}` is how generated files omit it
        tls_place = top / "tls_server_config"
        checked = validate(TlsServer, block, tls_place, reader)
        tls = server_context(checked or Block(TlsServer(), tls_place, reader))
    headers = _headers(http.headers, place / "headers", reader)
    users = _users(file.basic_auth_users, top / "basic_auth_users", reader)
    return WebConfig(tls, headers, users, reader.seen)


def _headers(
    headers: Mapping[str, Any], place: Place, reader: Reader
) -> tuple[tuple[str, str], ...]:
    """Names and values to set. An empty value sets nothing."""
    lines = []
    for name, value in headers.items():
        # `X-XSS-Protection: 1` is common
        text = str(value) if type(value) is int else "" if value is None else value
        problem = _header_problem(name, text)
        if problem:
            reader.report(place / name, problem, on_key=name not in ALLOWED_HEADERS)
        elif text:
            lines.append((name, text))
    return tuple(lines)


def _header_problem(name: str, text: object) -> str | None:
    if name not in ALLOWED_HEADERS:
        meant = did_you_mean(name, ALLOWED_HEADERS)
        return (
            f"this header cannot be set here; allowed are {listed(ALLOWED_HEADERS, 'and')}{meant}"
        )
    if not isinstance(text, str):
        return "must be text"
    values = ALLOWED_HEADERS[name]
    if values and text not in values:
        return f"must be {' or '.join(values)}"
    if not (text.isascii() and text.isprintable()):
        return "must be plain ASCII without line breaks or control characters"
    return None


def _users(users: Mapping[str, Any], place: Place, reader: Reader) -> dict[str, Secret]:
    """The hash of each user's password."""
    hashes = {}
    for name, value in users.items():
        if ":" in name:
            message = (
                'user names must not contain ":"; put a space after the ":" that ends the name'
            )
        elif not isinstance(value, str) or not _BCRYPT.fullmatch(value):
            message = (
                "must be a bcrypt hash (create one with `htpasswd -nBC 10 NAME`), not a password"
            )
        else:
            hashes[name] = Secret(value)
            continue
        # Without the name: where the space after the colon is missing, it contains the password.
        problem = (place / name).problem(message)
        reader.problems.append(replace(problem, path="basic_auth_users"))
    return hashes


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
        self.tls: ssl.SSLContext | None = None
        if self.current.tls is not None:
            # never switched off while running
            self.tls = _LatestContext(lambda: cast("ssl.SSLContext", self.current.tls))
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
