"""Failures of TLS: which of its many causes it was, and which option helps.

OpenSSL's words for an error name the symptom. The alert handshake_failure has two causes:
before version and cipher are agreed on there is none in common; after that, a server up to TLS 1.2
has waited for a client certificate.
"""

import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp

from exporter.cms.connections import Exchange, Phase
from exporter.cms.foreign_text import ForeignText
from exporter.cms.proxy import ChosenProxy
from exporter.cms.tls import date_of, handshake_of
from exporter.endpoint import is_address
from exporter.errors import Clue, PollError, Reason
from exporter.server import Server, Tls

_SELF_SIGNED: Final = 18
_UNTRUSTED: Final = frozenset({19, 20, 21})
"""X509_V_ERR_…: self-signed in chain, no issuer found, no chain to verify."""
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_OTHER_NAME: Final = frozenset({62, 63, 64})
_TOO_WEAK: Final = frozenset({66, 67, 68})
"""The server's key, a CA's key, a CA's digest."""
_NOT_ACCEPTED: Final = {
    7: (
        "does not match its CA",
        "tls.ca_file has a CA of that name with another key: set it to the present one",
    ),
    24: ("is signed by a certificate that is not a CA's", "have it issued by a CA"),
    25: ("is signed through more CAs than one of them allows", "have it issued by another CA"),
    26: ("is not for servers (its extended key usage)", "have it issued for a server"),
    34: ("has a critical extension that OpenSSL does not know", "have it issued without"),
    47: ("is for a name that its CA must not sign", "have it issued by another CA"),
    79: ("is signed by a certificate that is not a CA's", "have it issued by a CA"),
}
"""By the code of OpenSSL: what is wrong with a certificate, and the remedy."""

_NO_TLS: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
)
_NO_COMMON_VERSION: Final = frozenset(
    {"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"}
)
_NO_COMMON_CIPHER: Final = frozenset(
    {
        "DH_KEY_TOO_SMALL",
        "TLSV1_ALERT_INSUFFICIENT_SECURITY",
        "WRONG_SIGNATURE_TYPE",
        "NO_CIPHERS_AVAILABLE",
    }
)
_ALERTS_OF_CLIENT_CERTIFICATES: Final = frozenset(
    # up to TLS 1.2 there is no separate alert for a certificate that was not sent
    {"SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_UNKNOWN_CA"}
)
_ALERT: Final = re.compile("(SSLV3|TLSV1|TLSV13)_(ALERT_)?")
_NAMES_SHOWN: Final = 5
_COUNTING_NAMES: Final = frozenset({"DNS", "IP Address"})
"""The types of subjectAltName that a connection is checked against. Others need not be text."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom a TLS handshake is with: the server, or the proxy in front of it."""

    address: str
    """For messages."""
    name: str
    """What its certificate must be for."""
    tls: Tls
    uses_tls: bool
    """Whether its URL is https."""
    proxy_origin: str = ""
    """Where a proxy's address is configured; empty for a server."""

    @classmethod
    def server(cls, server: Server) -> "Peer":
        """The server itself."""
        name = server.tls.server_name or server.endpoint.server_name
        return cls(server.address, name, server.tls, server.endpoint.tls)

    @classmethod
    def proxy(cls, proxy: ChosenProxy, server: Server) -> "Peer":
        """A server's proxy: all options of `tls` apply to it, except `server_name`."""
        name = proxy.endpoint.server_name
        return cls(f"the proxy {proxy}", name, server.tls, proxy.endpoint.tls, proxy.origin)

    @classmethod
    def last(cls, server: Server, proxy: ChosenProxy | None) -> "Peer":
        """The one that requests are encrypted for: the proxy, if it gets them for an http URL."""
        if proxy is None or server.endpoint.tls:
            return cls.server(server)
        return cls.proxy(proxy, server)

    def __str__(self) -> str:
        return self.address

    @property
    def key(self) -> str:
        """Where its address is configured."""
        return self.proxy_origin or "url"

    def ask_for(self, name: str) -> str:
        """How to ask it for another name."""
        if self.proxy_origin:
            return f"write {name} into {self.proxy_origin}"
        return f"set tls.server_name to {name}"


def of_causes(
    causes: Sequence[BaseException],
    peer: Peer,
    exchange: Exchange,
    now: float,
    foreign: ForeignText,
) -> PollError | None:
    """The failure, or None if it is not one of TLS.

    `causes` are the error, and what caused it; `now` is in epoch seconds by this host's clock.
    """
    for cause in causes:
        # aiohttp's own certificate errors are SSLErrors by name, and have none of their facts
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, aiohttp.ClientError):
            if isinstance(cause, ssl.SSLCertVerificationError):
                return _certificate(cause, peer, now, foreign)
            return _handshake(cause, peer, exchange)
    reset = any(isinstance(cause, aiohttp.ClientConnectionResetError) for cause in causes)
    if reset and peer.uses_tls:
        # TLS 1.3 refuses a client certificate when the handshake has just ended; uvloop closes
        # the connection then, and the alert with the reason is lost
        return _failure(
            f"{peer} closed the connection right after the TLS handshake: if it requires "
            f"a client certificate, {set_certificate(peer.tls)}",
            Clue.CERTIFICATE,
        )
    return None


