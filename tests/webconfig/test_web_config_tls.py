"""TLS of the web configuration on real sockets: versions, suites, curves and clients."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from exporter.webconfig.web_config import LiveWebConfig
from tests.support.web_config import ask, chain, connected, key, served

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.both_loops,
]  # each loop has a TLS of its own around OpenSSL's


Make = Callable[..., LiveWebConfig]


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    """Of the server."""
    return trustme.CA()


@pytest.fixture(scope="module")
def clients() -> trustme.CA:
    """Of the clients: another one."""
    return trustme.CA()


@pytest.fixture
def make(tmp_path: Path, ca: trustme.CA, clients: trustme.CA) -> Make:
    """Makes the configuration of a server that has a certificate, with more keys as given."""

    def configuration(*more: str) -> LiveWebConfig:
        server = ca.issue_cert("localhost")
        (tmp_path / "server.pem").write_bytes(chain(server))
        (tmp_path / "server.key").write_bytes(key(server))
        clients.cert_pem.write_to_path(tmp_path / "clients.pem")
        lines = ["cert_file: server.pem", "key_file: server.key", *more]
        path = tmp_path / "web.yaml"
        path.write_text("tls_server_config:\n  " + "\n  ".join(lines) + "\n", encoding="utf-8")
        return LiveWebConfig(path)

    return configuration


@pytest.fixture
def client(ca: trustme.CA) -> ssl.SSLContext:
    """A client that knows the server's CA, and has no certificate."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


@pytest.mark.parametrize(
    ("keys", "spoken"),
    [
        ([], ["TLSv1.2", "TLSv1.3"]),
        (["min_version: TLS13"], ["TLSv1.3"]),
        (["max_version: TLS12"], ["TLSv1.2"]),
        (["cipher_suites: [TLS_AES_128_GCM_SHA256]"], ["TLSv1.3"]),
    ],
)
async def test_versions(
    make: Make, client: ssl.SSLContext, keys: list[str], spoken: list[str]
) -> None:
    """A client of another version does not get in."""
    heard = []
    async with served(make(*keys)) as port:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            client.minimum_version = ssl.TLSVersion.TLSv1_2
            client.maximum_version = version
            client.minimum_version = version
            try:
                async with connected(port, client) as connection:
                    assert (await connection.get()).status == 200
                    heard.append(connection.version)
            except OSError:
                continue
    assert heard == spoken


async def test_cipher_suites(make: Make, client: ssl.SSLContext) -> None:
    """Go's name is OpenSSL's suite, and the server's order counts unless it is told otherwise."""
    first, second = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"
    keys = [
        "max_version: TLS12",
        "cipher_suites:",
        "  - TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "  - TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    ]
    for more, suite in [([], first), (["prefer_server_cipher_suites: false"], second)]:
        client.set_ciphers(f"{second}:{first}")
        async with served(make(*keys, *more)) as port, connected(port, client) as connection:
            assert connection.writer.get_extra_info("cipher")[0] == suite
    client.set_ciphers("ECDHE-ECDSA-CHACHA20-POLY1305")
    async with served(make(*keys)) as port:
        with pytest.raises(ssl.SSLError):
            await ask(port, client)


async def test_curve(make: Make, client: ssl.SSLContext) -> None:
    """The named curve, and no other one."""
    async with served(make("curve_preferences: [CurveP384]")) as port:
        client.set_ecdh_curve("prime256v1")
        with pytest.raises(ssl.SSLError):
            await ask(port, client)
        client.set_ecdh_curve("secp384r1")
        assert (await ask(port, client)).status == 200


