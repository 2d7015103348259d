"""The TLS settings of the connections to one server, from its files."""

import ssl
from pathlib import Path

from exporter.cms.handshake import WatchedSSLObject
from exporter.server import Tls


class TlsFileError(ValueError):
    """A file named under `tls` cannot be used.

    Args:
        option: the key of the configuration.
        message: what is wrong with the file.
    """

    def __init__(self, option: str, message: str) -> None:
        super().__init__(message)
        self.option = option
        self.message = message


def ssl_context(tls: Tls) -> ssl.SSLContext:
    """A context for a client that verifies the server.

    Raises:
        TlsFileError: a file has no certificate, or no key that matches it.
    """
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except (ssl.SSLError, OSError) as error:
        raise TlsFileError("ca_file", f"not a CA certificate in PEM: {_why(error)}") from None
    context.sslobject_class = WatchedSSLObject
    # Python 3.13 began to refuse private CAs that lack an extension; older ones accept them
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
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
