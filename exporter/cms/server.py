"""What the client must know of one CC-CMS server. Frozen facts."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from exporter.cms.wire import Api
from exporter.rest import BeginTimeUnit
from exporter.secret import Secret


@dataclass(frozen=True, slots=True)
class Signature:
    """Sign every request with a pair of keys (C2, `auth-v2`)."""

    access_key: Secret
    secret_key: Secret
    signed_headers: tuple[str, ...] = ("content-length", "content-type", "host")


@dataclass(frozen=True, slots=True)
class StaticAuthorization:
    """Send one `Authorization` header as it is: a token, or what a signing proxy gave out."""

    value: Secret


Auth = Signature | StaticAuthorization | None


@dataclass(frozen=True, slots=True)
class Tls:
    """How the server proves who it is, and how this client does. Files are PEM."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None
    """The name in the server's certificate, for a URL that holds a bare IP address."""
    insecure_skip_verify: bool = False


@dataclass(frozen=True, slots=True)
class Server:
    """One CC-CMS server: where it is, and how it wants to be asked."""

    url: str
    """Without a slash at its end."""
    auth: Auth = None
    api: Api = Api.AGENT_REST_INFOS
    page_size: int | None = None
    """Rows in a page for CTI 3.6; None where the server answers all rows at once."""
    timeout: float = 10.0
    """Seconds for one poll, all its pages."""
    max_concurrency: int = 8
    max_requests_per_second: float | None = None
    begin_time_unit: BeginTimeUnit = BeginTimeUnit.AUTO
    tls: Tls = field(default_factory=Tls)
    proxy_url: Secret | None = None
    headers: tuple[tuple[str, Secret], ...] = ()
    """Further headers, names in lower case."""
    name: str = ""
    """The label `cms`."""

    @property
    def address(self) -> str:
        """Host and port, for sentences."""
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
