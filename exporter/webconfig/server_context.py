"""`tls_server_config`: from the file's block to a context, or to everything that is wrong with it.

Knows who proves what to whom by which certificate. Knows nothing of sockets.
"""

import ssl
from collections.abc import Collection
from dataclasses import dataclass

from exporter.config.files import UnreadableError
from exporter.config.problems import did_you_mean
from exporter.config.yaml.document import Place
from exporter.secret import Secret
from exporter.webconfig import go_names
from exporter.webconfig.clients import ServerContext, written
from exporter.webconfig.pem import MaterialError, certificates, load_pair
from exporter.webconfig.protocol import settle
from exporter.webconfig.reading import Reading
from exporter.webconfig.shape import TlsServer


def server_context(
    tls: TlsServer, place: Place, reading: Reading, broken: Collection[str]
) -> ServerContext:
    """A context that does as the block says; of no use if problems were found.

    Args:
        tls: the block.
        place: of the block.
        reading: reads the files, and takes the problems.
        broken: keys of the block that have a problem already.
    """
    context = ServerContext()
    # No client of ours renegotiates, and each time would cost the server more than the client.
    context.options |= ssl.OP_NO_RENEGOTIATION
    block = _Block(tls, place, reading, frozenset(broken))
    _certificate(block, context)
    _clients(block, context)
    settle(tls, place, reading, context)
    return context


@dataclass(frozen=True, slots=True)
class _Pem:
    """A PEM text, and how to speak of it: by its file's name, or by its place alone."""

    content: bytes
    place: Place
    name: str


@dataclass(frozen=True, slots=True)
class _Block:
    """The block, with what is needed to read and to complain."""

    tls: TlsServer
    place: Place
    reading: Reading
    broken: frozenset[str]

    def given(self, key: str) -> bool:
        """Whether the key or its `_file` is there, be it broken."""
        return not {key, f"{key}_file"}.isdisjoint(self.tls.model_fields_set | self.broken)

    def pem(self, key: str) -> _Pem | None:
        """What `key` or `key_file` holds; None, and a problem, if it cannot be had."""
        inline: str | Secret | None = getattr(self.tls, key)
        file: str | None = getattr(self.tls, f"{key}_file")
        place = self.place / (key if file is None else f"{key}_file")
        if file is not None and inline is not None:
            self.reading.say(place, f"give {key} or {key}_file, not both", on_key=True)
        elif file is not None:
            path = self.reading.resolve(file)
            try:
                return _Pem(self.reading.read(path), place, str(path))
            except UnreadableError as error:
                self.reading.say(place, f"{path} cannot be read: {error}")
        elif inline is not None:
            text = inline.reveal() if isinstance(inline, Secret) else inline
            return _Pem(text.encode(), place, "")
        return None

    def complain(self, pem: _Pem, error: MaterialError) -> None:
        """Say what a PEM text does wrong."""
        self.reading.say(pem.place, f"{pem.name} {error}".strip())


def _certificate(block: _Block, context: ServerContext) -> None:
    for key in ("cert", "key"):
        if not block.given(key):
            block.reading.say(block.place, f"{key}_file or {key} must be given")
    certificate, key_pem = block.pem("cert"), block.pem("key")
    if certificate is None or key_pem is None:
        return
    try:
        load_pair(context, certificate.content, key_pem.content)
    except MaterialError as error:
        block.complain(key_pem if error.of_key else certificate, error)


def _clients(block: _Block, context: ServerContext) -> None:
    policy = _client_policy(block)
    authorities = block.pem("client_ca")
    if authorities is not None:
        try:
            context.load_verify_locations(cadata=certificates(authorities.content))
        except MaterialError as error:
            block.complain(authorities, error)
    if policy is None:
        return
    if policy is ssl.VerifyMode.CERT_NONE:
        for key in ("client_ca", "client_ca_file", "client_allowed_sans"):
            if getattr(block.tls, key):
                block.reading.say(
                    block.place / key,
                    "has no effect without client_auth_type RequireAndVerifyClientCert"
                    " or VerifyClientCertIfGiven",
                    on_key=True,
                )
    elif not block.given("client_ca"):
        block.reading.say(
            block.place / "client_auth_type", "needs client_ca_file or client_ca beside it"
        )
    context.verify_mode = policy
    # As in Go, what is listed is trusted, be it a root, an intermediate or a client's own.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    context.allowed_sans = written(block.tls.client_allowed_sans)


def _client_policy(block: _Block) -> ssl.VerifyMode | None:
    """What is asked of clients; None if that cannot be said."""
    name = block.tls.client_auth_type
    if name is None:
        return None if "client_auth_type" in block.broken else ssl.VerifyMode.CERT_NONE
    policy = go_names.CLIENT_POLICIES.get(name)
    if policy is None:
        *most, last = go_names.CLIENT_POLICIES
        meant = did_you_mean(name, go_names.CLIENT_POLICIES)
        block.reading.say(
            block.place / "client_auth_type",
            f"{name} {go_names.REFUSED_CLIENT_POLICIES[name]}"
            if name in go_names.REFUSED_CLIENT_POLICIES
            else f"must be {', '.join(most)} or {last}{meant}",
        )
    return policy
