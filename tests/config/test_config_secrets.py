"""Secrets that are read again, and certificates: what changes while the program runs."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from exporter.cms.tls import ssl_context
from exporter.config.credentials import (
    SecretError,
    SecretFile,
    check_header,
    check_text,
    from_value,
)
from exporter.config.load import load
from exporter.config.problems import ConfigError
from exporter.secret import Secret
from exporter.server import Server, Signature
from tests.support.web_config import weak_pair

_NO_KEY = " does not contain a usable, unencrypted PEM key"


def test_rotated_file(tmp_path: Path) -> None:
    """Each read gives what the file holds now, less one newline."""
    path = tmp_path / "key"
    path.write_text("first\n", encoding="utf-8")
    source = SecretFile.load(path, check_text)
    for content, text in [("old", "old"), ("new\n", "new"), ("b\r\n", "b")]:
        path.write_bytes(content.encode())
        assert source.read() == Secret(text)
        assert source.loaded == Secret("first")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "must not be empty"),
        (b"\n", "must not be empty"),
        (b"CANARY\xff", "cannot be read: not UTF-8 text (line 1)"),
        (
            b"CANARY\nCANARY",
            "must be plain ASCII without line breaks or control characters",
        ),
    ],
)
def test_rotated_to_nonsense(tmp_path: Path, content: bytes, complaint: str) -> None:
    """A file that was good at load may be bad later: the sentence names it, not its content."""
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(SecretError) as caught:
        SecretFile(path, check_header, Secret("old")).read()
    assert str(caught.value) == f"{path} {complaint}"
    assert caught.value.__context__ is None


WHITE = "must not begin or end with spaces, tabs or line breaks"
ONE_LINE = "must be one line without control characters"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CANARY", Secret("CANARY")),
        ("CANARY\n", Secret("CANARY")),
        ("CANARY\r\n", Secret("CANARY")),
        ("CAN ARY\n", Secret("CAN ARY")),
        ("CAN\nARY", ONE_LINE),
        ("CAN\r\nARY\n", ONE_LINE),
        ("CAN\tARY", ONE_LINE),
        ("CAN\u0007ARY", ONE_LINE),
        ("CAN\u0085ARY", ONE_LINE),
        ("CAN\u2028ARY", ONE_LINE),
        ("CANARY ñ 密钥", Secret("CANARY ñ 密钥")),
        ("CANARY\n\n", WHITE),
        ("CANARY\r", WHITE),
        ("CANARY ", WHITE),
        ("CANARY \n", WHITE),
        (" CANARY", WHITE),
        ("\nCANARY\n", WHITE),
        ("\tCANARY", WHITE),
        ("CANARY\u00a0", WHITE),
        (" ", WHITE),
        ("\n", "must not be empty"),
        ("\r\n", "must not be empty"),
        ("", "must not be empty"),
    ],
)
def test_the_same_rule_wherever_a_secret_comes_from(
    tmp_path: Path, text: str, expected: Secret | str
) -> None:
    """A value, a variable and a file: a newline at the end goes, other white space is named."""
    path = tmp_path / "key"
    path.write_bytes(text.encode())
    reads: dict[str, Callable[[], Secret]] = {
        "": lambda: from_value(Secret(text), check_text, {}),
        "the environment variable KEY ": lambda: from_value(
            Secret("${KEY}"), check_text, {"KEY": text}
        ),
        f"{path} ": lambda: SecretFile.load(path, check_text).loaded,
    }
    for origin, read in reads.items():
        if isinstance(expected, Secret):
            assert read() == expected
            continue
        with pytest.raises(SecretError) as caught:
            read()
        found = str(caught.value).replace("KEY is empty", "KEY must not be empty")
        assert found == f"{origin}{expected}"
        assert caught.value.__context__ is None


def test_a_variable_may_end_a_block() -> None:
    """YAML's `|` leaves a newline behind the name of a variable."""
    assert from_value(Secret("${KEY}\n"), check_text, {"KEY": "CANARY\r\n"}) == Secret("CANARY")


