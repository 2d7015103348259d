"""`tls_server_config`: from the block of the file to a context, or to everything wrong with it."""

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Self

from exporter.config.files import UnreadableError
from exporter.config.pem import PemError, certificates, load_pair
from exporter.config.problems import did_you_mean, listed
from exporter.config.validation import Block
from exporter.config.yaml_document import Place
from exporter.secret import Secret
from exporter.webconfig.protocol import apply_protocol
from exporter.webconfig.shape import TlsServer

CLIENT_POLICIES: Final = {
    "NoClientCert": ssl.VerifyMode.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.VerifyMode.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.VerifyMode.CERT_REQUIRED,
}
_UNSAFE: Final = "accepts any self-signed certificate, so it protects nothing; use "
_UNSAFE_CLIENT_POLICIES: Final = {
    "RequestClientCert": f"{_UNSAFE}NoClientCert or VerifyClientCertIfGiven",
    "RequireAnyClientCert": f"{_UNSAFE}RequireAndVerifyClientCert",
    "RequireClientCert": f"{_UNSAFE}RequireAndVerifyClientCert",
}


class ServerContext(ssl.SSLContext):
    """A server's context that can check the names in a client's certificate.

    Attributes:
        allowed_sans: one of these must be a subject alternative name of a client's certificate,
            as `normalized` writes them; empty for any certificate that verifies.
    """

    allowed_sans: frozenset[str]

    def __new__(cls) -> Self:
        """One that does not ask for a certificate yet."""
        context = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        context.allowed_sans = frozenset()
        context.sslobject_class = _ServerSide
        return context


class _ServerSide(ssl.SSLObject):
    _refusal: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        # asyncio hangs up when this fails, and what OpenSSL has to say to the client ("certificate
        # required") stays unsent. Told to wait for more, it sends that first; then the client hangs
        # up, or the handshake times out.
        if self._refusal is not None:
            raise self._refusal
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as refusal:
            self._refusal = refusal
            raise ssl.SSLWantReadError from refusal
        self._check_names()

    def _check_names(self) -> None:
        context = self.context
        certificate = self.getpeercert()
        # Without one, the client policy has already decided.
        if certificate and isinstance(context, ServerContext) and context.allowed_sans:
            names = subject_alternative_names(certificate)
            if context.allowed_sans.isdisjoint(names):
                raise ssl.SSLCertVerificationError(
                    "none of the client certificate's names is in client_allowed_sans"
                )


def subject_alternative_names(certificate: Mapping[str, Any]) -> frozenset[str]:
    """DNS names, addresses, e-mail addresses and URIs; other kinds are left out.

    The certificate is as `SSLObject.getpeercert` gives it.
    """
    kinds = {"DNS", "IP Address", "email", "URI"}
    return normalized(name for kind, name in certificate.get("subjectAltName", ()) if kind in kinds)


def normalized(names: Iterable[str]) -> frozenset[str]:
    """Names to compare: an address has several spellings, everything else has one."""
    return frozenset(map(_one_spelling, names))


def _one_spelling(name: str) -> str:
    try:
        return str(ip_address(name))
    except ValueError:
        return name


def server_context(block: Block[TlsServer]) -> ServerContext:
    """A context that does as the block says; of no use if there are problems."""
    context = ServerContext()
    # No client of ours renegotiates, and each time would cost the server more than the client.
    context.options |= ssl.OP_NO_RENEGOTIATION
    _certificate(block, context)
    _clients(block, context)
    apply_protocol(block, context)
    return context


@dataclass(frozen=True, slots=True)
class _Pem:
    """A PEM text, and how to refer to it: by the name of its file, or by its place alone."""

    content: bytes
    place: Place
    name: str


def _given(block: Block[TlsServer], key: str) -> bool:
    """Whether the key or its `_file` is there, even if it is broken."""
    return not {key, f"{key}_file"}.isdisjoint(block.shape.model_fields_set | block.broken)


def _pem(block: Block[TlsServer], key: str) -> _Pem | None:
    """The content of `key` or `key_file`; None, and a problem, if it cannot be read."""
    place, origin = block.value_or_path(key)
    if isinstance(origin, Path):
        try:
            return _Pem(block.reader.read(origin), place, str(origin))
        except UnreadableError as error:
            block.reader.report(place, f"{origin} cannot be read: {error}")
            return None
    text = origin.reveal() if isinstance(origin, Secret) else origin
    return None if text is None else _Pem(text.encode(), place, "")


def _report(block: Block[TlsServer], pem: _Pem, error: PemError) -> None:
    block.reader.report(pem.place, f"{pem.name} {error}".strip())


def _certificate(block: Block[TlsServer], context: ServerContext) -> None:
    for key in ("cert", "key"):
        if not _given(block, key):
            block.reader.report(block.place, f"{key}_file or {key} is required")
    certificate, key_pem = _pem(block, "cert"), _pem(block, "key")
    if certificate is None or key_pem is None:
        return
    try:
        load_pair(context, certificate.content, key_pem.content)
    except PemError as error:
        _report(block, key_pem if error.of_key else certificate, error)


def _clients(block: Block[TlsServer], context: ServerContext) -> None:
    policy = _client_policy(block)
    authorities = _pem(block, "client_ca")
    if authorities is not None:
        try:
            context.load_verify_locations(cadata=certificates(authorities.content))
        except PemError as error:
            _report(block, authorities, error)
    if policy is None:
        return
    if policy is ssl.VerifyMode.CERT_NONE:
        for key in ("client_ca", "client_ca_file", "client_allowed_sans"):
            if getattr(block.shape, key):
                block.report(
                    key,
                    "has no effect unless client_auth_type is RequireAndVerifyClientCert"
                    " or VerifyClientCertIfGiven",
                    on_key=True,
                )
    elif not _given(block, "client_ca"):
        message = "requires client_ca_file or client_ca"
        block.report("client_auth_type", message)
    context.verify_mode = policy
    # As in Go, what is listed is trusted, whether it is a root, an intermediate or a client's own.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    context.allowed_sans = normalized(block.shape.client_allowed_sans)


def _client_policy(block: Block[TlsServer]) -> ssl.VerifyMode | None:
    """What is required of clients; None if there is a problem with it."""
    name = block.shape.client_auth_type
    if name is None:
        return None if "client_auth_type" in block.broken else ssl.VerifyMode.CERT_NONE
    policy = CLIENT_POLICIES.get(name)
    if policy is None:
        message = f"must be {listed(CLIENT_POLICIES)}{did_you_mean(name, CLIENT_POLICIES)}"
        if name in _UNSAFE_CLIENT_POLICIES:
            message = f"{name} {_UNSAFE_CLIENT_POLICIES[name]}"
        block.report("client_auth_type", message)
    return policy
