"""exporter.cms.transport on real sockets: TLS, proxies, keep-alive, and what it must not keep."""

import asyncio
import base64
import contextlib
import dataclasses
import datetime as dt
import ipaddress
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import httpx
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from exporter.cms import signing
from exporter.cms.connections import Exchange
from exporter.cms.failures import of_transport
from exporter.cms.foreign_text import ForeignText
from exporter.cms.tls import TlsFileError
from exporter.cms.transport import Transport
from exporter.errors import Reason
from exporter.secret import Secret
from exporter.server import Server, Signature, StaticAuthorization, Tls
from tests.support.broken_setups import OLD, appliance
from tests.support.cms_peer import (
    Step,
    answer,
    connected,
    failed,
    failure,
    http,
    listening,
    read,
    reading,
    said,
    serving,
)
from tests.support.connect_proxy import ConnectProxy
from tests.support.processes import free_port
from tests.support.signatures import canonical_request

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.both_loops,
]  # every failure gets the same name on either loop


GOOD = Step(http(answer(1, resting=1)))


# TLS


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    """A private CA, as at most customers."""
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its certificate in a file."""
    path: Path = tmp_path_factory.mktemp("ca") / "ca.pem"
    path.write_bytes(ca.cert_pem.bytes())
    return path


def presenting(leaf: trustme.LeafCert) -> ssl.SSLContext:
    """The TLS settings of a server with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return context


def issuer(ca: trustme.CA) -> str:
    """The name of a CA, as its certificates have it."""
    (name,) = x509.load_pem_x509_certificate(ca.cert_pem.bytes()).subject.get_attributes_for_oid(
        NameOID.ORGANIZATION_NAME
    )
    return str(name.value)


def client_file(ca: trustme.CA, directory: Path) -> Path:
    """A client's certificate and key in one file."""
    path = directory / "client.pem"
    path.write_bytes(ca.issue_cert("exporter").private_key_and_cert_chain_pem.bytes())
    return path


async def test_a_private_ca_and_an_address_in_the_url(ca: trustme.CA, ca_file: Path) -> None:
    """The usual case: https://10.22.26.181:28443."""
    async with listening(GOOD, tls=presenting(ca.issue_cert("127.0.0.1"))) as peer:
        result = await reading(f"https://127.0.0.1:{peer.port}", tls=Tls(ca_file=ca_file))

    assert result.snapshot.resting == 1
    assert f"\r\nhost: 127.0.0.1:{peer.port}\r\n".encode() in peer.requests[0].lower()


async def test_a_server_name_for_a_bare_address(ca: trustme.CA, ca_file: Path) -> None:
    """The certificate holds a name, the URL an address; the server is asked for that name."""
    asked: list[str | None] = []
    tls = presenting(ca.issue_cert("cms.example.com"))
    tls.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with listening(GOOD, tls=tls) as peer:
        result = await reading(
            f"https://127.0.0.1:{peer.port}",
            tls=Tls(ca_file=ca_file, server_name="cms.example.com"),
        )

    assert result.snapshot.resting == 1
    assert asked == ["cms.example.com"]
    assert f"\r\nhost: 127.0.0.1:{peer.port}\r\n".encode() in peer.requests[0].lower()


async def test_skipping_verification(ca: trustme.CA) -> None:
    """Neither CA nor name is held against the certificate: on one's own risk."""
    async with listening(GOOD, tls=presenting(ca.issue_cert("other.example.com"))) as peer:
        tls = Tls(insecure_skip_verify=True)
        result = await reading(f"https://127.0.0.1:{peer.port}", tls=tls)

    assert result.snapshot.resting == 1


async def test_a_certificate_of_an_unknown_ca(ca: trustme.CA) -> None:
    """tls.ca_file was forgotten."""
    async with listening(GOOD, tls=presenting(ca.issue_cert("127.0.0.1"))) as peer:
        error = await failure(f"https://127.0.0.1:{peer.port}")

    assert said(error, peer.port) == (
        Reason.TLS,
        (
            f"the certificate of 127.0.0.1:PORT is signed by an unknown CA, {issuer(ca)}: set "
            "tls.ca_file to its CA"
        ),
    )
    assert peer.requests == []


