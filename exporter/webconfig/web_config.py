"""From the file of `--web.config.file` to a web configuration, or to everything wrong with it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from exporter.config.files import Seen
from exporter.config.problems import ConfigError, did_you_mean, listed
from exporter.config.reader import Reader
from exporter.config.validation import Block, validate
from exporter.config.yaml_document import Document, Place
from exporter.secret import Secret
from exporter.webconfig.server_context import ServerContext, server_context
from exporter.webconfig.shape import HttpServer, TlsServer, WebFile

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
