"""PEM texts into a TLS context, by way of files without a name.

`ssl` reads a key from a named file only. It is given what was read before, so that what is at work
is exactly what was looked at. Knows OpenSSL's complaints. Knows nothing of keys in a configuration.
"""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

_FOREIGN_KEY = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}
_WEAK = {"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"}


class MaterialError(Exception):
    """PEM text that cannot be used.

    Args:
        message: what it does, to stand after its name: `holds no …`.
        of_key: whether the key is meant, or the certificate.
    """

    def __init__(self, message: str, *, of_key: bool = False) -> None:
        super().__init__(message)
        self.of_key = of_key


def certificates(pem: bytes) -> str:
    """The text of at least one certificate, as `load_verify_locations` takes it.

    Raises:
        MaterialError: there is none, or a broken one.
    """
    text = pem.decode("ascii", errors="ignore")  # remarks between the blocks may be in any script
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        problem = MaterialError("holds no usable PEM certificate")
    else:
        return text
    raise problem  # out here, so that no traceback leads to OpenSSL's words


def load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Let a server be known by a certificate, with its chain, and the certificate's key.

    Raises:
        MaterialError: it cannot be used.
    """
    certificates(certificate)
    reason, unusable = "", None
    try:
        with _as_file(certificate) as chain_file, _as_file(key) as key_file:
            # With a password in place OpenSSL does not ask for one at the terminal.
            context.load_cert_chain(chain_file, key_file, password="")
    except ssl.SSLError as error:
        reason = error.reason or "unknown"
    except OSError as error:  # no descriptor is left, or no folder to write to
        unusable = error.strerror
    if unusable:
        raise MaterialError(f"cannot be handed to OpenSSL: {unusable}")
    if reason in _WEAK:
        raise MaterialError("holds a certificate that is too weak for OpenSSL: make a new one")
    if reason in _FOREIGN_KEY:
        raise MaterialError("is not the key of the certificate", of_key=True)
    if reason:
        raise MaterialError("holds no usable PEM key without a password", of_key=True)


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """The name of a file with this content; it is gone when the block is left."""
    with _nameless() as file:
        file.write(content)
        file.flush()
        file.seek(0)
        yield f"/dev/fd/{file.fileno()}"


def _nameless() -> IO[bytes]:
    in_memory = getattr(os, "memfd_create", None)  # Linux: works without any writable folder
    return open(in_memory("pem"), "w+b") if in_memory else tempfile.TemporaryFile()  # noqa: PTH123 - a descriptor
