"""Whose certificate is let in: names in a client's certificate, asked for at the handshake.

Knows certificates as Python's `ssl` shows them. Knows nothing of files.
"""

import ssl
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any, Self


class ServerContext(ssl.SSLContext):
    """A server's context that can ask more of a client's certificate than who signed it.

    Attributes:
        allowed_sans: one of these must be a subject alternative name of a client's certificate,
            as `written` writes them; empty for any certificate that verifies.
    """

    allowed_sans: frozenset[str]

    def __new__(cls) -> Self:
        """One that asks for no certificate yet."""
        context = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        context.allowed_sans = frozenset()
        context.sslobject_class = _ServerSide
        return context


class _ServerSide(ssl.SSLObject):
    _refusal: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        # asyncio hangs up when this fails, and what OpenSSL has to say to the client ("certificate
        # required") stays unsent. Told to wait for more, it sends that first; the client leaves
        # then, or the time for handshakes runs out.
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
        # Without one, the client policy has spoken already.
        if certificate and isinstance(context, ServerContext) and context.allowed_sans:
            names = subject_alternative_names(certificate)
            if context.allowed_sans.isdisjoint(names):
                raise ssl.SSLCertVerificationError(
                    "none of the client certificate's names is in client_allowed_sans"
                )


def subject_alternative_names(certificate: Mapping[str, Any]) -> frozenset[str]:
    """DNS names, addresses, e-mail addresses and URIs; other kinds are left out.

    Args:
        certificate: as `SSLObject.getpeercert` gives it.
    """
    kinds = {"DNS", "IP Address", "email", "URI"}
    return written(name for kind, name in certificate.get("subjectAltName", ()) if kind in kinds)


def written(names: Iterable[str]) -> frozenset[str]:
    """Names to be compared: an address has several spellings, everything else has one."""
    return frozenset(map(_one_spelling, names))


def _one_spelling(name: str) -> str:
    try:
        return str(ip_address(name))
    except ValueError:
        return name
