"""The tls block: files that hold what they should.

Knows PEM files. Knows nothing of connections.
"""

import ssl
from pathlib import Path

from exporter.config import files
from exporter.config.findings import Findings
from exporter.config.model import Tls
from exporter.config.settings import TlsConfig
from exporter.config.yaml.document import Place


def tls_config(tls: Tls | None, place: Place, findings: Findings) -> TlsConfig:
    """The block with absolute paths. The files are opened once, to report what a client could not.

    Args:
        tls: the block, if there is one.
        place: of the block.
        findings: takes the problems.
    """
    if tls is None:
        return TlsConfig()
    ca_file = _file(tls, "ca_file", place, findings)
    cert_file = _file(tls, "cert_file", place, findings)
    key_file = _file(tls, "key_file", place, findings)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except (ssl.SSLError, OSError):
            findings.say(place / "ca_file", f"{ca_file} holds no usable PEM certificate")
    if tls.key_file and not tls.cert_file:
        findings.say(place / "key_file", "needs cert_file beside it", on_key=True)
    elif cert_file and bool(key_file) == bool(tls.key_file):
        try:
            # With a password in place OpenSSL does not ask for one at the terminal.
            context.load_cert_chain(cert_file, key_file, password="")
        except (ssl.SSLError, OSError):
            files_named = f"{cert_file} and {key_file} hold" if key_file else f"{cert_file} holds"
            findings.say(
                place / "cert_file",
                f"{files_named} no usable pair of PEM certificate and key without a password",
            )
    return TlsConfig(ca_file, cert_file, key_file, tls.server_name, tls.insecure_skip_verify)


def _file(tls: Tls, key: str, place: Place, findings: Findings) -> Path | None:
    name: str | None = getattr(tls, key)
    if name is None:
        return None
    path = findings.file(name)
    try:
        files.read(path)
    except files.UnreadableError as error:
        findings.say(place / key, f"{path} cannot be read: {error}")
        return None
    return path