@pytest.mark.parametrize(
    "text",
    ["${CANARY-AK}", "${CANARY }", "${CANARY:-y}", "${1CANARY}", "${}", "${CANARY\n}", "${ñ}\n"],
)
def test_a_name_that_no_variable_has(text: str) -> None:
    """It is the whole value, so it is the name that is wrong. It is not repeated."""
    with pytest.raises(SecretError) as caught:
        from_value(Secret(text), check_text, {"CANARY-AK": "CANARY", "CANARY ": "CANARY"})
    assert str(caught.value) == (
        "not a valid variable name: use letters, digits and _, not starting with a digit, as in "
        "${NAME}"
    )


@pytest.mark.parametrize("text", ["a${KEY}", "${KEY}a", "${KEY}${KEY}", "${KEY", "${KEY} ${KEY}"])
def test_a_variable_that_is_only_a_part(text: str) -> None:
    """Nothing is put together from several."""
    with pytest.raises(SecretError) as caught:
        from_value(Secret(text), check_text, {"KEY": "CANARY"})
    assert str(caught.value) == (
        "an environment variable must be the whole value: write ${NAME} and nothing else"
    )


def test_gone(tmp_path: Path) -> None:
    """A file that is gone is named."""
    path = tmp_path / "key"
    with pytest.raises(SecretError) as caught:
        SecretFile(path, check_text, Secret("old")).read()
    assert str(caught.value) == f"{path} cannot be read: no such file"


def test_undecodable_variable() -> None:
    """A variable whose bytes are not UTF-8 cannot be signed with, and says so at once."""
    with pytest.raises(SecretError) as caught:
        from_value(Secret("${KEY}"), check_text, {"KEY": "CANARY\udcff"})
    assert str(caught.value) == "the environment variable KEY must be UTF-8 text"


def _server(folder: Path, block: str) -> Server:
    path = folder / "config.yaml"
    targets = "targets: [{ccId: 1, vdn: 1}]"
    path.write_text(f"cms: [{{url: 'https://lima', {block}, {targets}}}]", encoding="utf-8")
    (server,) = load(path, {}).servers
    return server


def test_an_inline_secret_is_part_of_the_server(tmp_path: Path) -> None:
    """A server with another secret is another server; with the same one, it is the same."""
    auth = "auth: {{access_key: AK, secret_key: {}}}"
    old, same, new = (_server(tmp_path, auth.format(text)) for text in ("a", "a", "b"))
    assert isinstance(old.auth, Signature)
    assert old.auth.secret_key == Secret("a")
    assert old.fingerprint == ""
    assert old == same
    assert old != new


_FILES = (
    "auth: {access_key_file: ak, secret_key_file: sk}, proxy_url_file: proxy,"
    " tls: {ca_file: ca, cert_file: cert, key_file: key}"
)


@pytest.mark.parametrize("name", ["ak", "sk", "proxy", "ca", "cert", "key"])
def test_a_fingerprint_is_of_every_file_of_a_server(tmp_path: Path, pems: Path, name: str) -> None:
    """A rotated secret or certificate makes another server, and nothing else does."""
    for file, content in {"ak": "AK", "sk": "SK", "proxy": "http://proxy:3128"}.items():
        (tmp_path / file).write_text(content, encoding="utf-8")
    for file in ("ca", "cert", "key"):
        (tmp_path / file).write_bytes((pems / file).read_bytes())
    before = _server(tmp_path, _FILES)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes())
    (tmp_path / "other").touch()
    assert _server(tmp_path, _FILES) == before
    with (tmp_path / name).open("a", encoding="utf-8") as opened:
        opened.write("1" if len(name) == 2 and name != "ca" else "\n")
    assert _server(tmp_path, _FILES).fingerprint != before.fingerprint


def test_a_fingerprint_of_an_authorization_file(tmp_path: Path) -> None:
    """It is a secret like the others."""
    fingerprints = set()
    for token in ("Bearer a", "Bearer b", "Bearer a"):
        (tmp_path / "token").write_text(token, encoding="utf-8")
        fingerprints.add(_server(tmp_path, "auth: {authorization_file: token}").fingerprint)
    assert len(fingerprints) == 2


def test_a_secret_that_moves_makes_another_server(tmp_path: Path) -> None:
    """It is read again from where it is now, so that its next rotation is seen."""
    for name in ("sk", "moved"):
        (tmp_path / name).write_text("SK", encoding="utf-8")
    auth = "auth: {{access_key: AK, secret_key_file: {}}}"
    assert _server(tmp_path, auth.format("sk")) != _server(tmp_path, auth.format("moved"))


