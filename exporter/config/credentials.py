"""Secrets: where each one comes from, what it must look like, and which ones go together."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from exporter.config import model
from exporter.config.fields import is_one_line
from exporter.config.files import UnreadableError, decode, read_file
from exporter.config.reader import Reader
from exporter.config.validation import Block
from exporter.config.yaml_document import Place
from exporter.secret import Secret
from exporter.server import SIGNED_HEADERS, Auth, SecretSource, Signature, StaticAuthorization

_S = TypeVar("_S", bound=model.Shape)

_REFERENCE = re.compile(r"\$\{([^{}]*)\}")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# What the client sets itself.
_OWN_HEADERS = frozenset(
    {
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "transfer-encoding",
    }
)


Check = Callable[[str], object]
"""Whether a text can be used as a secret. Raises ValueError with a sentence without the secret."""


class SecretError(Exception):
    """A secret that cannot be read or used: a sentence without the secret."""


def check_text(text: str) -> None:
    """Any line of text, such as a secret key."""
    # Bytes of the environment that are not UTF-8 arrive as lone surrogates.
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("must be UTF-8 text")
    if not is_one_line(text):
        raise ValueError("must be one line without control characters")


def check_header(text: str) -> None:
    """The value of a header."""
    if not (text.isascii() and text.isprintable()):
        raise ValueError("must be plain ASCII without line breaks or control characters")


def check_access_key(text: str) -> None:
    """A part of the Authorization header."""
    check_header(text)
    if "/" in text or " " in text:
        raise ValueError(
            'must not contain "/" or spaces: they separate the parts of the Authorization header'
        )


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A secret in a file, which may be rotated while the program runs.

    Args:
        path: absolute.
        check: what the secret must look like each time.
        loaded: the secret as it was when the configuration was loaded.
    """

    path: Path
    check: Check
    loaded: Secret

    @classmethod
    def load(cls, path: Path, check: Check, read: Callable[[Path], bytes] = read_file) -> Self:
        """The secret in a file. Raises SecretError, which names the file, never the secret."""
        try:
            text = decode(read(path))
        except UnreadableError as error:
            problem = str(error)
        else:
            return cls(path, check, _usable(text, check, str(path)))
        raise SecretError(f"{path} cannot be read: {problem}")

    def read(self) -> Secret:
        """The secret as it is now. Raises SecretError."""
        return self.load(self.path, self.check).loaded


def from_value(value: Secret, check: Check, environ: Mapping[str, str]) -> Secret:
    """A value of the file: the value itself, or `${NAME}` from the environment.

    Raises:
        SecretError: if it cannot be used, the variable is unset or empty, its name is not valid, or
            `${` is only a part of the value.
    """
    text = value.reveal()
    reference = _REFERENCE.fullmatch(_without_newline(text))
    if reference:
        name = reference[1]
        if not (name.isascii() and name.isidentifier()):
            # not repeated: it may be a secret that looks like this by chance
            raise SecretError(
                "not a valid variable name: use letters, digits and _, not starting with a digit,"
                " as in ${NAME}"
            )
        origin = f"the environment variable {name}"
        if not environ.get(name):
            raise SecretError(f"{origin} is {'empty' if name in environ else 'not set'}")
        return _usable(environ[name], check, origin)
    if "${" in text:
        raise SecretError(
            "an environment variable must be the whole value: write ${NAME} and nothing else"
        )
    return _usable(text, check)


def _usable(text: str, check: Check, origin: str = "") -> Secret:
    """A secret, wherever it comes from: a newline at its end goes, other white space is refused."""
    text = _without_newline(text)
    problem = "must not be empty"
    if text != text.strip():
        problem = "must not begin or end with spaces, tabs or line breaks"
    elif text:
        try:
            check(text)
        except ValueError as error:
            problem = str(error)
        else:
            return Secret(text)
    # raised out here, so that no traceback leads to the text
    raise SecretError(f"{origin} {problem}".strip())


def _without_newline(text: str) -> str:
    """A text without the newline that editors, `echo` and YAML's blocks leave at its end."""
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def secret(block: Block[_S], key: str, check: Check) -> SecretSource | None:
    """The source of a secret that a mapping gives as `key` or as `key_file`, if it does."""
    place, origin = block.value_or_path(key)
    return None if origin is None else _source(origin, check, place, block.reader)


def _source(
    origin: Secret | Path, check: Check, place: Place, reader: Reader
) -> SecretSource | None:
    try:
        if isinstance(origin, Path):
            return SecretFile.load(origin, check, reader.read)
        return from_value(origin, check, reader.environ)
    except SecretError as error:
        reader.report(place, str(error))
    return None


def authentication(server: Block[model.Server]) -> Auth:
    """How requests are authorized; None if they are not, or if there are problems."""
    auth = server.shape.auth
    if auth is None:
        return None
    block = server.below("auth", auth)
    authorization = secret(block, "authorization", check_header)
    access_key = secret(block, "access_key", check_access_key)
    secret_key = secret(block, "secret_key", check_text)
    given = auth.model_fields_set
    if given & {"authorization", "authorization_file"}:
        for key in sorted(given - {"authorization", "authorization_file"}):
            block.report(key, "cannot be combined with authorization", on_key=True)
        return StaticAuthorization(authorization) if authorization else None
    headers = _signed_headers(block, server)
    if "auth" not in server.broken:
        for key in ("access_key", "secret_key"):
            if not given & {key, f"{key}_file"}:
                server.report(
                    "auth", f"{key} or {key}_file is required, unless authorization is used"
                )
    if access_key is None or secret_key is None:
        return None
    return Signature(access_key, secret_key, headers, auth.empty_query_line)


def further_headers(block: Block[model.Server]) -> tuple[tuple[str, SecretSource], ...]:
    """The additional headers of each request, in the order of the file."""
    place, reader = block.place / "headers", block.reader
    headers: dict[str, SecretSource] = {}
    for name, value in block.shape.headers.items():
        lower = name.lower()
        if not _TOKEN.fullmatch(name):
            reader.report(place / name, "not a valid header name", on_key=True)
        elif lower == "host":
            reader.report(place / name, "set host_header instead", on_key=True)
        elif lower in _OWN_HEADERS:
            reader.report(place / name, "the exporter sets this header itself", on_key=True)
        elif lower in headers:
            message = "duplicate header (names are case-insensitive)"
            reader.report(place / name, message, on_key=True)
        else:
            source = _source(value, check_header, place / name, reader)
            if source:
                headers[lower] = source
    return tuple(headers.items())


def _signed_headers(auth: Block[model.Auth], server: Block[model.Server]) -> tuple[str, ...]:
    if auth.shape.signed_headers is None:
        return SIGNED_HEADERS
    place, reader = auth.items("signed_headers"), auth.reader
    known = {*SIGNED_HEADERS, *map(str.lower, server.shape.headers)}
    names = [name.lower() for name in auth.shape.signed_headers]
    for index, name in enumerate(names):
        if name == "authorization":
            message = "cannot be signed: the Authorization header contains the signature"
            reader.report(place / index, message)
        elif name not in known and "headers" not in server.broken:
            message = f"must be {', '.join(SIGNED_HEADERS)}, or one of this server's headers"
            reader.report(place / index, message)
    if "host" not in names:
        reader.report(place, "must include host")
    return tuple(sorted(set(names)))
