"""The web configuration while it is in use: new certificates and users, and bad changes."""

import asyncio
import base64
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import bcrypt
import pytest
import trustme

from exporter.config.problems import ConfigError
from exporter.service.reloader import watch_files
from exporter.webconfig import web_config
from exporter.webconfig.web_config import LiveWebConfig, WebConfig
from tests.support.web_config import PATIENCE, Connection, ask, chain, connected, key, served

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.both_loops,
]  # each loop has a TLS of its own around OpenSSL's


TLS = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n"
KEPT = "the web configuration was not reloaded: keeping the previous one"
READ = "the web configuration was reloaded"


class Ticks:
    """A `sleep` that a test ends by hand."""

    def __init__(self) -> None:
        self._asleep: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()
        self._current: asyncio.Future[None] | None = None

    async def sleep(self, _seconds: float) -> None:
        """Until the next tick."""
        end = asyncio.get_running_loop().create_future()
        await self._asleep.put(end)
        await end

    async def tick(self) -> None:
        """Let one look at the files happen from beginning to end."""
        async with asyncio.timeout(PATIENCE):
            current = self._current or await self._asleep.get()
            current.set_result(None)
            self._current = await self._asleep.get()


@contextlib.asynccontextmanager
async def watched(live: LiveWebConfig) -> AsyncIterator[Ticks]:
    """Watch a configuration by ticks."""
    ticks = Ticks()
    watching = watch_files(
        lambda: live.seen, live.reload, interval=1.0, settle=1.0, sleep=ticks.sleep
    )
    task = asyncio.create_task(watching)
    try:
        yield ticks
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Site:
    """A folder with a web configuration and its certificates, which can be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "web.yaml"
        self.ca = trustme.CA()
        self.client = ssl.create_default_context()
        self.ca.configure_trust(self.client)

    def write(self, text: str) -> None:
        """Change the file."""
        self.path.write_text(text, encoding="utf-8")

    def certify(self) -> trustme.LeafCert:
        """Write a new certificate and its key."""
        leaf = self.ca.issue_cert("localhost")
        (self.folder / "server.pem").write_bytes(chain(leaf))
        (self.folder / "server.key").write_bytes(key(leaf))
        return leaf


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """With a first certificate, and TLS alone."""
    made = Site(tmp_path)
    made.certify()
    made.write(TLS)
    return made


async def shown(port: int, client: ssl.SSLContext) -> bytes:
    """The certificate that a new connection gets."""
    async with connected(port, client) as connection:
        assert (await connection.get()).status == 200
        return connection.certificate


def der(leaf: trustme.LeafCert) -> bytes:
    """A certificate as a client sees it."""
    return ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("exporter")]


def problems(caplog: pytest.LogCaptureFixture) -> str:
    """Why the last change is not in use."""
    told: str = caplog.records[-1].__dict__["fields"]["problems"]
    return told


async def test_a_new_certificate(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """New handshakes get it; connections that stand go on with the old one."""
    caplog.set_level(logging.INFO)
    live = LiveWebConfig(site.path)
    async with served(live) as port, watched(live) as ticks, connected(port, site.client) as old:
        assert (await old.get()).status == 200
        before = old.certificate
        new = site.certify()
        await ticks.tick()
        assert await shown(port, site.client) == before, "a change counts once it was seen twice"
        await ticks.tick()
        assert await shown(port, site.client) == der(new) != before
        assert (await old.get()).status == 200
        assert old.certificate == before
        await ticks.tick()
    assert lines(caplog) == [READ]


async def test_only_the_time_has_changed(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """What is written again with the same content is no change."""
    caplog.set_level(logging.INFO)
    live = LiveWebConfig(site.path)
    async with watched(live) as ticks:
        for path in (site.path, site.folder / "server.pem"):
            path.write_bytes(path.read_bytes())
        for _ in range(3):
            await ticks.tick()
    assert lines(caplog) == []


async def test_a_link_that_is_swapped(tmp_path: Path) -> None:
    """As Kubernetes does it: the names stay, the folder behind them is another one."""
    site = Site(tmp_path)
    folders = [tmp_path / name for name in ("first", "second")]
    leaves = []
    for folder in folders:
        folder.mkdir()
        site.folder = folder
        leaves.append(site.certify())
    (tmp_path / "data").symlink_to("first")
    site.write("tls_server_config: {cert_file: data/server.pem, key_file: data/server.key}\n")
    live = LiveWebConfig(site.path)
    async with served(live) as port, watched(live) as ticks:
        assert await shown(port, site.client) == der(leaves[0])
        (tmp_path / "new").symlink_to("second")
        (tmp_path / "new").rename(tmp_path / "data")
        await ticks.tick()
        await ticks.tick()
        assert await shown(port, site.client) == der(leaves[1])


async def test_a_broken_certificate(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The old one stays at work, the log says so once, and the next good one is taken."""
    caplog.set_level(logging.INFO)
    live = LiveWebConfig(site.path)
    async with served(live) as port, watched(live) as ticks:
        before = await shown(port, site.client)
        (site.folder / "server.pem").write_text("CANARY", encoding="utf-8")
        for _ in range(5):
            await ticks.tick()
            assert await shown(port, site.client) == before
        assert lines(caplog) == [KEPT]
        problem = (
            f"{site.path}:1:32: tls_server_config.cert_file:"
            f" {site.folder}/server.pem does not contain a usable PEM certificate"
        )
        assert caplog.records[-1].levelno == logging.ERROR
        assert caplog.records[-1].__dict__["fields"] == {
            "file": str(site.path),
            "problems": problem,
        }
        new = site.certify()
        await ticks.tick()
        await ticks.tick()
        assert await shown(port, site.client) == der(new)
    assert lines(caplog) == [KEPT, READ]