@pytest.mark.parametrize(
    ("server_name", "asked"), [(None, "127.0.0.1"), ("sales.example.com", "sales.example.com")]
)
async def test_a_certificate_for_another_name(
    ca: trustme.CA, ca_file: Path, server_name: str | None, asked: str
) -> None:
    """An address in the URL, or a server_name that is not in the certificate."""
    tls = Tls(ca_file=ca_file, server_name=server_name)
    async with listening(GOOD, tls=presenting(ca.issue_cert("cms.example.com"))) as peer:
        error = await failure(f"https://127.0.0.1:{peer.port}", tls=tls)

    assert said(error, peer.port) == (
        Reason.TLS,
        (
            f"the certificate of 127.0.0.1:PORT is for cms.example.com, and not for {asked}: set "
            "tls.server_name to a name in the certificate"
        ),
    )


async def test_a_certificate_with_a_name_that_is_no_text(tmp_path: Path) -> None:
    """A directory name, which Python gives in parts: no connection is checked against it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cms")])
    now = dt.datetime.now(dt.UTC)
    alternatives = [x509.DirectoryName(name), x509.DNSName("cms.example.com")]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    both = tmp_path / "both.pem"
    both.write_bytes(private + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    async with listening(GOOD, tls=context) as peer:
        error = await failure(f"https://127.0.0.1:{peer.port}", tls=Tls(ca_file=both))

    assert said(error, peer.port) == (
        Reason.TLS,
        (
            "the certificate of 127.0.0.1:PORT is for cms.example.com, and not for 127.0.0.1: set "
            "tls.server_name to a name in the certificate"
        ),
    )


@pytest.mark.parametrize(
    ("days", "sentence"),
    [
        (
            (-2, -1),
            "expired on {last}: renew it, or correct this host's clock if that is ahead",
        ),
        (
            (1, 2),
            (
                "is not valid before {first}: correct this host's clock if that is behind, or "
                "renew the certificate"
            ),
        ),
    ],
    ids=["expired", "not yet valid"],
)
async def test_a_certificate_outside_its_validity(
    ca: trustme.CA, ca_file: Path, days: tuple[int, int], sentence: str
) -> None:
    """Each with the date that tells whether it is the certificate or the clock."""
    now = dt.datetime.now(dt.UTC)
    first, last = (now + dt.timedelta(days=number) for number in days)
    dates = {
        "first": first.strftime("%Y-%m-%d %H:%M UTC"),
        "last": last.strftime("%Y-%m-%d %H:%M UTC"),
    }
    leaf = ca.issue_cert("127.0.0.1", not_before=first, not_after=last)
    async with listening(GOOD, tls=presenting(leaf)) as peer:
        error = await failure(f"https://127.0.0.1:{peer.port}", tls=Tls(ca_file=ca_file))

    dates = {"first": f"{first:%Y-%m-%d %H:%M} UTC", "last": f"{last:%Y-%m-%d %H:%M} UTC"}
    assert said(error, peer.port) == (
        Reason.TLS,
        f"the certificate of 127.0.0.1:PORT {sentence.format(**dates)}",
    )


async def test_a_certificate_that_breaks_its_cas_rules(tmp_path: Path) -> None:
    """A CA below one that may have none."""
    root = trustme.CA(path_length=0)
    below = trustme.CA(parent_cert=root, path_length=0)
    ca_file = tmp_path / "root.pem"
    ca_file.write_bytes(root.cert_pem.bytes())
    async with listening(GOOD, tls=presenting(below.issue_cert("127.0.0.1"))) as peer:
        error = await failure(f"https://127.0.0.1:{peer.port}", tls=Tls(ca_file=ca_file))

    assert said(error, peer.port) == (
        Reason.TLS,
        (
            "the certificate of 127.0.0.1:PORT is signed through more CAs than one of them allows: "
            "have it issued by another CA"
        ),
    )


async def test_ca_file_may_end_below_the_root(tmp_path: Path) -> None:
    """As for curl, and as on the newest Python: what it holds is trusted."""
    root = trustme.CA()
    below = trustme.CA(parent_cert=root)
    ca_file = tmp_path / "below.pem"
    ca_file.write_bytes(below.cert_pem.bytes())
    async with listening(GOOD, tls=presenting(below.issue_cert("127.0.0.1"))) as peer:
        await reading(f"https://127.0.0.1:{peer.port}", tls=Tls(ca_file=ca_file))


@contextlib.contextmanager
def old_appliance(leaf: trustme.LeafCert, version: ssl.TLSVersion, ciphers: str) -> Iterator[int]:
    """A server of long ago."""
    context = presenting(leaf)
    context.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version

    with appliance(context, GOOD.data) as port:
        yield port


@pytest.mark.parametrize(
    ("version", "ciphers", "tls", "sentence"),
    [
        (
            ssl.TLSVersion.TLSv1,
            OLD,
            Tls(min_version="TLS10", ciphers=OLD),
            (
                "127.0.0.1:PORT supports no TLS version that this host allows: if it is an old "
                "server, set tls.min_version to TLS10 and tls.ciphers to DEFAULT:@SECLEVEL=0"
            ),
        ),
        (
            ssl.TLSVersion.TLSv1_2,
            "AES128-SHA",
            Tls(ciphers=OLD),
            (
                "127.0.0.1:PORT supports no TLS cipher that this host allows: if it is an old "
                "server, set tls.ciphers to DEFAULT:@SECLEVEL=0"
            ),
        ),
    ],
    ids=["TLS 1.0 only", "RSA key exchange only"],
)
async def test_an_old_server_is_read_with_the_options_that_are_named(
    ca: trustme.CA,
    ca_file: Path,
    *,
    version: ssl.TLSVersion,
    ciphers: str,
    tls: Tls,
    sentence: str,
) -> None:
    """It asks for no client certificate, whatever its alert looks like."""
    leaf = ca.issue_cert("127.0.0.1", key_type=trustme.KeyType.RSA)
    with old_appliance(leaf, version, ciphers) as port:
        url = f"https://127.0.0.1:{port}"
        error = await failure(url, tls=Tls(ca_file=ca_file))
        result = await reading(url, tls=dataclasses.replace(tls, ca_file=ca_file))

    assert said(error, port) == (Reason.TLS, sentence)
    assert result.snapshot.resting == 1


@pytest.mark.parametrize(
    ("version", "ciphers", "tls"),
    [
        (ssl.TLSVersion.TLSv1, OLD, Tls(min_version="TLS10")),
        (ssl.TLSVersion.TLSv1_1, OLD, Tls(min_version="TLS11")),
        (ssl.TLSVersion.TLSv1_2, "AES128-SHA", Tls(ciphers="DEFAULT")),
        (ssl.TLSVersion.TLSv1_2, "AES128-SHA", Tls(ciphers="NONE:AES128-SHA")),
    ],
    ids=["TLS 1.0", "TLS 1.1", "RSA key exchange", "one cipher"],
)
async def test_an_old_server_is_read_with_one_option(
    ca: trustme.CA, ca_file: Path, version: ssl.TLSVersion, ciphers: str, tls: Tls
) -> None:
    """An old version brings the ciphers that it needs; RSA key exchange needs no old version."""
    leaf = ca.issue_cert("127.0.0.1", key_type=trustme.KeyType.RSA)
    with old_appliance(leaf, version, ciphers) as port:
        url = f"https://127.0.0.1:{port}"
        result = await reading(url, tls=dataclasses.replace(tls, ca_file=ca_file))

    assert result.snapshot.resting == 1


async def test_an_oldest_version(ca: trustme.CA, ca_file: Path) -> None:
    """A server below it is refused, whatever both could speak."""
    context = presenting(ca.issue_cert("127.0.0.1"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with listening(GOOD, tls=context) as peer:
        url = f"https://127.0.0.1:{peer.port}"
        await reading(url, tls=Tls(ca_file=ca_file, min_version="TLS12"))
        error = await failure(url, tls=Tls(ca_file=ca_file, min_version="TLS13"))

    assert error.reason is Reason.TLS


def test_a_cipher_string_that_openssl_does_not_know() -> None:
    """It is found when the configuration is read, not at the first poll."""
    with pytest.raises(TlsFileError) as caught:
        Transport(Server("https://127.0.0.1", tls=Tls(ciphers="ROT13")), {})

    assert (caught.value.option, str(caught.value)) == (
        "ciphers",
        (
            "OpenSSL knows none of these ciphers (those of TLS 1.3 are always on): write names as "
            "`openssl ciphers` prints them, or a string such as DEFAULT:@SECLEVEL=0"
        ),
    )


async def test_plain_http_on_the_port() -> None:
    """https:// for a port that speaks HTTP, which answers before it has understood."""

    async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    async with serving(refuse) as port:
        error = await failure(f"https://127.0.0.1:{port}")

    assert said(error, port) == (
        Reason.TLS,
        "127.0.0.1:PORT does not use TLS: check the port in url, or use http://",
    )