def of_hang_up(peer: Peer) -> PollError:
    """A connection that ended during the handshake without an alert."""
    return _failure(
        f"{peer} closed the connection during the TLS handshake: check the port in {peer.key}, "
        "its TLS versions and ciphers (tls.min_version, tls.ciphers), and whether it requires a "
        "client certificate (tls.cert_file)",
        Clue.OLD_TLS,
    )


def _failure(message: str, clue: Clue | None = None) -> PollError:
    return PollError(Reason.TLS, message, clue=clue)


def _certificate(  # noqa: PLR0911  # a sentence for each cause
    error: ssl.SSLCertVerificationError, peer: Peer, now: float, foreign: ForeignText
) -> PollError:
    code = error.verify_code
    chain = handshake_of(error).certificates
    if code == _SELF_SIGNED:
        return _failure(
            f"the certificate of {peer} is self-signed: set tls.ca_file to this certificate",
            Clue.UNKNOWN_CA,
        )
    if code in _UNTRUSTED:
        issuer = _name(chain[-1], "issuer", foreign) if chain else ""
        by = f"an unknown CA, {issuer}" if issuer else "an unknown CA"
        remedy = "set tls.ca_file to its CA"
        if peer.tls.ca_file:
            remedy = "add its CA to tls.ca_file, or let the server send all certificates in between"
        return _failure(f"the certificate of {peer} is signed by {by}: {remedy}", Clue.UNKNOWN_CA)
    if code in _OTHER_NAME:
        return _other_name(chain[0] if chain else {}, peer, foreign)
    if code in _NOT_ACCEPTED:
        wrong, remedy = _NOT_ACCEPTED[code]
        return _failure(f"the certificate of {peer} {wrong}: {remedy}", Clue.CERTIFICATE)
    if code == _EXPIRED:
        whose, date = _first(chain, "notAfter", lambda end: end < now)
        expired = f"expired on {date}" if date else "has expired"
        return _failure(
            f"{whose} of {peer} {expired}: renew it, or correct this host's clock if that is ahead",
            Clue.CERTIFICATE,
        )
    if code == _NOT_YET_VALID:
        whose, date = _first(chain, "notBefore", lambda start: start > now)
        valid = f"is not valid before {date}" if date else "is not valid yet"
        return _failure(
            f"{whose} of {peer} {valid}: correct this host's clock if that is behind, or renew the "
            "certificate",
            Clue.CERTIFICATE,
        )
    if code in _TOO_WEAK:
        return _failure(
            f"the certificate of {peer} is too weak for this host's OpenSSL "
            f"({error.verify_message}): renew it, or set tls.ciphers to DEFAULT:@SECLEVEL=0",
            Clue.CERTIFICATE,
        )
    return _failure(
        f"the certificate of {peer} was not accepted ({error.verify_message}): check tls.ca_file",
        Clue.CERTIFICATE,
    )


def _first(
    chain: Sequence[Mapping[str, Any]], key: str, wrong: Callable[[float], bool]
) -> tuple[str, str]:
    """Which certificate of a chain has a date that is wrong, and the date if it was received."""
    dates = [date_of(certificate, key) for certificate in chain]
    for index, seconds in enumerate(dates):
        if seconds is not None and wrong(seconds):
            return ("a CA certificate" if index else "the certificate"), _date(seconds)
    if None in dates:
        return "a certificate", ""
    # the root, which servers do not send
    return ("the CA certificate (see tls.ca_file)" if chain else "the certificate"), ""


def _other_name(certificate: Mapping[str, Any], peer: Peer, foreign: ForeignText) -> PollError:
    alternatives = certificate.get("subjectAltName", ())
    names = [name for kind, name in alternatives if kind in _COUNTING_NAMES]
    # together: what is a secret may be in several
    shown = foreign.sentence(", ".join(names[:_NAMES_SHOWN]))
    if is_address(peer.name) and ("DNS", peer.name) in alternatives:
        return _failure(
            f"the certificate of {peer} has the address {peer.name} as a name of type DNS, "
            f"where only one of type IP counts: renew it with IP:{peer.name}, or use a host name "
            f"in {peer.key}",
            Clue.CERTIFICATE,
        )
    if names:
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        for_names = f"for {shown}{more}, and not for" if shown else "not for"
        return _failure(
            f"the certificate of {peer} is {for_names} {peer.name}: "
            f"{peer.ask_for('a name in the certificate')}",
            Clue.OTHER_NAME,
        )
    of_type = " of type DNS or IP" if alternatives else ""
    common = _name(certificate, "subject", foreign)
    without = f", only the common name {common}," if common else ""
    return _failure(
        f"the certificate of {peer} is not for {peer.name}: it has no subjectAltName"
        f"{of_type}{without} and needs one; renew it",
        Clue.CERTIFICATE,
    )


