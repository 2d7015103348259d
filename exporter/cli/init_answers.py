"""What `init` is told about a server: by flags, and by answers at a terminal. Writes nothing.

Secrets are typed without being shown.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

import click

from exporter.cli.flags import refuse
from exporter.cli.target_flags import parse_cc_id
from exporter.cms.tls import TlsFileError, ssl_context
from exporter.config.credentials import (
    Check,
    SecretError,
    SecretFile,
    check_access_key,
    check_header,
    check_text,
    from_value,
)
from exporter.config.fields import parse_vdns, written_vdns
from exporter.config.files import UnreadableError, read_file
from exporter.endpoint import server_endpoint
from exporter.errors import Clue
from exporter.secret import Secret
from exporter.server import Auth, SecretSource, Server, Signature, StaticAuthorization, Tls

T = TypeVar("T")

_INTERFACE: Final = "rest/cmsapp"
_KEYS, _HEADER, _NONE = "keys", "header", "none"
_IN_PATHS: Final = "/%:@!$&'()*+,;=~-._"


@dataclass(frozen=True, slots=True)
class SecretAnswer:
    """A secret, and how the configuration refers to it."""

    key: str
    """Of `auth`: `secret_key_file`, or `secret_key` for a variable."""
    written: str
    """Its value in the configuration: a file's name, or `${NAME}`. Never the secret."""
    source: SecretSource
    new_file: Path | None = None
    """Where it has to be written first."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What is known before the server is asked: from flags, and from answers."""

    url: str = ""
    """As the configuration will have it, unless its scheme is a guess."""
    guess_scheme: bool = False
    """Whether no scheme was given."""
    name: str = ""
    """Of the server; empty for the default."""
    access_key: str = ""
    """Empty if requests are not signed."""
    secret: SecretAnswer | None = None
    """The secret key or the authorization, if there is one."""
    cc_id: int = 0
    vdns: tuple[int, ...] = ()
    """In the order in which they were named."""
    tls: Tls = field(default_factory=Tls)

    @property
    def missing(self) -> list[str]:
        """The flags of what is not known, and has no default."""
        needed = {"--url": self.url, "--cc-id": self.cc_id, "--vdn": self.vdns}
        return [flag for flag, value in needed.items() if not value]

    @property
    def auth(self) -> Auth:
        """How requests are authorized."""
        if self.secret is None:
            return None
        if self.access_key:
            return Signature(Secret(self.access_key), self.secret.source)
        return StaticAuthorization(self.secret.source)

    @property
    def server(self) -> Server:
        """The server as it is known so far."""
        server = Server(self.url, auth=self.auth, tls=self.tls)
        return replace(server, name=self.name or server.address)


def parse_numbers(text: str) -> tuple[int, ...]:
    """VDNs such as `7`, `1-40` or `1,5,9-12`. Raises ValueError with a sentence."""
    numbers: list[int] = []
    for part in map(str.strip, text.split(",")):
        try:
            numbers += parse_vdns(int(part) if part.isascii() and part.isdecimal() else part)
        except ValueError as error:
            raise ValueError(f"{text!r}: {error}") from None
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{text!r} names a VDN twice")
    return tuple(numbers)


def parse_access_key(text: str) -> str:
    """An access key that the configuration can contain. Raises ValueError with a sentence."""
    check_access_key(text)
    if "${" in text:
        raise ValueError("must not contain ${: in the configuration, it begins a variable")
    return text


def parse_ca_file(text: str) -> Path:
    """A file with a CA, absolute. Raises ValueError with a sentence."""
    path = Path(text.strip())
    if not path.is_file():
        raise ValueError(f"{path} is not a file")
    try:
        ssl_context(Tls(ca_file=path))
    except TlsFileError as error:
        raise ValueError(f"{path}: {error}") from None
    return path.absolute()