async def test_a_connection_that_is_dropped_in_the_handshake() -> None:
    """Some servers hang up where others send an alert."""

    async def drop(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        return

    async with serving(drop) as port:
        error = await failure(f"https://127.0.0.1:{port}")

    assert said(error, port) == (
        Reason.TLS,
        (
            "127.0.0.1:PORT closed the connection during the TLS handshake: check the port in "
            "url, its TLS versions and ciphers (tls.min_version, tls.ciphers), and whether it "
            "requires a client certificate (tls.cert_file)"
        ),
    )


async def test_an_alert_of_another_kind() -> None:
    """A fatal alert, internal_error (80), instead of a handshake."""

    async def alert(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"\x15\x03\x03\x00\x02\x02\x50")
        await reader.read()

    async with serving(alert) as port:
        error = await failure(f"https://127.0.0.1:{port}")

    assert said(error, port) == (
        Reason.TLS,
        (
            "127.0.0.1:PORT broke off the TLS handshake (internal error): check its log; it "
            "may refuse this host, or want another tls.server_name"
        ),
    )


@contextlib.asynccontextmanager
async def asking_for_a_certificate(context: ssl.SSLContext) -> AsyncIterator[int]:
    """A server that refuses one client by an alert.

    On blocking sockets: asyncio's own servers hang up without the alert that others send.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def refuse() -> None:
        connection, _ = listener.accept()
        with context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        ) as peer:
            with contextlib.suppress(ssl.SSLError):
                peer.do_handshake()
            peer.shutdown(socket.SHUT_WR)
            # closing with bytes unread would reset the connection, and the alert with it
            while peer.recv(4096):
                pass

    with listener:
        refusal = asyncio.create_task(asyncio.to_thread(refuse))
        yield listener.getsockname()[1]
        await refusal


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("remedy", ["set", "change"])
async def test_a_server_that_asks_for_a_client_certificate(
    ca: trustme.CA,
    ca_file: Path,
    tmp_path: Path,
    version: ssl.TLSVersion,
    remedy: str,
) -> None:
    """TLS 1.3 says so when the handshake seems done, 1.2 in it; a stranger's is none."""
    cert_file = client_file(trustme.CA(), tmp_path) if remedy == "change" else None
    tls = Tls(ca_file=ca_file, cert_file=cert_file)
    context = presenting(ca.issue_cert("127.0.0.1"))
    context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(context)
    async with asking_for_a_certificate(context) as port:
        error = await failure(f"https://127.0.0.1:{port}", tls=tls)

    reason, message = said(error, port)
    assert reason is Reason.TLS
    # on uvloop the end of the connection may come before the alert that explains it
    assert message in {
        f"127.0.0.1:PORT requires a client certificate: {remedy} tls.cert_file",
        (
            f"127.0.0.1:PORT closed the connection right after the TLS handshake: if it requires a "
            f"client certificate, {remedy} tls.cert_file"
        ),
    }


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "https://127.0.0.1:1",
            (
                Reason.TLS,
                (
                    "127.0.0.1:1 closed the connection right after the TLS handshake: if it "
                    "requires a client certificate, set tls.cert_file"
                ),
            ),
        ),
        (
            "http://127.0.0.1:1",
            (
                Reason.DISCONNECTED,
                (
                    "127.0.0.1:1 closed the connection without a reply: if this port uses TLS, use "
                    "https:// in url; otherwise look for a crash or a restart of the server, or a "
                    "gateway's limit"
                ),
            ),
        ),
    ],
)
async def test_a_connection_that_ends_before_the_request_is_out(
    url: str, expected: tuple[Reason, str]
) -> None:
    """After a TLS handshake it most likely was the client certificate."""
    error = httpx.ConnectTimeout("")
    error.__cause__ = aiohttp.ClientOSError()
    error.__cause__.__cause__ = aiohttp.ClientConnectionResetError("Cannot write")
    failure = of_transport(error, Server(url), Exchange(lambda _: None), 0.0, ForeignText(()))
    assert (failure.reason, failure.message) == expected


