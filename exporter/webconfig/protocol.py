"""TLS versions, cipher suites and curves of the file, by Go's names, as settings of OpenSSL.

The lists are those of Go's crypto/tls as exporter-toolkit accepts them. What is not supported here
has its own message.
"""

import ssl
from collections.abc import Callable
from typing import Final

from exporter.config.problems import did_you_mean, listed
from exporter.config.reader import Reader
from exporter.config.validation import Block
from exporter.config.yaml_document import Place
from exporter.webconfig.shape import TlsServer

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


def apply_protocol(block: Block[TlsServer], context: ssl.SSLContext) -> None:
    """Set up a context as the block says, and report what is not possible."""
    tls, place, reader = block.shape, block.place, block.reader
    lowest = _version(tls.min_version, place / "min_version", reader) or ssl.TLSVersion.TLSv1_2
    highest = _version(tls.max_version, place / "max_version", reader) or ssl.TLSVersion.TLSv1_3
    if tls.cipher_suites and _TLS13_CIPHERS.issuperset(tls.cipher_suites):
        if highest < ssl.TLSVersion.TLSv1_3:
            message = "must include a TLS 1.2 suite, because max_version is TLS12"
            block.report("cipher_suites", message)
        lowest = max(lowest, highest)
    if lowest > highest:
        block.report("min_version", "must not be higher than max_version")
    context.minimum_version, context.maximum_version = lowest, highest
    _cipher_suites(block, context)
    _curve(block, context)


def _version(name: str | None, place: Place, reader: Reader) -> ssl.TLSVersion | None:
    if name in _INSECURE_VERSIONS:
        reader.report(
            place, f"{name} is not supported because it is insecure (RFC 8996); use TLS12"
        )
    elif name is not None and name not in VERSIONS:
        reader.report(place, f"must be {listed(VERSIONS)}")
    return VERSIONS.get(name or "")


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
