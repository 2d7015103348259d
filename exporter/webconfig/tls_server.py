"""`tls_server_config`: from the block of the file to a context, or to everything wrong with it.

TLS versions, cipher suites and curves have Go's names. The lists are those of Go's crypto/tls as
exporter-toolkit accepts them. What is not supported here has its own message.
"""

import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from exporter.config.fields import SecretText, Text
from exporter.config.files import UnreadableError
from exporter.config.model import Shape
from exporter.config.pem import PemError, certificates, load_pair
from exporter.config.problems import did_you_mean, listed
from exporter.config.reader import Reader
from exporter.config.validation import Block
from exporter.config.yaml_document import Place
from exporter.secret import Secret

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

VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_INSECURE_VERSIONS: Final = {"TLS10", "TLS11"}

_CIPHERS: Final = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
_TLS13_CIPHERS: Final = frozenset(
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
)
"""All of them are always enabled, in Go too."""
_CIPHERS_WITHOUT_FORWARD_SECRECY: Final = {
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
}

CURVES: Final = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}


class TlsServer(Shape):
    """The server's certificate, and what is required of clients."""

    cert_file: Text | None = None
    key_file: Text | None = None
    cert: Text | None = None
    key: SecretText | None = None
    client_auth_type: Text | None = None
    client_ca_file: Text | None = None
    client_ca: Text | None = None
    client_allowed_sans: list[Text] = Field(default=[])
    min_version: Text | None = None
    max_version: Text | None = None
    cipher_suites: list[Text] = Field(default=[])
    prefer_server_cipher_suites: bool = True
    curve_preferences: list[Text] = Field(default=[])


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


class ServerContext(ssl.SSLContext):
    """A server's context that can check the names in a client's certificate.

    Attributes:
        allowed_sans: one of these must be a subject alternative name of a client's certificate,
            as `normalized` writes them; empty for any certificate that verifies.
    """

    allowed_sans: frozenset[str] = frozenset()
    sslobject_class = _ServerSide


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
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    # No client of ours renegotiates, and each time would cost the server more than the client.
    context.options |= ssl.OP_NO_RENEGOTIATION
    _certificate(block, context)
    _clients(block, context)
    _protocol(block, context)
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


def _protocol(block: Block[TlsServer], context: ssl.SSLContext) -> None:
    lowest = _version(block, "min_version") or ssl.TLSVersion.TLSv1_2
    highest = _version(block, "max_version") or ssl.TLSVersion.TLSv1_3
    suites = block.shape.cipher_suites
    if suites and _TLS13_CIPHERS.issuperset(suites):
        if highest < ssl.TLSVersion.TLSv1_3:
            message = "must include a TLS 1.2 suite, because max_version is TLS12"
            block.report("cipher_suites", message)
        lowest = max(lowest, highest)
    if lowest > highest:
        block.report("min_version", "must not be higher than max_version")
    context.minimum_version, context.maximum_version = lowest, highest
    _cipher_suites(block, context)
    _curve(block, context)


def _version(block: Block[TlsServer], key: str) -> ssl.TLSVersion | None:
    name = getattr(block.shape, key)
    if name in _INSECURE_VERSIONS:
        block.report(key, f"{name} is not supported because it is insecure (RFC 8996); use TLS12")
    elif name is not None and name not in VERSIONS:
        block.report(key, f"must be {listed(VERSIONS)}")
    return VERSIONS.get(name)


def _cipher_suites(block: Block[TlsServer], context: ssl.SSLContext) -> None:
    tls, place, reader = block.shape, block.items("cipher_suites"), block.reader
    chosen = []
    for index, name in enumerate(tls.cipher_suites):
        if name in _CIPHERS_WITHOUT_FORWARD_SECRECY:
            message = (
                f"{name} is not supported because it lacks forward secrecy; use one of TLS_ECDHE_…"
            )
            reader.report(place / index, message)
        elif name in _CIPHERS:
            chosen.append(_CIPHERS[name])
        elif name not in _TLS13_CIPHERS:
            meant = did_you_mean(name, [*_CIPHERS, *_TLS13_CIPHERS])
            reader.report(place / index, f"unknown cipher suite{meant}")
    if chosen:
        _apply(context.set_ciphers, ":".join(chosen), place, reader)
    if tls.prefer_server_cipher_suites:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE


def _curve(block: Block[TlsServer], context: ssl.SSLContext) -> None:
    names = block.shape.curve_preferences
    place, reader = block.items("curve_preferences"), block.reader
    unknown = [index for index, name in enumerate(names) if name not in CURVES]
    for index in unknown:
        meant = did_you_mean(names[index], CURVES)
        reader.report(place / index, f"must be {listed(CURVES)}{meant}")
    if len(names) > 1 and not unknown:
        reader.report(
            place,
            "must contain only one curve, because Python's TLS has no order of curves;"
            " omit it to allow all of them",
        )
    elif names and not unknown:
        _apply(context.set_ecdh_curve, CURVES[names[0]], place, reader)


def _apply(setter: Callable[[str], None], value: str, place: Place, reader: Reader) -> None:
    try:
        setter(value)
    except (ssl.SSLError, ValueError):  # a build for FIPS lacks some
        reader.report(place, "not supported by this host's OpenSSL")