async def test_a_client_certificate_is_shown(ca: trustme.CA, ca_file: Path, tmp_path: Path) -> None:
    """From one file; the key may also be in its own."""
    context = presenting(ca.issue_cert("127.0.0.1"))
    context.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(context)
    both = client_file(ca, tmp_path)
    async with listening(GOOD, tls=context) as peer:
        for tls in (
            Tls(ca_file=ca_file, cert_file=both),
            Tls(ca_file=ca_file, cert_file=both, key_file=both),
        ):
            result = await reading(f"https://127.0.0.1:{peer.port}", tls=tls)
            assert result.snapshot.resting == 1


# Files


@pytest.fixture
def files(ca: trustme.CA, tmp_path: Path) -> Path:
    """A directory of files that fit, and of such that do not."""
    leaf, other = ca.issue_cert("exporter"), ca.issue_cert("other")
    (tmp_path / "cert.pem").write_bytes(leaf.cert_chain_pems[0].bytes())
    (tmp_path / "key.pem").write_bytes(leaf.private_key_pem.bytes())
    (tmp_path / "other-key.pem").write_bytes(other.private_key_pem.bytes())
    (tmp_path / "empty.pem").write_bytes(b"")
    (tmp_path / "encrypted.pem").write_bytes(
        serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"canary-password"),
        )
    )
    return tmp_path


