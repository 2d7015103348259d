"""From a configuration by way of its servers to clients."""

from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from exporter.begin_time import BeginTimeUnit
from exporter.clock import system_clock
from exporter.config.load import Config, load
from exporter.polling import build
from exporter.polling.build import BuildError
from exporter.secret import Secret
from exporter.server import Server, Signature, StaticAuthorization
from exporter.store import Target, TargetKey


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Secrets, and a certificate with its key and its CA."""
    for name in ("sk", "token", "proxy"):
        (tmp_path / name).write_text(f"CANARY-{name}", encoding="utf-8")
    (tmp_path / "proxy").write_text("http://user:CANARY@proxy:3128", encoding="utf-8")
    ca = trustme.CA()
    certificate = ca.issue_cert("exporter")
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    return tmp_path


LIMA = """
  - name: lima
    url: https://lima:28443
    auth: {access_key: AK, secret_key_file: sk, signed_headers: [host]}
    tls: {ca_file: ca.pem, cert_file: cert.pem, key_file: key.pem, server_name: cms}
    cti_version: "3.6"
    page_size: 7
    interval: 20s
    timeout: 5s
    stale_after: 100s
    max_concurrency: 3
    max_requests_per_second: 2
    begin_time_unit: ms
    proxy_url_file: proxy
    headers: {X-Tenant: abc}
    targets: [{ccId: 1, vdn: 2, name: sales, labels: {site: lima}, max_resting: 5}]
"""
QUITO = """
  - name: quito
    url: http://quito
    auth: {authorization_file: token}
    targets: [{ccId: 2, vdn: 1-2}]
"""
CUSCO = """
  - name: cusco
    url: http://cusco
    api: agentrestinfo
    cti_version: "3.6"
    targets: [{ccId: 3, vdn: 1}]
"""


def configured(folder: Path, *blocks: str) -> Config:
    """The configuration with these blocks."""
    path = folder / "config.yaml"
    path.write_text("cms:" + "".join(blocks), encoding="utf-8")
    return load(path, {})


def only_server(folder: Path, block: str) -> Server:
    """The only server of a configuration."""
    (found,) = configured(folder, block).servers
    return found


def test_targets_in_the_order_of_the_file(folder: Path) -> None:
    """With what their server says of them."""
    assert configured(folder, LIMA, QUITO).targets == (
        Target(TargetKey("lima", 1, 2), "sales", (("site", "lima"),), 5, 100.0),
        Target(TargetKey("quito", 2, 1)),
        Target(TargetKey("quito", 2, 2)),
    )


def test_a_server_with_everything(folder: Path) -> None:
    """Header names are in lowercase, and no secret shows."""
    server = only_server(folder, LIMA)
    assert isinstance(server.auth, Signature)
    assert server.auth.access_key.read() == Secret("AK")
    assert server.auth.secret_key.read() == Secret("CANARY-sk")
    assert server.auth.signed_headers == ("host",)
    assert server.proxy_url is not None
    assert server.proxy_url.read() == Secret("http://user:CANARY@proxy:3128")
    assert [(name, source.read()) for name, source in server.headers] == [
        ("x-tenant", Secret("abc"))
    ]
    assert (server.name, server.url, server.page_size) == ("lima", "https://lima:28443", 7)
    assert (server.interval, server.timeout, server.max_concurrency) == (20, 5, 3)
    assert server.max_requests_per_second == 2
    assert server.begin_time_unit is BeginTimeUnit.MILLISECONDS
    assert (server.tls.ca_file, server.tls.server_name) == (folder / "ca.pem", "cms")
    assert "CANARY" not in repr(server)


def test_other_servers(folder: Path) -> None:
    """A header as it is, or none; the older interface has no pages, whatever the release."""
    quito, cusco = configured(folder, QUITO, CUSCO).servers
    assert isinstance(quito.auth, StaticAuthorization)
    assert quito.auth.value.read() == Secret("CANARY-token")
    assert (quito.page_size, quito.proxy_url) == (None, None)
    assert (cusco.auth, cusco.page_size) == (None, None)


def test_a_server_is_the_same_while_nothing_changes(folder: Path) -> None:
    """Targets, labels and their limits are not part of it."""
    before = only_server(folder, LIMA)
    assert only_server(folder, LIMA) == before
    other = LIMA.replace("vdn: 2", "vdn: 3-9").replace("100s", "50s")
    assert only_server(folder, other) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("lima:28443", "lima:28444"),
        ("access_key: AK", "access_key: KA"),
        ("X-Tenant: abc", "X-Tenant: abd"),
        ("timeout: 5s", "timeout: 6s"),
        ("interval: 20s", "interval: 25s"),
        ("max_requests_per_second: 2", "max_requests_per_second: 3"),
        ("server_name: cms", "insecure_skip_verify: true"),
    ],
)
def test_another_setting_is_another_server(folder: Path, old: str, new: str) -> None:
    """Whatever the client or the schedule depends on."""
    assert only_server(folder, LIMA.replace(old, new)) != only_server(folder, LIMA)


@pytest.mark.parametrize("name", ["sk", "proxy", "ca.pem", "cert.pem", "key.pem"])
def test_another_content_is_another_server(folder: Path, name: str) -> None:
    """Secrets and certificates are compared, not their names and times."""
    before = only_server(folder, LIMA)
    with (folder / name).open("a", encoding="utf-8") as file:
        file.write("1")
    assert only_server(folder, LIMA) != before


@pytest.mark.anyio
async def test_clients(folder: Path) -> None:
    """One for each server, with the secrets that were loaded: no file is read again."""
    servers = configured(folder, LIMA, QUITO).servers
    for name in ("sk", "token", "proxy"):
        (folder / name).unlink()
    clients = build.clients(servers, {}, system_clock)
    assert tuple(client.server for client in clients.values()) == servers
    for client in clients.values():
        await client.aclose()


def test_certificates_that_cannot_be_used(folder: Path) -> None:
    """All of them at once."""
    found = only_server(folder, LIMA)
    (folder / "ca.pem").write_text("no PEM", encoding="utf-8")
    (folder / "key.pem").write_text("no PEM", encoding="utf-8")
    other = replace(found, name="quito", tls=replace(found.tls, ca_file=None))
    with pytest.raises(BuildError) as caught:
        build.clients([found, other], {}, system_clock)
    assert caught.value.sentences == (
        "cms lima: tls.ca_file: not a CA certificate in PEM: no certificate or crl found",
        (
            "cms quito: tls.key_file: not a PEM client certificate with its matching key: "
            "a part is missing"
        ),
    )


def test_a_chosen_proxy_the_environment_that_cannot_be_used(folder: Path) -> None:
    """Before anything is polled, and only where it would be used; never with its password."""
    quito, cusco = configured(folder, QUITO, CUSCO).servers
    quito = replace(quito, url="https://quito.example")
    cusco = replace(cusco, url="https://10.0.0.1")
    environ = {"HTTPS_PROXY": "http://user:CANARY@10.22.26.281:3128", "NO_PROXY": "10.0.0.0/8"}
    with pytest.raises(BuildError) as caught:
        build.clients([quito, cusco], environ, system_clock)
    assert caught.value.sentences == (
        (
            f"cms {quito.name}: HTTPS_PROXY contains a host that ends in a number but is not an "
            "IPv4 address: write four numbers from 0 to 255, without zeros in front, such as "
            "10.22.26.181"
        ),
    )
