"""Which TLS is spoken: versions, cipher suites and curves.

Knows how these keys go together. Knows nothing of certificates.
"""

import ssl
from collections.abc import Callable

from exporter.config.problems import did_you_mean
from exporter.config.yaml.document import Place
from exporter.webconfig import go_names
from exporter.webconfig.reading import Reading
from exporter.webconfig.shape import TlsServer


def settle(tls: TlsServer, place: Place, reading: Reading, context: ssl.SSLContext) -> None:
    """Let a context speak what the block says, and add what cannot be to the problems."""
    lowest = _version(tls.min_version, place / "min_version", reading) or ssl.TLSVersion.TLSv1_2
    highest = _version(tls.max_version, place / "max_version", reading) or ssl.TLSVersion.TLSv1_3
    if tls.cipher_suites and go_names.TLS13_CIPHERS.issuperset(tls.cipher_suites):
        if highest < ssl.TLSVersion.TLSv1_3:
            reading.say(place / "cipher_suites", "must hold a suite of TLS 1.2, as max_version is")
        lowest = max(lowest, highest)
    if lowest > highest:
        reading.say(place / "min_version", "must not be above max_version")
    context.minimum_version, context.maximum_version = lowest, highest
    _cipher_suites(tls, place / "cipher_suites", reading, context)
    _curve(tls, place / "curve_preferences", reading, context)


def _version(name: str | None, place: Place, reading: Reading) -> ssl.TLSVersion | None:
    if name is None:
        return None
    if name in go_names.REFUSED_VERSIONS:
        reading.say(place, f"{name} {go_names.REFUSED_VERSIONS[name]}")
    elif name not in go_names.VERSIONS:
        reading.say(place, f"must be {' or '.join(go_names.VERSIONS)}")
    return go_names.VERSIONS.get(name)


def _cipher_suites(tls: TlsServer, place: Place, reading: Reading, context: ssl.SSLContext) -> None:
    suites = {**go_names.CIPHERS, **dict.fromkeys(go_names.TLS13_CIPHERS, "")}
    chosen = []
    for index, name in enumerate(tls.cipher_suites):
        if name in go_names.REFUSED_CIPHERS:
            reading.say(place / index, f"{name} {go_names.REFUSED_CIPHERS[name]}")
        elif name not in suites:
            reading.say(place / index, f"unknown cipher suite{did_you_mean(name, suites)}")
        elif suites[name]:
            chosen.append(suites[name])
    if chosen:
        _apply(context.set_ciphers, ":".join(chosen), place, reading)
    if tls.prefer_server_cipher_suites:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE


def _curve(tls: TlsServer, place: Place, reading: Reading, context: ssl.SSLContext) -> None:
    unknown = False
    for index, name in enumerate(tls.curve_preferences):
        if name not in go_names.CURVES:
            unknown = True
            *most, last = go_names.CURVES
            meant = did_you_mean(name, go_names.CURVES)
            reading.say(place / index, f"must be {', '.join(most)} or {last}{meant}")
    if unknown or not tls.curve_preferences:
        return
    first, *more = tls.curve_preferences
    if more:
        reading.say(
            place,
            "must hold one curve only, for Python's TLS takes no order of several;"
            " left out, all of them are spoken",
        )
    else:
        _apply(context.set_ecdh_curve, go_names.CURVES[first], place, reading)


def _apply(setter: Callable[[str], None], value: str, place: Place, reading: Reading) -> None:
    try:
        setter(value)
    except (ssl.SSLError, ValueError):  # a build for FIPS lacks some
        reading.say(place, "is not in this host's OpenSSL")