@pytest.mark.parametrize(
    ("names", "option", "message"),
    [
        (
            {"ca_file": "absent.pem"},
            "ca_file",
            "not a CA certificate in PEM: No such file or directory",
        ),
        (
            {"ca_file": "empty.pem"},
            "ca_file",
            "not a CA certificate in PEM: no certificate or crl found",
        ),
        (
            {"cert_file": "absent.pem", "key_file": "key.pem"},
            "cert_file",
            "cannot be read: No such file or directory",
        ),
        (
            {"cert_file": "cert.pem", "key_file": "absent.pem"},
            "key_file",
            "cannot be read: No such file or directory",
        ),
        (
            {"cert_file": "cert.pem", "key_file": "other-key.pem"},
            "key_file",
            "not a PEM client certificate with its matching key: key values mismatch",
        ),
        (
            {"cert_file": "cert.pem"},
            "cert_file",
            "not a PEM client certificate with its matching key: a part is missing",
        ),
    ],
)
def test_files_that_cannot_be_used(
    files: Path, names: dict[str, str], option: str, message: str
) -> None:
    """The option is named, and what is wrong with its file."""
    ca_file, cert_file, key_file = (
        files / names[name] if name in names else None
        for name in ("ca_file", "cert_file", "key_file")
    )
    tls = Tls(ca_file, cert_file, key_file)
    with pytest.raises(TlsFileError) as caught:
        Transport(Server("https://127.0.0.1", tls=tls), {})

    assert (caught.value.option, str(caught.value)) == (option, message)


