"""The web configuration as users meet it: each file beside promtool, each bad one to the letter."""

import errno
import os
import re
import ssl
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config.problems import ConfigError
from exporter.secret import Secret
from exporter.webconfig import tls_server
from exporter.webconfig.tls_server import (
    CLIENT_POLICIES,
    normalized,
    subject_alternative_names,
)
from exporter.webconfig.web_config import ALLOWED_HEADERS, WebConfig, WebFile, load_web_config
from tests.support.config_keys import keys
from tests.support.paths import ROOT
from tests.support.web_config import FOLDER, lay_out

DOCUMENT = ROOT / "docs" / "web-config.md"
HASH = "$2y$10$2UXri9cIDdgeKjBo4Rlpx.U3ZLDV8X1IxKmsfOvhcM5oXQt/mLmXq"


def names(kind: str) -> list[str]:
    """The fixtures of a kind."""
    return sorted(path.stem for path in (FOLDER / kind).glob("*.yaml"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every fixture, with certificates beside it."""
    path = tmp_path_factory.mktemp("webconfig")
    lay_out(path)
    return path


def complaints(path: Path) -> str:
    """What is wrong with a file."""
    with pytest.raises(ConfigError) as caught:
        load_web_config(path)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    return str(caught.value)


def check(promtool: str, path: Path) -> subprocess.CompletedProcess[str]:
    """What promtool says of it."""
    return subprocess.run(
        [promtool, "check", "web-config", str(path)],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )


@pytest.mark.real
@pytest.mark.parametrize("name", names("good"))
def test_good(name: str, folder: Path, promtool: str) -> None:
    """Promtool takes it, and so do we."""
    path = folder / f"good-{name}.yaml"
    verdict = check(promtool, path)
    assert verdict.returncode == 0, verdict.stderr
    assert isinstance(load_web_config(path), WebConfig)


@pytest.mark.real
@pytest.mark.parametrize("name", names("newer"))
def test_newer(name: str, folder: Path, promtool: str) -> None:
    """A key that came after this promtool is all that it may complain of."""
    path = folder / f"newer-{name}.yaml"
    verdict = check(promtool, path)
    assert verdict.returncode == 0 or "not found in type web.TLSConfig" in verdict.stderr
    assert isinstance(load_web_config(path), WebConfig)


@pytest.mark.real
@pytest.mark.parametrize("name", names("bad"))
def test_bad(name: str, folder: Path, promtool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promtool refuses it, and so do we: everything at once, and no secret shown."""
    assert check(promtool, folder / f"bad-{name}.yaml").returncode != 0
    expect("bad", name, folder, monkeypatch)


@pytest.mark.parametrize("name", names("stricter"))
def test_stricter(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What promtool lets pass, and what would not do here what it says."""
    expect("stricter", name, folder, monkeypatch)


def expect(kind: str, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold the complaints of a file against the text beside its fixture."""
    monkeypatch.chdir(folder)
    said = complaints(Path(f"{kind}-{name}.yaml"))
    said = said.replace(f"{kind}-{name}.yaml", f"{name}.yaml").replace(str(folder), "{folder}")
    assert said + "\n" == (FOLDER / kind / f"{name}.txt").read_text(encoding="utf-8")
    assert "CANARY" not in said


def test_missing_file(tmp_path: Path) -> None:
    """The flag names a file that is not there."""
    path = tmp_path / "web.yaml"
    assert complaints(path) == f"{path}:1:1: cannot be read: no such file"


def test_undecodable_file(tmp_path: Path) -> None:
    """The flag names something else."""
    path = tmp_path / "web.yaml"
    path.write_bytes(b"\xff")
    assert complaints(path) == f"{path}:1:1: cannot be read: not UTF-8 text (line 1)"


def test_relative_names_start_at_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the exporter was started."""
    monkeypatch.chdir("/")
    assert load_web_config(folder / "good-tls.yaml").tls is not None


def test_what_the_file_says(folder: Path) -> None:
    """Every value arrives where it is used."""
    nothing = load_web_config(folder / "good-braces.yaml")
    assert (nothing.tls, nothing.headers, nothing.users) == (None, (), {})
    assert list(nothing.seen.files) == [folder / "good-braces.yaml"]
    assert load_web_config(folder / "good-headers-blank.yaml").headers == ()
    assert load_web_config(folder / "good-headers.yaml").headers == (
        ("Content-Security-Policy", "default-src 'self'"),
        ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "deny"),
        ("X-XSS-Protection", "1"),
    )
    users = load_web_config(folder / "good-users.yaml").users
    assert list(users) == ["alice", "bob", "carol with spaces"]
    assert users["alice"] == Secret(HASH)
    assert HASH not in repr(users)


def test_contexts_do_as_the_file_says(folder: Path) -> None:
    """As far as a context can be asked; handshakes are tested on sockets."""
    plain = load_web_config(folder / "good-tls.yaml").tls
    assert plain
    assert plain.minimum_version is ssl.TLSVersion.TLSv1_2
    assert plain.maximum_version is ssl.TLSVersion.TLSv1_3
    assert plain.verify_mode is ssl.VerifyMode.CERT_NONE
    assert plain.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert plain.options & ssl.OP_NO_RENEGOTIATION
    ciphers = load_web_config(folder / "good-ciphers.yaml").tls
    assert ciphers
    assert not ciphers.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert [each["name"] for each in ciphers.get_ciphers() if each["protocol"] == "TLSv1.2"] == [
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-AES256-GCM-SHA384",
    ]
    given = load_web_config(folder / "good-clients-if-given.yaml").tls
    assert given
    assert given.verify_mode is ssl.VerifyMode.CERT_OPTIONAL
    sans = load_web_config(folder / "newer-clients-sans.yaml").tls
    assert sans
    assert sans.verify_mode is ssl.VerifyMode.CERT_REQUIRED
    assert sans.allowed_sans == {"prometheus.example", "10.0.0.1"}


def test_suites_of_tls13_alone_mean_tls13(folder: Path) -> None:
    """With Go's list of suites there would be nothing left to speak below."""
    path = folder / "tls13.yaml"
    path.write_text(
        "tls_server_config: {cert_file: server.pem, key_file: server.key,"
        " cipher_suites: [TLS_AES_128_GCM_SHA256]}",
        encoding="utf-8",
    )
    context = load_web_config(path).tls
    assert context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


def test_a_host_without_a_curve(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL can be built without some of them."""
    monkeypatch.setitem(tls_server.CURVES, "X", "no-such-curve")
    path = folder / "no-curve.yaml"
    path.write_text(
        "tls_server_config: {cert_file: server.pem, key_file: server.key, curve_preferences: [X]}",
        encoding="utf-8",
    )
    assert complaints(path) == (
        f"{path}:1:85: tls_server_config.curve_preferences: not supported by this host's OpenSSL"
    )


def test_a_host_without_descriptors(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process at its limit says so, and does not fall over its own watch."""

    def refuse(_name: str) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "memfd_create", refuse)
    path = folder / "good-tls.yaml"
    assert complaints(path) == (
        f"{path}:2:14: tls_server_config.cert_file: {folder}/server.pem cannot be passed to"
        " OpenSSL: Too many open files"
    )


def test_without_files_in_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other systems than Linux get a nameless file of their own."""
    monkeypatch.delattr(os, "memfd_create")
    assert load_web_config(folder / "good-tls.yaml").tls is not None


@given(
    st.text()
    | st.dictionaries(
        st.sampled_from(
            ["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda below: (
                st.lists(below)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "cert_file",
                            "key",
                            "cert",
                            "client_auth_type",
                            "headers",
                            "http2",
                            "X-Frame-Options",
                            "cipher_suites",
                            "min_version",
                        ]
                    ),
                    below,
                )
            ),
        ),
    ).map(repr)
)
@settings(max_examples=200)
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever the file holds, the answer is a configuration or a list of problems."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        config = load_web_config(path)
    except ConfigError as error:
        assert error.problems  # noqa: PT017 - either outcome is fine
    else:
        assert config.tls is None


def test_names_of_clients() -> None:
    """Addresses count by their meaning, everything else to the letter."""
    certificate = {
        "subjectAltName": (
            ("DNS", "prometheus.example"),
            ("IP Address", "2001:DB8:0:0:0:0:0:1"),
            ("email", "ops@example"),
            ("URI", "spiffe://example/prometheus"),
            ("Registered ID", "1.2.3"),
        )
    }
    assert subject_alternative_names(certificate) == {
        "prometheus.example",
        "2001:db8::1",
        "ops@example",
        "spiffe://example/prometheus",
    }
    assert subject_alternative_names({}) == frozenset()
    assert normalized(["2001:db8:0::1", "Prometheus.example"]) == {
        "2001:db8::1",
        "Prometheus.example",
    }


def test_the_document_lists_every_key() -> None:
    """And none that there is not; blocks go without saying."""
    text = DOCUMENT.read_text(encoding="utf-8")
    table = text.partition("| key | meaning |\n")[2].partition("\n\n")[0]
    listed = [
        key for row in table.splitlines()[1:] for key in re.findall(r"`([^`]+)`", row.split("|")[1])
    ]
    blocks = {"tls_server_config", "http_server_config"}
    assert sorted(listed) == sorted(set(keys(WebFile)) - blocks)
    for name in (
        *CLIENT_POLICIES,
        *tls_server.VERSIONS,
        *tls_server.CURVES,
        *ALLOWED_HEADERS,
    ):
        assert f"`{name}`" in text, name


def test_the_document_shows_a_file_that_works(folder: Path) -> None:
    """As it stands there."""
    shown = DOCUMENT.read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0]
    path = folder / "shown.yaml"
    path.write_text(shown, encoding="utf-8")
    config = load_web_config(path)
    assert config.tls
    assert config.tls.verify_mode is ssl.VerifyMode.CERT_REQUIRED
    assert list(config.users) == ["prometheus"]