def tidy_url(text: str) -> tuple[str, bool]:
    """A URL as the configuration takes it, of what people paste, and whether its scheme is a guess.

    The interface's own path goes, and what cannot be in a path is percent-encoded. Raises
    ValueError with a sentence.
    """
    text = text.strip()
    guess = "://" not in text
    scheme, _, rest = (f"https://{text}" if guess else text).partition("://")
    authority, slash, path = rest.partition("/")
    path = path.partition(_INTERFACE)[0] if slash else ""
    path = quote(f"{slash}{path}", safe=_IN_PATHS + "?#").rstrip("/")
    return server_endpoint(f"{scheme}://{authority}{path}").url, guess


def from_file(key: str, path: Path, base: Path) -> SecretAnswer:
    """A secret that is in a file. Raises SecretError.

    `key` is one of `auth`, without `_file`; `base` is the folder of the configuration.
    """
    return SecretAnswer(
        f"{key}_file", relative(path, base), SecretFile.load(path.absolute(), _check(key))
    )


def from_variable(key: str, name: str) -> SecretAnswer:
    """A secret that is in the environment. Raises SecretError."""
    if not (name.isascii() and name.isidentifier()):
        raise SecretError(f"{name!r} is not a valid name of an environment variable")
    written = f"${{{name}}}"
    return SecretAnswer(key, written, from_value(Secret(written), _check(key), os.environ))


def _check(key: str) -> Check:
    return check_header if key == "authorization" else check_text


def relative(path: Path, base: Path) -> str:
    """A file as a configuration in a folder refers to it."""
    whole, folder = path.absolute(), base.absolute()
    return str(whole.relative_to(folder)) if whole.is_relative_to(folder) else str(whole)


def flag_value(flag: str, parse: Callable[[str], T], text: str) -> T:
    """The value of a flag. Raises click.UsageError, which names the flag."""
    try:
        return parse(text)
    except ValueError as error:
        refuse(f"{flag}: {error}")


def secret_flag(
    flags: Mapping[str, str | None], access_key: str, base: Path, *, terminal: bool
) -> SecretAnswer | None:
    """The secret that one of these flags names. Raises click.UsageError.

    None if init has to ask for it, or without a secret.
    """
    given = {flag: value for flag, value in flags.items() if value}
    if len(given) > 1:
        first, second, *_ = given
        refuse(f"{first} and {second} are both given: use one of them")
    if not given:
        if access_key and not terminal:
            refuse("--access-key: --secret-key-file or --secret-key-variable is required with it")
        return None
    ((flag, value),) = given.items()
    key = "secret_key" if flag.startswith("--secret-key") else "authorization"
    if key == "secret_key" and not access_key:
        refuse(f"{flag}: --access-key is required with it")
    if key == "authorization" and access_key:
        refuse(f"{flag} cannot be combined with --access-key")
    try:
        if flag.endswith("-variable"):
            return from_variable(key, value)
        return from_file(key, Path(value), base)
    except SecretError as error:
        refuse(f"{flag}: {error}")


def tls_flags(files: Mapping[str, str | None], server_name: str | None) -> Tls:
    """What the flags say about TLS; `files` are those of its keys. Raises click.UsageError."""
    if files["key_file"] and not files["cert_file"]:
        refuse("--tls.key-file requires --tls.cert-file")
    paths = {key: Path(file).absolute() for key, file in files.items() if file}
    for key, path in paths.items():
        try:
            read_file(path)
        except UnreadableError as error:
            refuse(f"{_tls_flag(key)}: {files[key]} cannot be read: {error}")
    tls = Tls(
        paths.get("ca_file"),
        paths.get("cert_file"),
        paths.get("key_file"),
        (server_name or "").strip() or None,
    )
    try:
        ssl_context(tls)
    except TlsFileError as error:
        refuse(f"{_tls_flag(error.option)}: {files[error.option]}: {error}")
    return tls


def _tls_flag(key: str) -> str:
    return f"--tls.{key.replace('_', '-')}"


