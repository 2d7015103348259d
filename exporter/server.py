"""One CC-CMS server: its address and its settings. Frozen facts.

The configuration makes it, the client works by it. Two servers that are equal can share their
connections; one that differs in anything is another server.
"""

import ssl
import warnings
from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from exporter.begin_time import BeginTimeUnit
from exporter.endpoint import Endpoint, endpoint
from exporter.secret import Secret

SIGNED_HEADERS: Final = ("content-length", "content-type", "host")
"""The headers that CC-CMS's page signs."""
CC_IDS: Final = range(1, 65_536)
VDNS: Final = range(1, 5_001)
"""The vendor's bounds: *Querying Agent Rest Information*, request parameters."""
PAGE_SIZE: Final = 100
"""Rows of a page, the most that CTI 3.6 sends."""

CLOCKS_AGREE: Final = 2.0
"""Seconds: a `Date` header has whole seconds, and takes a while to arrive."""
CLOCKS_DIFFER: Final = 60.0
"""Seconds by which clocks may differ: as in the alert AgentRestClockSkew."""
EXPIRES_SOON: Final = 14 * 86_400.0
"""Seconds before a certificate expires: as in the alert AgentRestCertificateExpires."""

TLS_VERSIONS: Final = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


class SecretSource(Protocol):
    """Where a secret comes from. It can be read again, because files are rotated."""

    @property
    def loaded(self) -> Secret:
        """The secret as it was when the configuration was loaded."""
        ...

    def read(self) -> Secret:
        """The secret as it is now. Raises an error whose message does not contain it."""
        ...


class Api(StrEnum):
    """The two spellings of the interface: the last part of its path."""

    AGENT_REST_INFOS = "agentrestinfos"
    AGENT_REST_INFO = "agentrestinfo"
    """8.13 and earlier: no paging, no resultCode, lowercase keys."""

    @property
    def path(self) -> str:
        """The path below the server's URL."""
        return f"/rest/cmsapp/v1/openapi/agentgroup/{self.value}"


@dataclass(frozen=True, slots=True)
class Signature:
    """Sign every request with a pair of keys (C2, `auth-v2`).

    `signed_headers` are lowercase, sorted, and include `host`.
    """

    access_key: SecretSource
    secret_key: SecretSource
    signed_headers: tuple[str, ...] = SIGNED_HEADERS
    empty_query_line: bool = False
    """Sign an empty line where the query would be."""


@dataclass(frozen=True, slots=True)
class StaticAuthorization:
    """Send one `Authorization` header as it is: a token, or what a signing proxy issued."""

    value: SecretSource


Auth = Signature | StaticAuthorization | None


@dataclass(frozen=True, slots=True)
class Tls:
    """How to verify the server, and how this client identifies itself. Files are PEM."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None
    """The name in the server's certificate, for a URL with a bare IP address."""
    insecure_skip_verify: bool = False
    min_version: str | None = None
    """`TLS10` to `TLS13`; None for Python's default, TLS 1.2."""
    ciphers: str | None = None
    """OpenSSL's cipher string for versions up to 1.2; None for a default."""

    def set_protocol(self, context: ssl.SSLContext) -> None:
        """Set a context's versions and ciphers. Raises ValueError if OpenSSL does not know them."""
        ciphers = self.ciphers
        if self.min_version is not None:
            version = TLS_VERSIONS[self.min_version]
            with warnings.catch_warnings():
                # whoever names an old version knows that it is old
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version = version
            if ciphers is None and version < ssl.TLSVersion.TLSv1_2:
                # OpenSSL has none for them at its default security level
                ciphers = "DEFAULT:@SECLEVEL=0"
        if ciphers is not None:
            try:
                context.set_ciphers(ciphers)
            except (ssl.SSLError, ValueError):
                raise ValueError(
                    "OpenSSL knows none of these ciphers (those of TLS 1.3 are always on): write"
                    " names as `openssl ciphers` prints them, or a string such as"
                    " DEFAULT:@SECLEVEL=0"
                ) from None


@dataclass(frozen=True, slots=True)
class Server:
    """One CC-CMS server. Every default value of the configuration is here, and only here."""

    url: str
    """`http(s)://host[:port][/prefix]`. Normalized: lowercase, no slash at its end."""
    _: KW_ONLY
    name: str = ""
    """The label `cms`, unique among the servers."""
    auth: Auth = None
    """None sends no Authorization header."""
    api: Api = Api.AGENT_REST_INFOS
    page_size: int | None = None
    """Rows in a page for CTI 3.6; None where the server sends all rows at once."""
    interval: float = 30.0
    """Seconds between two polls of a target."""
    timeout: float = 10.0
    """Seconds for one poll, all its pages."""
    max_concurrency: int = 8
    """Polls in flight."""
    max_requests_per_second: float | None = None
    """None for no limit."""
    begin_time_unit: BeginTimeUnit = BeginTimeUnit.AUTO
    rest_bounds: tuple[float, ...] = ()
    """Seconds, ascending: how many agents rest longer than each is counted."""
    tls: Tls = field(default_factory=Tls)
    proxy_url: SecretSource | None = None
    """None leaves it to the environment."""
    headers: tuple[tuple[str, SecretSource], ...] = ()
    """Further headers, names in lowercase."""
    host: str | None = None
    """What is sent and signed as `Host`; None for host and port of the URL."""
    fingerprint: str = ""
    """A digest of the files that it names: a server whose key was rotated is another server."""

    endpoint: Endpoint = field(init=False, repr=False, compare=False)
    """The parts of the URL: whether it is https, host, port, path."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "endpoint", endpoint(self.url))
        object.__setattr__(self, "url", self.endpoint.url)

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        return self.endpoint.address

    @property
    def host_header(self) -> str:
        """What is sent and signed as `Host`."""
        return self.host or self.endpoint.authority
