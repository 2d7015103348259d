"""A certificate for the simulator, of a CA that is made on the spot with the program `openssl`.

The exporter itself makes no certificates, so that none of its dependencies can.
"""

import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from exporter.cli.output import WriteError, whole_file
from exporter.endpoint import is_address

_MARK: Final = (
    "# Made by agent-rest-exporter simulate: a CA for rehearsals. Its key no longer exists.\n"
)
_CA_DAYS: Final = 30
"""Minimum validity of a CA: only the server's certificate is to expire."""
_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_SETTINGS: Final = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = agent-rest-exporter simulator
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""


class CertificateError(Exception):
    """No certificate can be made: a sentence."""


def make_ca(ca_file: Path, hosts: Iterable[str], days: int) -> ssl.SSLContext:
    """Make a CA and a server's certificate; write the CA's into a file, and keep no key.

    Args:
        ca_file: for the CA's certificate; overwritten only if it is from here.
        hosts: names and addresses that the certificate is for.
        days: for which it is valid; with 0 it has expired.

    Raises:
        CertificateError: `openssl` is not there, or fails.
        WriteError: the file cannot be written.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        raise CertificateError(
            "the program openssl is needed to make a certificate: install it, or give one with "
            "--tls.cert-file"
        )
    _check(ca_file)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "settings").write_text(_SETTINGS.format(names=_names(hosts)), encoding="utf-8")
        for arguments in _commands(days):
            done = subprocess.run(  # noqa: S603  # nothing of it comes from elsewhere
                [openssl, *arguments],
                cwd=place,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                text=True,
            )
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no reason"])[-1]
                raise CertificateError(f"openssl {arguments[0]} has failed: {last}")
        # the key of a CA that is there has gone: without the file nothing is lost
        with whole_file(ca_file, overwrite=True) as write:
            write(_MARK + (place / "ca.pem").read_text("ascii"))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(place / "server.pem", place / "server.key")
    return context


def _check(ca_file: Path) -> None:
    try:
        with ca_file.open("rb") as file:
            ours = file.read(len(_MARK)) == _MARK.encode()
    except FileNotFoundError:
        return
    except OSError as error:
        raise WriteError(ca_file, error) from None
    if not ours:
        raise CertificateError(
            f"{ca_file} exists, and is not a CA of the simulator: choose another name"
        )


def _names(hosts: Iterable[str]) -> str:
    return ",".join(
        f"{'IP' if is_address(host) else 'DNS'}:{host}" for host in dict.fromkeys(hosts)
    )


def _commands(days: int) -> Iterable[tuple[str, ...]]:
    settings = ("-config", "settings")
    yield (
        *("req", "-x509", *settings, "-extensions", "ca", *_KEY, "-keyout", "ca.key"),
        *("-out", "ca.pem", "-days", str(max(days, _CA_DAYS)), "-sha256"),
    )
    yield ("req", "-new", *settings, *_KEY, "-keyout", "server.key", "-out", "server.csr")
    yield (
        *("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-sha256"),
        *("-set_serial", "1", "-days", str(days), "-extfile", "settings"),
        *("-extensions", "server", "-out", "server.pem"),
    )
