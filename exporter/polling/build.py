"""From the configuration's words to those of the rooms that use them: servers, targets, clients.

The only place that knows both sides, so that neither the client nor the store depends on how a
file is written.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from exporter.clock import Clock
from exporter.cms.client import CmsClient
from exporter.cms.server import Auth, Server, Signature, StaticAuthorization, Tls
from exporter.cms.transport import TlsFileError, Transport
from exporter.cms.wire import Api
from exporter.config import Config, SecretError, ServerConfig, SignedAuth, Sources, StaticAuth
from exporter.rest import BeginTimeUnit
from exporter.store import Target, TargetKey


class AssemblyError(Exception):
    """A checked configuration names files whose content cannot be used: a sentence for each."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = tuple(sentences)


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


@dataclass(frozen=True, slots=True)
class Identity:
    """Everything of a server that its connections depend on. Equal ones can be shared."""

    server: Server
    certificates: str
    """A digest of the TLS files' contents."""
    auth: SignedAuth | StaticAuth | None
    """Where secrets are read again: the same secret in another file is rotated there."""


def identities(config: Config) -> dict[str, Identity]:
    """The identity of every server by its name, in the order of the configuration.

    Raises:
        AssemblyError: secrets can no longer be read.
    """
    found: dict[str, Identity] = {}
    wrong: list[str] = []
    for each in config.servers:
        files = (each.tls.ca_file, each.tls.cert_file, each.tls.key_file)
        certificates = Sources(tuple(file for file in files if file)).fingerprint()
        try:
            found[each.name] = Identity(server(each), certificates, each.auth)
        except SecretError as error:
            wrong.append(f"cms {each.name}: {error}")
    if wrong:
        raise AssemblyError(wrong)
    return found


def clients(
    identities: Iterable[Identity], environ: Mapping[str, str], clock: Clock
) -> dict[str, CmsClient]:
    """A client for each server, by its name. None has connected yet.

    Args:
        identities: of the servers.
        environ: where a proxy is looked up for servers that name none.
        clock: for signatures, the server's clock and the pace.

    Raises:
        AssemblyError: certificates or keys cannot be used.
    """
    made: dict[str, CmsClient] = {}
    wrong: list[str] = []
    for identity in identities:
        facts = identity.server
        try:
            transport = Transport(facts, environ)
        except TlsFileError as error:
            wrong.append(f"cms {facts.name}: tls.{error.option}: {error.message}")
        else:
            renew = partial(_auth, identity.auth)
            made[facts.name] = CmsClient(facts, transport, clock, renew_auth=renew)
    if wrong:
        raise AssemblyError(wrong)
    return made


def server(config: ServerConfig) -> Server:
    """What the client must know of one server, its secrets read."""
    api = Api(config.api)
    paged = config.cti_version == "3.6" and api is Api.AGENT_REST_INFOS
    return Server(
        name=config.name,
        url=config.url,
        auth=_auth(config.auth),
        api=api,
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


def _auth(sources: SignedAuth | StaticAuth | None) -> Auth:
    match sources:
        case SignedAuth(access_key, secret_key, signed_headers):
            return Signature(access_key.read(), secret_key.read(), signed_headers)
        case StaticAuth(authorization):
            return StaticAuthorization(authorization.read())
    return None
