"""When the certificates of a server expire, as its handshakes show it."""

import datetime as dt
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509

from exporter.cms import tls
from exporter.cms.client import CmsClient
from exporter.cms.tls import _earliest_end
from exporter.errors import Reason
from exporter.server import Tls
from tests.support.cms_peer import Step, answer, connected, failed, http, listening, read

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.both_loops,
]  # the loops shake hands in code of their own

GOOD = Step(http(answer(1, resting=1)))
YEAR = dt.timedelta(days=365)


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    """A CA below another one: servers send two certificates."""
    return trustme.CA().create_child_ca()


@pytest.fixture(scope="module")
def ca_file(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a site would name as ca_file: the CA that issued the certificate."""
    path: Path = tmp_path_factory.mktemp("ca") / "ca.pem"
    assert ca.parent_cert is not None
    path.write_bytes(ca.parent_cert.cert_pem.bytes())
    return path


def presenting(leaf: trustme.LeafCert) -> ssl.SSLContext:
    """The TLS settings of a server with that certificate and its issuer's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return context


def end_of(pem: trustme.Blob) -> float:
    """When a certificate expires."""
    return x509.load_pem_x509_certificate(pem.bytes()).not_valid_after_utc.timestamp()


def expiry(client: CmsClient) -> float | None:
    """What is exported."""
    return client.condition.certificate_expiry


async def test_the_first_certificate_of_the_chain_to_expire_counts(
    ca: trustme.CA, ca_file: Path
) -> None:
    """Be it the server's own or its issuer's, which a server is rarely watched for."""
    soon = dt.datetime.now(dt.UTC).replace(microsecond=0) + YEAR
    for last, earliest in ((soon, soon.timestamp()), (soon + 2000 * YEAR, end_of(ca.cert_pem))):
        leaf = ca.issue_cert("127.0.0.1", not_after=last)
        async with (
            listening(GOOD, tls=presenting(leaf)) as peer,
            connected(f"https://127.0.0.1:{peer.port}", tls=Tls(ca_file=ca_file)) as client,
        ):
            read(await client.poll(1, 1))

            assert expiry(client) == earliest


async def test_it_is_read_only_when_a_connection_is_opened(
    ca: trustme.CA, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll on a kept connection costs nothing more."""
    looks: list[int] = []

    def counted(chain: Sequence[Mapping[str, Any]]) -> float | None:
        looks.append(len(chain))
        return _earliest_end(chain)

    monkeypatch.setattr(tls, "_earliest_end", counted)
    async with (
        listening(GOOD, tls=presenting(ca.issue_cert("127.0.0.1"))) as peer,
        connected(f"https://127.0.0.1:{peer.port}", tls=Tls(ca_file=ca_file)) as client,
    ):
        for _ in range(3):
            read(await client.poll(1, 1))
            await client.rested()

        assert (peer.connections, looks) == (1, [2])
        assert expiry(client) == end_of(ca.cert_pem)


async def test_a_certificate_that_has_expired(ca: trustme.CA, ca_file: Path) -> None:
    """The poll fails, and the metric still says why: the time is past."""
    ended = dt.datetime.now(dt.UTC).replace(microsecond=0) - dt.timedelta(days=1)
    leaf = ca.issue_cert("127.0.0.1", not_before=ended - YEAR, not_after=ended)
    async with (
        listening(GOOD, tls=presenting(leaf)) as peer,
        connected(f"https://127.0.0.1:{peer.port}", tls=Tls(ca_file=ca_file)) as client,
    ):
        assert failed(await client.poll(1, 1)).reason is Reason.TLS
        assert expiry(client) == ended.timestamp()


async def test_certificates_that_are_not_verified(ca: trustme.CA) -> None:
    """They expire like others."""
    async with (
        listening(GOOD, tls=presenting(ca.issue_cert("other.example.com"))) as peer,
        connected(f"https://127.0.0.1:{peer.port}", tls=Tls(insecure_skip_verify=True)) as client,
    ):
        read(await client.poll(1, 1))

        assert expiry(client) == end_of(ca.cert_pem)


async def test_plain_http_has_none() -> None:
    """There is no certificate to expire."""
    async with listening(GOOD) as peer, connected(f"http://127.0.0.1:{peer.port}") as client:
        read(await client.poll(1, 1))

        assert expiry(client) is None


def test_a_certificate_without_a_date_that_can_be_read() -> None:
    """It is left out: the others still count, and the poll goes on."""
    good = {"notAfter": "Nov 26 17:00:00 2026 GMT"}

    assert _earliest_end([{}, {"notAfter": "Bad time value"}, good]) == 1_795_712_400
    assert _earliest_end([{}]) is None
