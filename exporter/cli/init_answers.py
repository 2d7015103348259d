"""What `init` is told about a server, and the file that it makes of it. Writes nothing."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

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
from exporter.config.draft import Entry, Scalar, written
from exporter.config.fields import parse_vdns, written_vdns
from exporter.endpoint import server_endpoint
from exporter.inspection.survey import Found
from exporter.secret import Secret
from exporter.server import Api, Auth, SecretSource, Server, Signature, StaticAuthorization, Tls

_INTERFACE: Final = "/rest/cmsapp"
_IN_PATHS: Final = "/%:@!$&'()*+,;=~-._"
_HEAD: Final = (
    "Written by `agent-rest-exporter init`: the comments say what it found. All keys are explained "
    "in config.example.yaml. `agent-rest-exporter check` validates this file, and with --live it "
    "polls the server."
)
_UNKNOWN: Final = (
    "The server could not be polled when this was written, so api, cti_version and begin_time_unit "
    "are the defaults: correct this file until `agent-rest-exporter check --live` passes."
)
_LATER: Final = (
    Entry(
        "max_resting",
        20,
        "Limits for the alert rules: how many agents of a VDN may rest, and how long a rest "
        "and the wait for one may last.",
        active=False,
    ),
    Entry("max_rest", "45m", active=False),
    Entry("max_wait", "15m", active=False),
)


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
class Vdns:
    """VDNs of a call center, in the order in which they were named."""

    numbers: tuple[int, ...] = ()

    @property
    def typed(self) -> str:
        """As `parse_numbers` reads it."""
        return ",".join(written_vdns(self.numbers))

    @property
    def entry(self) -> str:
        """As the configuration has it."""
        parts = written_vdns(self.numbers)
        return parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"


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
    vdns: Vdns = Vdns()
    tls: Tls = field(default_factory=Tls)

    @property
    def missing(self) -> list[str]:
        """The flags of what is not known, and has no default."""
        needed = {"--url": self.url, "--cc-id": self.cc_id, "--vdn": self.vdns.numbers}
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


def parse_numbers(text: str) -> Vdns:
    """VDNs such as `7`, `1-40` or `1,5,9-12`. Raises ValueError with a sentence."""
    numbers: list[int] = []
    for part in map(str.strip, text.split(",")):
        try:
            numbers += parse_vdns(int(part) if part.isascii() and part.isdecimal() else part)
        except ValueError as error:
            raise ValueError(f"{text!r}: {error}") from None
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{text!r} names a VDN twice")
    return Vdns(tuple(numbers))


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
    path = path.partition(_INTERFACE.removeprefix("/"))[0] if slash else ""
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


def typed(key: str, text: str, path: Path, base: Path) -> SecretAnswer:
    """A secret that somebody has typed, to be written to a new file. Raises SecretError."""
    secret = from_value(Secret(text), _check(key), {})
    return SecretAnswer(f"{key}_file", relative(path, base), secret, path)


def _check(key: str) -> Check:
    return check_header if key == "authorization" else check_text


def relative(path: Path, base: Path) -> str:
    """A file as a configuration in a folder refers to it."""
    whole, folder = path.absolute(), base.absolute()
    return str(whole.relative_to(folder)) if whole.is_relative_to(folder) else str(whole)


def configuration(answers: Answers, found: Found, base: Path) -> str:
    """The text of the file, which is to be in the folder `base`."""
    server, reasons = found.server, found.reasons
    legacy = server.api is Api.AGENT_REST_INFO
    version = "3.8" if server.page_size is None else "3.6"
    entries: list[Entry] = [
        Entry("name", server.name),
        Entry("url", server.url, _sentence(reasons, "url")),
        *_auth(answers, server, reasons),
        *_tls(server, reasons, base),
    ]
    if server.host:
        entries.append(Entry("host_header", server.host, _sentence(reasons, "host_header")))
    entries.append(Entry("api", server.api.value, _sentence(reasons, "api")))
    if not legacy:
        entries.append(Entry("cti_version", version, _sentence(reasons, "cti_version")))
    unit = server.begin_time_unit.value
    entries += [
        Entry("begin_time_unit", unit, _sentence(reasons, "begin_time_unit")),
        Entry("interval", "30s", "How often each VDN is polled."),
        *_LATER,
        Entry("targets", [f"{{ccId: {answers.cc_id}, vdn: {answers.vdns.entry}}}"]),
    ]
    return written([_HEAD, *([_UNKNOWN] if found.error else [])], entries)


def _sentence(reasons: dict[str, str], option: str) -> str:
    reason = reasons.get(option, "")
    return f"{reason[:1].upper()}{reason[1:]}." if reason else ""


def _auth(answers: Answers, server: Server, reasons: dict[str, str]) -> Sequence[Entry]:
    secret = answers.secret
    if secret is None:
        return ()
    entries = [Entry(secret.key, secret.written)]
    if answers.access_key:
        entries.insert(0, Entry("access_key", answers.access_key))
    if isinstance(server.auth, Signature) and server.auth.empty_query_line:
        comment = _sentence(reasons, "empty_query_line")
        entries.append(Entry("empty_query_line", value=True, comment=comment))
    return (Entry("auth", tuple(entries)),)


def _tls(server: Server, reasons: dict[str, str], base: Path) -> Sequence[Entry]:
    tls = server.tls
    paths = {"ca_file": tls.ca_file, "cert_file": tls.cert_file, "key_file": tls.key_file}
    values: dict[str, Scalar | None] = {
        **{key: None if path is None else relative(path, base) for key, path in paths.items()},
        "server_name": tls.server_name,
        "min_version": tls.min_version,
        "ciphers": tls.ciphers,
    }
    entries = [Entry(key, value) for key, value in values.items() if value is not None]
    if not entries or not server.endpoint.tls:
        return ()
    return (Entry("tls", tuple(entries), _sentence(reasons, "tls")),)