def test_an_encrypted_key_is_no_question_on_the_terminal(files: Path) -> None:
    """A daemon has none to ask at; OpenSSL's word for it differs between releases."""
    tls = Tls(cert_file=files / "cert.pem", key_file=files / "encrypted.pem")
    with pytest.raises(TlsFileError) as caught:
        Transport(Server("https://127.0.0.1", tls=tls), {})

    assert caught.value.option == "key_file"
    assert str(caught.value).startswith("not a PEM client certificate with its matching key")


# On the wire


async def test_what_arrives_is_what_was_signed() -> None:
    """Neither httpx nor aiohttp spells a header, the path or the body in another way."""
    keys = Signature(Secret("AK1"), Secret("sk"))
    async with listening(GOOD) as peer:
        await reading(f"http://127.0.0.1:{peer.port}/gw%20a~b", auth=keys, page_size=100)

    head, body = peer.requests[0].split(b"\r\n\r\n")
    request_line, *lines = head.decode().split("\r\n")
    method, path, _ = request_line.split(" ")
    headers = {name.lower(): value for name, value in (line.split(": ") for line in lines)}
    prefix, signature = headers["authorization"].rsplit("/", 1)
    signed = {name: headers[name] for name in prefix.rsplit("/", 1)[1].split(";")}
    assert list(signed) == ["content-length", "content-type", "host"]
    canonical = canonical_request(method, path, signed, body)
    assert signing.authorization("sk", prefix, canonical) == f"{prefix}/{signature}"


async def test_an_address_with_a_zone(ca: trustme.CA, ca_file: Path) -> None:
    """It is dialled by its zone, which neither the server nor its certificate knows."""
    links = [line.split() for line in Path("/proc/net/if_inet6").read_text("ascii").splitlines()]
    # one that is still tentative cannot be used yet
    usable = [parts for parts in links if not int(parts[4], 16) & 0x40]
    found = [(parts[0], parts[5]) for parts in usable if parts[0].startswith("fe80")]
    if not found:
        pytest.skip("no interface of this machine has a link-local address")
    address, zone = str(ipaddress.IPv6Address(bytes.fromhex(found[0][0]))), found[0][1]
    tls = presenting(ca.issue_cert(address))
    async with listening(GOOD, tls=tls, host=f"{address}%{zone}") as peer:
        for written in (f"%25{zone}", f"%{zone}"):
            url = f"https://[{address}{written}]:{peer.port}"
            await reading(url, tls=Tls(ca_file=ca_file))

    assert peer.connections == 2
    for request in peer.requests:
        assert f"\r\nhost: [{address}]:{peer.port}\r\n".encode() in request.lower()


async def test_a_password_of_a_proxy_goes_to_the_proxy_however_the_url_is_spelled(
    ca: trustme.CA, ca_file: Path
) -> None:
    """What is https is not told by its letters."""
    proxy = ConnectProxy()
    async with (
        serving(proxy.converse) as port,
        listening(GOOD, tls=presenting(ca.issue_cert("127.0.0.1"))) as peer,
    ):
        await reading(
            f"HTTPS://127.0.0.1:{peer.port}",
            proxy_url=Secret(f"HTTP://user:canary@127.0.0.1:{port}"),
            tls=Tls(ca_file=ca_file),
        )

    assert "proxy-authorization: basic " in proxy.heads[0].lower()
    assert b"proxy-authorization" not in peer.requests[0].lower()


# Kept-alive connections


