"""From the configuration to clients, one for each server.

Until the configuration makes servers itself, it also translates.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from exporter.clock import Clock
from exporter.cms.client import CmsClient
from exporter.cms.tls import TlsFileError
from exporter.cms.transport import Transport
from exporter.config import Config, SecretError, ServerConfig, SignedAuth, Sources, StaticAuth
from exporter.rest import BeginTimeUnit
from exporter.server import Api, Auth, Server, Signature, StaticAuthorization, Tls
from exporter.store import Target, TargetKey


class BuildError(Exception):
    """A checked configuration names files whose content cannot be used: a sentence for each."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = tuple(sentences)


def clients(
    servers: Iterable[Server], environ: Mapping[str, str], clock: Clock
) -> dict[str, CmsClient]:
    """A client for each server, by its name. None has connected yet.

    Args:
        servers: what they poll.
        environ: where a proxy is looked up for servers without `proxy_url`.
        clock: for signatures and rate limits.

    Raises:
        BuildError: certificates, keys or secrets cannot be read.
    """
    made: dict[str, CmsClient] = {}
    wrong: list[str] = []
    for server in servers:
        try:
            made[server.name] = CmsClient(server, Transport(server, environ), clock)
        except TlsFileError as error:
            wrong.append(f"cms {server.name}: tls.{error.option}: {error.message}")
        except SecretError as error:
            wrong.append(f"cms {server.name}: {error}")
    if wrong:
        raise BuildError(wrong)
    return made


def targets(config: Config) -> list[Target]:
    """Every target of every server, in the order of the configuration."""
    return [
        Target(
            key=TargetKey(server.name, target.cc_id, target.vdn),
            name=target.name,
            labels=target.labels,
            max_resting=target.max_resting,
            stale_after=server.stale_after,
        )
        for server in config.servers
        for target in server.targets
    ]


def servers(config: Config) -> list[Server]:
    """Every server, in the order of the configuration."""
    return [server(each) for each in config.servers]


def server(config: ServerConfig) -> Server:
    """One server."""
    api = Api(config.api)
    paged = config.cti_version == "3.6" and api is Api.AGENT_REST_INFOS
    sources = [config.proxy_url, *(source for _, source in config.headers)]
    if isinstance(config.auth, SignedAuth):
        sources += [config.auth.access_key, config.auth.secret_key]
    if isinstance(config.auth, StaticAuth):
        sources.append(config.auth.authorization)
    files = [config.tls.ca_file, config.tls.cert_file, config.tls.key_file]
    files += [each.origin for each in sources if each and isinstance(each.origin, Path)]
    return Server(
        name=config.name,
        url=config.url,
        auth=_auth(config.auth),
        api=api,
        page_size=config.page_size if paged else None,
        interval=config.interval,
        timeout=config.timeout,
        max_concurrency=config.max_concurrency,
        max_requests_per_second=config.max_requests_per_second,
        begin_time_unit=BeginTimeUnit(config.begin_time_unit),
        tls=Tls(
            ca_file=config.tls.ca_file,
            cert_file=config.tls.cert_file,
            key_file=config.tls.key_file,
            server_name=config.tls.server_name,
            insecure_skip_verify=config.tls.insecure_skip_verify,
        ),
        proxy_url=config.proxy_url,
        headers=tuple((name.lower(), source) for name, source in config.headers),
        fingerprint=Sources(tuple(file for file in files if file)).fingerprint(),
    )


def _auth(sources: SignedAuth | StaticAuth | None) -> Auth:
    match sources:
        case SignedAuth(access_key, secret_key, signed_headers):
            return Signature(access_key, secret_key, signed_headers)
        case StaticAuth(authorization):
            return StaticAuthorization(authorization)
    return None
