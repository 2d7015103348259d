"""Web configurations of the fixtures, and certificates beside them: made anew, so none runs out."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import indent

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256

from tests.support.paths import FIXTURES

FOLDER = FIXTURES / "webconfig"

_PEM = serialization.Encoding.PEM
_PKCS8 = serialization.PrivateFormat.PKCS8


def chain(leaf: trustme.LeafCert) -> bytes:
    """A certificate and what it takes to verify it, as a server sends it."""
    return b"".join(blob.bytes() for blob in leaf.cert_chain_pems)


def key(leaf: trustme.LeafCert) -> bytes:
    """A certificate's key."""
    return leaf.private_key_pem.bytes()


def lay_out(folder: Path) -> None:
    """Put PEM files of every kind into a folder, and all the fixtures' files."""
    ca = trustme.CA()
    server, other = ca.issue_cert("localhost", "127.0.0.1"), ca.issue_cert("other.example")
    files = {
        "ca.pem": ca.cert_pem.bytes(),
        "server.pem": chain(server),
        "server.key": key(server),
        "both.pem": key(server) + chain(server),
        "other.key": key(other),
        "rsa.key": key(ca.issue_cert("rsa.example", key_type=trustme.KeyType.RSA)),
        "locked.key": _locked(key(server)),
        "weak.pem": _weak(),
        "junk.pem": b"CANARY\n",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "folder").mkdir()
    for fixture in FOLDER.glob("*/*.yaml"):
        text = fixture.read_text(encoding="utf-8")
        for name in ("server.pem", "server.key", "ca.pem"):
            text = text.replace(f"{{{name}}}", indent(files[name].decode(), "    "))
        (folder / f"{fixture.parent.name}-{fixture.name}").write_text(text, encoding="utf-8")


def _locked(pem: bytes) -> bytes:
    """The same key behind a password."""
    private = serialization.load_pem_private_key(pem, password=None)
    return private.private_bytes(_PEM, _PKCS8, serialization.BestAvailableEncryption(b"CANARY"))


def _weak() -> bytes:
    """A key of 1024 bits, and its certificate."""
    private = rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "weak.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(private, SHA256())
    )
    nothing = serialization.NoEncryption()
    return private.private_bytes(_PEM, _PKCS8, nothing) + certificate.public_bytes(_PEM)