async def test_polls_share_a_connection() -> None:
    """A handshake for each poll would cost a fragile server more than the answer."""
    async with (
        listening(GOOD) as peer,
        connected(f"http://127.0.0.1:{peer.port}") as client,
    ):
        for vdn in range(1, 4):
            result = await client.poll(1, vdn)
            assert result.requests == 1
            await client.rested()

    assert (peer.connections, len(peer.requests)) == (1, 3)


async def test_polls_without_a_pause_take_turns_on_a_few_connections() -> None:
    """A connection rests after its reply: a surplus one would be seen meanwhile."""
    async with (
        listening(GOOD) as peer,
        connected(f"http://127.0.0.1:{peer.port}") as client,
    ):
        for vdn in range(1, 41):
            read(await client.poll(1, vdn))

    assert len(peer.requests) == 40
    assert peer.connections <= 10


async def test_a_stale_connection_is_replaced_at_once() -> None:
    """The server drops what the client believes open: sent once more, the poll succeeds."""
    async with (
        listening(GOOD, Step(then="hang up"), GOOD) as peer,
        connected(f"http://127.0.0.1:{peer.port}") as client,
    ):
        await client.poll(1, 1)
        await client.rested()
        result = read(await client.poll(1, 1))

    assert (result.snapshot.resting, result.requests, peer.connections) == (1, 2, 2)


async def test_a_stale_connection_is_replaced_only_once() -> None:
    """A fresh connection that is dropped too is a server in trouble."""
    async with (
        listening(GOOD, Step(then="hang up")) as peer,
        connected(f"http://127.0.0.1:{peer.port}") as client,
    ):
        await client.poll(1, 1)
        await client.rested()
        error = failed(await client.poll(1, 1))

    assert error.reason is Reason.DISCONNECTED
    assert (error.requests, len(peer.requests)) == (2, 3)


async def test_a_reply_that_is_cut_on_a_kept_alive_connection_is_not_asked_again() -> None:
    """It had begun, so the connection was not stale."""
    async with (
        listening(GOOD, Step(GOOD.data[:-5], "hang up")) as peer,
        connected(f"http://127.0.0.1:{peer.port}") as client,
    ):
        await client.poll(1, 1)
        await client.rested()
        error = failed(await client.poll(1, 1))

    assert error.reason is Reason.DISCONNECTED
    assert (error.requests, len(peer.requests)) == (1, 2)


async def test_no_cookie_is_kept() -> None:
    """A load balancer's would tie every poll to one machine behind it."""
    good = Step(http(answer(), Set_Cookie="node=7; Path=/"))
    async with (
        listening(good) as peer,
        # by name: aiohttp keeps no cookies of bare addresses anyhow
        connected(f"http://localhost:{peer.port}") as client,
    ):
        await client.poll(1, 1)
        await client.poll(1, 1)

    assert len(peer.requests) == 2
    assert b"cookie" not in peer.requests[1].lower()


async def test_the_process_environment_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No password from a .netrc, no proxy but by the environment that was passed in."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with listening(GOOD) as peer:
        result = await reading(f"http://127.0.0.1:{peer.port}")

    assert result.snapshot.resting == 1
    assert b"authorization" not in peer.requests[0].lower()


async def test_a_client_that_never_polled_closes() -> None:
    """A reload may drop a server before its first turn."""
    async with connected("https://127.0.0.1:1") as client:
        assert client.server.address == "127.0.0.1:1"


# Proxies


