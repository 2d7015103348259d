"""What is known of a TLS handshake that failed: how far it came, and the server's certificates.

The certificates are read from the handshake that failed itself: they were received and refused.
No second connection is made to look at them, so nothing is ever sent to a server that is not
trusted. Python offers them in public only from 3.13 on, and without their contents; where the
internal method is missing, the sentences do without dates and names.
"""

import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Handshake:
    """How far a handshake came."""

    negotiated: bool
    """Whether version and cipher had been agreed on."""
    certificates: tuple[Mapping[str, Any], ...]
    """The server's chain, not verified, described as by `SSLSocket.getpeercert`."""


def handshake_of(error: ssl.SSLError) -> Handshake:
    """How far the handshake came that failed with this error."""
    found = vars(error).get("handshake")
    return found if isinstance(found, Handshake) else Handshake(negotiated=True, certificates=())


class WatchedSSLObject(ssl.SSLObject):
    """The TLS side of a connection, which keeps what is known when its handshake fails."""

    def do_handshake(self) -> None:
        """Take the next step of the handshake."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            chain: list[Any] = []
            with contextlib.suppress(AttributeError, ssl.SSLError, ValueError):
                received = self._sslobj.get_unverified_chain()  # type: ignore[attr-defined]
                chain = [certificate.get_info() for certificate in received or ()]
            vars(error)["handshake"] = Handshake(self.cipher() is not None, tuple(chain))
            raise