async def test_a_file_that_is_away_for_a_while(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the certificate nor the file itself has to be there all the time."""
    live = LiveWebConfig(site.path)
    content = {path: path.read_bytes() for path in (site.path, site.folder / "server.key")}
    async with watched(live) as ticks:
        for path, before in content.items():
            path.unlink()
            for _ in range(3):
                await ticks.tick()
            assert problems(caplog).endswith(
                f"{site.path}:1:1: cannot be read: no such file"
                if path == site.path
                else f": {path} cannot be read: no such file"
            )
            path.write_bytes(before)
            for _ in range(3):
                await ticks.tick()
    assert lines(caplog) == [KEPT, KEPT]


async def test_half_a_change_is_waited_for(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A certificate whose key comes a moment later costs no warning."""
    caplog.set_level(logging.INFO)
    live = LiveWebConfig(site.path)
    async with served(live) as port, watched(live) as ticks:
        new = site.ca.issue_cert("localhost")
        (site.folder / "server.pem").write_bytes(chain(new))
        await ticks.tick()
        (site.folder / "server.key").write_bytes(key(new))
        await ticks.tick()
        await ticks.tick()
        assert await shown(port, site.client) == der(new)
    assert lines(caplog) == [READ]


async def test_clients_can_be_shut_out(site: Site) -> None:
    """Everything else of TLS changes with the next handshake too, not the certificate alone."""
    live = LiveWebConfig(site.path)
    site.ca.cert_pem.write_to_path(site.folder / "ca.pem")
    async with served(live) as port:
        assert (await ask(port, site.client)).status == 200
        site.write(
            "tls_server_config: {cert_file: server.pem, key_file: server.key, client_ca_file:"
            " ca.pem, client_auth_type: RequireAndVerifyClientCert, min_version: TLS13}\n"
        )
        await live.reload()
        with pytest.raises(OSError):  # noqa: PT011 - a reset or an alert, as it comes
            await ask(port, site.client)
        site.ca.issue_cert("prometheus.example").configure_cert(site.client)
        async with connected(port, site.client) as connection:
            assert connection.version == "TLSv1.3"
            assert (await connection.get()).status == 200


async def test_users_come_and_go(tmp_path: Path) -> None:
    """With the next request, on connections that stand too."""
    path = tmp_path / "web.yaml"

    def write(**users: str) -> None:
        lines = [
            f"  {name}: {bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"
            for name, password in users.items()
        ]
        path.write_text("basic_auth_users:\n" + "".join(lines), encoding="utf-8")

    write(alice="first")
    live = LiveWebConfig(path)

    async def status(connection: Connection, name: str, password: str) -> int:
        token = base64.b64encode(f"{name}:{password}".encode()).decode()
        return (await connection.get("/metrics", f"Basic {token}")).status

    async with served(live) as port, connected(port) as connection:
        assert await status(connection, "alice", "first") == 200
        assert await status(connection, "bob", "other") == 401
        write(alice="second", bob="other")
        await live.reload()
        assert await status(connection, "alice", "first") == 401
        assert await status(connection, "alice", "second") == 200
        assert await status(connection, "bob", "other") == 200
        write(bob="other")
        await live.reload()
        assert await status(connection, "alice", "second") == 401


@pytest.mark.parametrize("started_with_tls", [True, False])
async def test_tls_itself_is_settled_at_the_start(
    site: Site, caplog: pytest.LogCaptureFixture, *, started_with_tls: bool
) -> None:
    """Sockets that listen are for one of the two."""
    texts = [TLS, "basic_auth_users: {}\n"]
    site.write(texts[not started_with_tls])
    live = LiveWebConfig(site.path)
    before = live.current
    site.write(texts[started_with_tls])
    await live.reload()
    assert problems(caplog) == (
        f"{site.path}:1:1: tls_server_config: cannot be added or removed while the exporter"
        " is running: restart it, and change the scheme in Prometheus"
    )
    assert live.current is before
    assert lines(caplog) == [KEPT]


async def test_a_bad_file_at_the_start(tmp_path: Path) -> None:
    """There is nothing to keep: the exporter does not start without the protection it was given."""
    path = tmp_path / "web.yaml"
    with pytest.raises(ConfigError) as caught:
        LiveWebConfig(path)
    assert str(caught.value) == f"{path}:1:1: cannot be read: no such file"


async def test_what_nobody_foresaw(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails this reload, without its message, and neither the watch nor the next reload."""
    live = LiveWebConfig(site.path)
    before = live.current

    def fail(_: Path) -> WebConfig:
        raise KeyError("CANARY")

    async with watched(live) as ticks:
        with monkeypatch.context() as patch:
            patch.setattr(web_config, "load_web_config", fail)
            site.certify()
            for _ in range(4):
                await ticks.tick()
        assert lines(caplog) == [KEPT], "only another change is worth another try"
        assert caplog.records[-1].__dict__["fields"]["problems"].startswith("internal error")
        assert "CANARY" not in caplog.text
        assert live.current is before
        site.certify()
        for _ in range(2):
            await ticks.tick()
        assert live.current is not before