@pytest.mark.parametrize(
    ("scheme", "status"),
    [
        ("https", "200 Connection established"),
        ("HTTPS", "200 Connection established"),
        ("https", "201 Created"),
        ("https", "204 No Content"),
    ],
)
async def test_a_tunnel_through_a_proxy(
    ca: trustme.CA, ca_file: Path, scheme: str, status: str
) -> None:
    """The proxy sees host, port and its own password, and nothing of the question.

    However the URL is spelled: the server must never see the proxy's password. Any status 2xx says
    that the tunnel is open (RFC 9110, 9.3.6).
    """
    proxy = ConnectProxy(status)
    async with (
        serving(proxy.converse) as port,
        listening(GOOD, tls=presenting(ca.issue_cert("cms.example.com"))) as peer,
        connected(
            f"{scheme}://127.0.0.1:{peer.port}",
            auth=StaticAuthorization(Secret("canary-token")),
            proxy_url=Secret(f"http://user:p%40ss@127.0.0.1:{port}"),
            tls=Tls(ca_file=ca_file, server_name="cms.example.com"),
        ) as client,
    ):
        for _ in range(2):
            result = read(await client.poll(1, 1))
            assert result.snapshot.resting == 1
            await client.rested()

    assert [head.split("\r\n")[0] for head in proxy.heads] == [
        f"CONNECT 127.0.0.1:{peer.port} HTTP/1.1"
    ]
    credentials = base64.b64encode(b"user:p@ss").decode()
    assert f"\r\nproxy-authorization: basic {credentials}\r\n".lower() in proxy.heads[0].lower()
    assert "canary-token" not in proxy.heads[0]
    assert b"proxy-authorization" not in peer.requests[0].lower()


async def test_a_proxy_from_the_environment() -> None:
    """Plain HTTP goes to the proxy itself, with its password beside the question."""
    async with listening(GOOD) as proxy:
        environ = {"HTTP_PROXY": f"user:pass@127.0.0.1:{proxy.port}", "NO_PROXY": "10.0.0.0/8"}
        result = await reading("http://cms.invalid:28080", environ=environ)

    assert result.snapshot.resting == 1
    assert proxy.requests[0].startswith(b"POST http://cms.invalid:28080/rest/cmsapp/v1/")
    credentials = base64.b64encode(b"user:pass")
    assert b"\r\nproxy-authorization: basic " + credentials.lower() in proxy.requests[0].lower()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_asks_for_a_password(scheme: str) -> None:
    """The same sentence for a tunnel and for plain HTTP."""
    proxy = ConnectProxy("407 Proxy Authentication Required")
    async with serving(proxy.converse) as port:
        url = Secret(f"http://127.0.0.1:{port}")
        error = await failure(f"{scheme}://cms.invalid:28443", proxy_url=url)

    assert said(error, port) == (
        Reason.AUTH,
        (
            "HTTP 407: the proxy http://127.0.0.1:PORT (from proxy_url) requires a password: add "
            "user and password to proxy_url"
        ),
    )


async def test_a_proxy_that_refuses_a_tunnel() -> None:
    """By its rules, or because it finds no way."""
    proxy = ConnectProxy("403 Forbidden")
    async with serving(proxy.converse) as port:
        url = Secret(f"http://127.0.0.1:{port}")
        error = await failure("https://cms.invalid:28443", proxy_url=url)

    assert said(error, port) == (
        Reason.CONNECT,
        (
            "the proxy http://127.0.0.1:PORT (from proxy_url) refuses to connect to "
            "cms.invalid:28443 (HTTP 403): ask for this server to be added to the proxy's "
            "rules; if the server can be reached without a proxy, remove proxy_url"
        ),
    )


async def test_a_proxy_that_cannot_be_reached() -> None:
    """Its address is named; its password is not."""
    port = free_port()
    url = Secret(f"http://user:canary@127.0.0.1:{port}")
    error = await failure("https://cms.invalid:28443", proxy_url=url)

    assert said(error, port) == (
        Reason.CONNECT,
        (
            "the proxy http://127.0.0.1:PORT (from proxy_url) cannot be reached: connection "
            "refused; correct proxy_url; if the server can be reached without a proxy, remove "
            "proxy_url"
        ),
    )


async def test_a_proxy_whose_name_does_not_exist() -> None:
    """Not to be taken for the server's name."""
    url = Secret("http://user:canary@proxy.invalid:3128")
    error = await failure("https://127.0.0.1:28443", proxy_url=url)

    assert said(error, 3128) == (
        Reason.DNS,
        (
            "the name of the proxy http://proxy.invalid:PORT (from proxy_url) cannot be resolved: "
            "check proxy_url, and this host's DNS"
        ),
    )