async def gets_in(port: int, client: ssl.SSLContext) -> bool:
    """Whether a client gets an answer. In TLS 1.3 it hears of a refusal after its handshake."""
    try:
        return (await ask(port, client)).status == 200
    except OSError:
        return False


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("keys", "nobody", "known", "stranger"),
    [
        ([], True, True, True),
        (["client_auth_type: NoClientCert"], True, True, True),
        (
            ["client_auth_type: VerifyClientCertIfGiven", "client_ca_file: clients.pem"],
            True,
            True,
            False,
        ),
        (
            ["client_auth_type: RequireAndVerifyClientCert", "client_ca_file: clients.pem"],
            False,
            True,
            False,
        ),
    ],
)
async def test_client_certificates(
    make: Make,
    client: ssl.SSLContext,
    clients: trustme.CA,
    *,
    version: ssl.TLSVersion,
    keys: list[str],
    nobody: bool,
    known: bool,
    stranger: bool,
) -> None:
    """Who gets in: without a certificate, with one of the right CA, with one of another."""
    client.minimum_version = version
    client.maximum_version = version
    async with served(make(*keys)) as port:
        assert await gets_in(port, client) is nobody
        clients.issue_cert("prometheus.example").configure_cert(client)
        assert await gets_in(port, client) is known
        trustme.CA().issue_cert("prometheus.example").configure_cert(client)
        assert await gets_in(port, client) is stranger


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("identity", "inside"),
    [
        ("prometheus.example", True),
        ("10.0.0.1", True),
        ("2001:db8::1", True),
        ("ops@example.org", True),
        ("Prometheus.example.org", False),
        ("10.0.0.2", False),
    ],
)
async def test_names_of_clients(
    make: Make,
    client: ssl.SSLContext,
    clients: trustme.CA,
    *,
    version: ssl.TLSVersion,
    identity: str,
    inside: bool,
) -> None:
    """A certificate of the right CA is not enough where names are listed."""
    client.minimum_version = version
    client.maximum_version = version
    clients.issue_cert(identity).configure_cert(client)
    live = make(
        "client_auth_type: RequireAndVerifyClientCert",
        "client_ca_file: clients.pem",
        'client_allowed_sans: [prometheus.example, 10.0.0.1, "2001:DB8::1", ops@example.org]',
    )
    async with served(live) as port:
        assert await gets_in(port, client) is inside


async def test_names_of_clients_without_certificate(make: Make, client: ssl.SSLContext) -> None:
    """Where a certificate need not be shown, its names need not be either."""
    live = make(
        "client_auth_type: VerifyClientCertIfGiven",
        "client_ca_file: clients.pem",
        "client_allowed_sans: [prometheus.example]",
    )
    async with served(live) as port:
        assert await gets_in(port, client)


async def test_a_single_client_is_trusted_by_its_own_certificate(
    make: Make, client: ssl.SSLContext, clients: trustme.CA, tmp_path: Path
) -> None:
    """As in Go, what client_ca_file lists is trusted, be it an authority or not."""
    one, other = clients.issue_cert("one.example"), clients.issue_cert("two.example")
    live_keys = ["client_auth_type: RequireAndVerifyClientCert", "client_ca_file: one.pem"]
    (tmp_path / "one.pem").write_bytes(one.cert_chain_pems[0].bytes())
    async with served(make(*live_keys)) as port:
        one.configure_cert(client)
        assert await gets_in(port, client)
        other.configure_cert(client)
        assert not await gets_in(port, client)


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (ssl.TLSVersion.TLSv1_2, "HANDSHAKE_FAILURE"),
        (ssl.TLSVersion.TLSv1_3, "CERTIFICATE_REQUIRED"),
    ],
)
async def test_a_refused_client_hears_why(
    make: Make, client: ssl.SSLContext, version: ssl.TLSVersion, said: str
) -> None:
    """In TLS's own words, which its operator finds in Prometheus' list of targets."""
    client.minimum_version = version
    client.maximum_version = version
    live = make("client_auth_type: RequireAndVerifyClientCert", "client_ca_file: clients.pem")
    async with served(live) as port:
        with pytest.raises(ssl.SSLError, match=said):
            await ask(port, client)


async def test_a_refused_client_that_stays_is_left(make: Make, client: ssl.SSLContext) -> None:
    """Whatever it sends after the refusal, the connection is closed."""
    client.minimum_version = ssl.TLSVersion.TLSv1_2
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    live = make("min_version: TLS13")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = client.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    async with served(live) as port, connected(port) as connection:
        connection.writer.write(outgoing.read())
        alert = await connection.reader.readexactly(7)
        assert alert[0] == 21
        connection.writer.write(b"more")
        assert await connection.closed()


async def test_health_is_no_way_around_the_handshake(make: Make, client: ssl.SSLContext) -> None:
    """Health needs no password; a certificate is asked for before anybody knows the path."""
    live = make("client_auth_type: RequireAndVerifyClientCert", "client_ca_file: clients.pem")
    async with served(live) as port:
        with pytest.raises(OSError):  # noqa: PT011 - a reset or an alert, as it comes
            await ask(port, client, "/-/healthy")
