"""Failures that no server of a test can be made to cause: by the errors that a library raises."""

import ssl

import httpx
import pytest

from exporter.cms.failures import of_transport
from exporter.cms.foreign_text import ForeignText
from exporter.endpoint import endpoint
from exporter.errors import Reason
from exporter.server import Server

SERVER = Server("https://10.22.26.181:28443")


def caused_by(cause: Exception) -> httpx.TransportError:
    """What the transport raises for it."""
    error = httpx.ConnectError("")
    error.__cause__ = cause
    return error


def verification(code: int, message: str) -> ssl.SSLCertVerificationError:
    """OpenSSL's word on a certificate."""
    error = ssl.SSLCertVerificationError(1, message)
    error.verify_code, error.verify_message = code, message
    return error


def alert(reason: str) -> ssl.SSLError:
    """What the server's alert becomes."""
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("cause", "sentence"),
    [
        (
            verification(66, "EE certificate key too weak"),
            (
                "the certificate of 10.22.26.181:28443 is too weak for this host's OpenSSL (EE "
                "certificate key too weak): renew it, or set tls.ciphers to DEFAULT:@SECLEVEL=0"
            ),
        ),
        (
            verification(62, "hostname mismatch"),
            (
                "the certificate of 10.22.26.181:28443 is not for 10.22.26.181, and names nothing: "
                "renew it"
            ),
        ),
        (
            verification(10, "certificate has expired"),
            (
                "the certificate of 10.22.26.181:28443 expired: renew it, or correct this host's "
                "clock if it is wrong"
            ),
        ),
        (
            alert("TLSV1_UNRECOGNIZED_NAME"),
            (
                "10.22.26.181:28443 does not know the name 10.22.26.181: set tls.server_name to "
                "the one that it has"
            ),
        ),
        (
            alert("DH_KEY_TOO_SMALL"),
            (
                "10.22.26.181:28443 supports no TLS cipher that this host allows: if it is an old "
                "server, set tls.ciphers to DEFAULT:@SECLEVEL=0"
            ),
        ),
    ],
)
def test_a_rare_failure_of_tls(cause: ssl.SSLError, sentence: str) -> None:
    """Without what the handshake would have told, too."""
    error = of_transport(caused_by(cause), SERVER, ForeignText(()))

    assert (error.reason, error.message) == (Reason.TLS, sentence)


def test_what_nobody_expected_is_not_named_after_a_neighbour() -> None:
    """It is the exporter's own fault until somebody looks at it."""
    error = httpx.TransportError("")
    error.__cause__ = ZeroDivisionError("canary")

    found = of_transport(error, SERVER, ForeignText(()))

    assert found.reason is Reason.INTERNAL
    assert "ZeroDivisionError" in found.message
    assert "canary" not in found.message


@pytest.mark.parametrize("url", ["https://limá.pe", "https://li ma", "https://lima\t"])
def test_a_url_is_plain_ascii(url: str) -> None:
    """Other names are written in punycode."""
    with pytest.raises(ValueError, match="must be plain ASCII without spaces"):
        endpoint(url)