def ask(base: Path, known: Answers) -> Answers:
    """Ask for everything. What is known, by flags or earlier answers, is the default."""
    url, guess = _valid(
        "URL of the server, such as https://10.22.26.181:28443", tidy_url, known.url or None
    )
    host = server_endpoint(url).host
    name = _valid("Name of the server, for the label cms", str.strip, known.name or host)
    access_key, secret = _authorization(name, base, known)
    cc_id = _valid("ID of the call center (ccId)", parse_cc_id, str(known.cc_id or 1))
    vdns = ",".join(written_vdns(known.vdns)) or None
    return Answers(
        url=url,
        guess_scheme=guess or (known.guess_scheme and known.url == url),
        name=name,
        access_key=access_key,
        secret=secret,
        cc_id=cc_id,
        vdns=_valid("VDNs, such as 1-40 or 1,5,9-12", parse_numbers, vdns),
        tls=known.tls,
    )


def ask_again(base: Path, answers: Answers, clue: Clue | None) -> Answers:
    """Ask for what would help; or, if nobody knows that, for everything.

    `clue` is that of the failure that these answers led to.
    """
    if clue is Clue.UNKNOWN_CA:
        file = _valid("File with that CA or certificate (PEM)", parse_ca_file)
        return replace(answers, tls=replace(answers.tls, ca_file=file))
    if clue is Clue.OTHER_NAME:
        name = _valid("Name in the certificate (tls.server_name)", str.strip)
        return replace(answers, tls=replace(answers.tls, server_name=name))
    return ask(base, answers)


def ask_secret(key: str, name: str, base: Path) -> SecretAnswer:
    """A secret, for a new file; or the one in that file, if it is there.

    `key` is one of `auth`, without `_file`; `base` is the folder of the configuration.
    """
    path = _secret_file(key, name, base)
    if path.exists():
        click.echo(f"The {_spoken(key)} is taken from {path}, which exists.")
        try:
            return from_file(key, path, base)
        except SecretError as error:
            refuse(str(error))
    question = f"{_spoken(key).capitalize()} (not shown; it goes to {path})"

    def typed(text: str) -> SecretAnswer:
        secret = from_value(Secret(text), _check(key), {})
        return SecretAnswer(f"{key}_file", relative(path, base), secret, path)

    return _valid(question, typed, hidden=True)


def _authorization(name: str, base: Path, known: Answers) -> tuple[str, SecretAnswer | None]:
    kinds = click.Choice((_KEYS, _HEADER, _NONE))
    default = _KEYS
    if not known.access_key and known.url:
        default = _HEADER if known.secret else _NONE
    kind = click.prompt("How requests are authorized", default=default, type=kinds)
    if kind == _NONE:
        return "", None
    access_key = ""
    if kind == _KEYS:
        access_key = _valid("Access key", parse_access_key, known.access_key or None)
    key = "secret_key" if kind == _KEYS else "authorization"
    same = known.secret is not None and known.secret.key.startswith(key)
    if same and click.confirm(f"Keep the {_spoken(key)}", default=True):
        return access_key, known.secret
    return access_key, ask_secret(key, name, base)


def _valid(
    question: str, parse: Callable[[str], T], default: str | None = None, *, hidden: bool = False
) -> T:
    """An answer that can be used: the question comes again until there is one."""

    def value(text: str) -> T:
        try:
            return parse(text)
        except (ValueError, SecretError) as error:
            raise click.UsageError(str(error)) from None

    found: T = click.prompt(
        question, default=default, value_proc=value, hide_input=hidden, show_default=not hidden
    )
    return found


def _secret_file(key: str, name: str, base: Path) -> Path:
    end = "sk" if key == "secret_key" else "authorization"
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)
    return base / "secrets" / f"{plain.lstrip('.')}-{end}"


def _spoken(key: str) -> str:
    return "secret key" if key == "secret_key" else "Authorization header"
