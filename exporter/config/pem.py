"""PEM texts into a TLS context, by way of files without a name.

`ssl` reads a key from a file only. It is given what was read before, so that what is used is
exactly what was checked.
"""

import os
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

_FOREIGN_KEY = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}
_WEAK = {"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"}
_NO_CERTIFICATE = "does not contain a usable PEM certificate"


class PemError(Exception):
    """PEM text that cannot be used.

    Args:
        message: what is wrong, to be put after its name: `does not contain …`.
        of_key: whether the key is meant, or the certificate.
        weak: whether it is only too weak for the context.
    """

    def __init__(self, message: str, *, of_key: bool = False, weak: bool = False) -> None:
        super().__init__(message)
        self.of_key = of_key
        self.weak = weak


def certificates(pem: bytes) -> str:
    """Certificates as `load_verify_locations` takes them. Raises PemError if there is none."""
    text = pem.decode("ascii", errors="ignore")  # remarks between the blocks may be in any script
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        problem = PemError(_NO_CERTIFICATE)
    else:
        return text
    raise problem  # out here, so that no traceback leads to OpenSSL's words


def load_authorities(context: ssl.SSLContext, pem: bytes) -> None:
    """Trust what is in a file of CAs, in each form that OpenSSL reads. Raises PemError."""
    if _refusal(context.load_verify_locations, pem):
        raise PemError(_NO_CERTIFICATE)


def load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Use a certificate, with its chain, and its key. Raises PemError."""
    certificates(certificate)
    # With a password in place OpenSSL does not ask for one at the terminal.
    reason = _refusal(partial(context.load_cert_chain, password=""), certificate, key)
    if reason in _WEAK:
        raise PemError(
            "contains a certificate that OpenSSL rejects as too weak: create a new one", weak=True
        )
    if reason in _FOREIGN_KEY:
        raise PemError("does not match the certificate", of_key=True)
    if reason:
        raise PemError("does not contain a usable, unencrypted PEM key", of_key=True)


def _refusal(load: Callable[..., object], *pems: bytes) -> str:
    """Why OpenSSL does not load some texts, each as a file, in its own words; empty if it does.

    Raises PemError if it cannot be tried.
    """
    try:
        with ExitStack() as stack:
            load(*(stack.enter_context(_as_file(pem)) for pem in pems))
    except ssl.SSLError as error:
        return error.reason or "unknown"
    except OSError as error:  # out of descriptors, or no directory to write to
        unusable = error.strerror
    else:
        return ""
    raise PemError(f"cannot be passed to OpenSSL: {unusable}")


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """The name of a file with this content; it is gone when the block is left."""
    in_memory = getattr(os, "memfd_create", None)  # Linux: works without a writable directory
    with open(in_memory("pem"), "w+b") if in_memory else tempfile.TemporaryFile() as file:  # noqa: PTH123 - a descriptor
        file.write(content)
        file.flush()
        file.seek(0)
        yield f"/dev/fd/{file.fileno()}"
