"""From a file's name to a web configuration, or to everything that is wrong with it.

Knows the order of the steps and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.config.files import UnreadableError, decode
from exporter.config.problems import ConfigError, Problem
from exporter.config.validation import validate
from exporter.config.yaml.document import Document, Place, parse
from exporter.secret import Secret
from exporter.webconfig.clients import ServerContext
from exporter.webconfig.headers import header_lines
from exporter.webconfig.reading import Reading, Seen
from exporter.webconfig.server_context import server_context
from exporter.webconfig.shape import HttpServer, TlsServer, WebFile
from exporter.webconfig.users import password_hashes


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What the file says, ready for use.

    Args:
        tls: None for plain HTTP.
        headers: name and value of each header that every answer carries.
        users: the bcrypt hash of each user's password; empty if everybody may read.
    """

    tls: ServerContext | None
    headers: tuple[tuple[str, str], ...]
    users: Mapping[str, Secret]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one reading.

    Args:
        config: None if there are problems.
        problems: everything that is wrong, in the order of file and line.
        seen: every file that was read or missed, as it was.
    """

    config: WebConfig | None
    problems: tuple[Problem, ...]
    seen: Seen


def load(path: Path) -> WebConfig:
    """The web configuration in a file; certificates and keys are read too.

    Args:
        path: as problems are to name it.

    Raises:
        ConfigError: with all problems at once.
    """
    attempt = attempt_to_load(path)
    if attempt.config is None:
        raise ConfigError(attempt.problems)
    return attempt.config


def attempt_to_load(path: Path) -> Attempt:
    """The same, with what there is to know in either case. It never raises."""
    reading = Reading(path)
    document = _document(path, reading)
    config = None if document is None else _config(document, reading)
    if reading.problems:
        return Attempt(None, ConfigError(reading.problems).problems, reading.seen)
    return Attempt(config, (), reading.seen)


def _document(path: Path, reading: Reading) -> Document | None:
    try:
        document = parse(str(path), decode(reading.read(path)))
    except UnreadableError as error:
        reading.problems.append(Problem(str(path), 1, 1, "", f"cannot be read: {error}"))
    except ConfigError as error:
        reading.problems.extend(error.problems)
    else:
        reading.problems.extend(document.problems)
        return document
    return None


def _config(document: Document, reading: Reading) -> WebConfig:
    top = Place(document)
    data, block = document.data, None
    if isinstance(data, dict) and isinstance(data.get("tls_server_config"), dict):
        # Checked by itself, so that the keys in it that are wrong are known one by one.
        data, block = {**data, "tls_server_config": None}, data["tls_server_config"]
    file = validate(WebFile, data, top, reading.problems).shape or WebFile()
    if "rate_limit" in file.model_fields_set:
        reading.say(
            top / "rate_limit",
            "has no meaning here: scrapes read what polls have left, and cost next to nothing",
            on_key=True,
        )
    http = file.http_server_config or HttpServer()
    place = top / "http_server_config"
    if http.http2:
        reading.say(place / "http2", "must be false or left out: HTTP/1.1 alone is spoken here")
    return WebConfig(
        _tls(block, top / "tls_server_config", reading),
        header_lines(http.headers, place / "headers", reading),
        password_hashes(file.basic_auth_users, top / "basic_auth_users", reading),
    )


def _tls(block: dict[str, object] | None, place: Place, reading: Reading) -> ServerContext | None:
    # `{}` is how generated files leave it out; keys without values are a template gone wrong.
    if not block:
        return None
    checked = validate(TlsServer, block, place, reading.problems)
    return server_context(checked.shape or TlsServer(), place, reading, checked.broken)
