"""Which connections the options of `tls` are for, and what cannot be tried."""

import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from exporter.config import pem
from exporter.config.load import load
from exporter.config.problems import ConfigError
from tests.support.web_config import weak_pair

NOT_USED = "config.yaml:1:25: cms[0].tls: only applies to https urls"


def problems(folder: Path, block: str, environ: Mapping[str, str]) -> list[str]:
    """What is wrong with a server of an http url and options of TLS."""
    path = folder / "config.yaml"
    tls = "tls: {insecure_skip_verify: true}"
    path.write_text(f"cms: [{{url: 'http://a', {tls}, targets: [{{ccId: 1, vdn: 1}}]{block}}}]")
    try:
        load(path, environ)
    except ConfigError as error:
        return [str(problem).removeprefix(f"{folder}/") for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("block", "environ"),
    [
        ("", {}),
        (", proxy_url: 'http://proxy:3128'", {"HTTP_PROXY": "https://other:3128"}),
        (", proxy_url: '${PROXY}'", {"PROXY": "http://proxy:3128"}),
        ("", {"HTTP_PROXY": "http://proxy:3128", "HTTPS_PROXY": "https://other:3128"}),
        ("", {"http_proxy": "proxy:3128", "HTTP_PROXY": "https://other:3128"}),
    ],
)
def test_options_that_no_connection_has(
    tmp_path: Path, block: str, environ: dict[str, str]
) -> None:
    """Whoever sets them believes that the server or its proxy uses TLS."""
    assert problems(tmp_path, block, environ) == [NOT_USED]


@pytest.mark.parametrize(
    ("block", "environ"),
    [
        (", proxy_url: 'https://proxy:3128'", {}),
        (", proxy_url: 'HTTPS://user:password@proxy:3128'", {}),
        (", proxy_url: '${PROXY}'", {"PROXY": "https://proxy:3128"}),
        ("", {"HTTP_PROXY": "https://proxy:3128"}),
        ("", {"http_proxy": " HTTPS://proxy:3128 ", "HTTP_PROXY": "http://other:3128"}),
    ],
)
def test_options_for_a_proxy(tmp_path: Path, block: str, environ: dict[str, str]) -> None:
    """A proxy may have the certificate of a private CA as well as a server."""
    assert problems(tmp_path, block, environ) == []


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (", proxy_url: 5", "proxy_url: must be text, not a whole number; put it in quotes"),
        (", proxy_url: 'socks5://proxy'", "proxy_url: must start with https:// or http://"),
        (", proxy_url_file: none", "proxy_url_file: {folder}/none cannot be read: no such file"),
    ],
)
def test_options_for_a_proxy_that_is_not_known(tmp_path: Path, block: str, problem: str) -> None:
    """One problem is enough."""
    (found,) = problems(tmp_path, block, {})
    assert found.partition("cms[0].")[2] == problem.replace("{folder}", str(tmp_path))


def test_options_for_a_proxy_are_shown(tmp_path: Path) -> None:
    """They are in force."""
    assert problems(tmp_path, ", proxy_url: 'https://proxy:3128'", {}) == []
    text = b"".join(load(tmp_path / "config.yaml", {}).shown()).decode()
    assert "    tls:\n      insecure_skip_verify: true\n" in text


def test_without_a_place_for_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL reads files only, and this host may have no room for one: the text may be good."""

    def refuse(*_: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.delattr("os.memfd_create", raising=False)
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(pem.PemError) as caught:
        pem.load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), weak_pair())
    assert str(caught.value) == "cannot be passed to OpenSSL: No space left on device"
    assert caught.value.__context__ is None
