"""Go's names for versions, cipher suites, curves and client policies, as OpenSSL knows them.

Knows names alone. The lists are those of Go's crypto/tls as exporter-toolkit takes them; what this
program cannot or must not do by such a name has a sentence of its own.
"""

import ssl
from typing import Final

VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
REFUSED_VERSIONS: Final = dict.fromkeys(
    ("TLS10", "TLS11"), "is not spoken here, for it can be broken (RFC 8996); TLS12 is the lowest"
)

CIPHERS: Final = {
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
TLS13_CIPHERS: Final = frozenset(
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
)
"""All of them are always on, in Go too."""
REFUSED_CIPHERS: Final = dict.fromkeys(
    (
        "TLS_RSA_WITH_AES_128_CBC_SHA",
        "TLS_RSA_WITH_AES_256_CBC_SHA",
        "TLS_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_RSA_WITH_AES_256_GCM_SHA384",
    ),
    "is not spoken here, for a stolen key opens every recorded connection; take one of TLS_ECDHE_…",
)

CURVES: Final = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}

CLIENT_POLICIES: Final = {
    "NoClientCert": ssl.VerifyMode.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.VerifyMode.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.VerifyMode.CERT_REQUIRED,
}
_ANYBODY = "lets in whoever shows a certificate of their own making"
REFUSED_CLIENT_POLICIES: Final = {
    "RequestClientCert": f"{_ANYBODY}, or none: it protects nothing; take "
    "NoClientCert or VerifyClientCertIfGiven",
    "RequireAnyClientCert": f"{_ANYBODY}: it protects nothing; take RequireAndVerifyClientCert",
    "RequireClientCert": f"{_ANYBODY}: it protects nothing; take RequireAndVerifyClientCert",
}