def _config(folder: Path, tls: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(
        f"cms: [{{url: 'https://lima', tls: {{{tls}}}, targets: [{{ccId: 1, vdn: 1}}]}}]",
        encoding="utf-8",
    )
    return path


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CA, a client certificate, and keys that fit, do not, or are locked."""
    folder = tmp_path_factory.mktemp("pems")
    ca = trustme.CA()
    leaf = ca.issue_cert("exporter.example")
    ca.cert_pem.write_to_path(folder / "ca")
    leaf.cert_chain_pems[0].write_to_path(folder / "cert")
    leaf.private_key_pem.write_to_path(folder / "key")
    leaf.private_key_and_cert_chain_pem.write_to_path(folder / "both")
    ca.issue_cert("other.example").private_key_pem.write_to_path(folder / "other")
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
    (folder / "locked").write_bytes(locked)
    (folder / "weak").write_bytes(weak_pair())
    (folder / "empty").touch()
    return folder


def test_tls_files(pems: Path) -> None:
    """Usable files become absolute paths, and are followed."""
    config = load(
        _config(pems, "ca_file: ca, cert_file: cert, key_file: key, server_name: cms.example"), {}
    )
    tls = config.servers[0].tls
    assert (tls.ca_file, tls.cert_file, tls.key_file) == (pems / "ca", pems / "cert", pems / "key")
    assert (tls.server_name, tls.insecure_skip_verify) == ("cms.example", False)
    assert {pems / "ca", pems / "cert", pems / "key"} < set(config.seen.files)


def test_key_inside_of_certificate(pems: Path) -> None:
    """cert_file may hold its key."""
    tls = load(_config(pems, "cert_file: both"), {}).servers[0].tls
    assert (tls.cert_file, tls.key_file) == (pems / "both", None)


def test_ciphers_say_how_weak_a_client_certificate_may_be(pems: Path) -> None:
    """An old server may have issued it; the client loads it as `check` does."""
    path = _config(pems, "cert_file: weak, ciphers: 'DEFAULT:@SECLEVEL=0'")
    tls = load(path, {}).servers[0].tls
    assert tls.cert_file == pems / "weak"
    assert ssl_context(tls).get_ciphers()


@pytest.mark.parametrize(
    ("tls", "complaint"),
    [
        (
            "ca_file: key",
            "1:44: cms[0].tls.ca_file: {folder}/key does not contain a usable PEM certificate",
        ),
        (
            "ca_file: empty",
            "1:44: cms[0].tls.ca_file: {folder}/empty does not contain a usable PEM certificate",
        ),
        (
            "cert_file: cert",
            (
                f"1:46: cms[0].tls.cert_file: {{folder}}/cert{_NO_KEY}; set key_file if it is in "
                "another file"
            ),
        ),
        (
            "cert_file: key, key_file: key",
            "1:46: cms[0].tls.cert_file: {folder}/key does not contain a usable PEM certificate",
        ),
        (
            "cert_file: cert, key_file: other",
            "1:62: cms[0].tls.key_file: {folder}/other does not match the certificate",
        ),
        (
            "cert_file: cert, key_file: locked",
            f"1:62: cms[0].tls.key_file: {{folder}}/locked{_NO_KEY}",
        ),
        (
            "cert_file: cert, key_file: empty",
            f"1:62: cms[0].tls.key_file: {{folder}}/empty{_NO_KEY}",
        ),
        (
            "cert_file: weak",
            (
                "1:46: cms[0].tls.cert_file: {folder}/weak contains a certificate that OpenSSL "
                "rejects as too weak: create a new one, or set ciphers to DEFAULT:@SECLEVEL=0"
            ),
        ),
        (
            "cert_file: cert, key_file: none",
            "1:62: cms[0].tls.key_file: {folder}/none cannot be read: no such file",
        ),
    ],
)
def test_unusable_tls_files(pems: Path, tls: str, complaint: str) -> None:
    """What OpenSSL would refuse, or ask a password for, is refused here, with its place."""
    path = _config(pems, tls)
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert str(caught.value) == f"{path}:" + complaint.replace("{folder}", str(pems))
