"""The TLS settings of the connections to one server, from its files."""

import contextlib
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.cms.connections import Phase, current
from exporter.server import Tls


class TlsFileError(ValueError):
    """A file named under `tls` cannot be used, or its ciphers cannot; `option` is the key."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__(message)
        self.option = option


@dataclass(frozen=True, slots=True)
class Handshake:
    """What was known when a TLS handshake failed.

    The certificates were received in that handshake. No second connection is made to look at them,
    so nothing is ever sent to a server that is not trusted.
    """

    negotiated: bool
    """Whether version and cipher had been agreed on."""
    certificates: tuple[Mapping[str, Any], ...]
    """The server's chain, not verified, as `SSLSocket.getpeercert` describes certificates."""


def handshake_of(error: ssl.SSLError) -> Handshake:
    """What was known when a handshake failed with this error."""
    found = vars(error).get("handshake")
    return found if isinstance(found, Handshake) else Handshake(negotiated=True, certificates=())


class _Watched(ssl.SSLObject):
    """The TLS side of a connection, which keeps what is known when the handshake fails."""

    def do_handshake(self) -> None:
        """Take the next step of the handshake."""
        exchange = current.get()
        exchange.reached(Phase.HANDSHAKE)
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            chain = self._chain()
            exchange.certificate_expiry = _earliest_end(chain)
            vars(error)["handshake"] = Handshake(self.cipher() is not None, chain)
            raise
        exchange.certificate_expiry = _earliest_end(self._chain())

    def _chain(self) -> tuple[Mapping[str, Any], ...]:
        """The certificates that the server has sent, not verified; none if that is unknown."""
        # public only from Python 3.13 on, and without the contents
        with contextlib.suppress(AttributeError, ssl.SSLError, ValueError):
            received = self._sslobj.get_unverified_chain()  # type: ignore[attr-defined]
            return tuple(certificate.get_info() for certificate in received or ())
        return ()


def _earliest_end(chain: Iterable[Mapping[str, Any]]) -> float | None:
    """When the first of these certificates expires, in epoch seconds."""
    ends = (date_of(certificate, "notAfter") for certificate in chain)
    return min((end for end in ends if end is not None), default=None)


def date_of(certificate: Mapping[str, Any], key: str) -> float | None:
    """One of the dates of a certificate, in epoch seconds; None if it has none that can be read."""
    # a date that OpenSSL cannot write must not fail the poll
    with contextlib.suppress(KeyError, ValueError):
        return ssl.cert_time_to_seconds(certificate[key])
    return None


def ssl_context(tls: Tls) -> ssl.SSLContext:
    """A context for a client that verifies the server. Raises TlsFileError."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except (ssl.SSLError, OSError) as error:
        raise TlsFileError("ca_file", f"not a CA certificate in PEM: {_why(error)}") from None
    context.sslobject_class = _Watched
    try:
        tls.set_protocol(context)
    except ValueError as error:
        raise TlsFileError("ciphers", str(error)) from None
    # Python 3.13 began to refuse private CAs that lack an extension; older ones accept them
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    # and to trust what ca_file has without its own issuer, as curl does
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_file:
        _load_client_certificate(context, tls.cert_file, tls.key_file)
    return context


def _load_client_certificate(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    files = {"cert_file": cert} | ({"key_file": key} if key else {})
    for option, path in files.items():
        try:
            path.open("rb").close()
        except OSError as error:
            raise TlsFileError(option, f"cannot be read: {_why(error)}") from None
    try:
        # an empty password: an encrypted key must be an error, not a question on the terminal
        context.load_cert_chain(cert, key, password="")
    except (ssl.SSLError, OSError) as error:
        option = "key_file" if key else "cert_file"
        message = f"not a PEM client certificate with its matching key: {_why(error)}"
        raise TlsFileError(option, message) from None


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "a part is missing").lower().replace("_", " ")
    return error.strerror or type(error).__name__
