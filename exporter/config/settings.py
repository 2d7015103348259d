"""What the rest of the program gets: a checked configuration, with every default filled in.

Frozen data without a trace of the file's shape. Durations are seconds; paths are absolute; what a
key means stands in `model.py`, which users read too.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from exporter.config.secrets import SecretSource
from exporter.config.sources import Sources


@dataclass(frozen=True, slots=True)
class TargetConfig:
    """One VDN of one call center.

    Args:
        cc_id: 1 to 65535.
        vdn: 1 to 5000.
        name: the label `name`.
        labels: names and values, sorted by name.
        max_resting: what alert rules compare the resting agents with.
    """

    cc_id: int
    vdn: int
    name: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    max_resting: int | None = None


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """How to know the server, and to be known by it. The files were readable at load."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None
    insecure_skip_verify: bool = False


@dataclass(frozen=True, slots=True)
class SignedAuth:
    """Requests are signed (C2). Header names are lowercase, sorted, and hold `host`."""

    access_key: SecretSource
    secret_key: SecretSource
    signed_headers: tuple[str, ...] = ("content-length", "content-type", "host")


@dataclass(frozen=True, slots=True)
class StaticAuth:
    """One Authorization header for every request, sent as it is."""

    authorization: SecretSource


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """One CC-CMS server and its targets.

    Args:
        name: the label `cms`; no two servers share it.
        url: `http(s)://host[:port][/prefix]`, without a slash at its end.
        auth: None sends no Authorization header.
        api: the last step of the interface's path; `agentrestinfo` knows no pages.
        cti_version: `3.6` asks in pages, if `api` knows them.
        page_size: rows of a page.
        interval: seconds between two polls of a target.
        timeout: seconds of one poll with all its pages; below `interval`.
        stale_after: seconds after which the last success no longer counts.
        max_concurrency: requests in flight to this server.
        max_requests_per_second: None is no limit.
        begin_time_unit: the unit of `beginTime`.
        tls: all empty for an http url.
        proxy_url: None leaves it to the environment.
        headers: further headers, by their names as written.
        targets: in the order of the file, then of the target files.
    """

    name: str
    url: str
    auth: SignedAuth | StaticAuth | None = None
    api: Literal["agentrestinfos", "agentrestinfo"] = "agentrestinfos"
    cti_version: Literal["3.6", "3.8"] = "3.8"
    page_size: int = 100
    interval: float = 30.0
    timeout: float = 10.0
    stale_after: float = 90.0
    max_concurrency: int = 8
    max_requests_per_second: float | None = None
    begin_time_unit: Literal["auto", "s", "ms"] = "auto"
    tls: TlsConfig = field(default_factory=TlsConfig)
    proxy_url: SecretSource | None = None
    headers: tuple[tuple[str, SecretSource], ...] = ()
    targets: tuple[TargetConfig, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration.

    Args:
        servers: in the order of the file.
        sources: every file that was read or named, for a watch to follow.
        digest: SHA-256 in hex over the configuration and its target files; secrets and
            certificates are not part of it.
    """

    servers: tuple[ServerConfig, ...]
    sources: Sources
    digest: str