def _name(certificate: Mapping[str, Any], whose: str, foreign: ForeignText) -> str:
    """The common name of a certificate's subject or issuer, or its organization."""
    parts = {key: value for part in certificate.get(whose, ()) for key, value in part}
    return foreign.sentence(parts.get("commonName") or parts.get("organizationName") or "")


def _date(epoch_seconds: float) -> str:
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _handshake(  # noqa: PLR0911  # a sentence for each cause
    error: ssl.SSLError, peer: Peer, exchange: Exchange
) -> PollError:
    reason = error.reason or ""
    refused = reason in _ALERTS_OF_CLIENT_CERTIFICATES
    if reason == "UNEXPECTED_EOF_WHILE_READING" or isinstance(error, ssl.SSLZeroReturnError):
        return of_hang_up(peer)
    if exchange.phase is Phase.ASKED and "ALERT" not in reason and "CERTIFICATE" not in reason:
        return _failure(
            f"the TLS connection to {peer} broke after the handshake ({_plain(reason)}): look for "
            "a gateway or firewall that alters what is sent"
        )
    if reason in _NO_TLS:
        return _failure(
            f"{peer} does not use TLS: check the port in {peer.key}, or use http://",
            Clue.PLAIN_HTTP,
        )
    if reason in _NO_COMMON_VERSION:
        return _failure(
            f"{peer} supports no TLS version that this host allows: {_older_versions(peer.tls)}",
            Clue.OLD_TLS,
        )
    if reason in _NO_COMMON_CIPHER or (refused and not handshake_of(error).negotiated):
        return _failure(
            f"{peer} supports no TLS cipher that this host allows: {_older_ciphers(peer.tls)}",
            Clue.OLD_TLS,
        )
    if reason == "UNSAFE_LEGACY_RENEGOTIATION_DISABLED":
        return _failure(
            f"{peer} does not support secure renegotiation (RFC 5746), which this host's OpenSSL "
            "requires: update the server, or put a gateway in front of it"
        )
    if refused or "ALERT" in reason or "CERTIFICATE" in reason or "UNRECOGNIZED" in reason:
        return _alert(reason, peer)
    return _failure(
        f"no TLS connection to {peer} ({_plain(reason)}): check the port in {peer.key}, and "
        "tls.min_version and tls.ciphers",
        Clue.OLD_TLS,
    )


def _alert(reason: str, peer: Peer) -> PollError:
    """What a server says before it breaks off."""
    if reason == "TLSV1_UNRECOGNIZED_NAME":
        return _failure(
            f"{peer} does not serve the name {peer.name}: {peer.ask_for('one that it serves')}",
            Clue.OTHER_NAME,
        )
    if reason == "SSLV3_ALERT_CERTIFICATE_EXPIRED":
        return _failure(
            f"{peer} refuses the client certificate, which has expired: renew tls.cert_file",
            Clue.CERTIFICATE,
        )
    if reason in _ALERTS_OF_CLIENT_CERTIFICATES or "CERTIFICATE" in reason:
        return _failure(
            f"{peer} requires a client certificate: {set_certificate(peer.tls)}",
            Clue.CERTIFICATE,
        )
    wanted = f"name in {peer.proxy_origin}" if peer.proxy_origin else "tls.server_name"
    return _failure(
        f"{peer} broke off the TLS handshake ({_plain(reason)}): check its log; it may "
        f"refuse this host, or want another {wanted}"
    )


def _plain(reason: str) -> str:
    """OpenSSL's name for an error in words: `TLSV1_ALERT_INTERNAL_ERROR` is an internal error."""
    return _ALERT.sub("", reason).lower().replace("_", " ") or "OpenSSL gives no reason"


def _older_versions(tls: Tls) -> str:
    if tls.min_version not in {None, "TLS10"}:
        return f"lower tls.min_version, which is {tls.min_version}"
    return (
        "if it is an old server, set tls.min_version to TLS10 and tls.ciphers to "
        "DEFAULT:@SECLEVEL=0"
    )


def _older_ciphers(tls: Tls) -> str:
    if tls.ciphers:
        return "change tls.ciphers, or remove it; for an old server DEFAULT:@SECLEVEL=0 allows most"
    return "if it is an old server, set tls.ciphers to DEFAULT:@SECLEVEL=0"


def set_certificate(tls: Tls) -> str:
    """What to do if a server requires a client certificate."""
    return "change tls.cert_file" if tls.cert_file else "set tls.cert_file"
