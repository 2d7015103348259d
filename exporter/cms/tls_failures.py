"""The sentences for failures of TLS: which of its many causes it was, and which option helps."""

import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp

from exporter.cms.foreign_text import ForeignText
from exporter.cms.tls import handshake_of
from exporter.server import Server

_UNTRUSTED: Final = frozenset({18, 19, 20, 21})
"""X509_V_ERR_…: self-signed, self-signed in chain, no issuer found, no chain to verify."""
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_TOO_WEAK: Final = frozenset({66, 67, 68})
"""The end's key, a CA's key, a CA's digest."""
_OTHER_NAME: Final = frozenset({62, 63, 64})
_ALERTS_OF_CLIENT_CERTIFICATES: Final = frozenset(
    # up to TLS 1.2 there is no separate alert for a certificate that was not sent
    {"SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_UNKNOWN_CA"}
)

_NO_COMMON_VERSION: Final = frozenset({"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"})
_WEAK: Final = frozenset(
    {
        "DH_KEY_TOO_SMALL",
        "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
        "TLSV1_ALERT_INSUFFICIENT_SECURITY",
    }
)
_NAMES_SHOWN: Final = 5


def sentence(causes: Sequence[BaseException], server: Server, foreign: ForeignText) -> str | None:
    """The sentence for a failure of TLS, or None if it is another one.

    Args:
        causes: the error, and what caused it.
        server: that was asked.
        foreign: for the names in its certificate.
    """
    for cause in causes:
        # aiohttp's own certificate errors are SSLErrors by name, and have none of their facts
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, aiohttp.ClientError):
            if isinstance(cause, ssl.SSLCertVerificationError):
                return _certificate(cause, server, foreign)
            return _handshake(cause, server)
    reset = any(isinstance(cause, aiohttp.ClientConnectionResetError) for cause in causes)
    if reset and server.endpoint.tls:
        # TLS 1.3 refuses a client certificate when the handshake has just ended; uvloop closes
        # the connection then, and the alert with the reason is lost
        return (
            f"{server.address} closed the connection right after the TLS handshake: if it requires "
            f"a client certificate, {_set_certificate(server)}"
        )
    return None


def _certificate(error: ssl.SSLCertVerificationError, server: Server, foreign: ForeignText) -> str:
    peer = server.address
    chain = handshake_of(error).certificates
    code = error.verify_code
    if code in _UNTRUSTED:
        return f"the certificate of {peer} is signed by an unknown CA: set tls.ca_file to its CA"
    if code in {_EXPIRED, _NOT_YET_VALID}:
        return _dates(peer, chain, expired=code == _EXPIRED)
    if code in _OTHER_NAME:
        asked = server.tls.server_name or server.endpoint.host
        names = foreign.sentence(_names(chain[0])) if chain else ""
        if names:
            return (
                f"the certificate of {peer} is not for {asked} but for {names}: set "
                "tls.server_name to one of its names"
            )
        return f"the certificate of {peer} is not for {asked}, and names nothing: renew it"
    if code in _TOO_WEAK:
        return (
            f"the certificate of {peer} is too weak for this host's OpenSSL "
            f"({error.verify_message}): renew it, or set tls.ciphers to DEFAULT:@SECLEVEL=0"
        )
    return f"the certificate of {peer} was not accepted ({error.verify_message}): check tls.ca_file"


def _dates(peer: str, chain: Sequence[Mapping[str, Any]], *, expired: bool) -> str:
    if expired:
        ends = min((ssl.cert_time_to_seconds(each["notAfter"]) for each in chain), default=None)
        return (
            f"the certificate of {peer} expired{_on(ends)}: renew it, or correct this host's clock "
            "if it is wrong"
        )
    starts = max((ssl.cert_time_to_seconds(each["notBefore"]) for each in chain), default=None)
    return (
        f"the certificate of {peer} is not valid yet; it will be{_on(starts)}: correct this "
        "host's clock, or the certificate"
    )


def _on(epoch_seconds: float | None) -> str:
    if epoch_seconds is None:
        return ""
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime(" on %Y-%m-%d %H:%M UTC")


def _names(certificate: Mapping[str, Any]) -> str:
    """The names and addresses that a certificate is for, the first few."""
    names = [name for _, name in certificate.get("subjectAltName", ())]
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more


def _handshake(error: ssl.SSLError, server: Server) -> str:
    peer, reason = server.address, (error.reason or "")
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
        return f"{peer} does not use TLS: check the port in url, or use http://"
    if reason in _NO_COMMON_VERSION:
        return (
            f"{peer} supports no TLS version that this host allows: if it is an old server, set "
            "tls.min_version to TLS10 and tls.ciphers to DEFAULT:@SECLEVEL=0"
        )
    if reason in _WEAK or (
        reason in _ALERTS_OF_CLIENT_CERTIFICATES and not handshake_of(error).negotiated
    ):
        return (
            f"{peer} supports no TLS cipher that this host allows: if it is an old server, set "
            "tls.ciphers to DEFAULT:@SECLEVEL=0"
        )
    if reason == "TLSV1_UNRECOGNIZED_NAME":
        asked = server.tls.server_name or server.endpoint.host
        return f"{peer} does not know the name {asked}: set tls.server_name to the one that it has"
    if "CERTIFICATE" in reason or reason in _ALERTS_OF_CLIENT_CERTIFICATES:
        return f"{peer} requires a client certificate: {_set_certificate(server)}"
    return f"no TLS connection to {peer} ({reason or 'unknown'}): check the port and TLS versions"


def _set_certificate(server: Server) -> str:
    return "change tls.cert_file" if server.tls.cert_file else "set tls.cert_file"
