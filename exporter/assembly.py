"""From the configuration's words to those of the rooms that use them: servers, targets, clients.

The only place that knows both sides, so that neither the client nor the store depends on how a
file is written.
"""

from collections.abc import Mapping

from exporter.clock import Clock
from exporter.cms.client import CmsClient
from exporter.cms.server import Auth, Server, Signature, StaticAuthorization, Tls
from exporter.cms.transport import TlsFileError, Transport
from exporter.cms.wire import Api
from exporter.config import Config, ServerConfig, SignedAuth, StaticAuth
from exporter.rest import BeginTimeUnit
from exporter.store import Target, TargetKey


class AssemblyError(Exception):
    """A checked configuration names a file whose content cannot be used: one sentence."""


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


def client(config: ServerConfig, environ: Mapping[str, str], clock: Clock) -> CmsClient:
    """The client for one server.

    Args:
        config: of the server.
        environ: where a proxy is looked up if the configuration names none.
        clock: for signatures, the server's clock and the pace.

    Raises:
        AssemblyError: a certificate or key cannot be used.
        SecretError: a secret file has become unreadable since the configuration was checked.
    """
    facts = server(config)
    try:
        transport = Transport(facts, environ)
    except TlsFileError as error:
        raise AssemblyError(f"cms {config.name}: tls.{error.option}: {error.message}") from None
    return CmsClient(facts, transport, clock, renew_auth=lambda: _auth(config))


def server(config: ServerConfig) -> Server:
    """What the client must know of one server, its secrets read."""
    paged = config.cti_version == "3.6" and config.api == Api.AGENT_REST_INFOS
    return Server(
        name=config.name,
        url=config.url,
        auth=_auth(config),
        api=Api(config.api),
        page_size=config.page_size if paged else None,
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
        proxy_url=config.proxy_url.read() if config.proxy_url else None,
        headers=tuple((name.lower(), source.read()) for name, source in config.headers),
    )


def _auth(config: ServerConfig) -> Auth:
    match config.auth:
        case SignedAuth(access_key, secret_key, signed_headers):
            return Signature(access_key.read(), secret_key.read(), signed_headers)
        case StaticAuth(authorization):
            return StaticAuthorization(authorization.read())
        case None:
            return None
