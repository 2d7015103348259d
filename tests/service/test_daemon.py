"""The life of the real command: what its service manager hears, and how it leaves."""

import asyncio
import contextlib
import re
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
import trustme

from exporter.clock import Moment, system_clock
from exporter.cms.transport import Transport
from exporter.config.load import load
from exporter.polling.fleet import Fleet
from exporter.service.daemon import Daemon, Options
from exporter.simulator.scenarios import Fault, Scenario
from exporter.simulator.stand_in import Settings, Simulator, serving
from exporter.web.listening.addresses import Address
from tests.support.opened_files import noting_opened_files
from tests.support.processes import (
    COMMAND,
    MEASURED,
    Process,
    program,
    serving_exporter,
    started,
    until,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder for sockets: their paths are short, and pytest's folders are not."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


class Manager:
    """A service manager's socket."""

    def __init__(self, path: Path) -> None:
        self.environ = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "100000"}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)  # noqa: FBT003  # the socket's own signature

    def hear(self) -> list[str]:
        """What has been said since it was last listened to."""
        heard = []
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.append(self.socket.recv(4096).decode())
        return heard

    async def until(self, pattern: str) -> list[str]:
        """Everything that is heard up to the first message that matches."""
        heard = list[str]()
        async with asyncio.timeout(60):
            while not any(re.fullmatch(pattern, message) for message in heard):
                heard += self.hear()
                await asyncio.sleep(0.01)
        return heard


@pytest.fixture
def manager(short: Path) -> Iterator[Manager]:
    """A service manager that wants to hear from a service ten times a second."""
    manager = Manager(short / "notify")
    with manager.socket:
        yield manager


@pytest.fixture
async def cms() -> AsyncIterator[tuple[Simulator, str]]:
    """A server, and its URL."""
    simulator = Simulator()
    async with serving(simulator) as address:
        yield simulator, address.url


def configure(folder: Path, url: str, vdns: str = "1-3", more: str = "interval: 1s") -> Path:
    """A configuration of one server."""
    path = folder / "config.yaml"
    path.write_text(
        f"cms: [{{name: lima, url: '{url}', {more}, targets: [{{ccId: 1, vdn: {vdns}}}]}}]\n",
        encoding="utf-8",
    )
    return path


async def test_what_a_service_manager_hears(
    tmp_path: Path, manager: Manager, cms: tuple[Simulator, str]
) -> None:
    """A start, a reload that fails, one that does not, and the end; alive in between."""
    config = configure(tmp_path, cms[1])
    good = config.read_text(encoding="utf-8")
    async with serving_exporter(config, environ=manager.environ) as exporter:
        assert (await manager.until("WATCHDOG=1"))[-1] == "WATCHDOG=1"
        config.write_text("cms: []", encoding="utf-8")
        exporter.handle.send_signal(signal.SIGHUP)
        heard = await manager.until(r"READY=1\nSTATUS=the last reload failed, see the log")
        assert any(re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", each) for each in heard)
        config.write_text(good, encoding="utf-8")
        exporter.handle.send_signal(signal.SIGHUP)
        await manager.until(r"READY=1\nSTATUS=targets: 0 added, .*, 3 unchanged; .*")
        assert await exporter.stop() == 0
    last = manager.hear()
    assert last[-1] == "STOPPING=1"
    assert last.count("STOPPING=1") == 1


async def test_ready_is_said_once_it_listens(
    tmp_path: Path, manager: Manager, cms: tuple[Simulator, str]
) -> None:
    """First of all, with what there is to do; a start that fails says nothing."""
    config = configure(tmp_path, cms[1])
    async with serving_exporter(config, environ=manager.environ):
        heard = [
            each for each in await manager.until("READY=.*\nSTATUS=.*") if each != "WATCHDOG=1"
        ]
        assert heard == ["READY=1\nSTATUS=3 targets"]
    manager.hear()
    config.write_text("cms: []", encoding="utf-8")
    command = [COMMAND, "serve", f"--config.file={config}"]
    async with started(*command, environ=manager.environ) as failing:
        assert await failing.handle.wait() == 2
    assert manager.hear() == []


async def test_the_watchdog_starves_while_the_loop_is_blocked(
    tmp_path: Path, manager: Manager, cms: tuple[Simulator, str]
) -> None:
    """Stopped as a whole, the process says nothing; then it is alive again."""
    config = configure(tmp_path, cms[1])
    async with serving_exporter(config, environ=manager.environ) as exporter:
        await manager.until("WATCHDOG=1")
        exporter.handle.send_signal(signal.SIGSTOP)
        await until(partial(_is_stopped, exporter))
        manager.hear()
        await asyncio.sleep(1)
        assert manager.hear() == []
        exporter.handle.send_signal(signal.SIGCONT)
        await manager.until("WATCHDOG=1")


async def _is_stopped(process: Process) -> bool:
    return "\nState:\tT" in Path(f"/proc/{process.handle.pid}/status").read_text(encoding="utf-8")


@contextlib.asynccontextmanager
async def living(
    config: Path, environ: dict[str, str] | None = None
) -> AsyncIterator[tuple[Daemon, str]]:
    """A daemon in this process, and its base URL."""
    options = Options([Address("127.0.0.1", 0)], reload_interval=0)
    daemon = Daemon(partial(load, config, {}), options, environ or {}, system_clock)
    async with daemon.serving() as addresses:
        yield daemon, f"http://{addresses[0]}"


async def test_the_watchdog_starves_while_the_schedule_stands_still(
    tmp_path: Path, manager: Manager, cms: tuple[Simulator, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop runs, and nobody polls: neither healthy nor alive."""
    async with (
        living(configure(tmp_path, cms[1]), manager.environ) as (daemon, url),
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        await manager.until("WATCHDOG=1")
        assert daemon.unhealthy() is None
        with monkeypatch.context() as patch:
            patch.setattr(Fleet, "stalled", lambda _: ["lima"])
            manager.hear()
            await asyncio.sleep(1)
            assert manager.hear() == []
            reply = await client.get("/-/healthy")
            assert (reply.status_code, reply.text) == (
                503,
                "The schedule has stalled for lima.\n",
            )
        await manager.until("WATCHDOG=1")


async def test_it_is_not_ready_before_its_polls_end_and_answers_until_then(
    tmp_path: Path, cms: tuple[Simulator, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On its way out: 503 for readiness, whole scrapes, no new polls."""
    simulator, cms_url = cms
    closing, closed = asyncio.Event(), asyncio.Event()
    close = Transport.aclose

    async def slowly(transport: Transport) -> None:
        closing.set()
        await closed.wait()
        await close(transport)

    monkeypatch.setattr(Transport, "aclose", slowly)
    async with httpx.AsyncClient(trust_env=False) as client, contextlib.AsyncExitStack() as life:
        daemon, url = await life.enter_async_context(living(configure(tmp_path, cms_url)))

        async def ready() -> bool:
            return (await client.get(f"{url}/-/ready")).status_code == 200

        await until(ready)
        leaving = asyncio.create_task(life.pop_all().aclose())
        await closing.wait()
        asked = simulator.requests
        reply = await client.get(f"{url}/-/ready")
        assert (reply.status_code, reply.text) == (503, "agent-rest-exporter is stopping.\n")
        scrape = await client.get(f"{url}/metrics")
        assert scrape.status_code == 200
        assert 'agent_rest_up{cc_id="1",cms="lima",vdn="3"} 1.0' in scrape.text
        # a reload that comes now is followed by nobody
        configure(tmp_path, cms_url, "1-9")
        assert (await client.post(f"{url}/-/reload")).status_code == 200
        closed.set()
        await leaving
        assert simulator.requests == asked
        assert daemon.unready() == "agent-rest-exporter is stopping."
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{url}/metrics")


async def test_a_start_reads_every_file_once(tmp_path: Path) -> None:
    """Configuration, target files, secrets, and those of the web configuration."""
    auth = "auth: {access_key: AK, secret_key_file: sk}, target_files: ['*.targets']"
    config = configure(tmp_path, "http://lima", more=auth)
    (tmp_path / "sk").write_text("SK", encoding="utf-8")
    (tmp_path / "a.targets").write_text("[{ccId: 2, vdn: 1}]", encoding="utf-8")
    pem = trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem
    pem.write_to_path(tmp_path / "web.pem")
    web = tmp_path / "web.yaml"
    web.write_text("tls_server_config: {cert_file: web.pem, key_file: web.pem}", encoding="utf-8")
    with noting_opened_files() as opened:
        Daemon(partial(load, config, {}), Options(web_config_file=web), {}, system_clock)
    assert sorted(opened) == ["a.targets", "config.yaml", "sk", "web.pem", "web.yaml"]


async def test_a_server_that_hangs_holds_readiness_up_for_one_round(tmp_path: Path) -> None:
    """Its targets have no numbers then; those of others must not wait for them, nor new ones."""
    now = [Moment(1000.0, 10.0, 10.0)]
    config = configure(tmp_path, "http://lima", more="interval: 30s, timeout: 5s")
    daemon = Daemon(partial(load, config, {}), Options(), {}, lambda: now[-1])
    assert daemon.unready() == "3 of 3 targets wait for their first poll."
    now.append(Moment(1034.9, 44.9, 44.9))
    assert daemon.unready() == "3 of 3 targets wait for their first poll."
    now.append(Moment(1035.0, 45.0, 45.0))
    assert daemon.unready() is None
    now.append(now[0])
    assert daemon.unready() is None, "once ready, it stays so"


async def test_a_scrape_under_way_ends_whole(tmp_path: Path, cms: tuple[Simulator, str]) -> None:
    """SIGTERM comes while a slow client has read a part of it: the rest comes, too."""
    # more than the system's buffers hold: the reply cannot have been sent whole before the signal
    padded = f"1-5000, max_resting: 9, labels: {{pad: {'x' * 600}}}"
    config = configure(tmp_path, cms[1], padded, "interval: 300s")
    async with serving_exporter(config, environ=MEASURED) as exporter:
        host, _, port = exporter.address.rpartition(":")
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.setblocking(False)  # noqa: FBT003  # the socket's own signature
            await asyncio.get_running_loop().sock_connect(raw, (host, int(port)))
            reader, writer = await asyncio.open_connection(sock=raw, limit=4096)
            writer.write(b"GET /metrics HTTP/1.0\r\nHost: exporter\r\n\r\n")
            body = await reader.readexactly(10_000)
            exporter.handle.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.2)
            assert exporter.handle.returncode is None
            # quickly now, for a busy machine: the exporter waits for seconds only
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
            while part := await reader.read(2**20):
                body += part
            writer.close()
            await writer.wait_closed()
        assert len(body) > 6_000_000
        assert body.endswith(b"\n")
        assert b"\npython_gc_collections_total{" in body[-2000:]
        assert await exporter.handle.wait() == 0


async def test_a_client_that_does_not_read_holds_nothing_up(tmp_path: Path) -> None:
    """It has a few seconds; the bound holds with hanging polls beside it."""
    hanging = Simulator(Settings(scenarios=(Scenario(Fault.HANG),)))
    async with serving(hanging) as address:
        config = configure(tmp_path, address.url, "1-5000", "interval: 300s, timeout: 200s")
        async with serving_exporter(config) as exporter:

            async def polls_hang() -> bool:
                return hanging.in_flight == 8

            await until(polls_hang)
            host, _, port = exporter.address.rpartition(":")
            with socket.socket() as raw:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                raw.setblocking(False)  # noqa: FBT003  # the socket's own signature
                loop = asyncio.get_running_loop()
                await loop.sock_connect(raw, (host, int(port)))
                await loop.sock_sendall(raw, b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n")
                assert (await loop.sock_recv(raw, 12)).startswith(b"HTTP/1.")
                assert await exporter.stop(within=30.0) == 0


async def test_unix_sockets_and_ports_beside_each_other(
    tmp_path: Path, short: Path, cms: tuple[Simulator, str]
) -> None:
    """Every address that was given is served, and the log names them all."""
    config, path = configure(tmp_path, cms[1]), short / "web.sock"
    flags = [f"--web.listen-address=unix:{path}", "--web.listen-address=[::1]:0"]
    async with serving_exporter(config, *flags) as exporter:
        found = await exporter.wait_for(r"has started.* listen=(\S+)")
        addresses = found[1].split(",")
        assert addresses[1] == f"unix:{path}"
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport) as client:
            assert (await client.get("http://exporter/-/healthy")).status_code == 200
        async with httpx.AsyncClient(trust_env=False) as client:
            for address in (addresses[0], addresses[2]):
                assert (await client.get(f"http://{address}/-/healthy")).status_code == 200
        assert await exporter.stop() == 0
    assert not path.exists()


@pytest.mark.real
async def test_systemd_hands_its_sockets_over(
    tmp_path: Path, short: Path, cms: tuple[Simulator, str]
) -> None:
    """The first connection starts it; the addresses of the flag are not listened on."""
    activate = program("systemd-socket-activate", "systemd")
    config, path = configure(tmp_path, cms[1]), short / "web.sock"
    command = [
        activate,
        f"--listen={path}",
        COMMAND,
        "serve",
        f"--config.file={config}",
        "--web.systemd-socket",
        "--web.listen-address=192.0.2.1:1",
    ]
    async with started(*command) as service:
        await service.wait_for("Listening on")
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport, timeout=60) as client:
            assert (await client.get("http://exporter/-/healthy")).status_code == 200
        assert (await service.wait_for(r"has started.* listen=(\S+)"))[1] == f"unix:{path}"
        assert await service.stop() == 0


async def test_no_socket_was_handed_over(tmp_path: Path) -> None:
    """Usage: status 2 and a sentence."""
    config = configure(tmp_path, "http://lima")
    async with started(
        COMMAND, "serve", f"--config.file={config}", "--web.systemd-socket"
    ) as service:
        assert await service.handle.wait() == 2
    assert "".join(service.lines) == (
        "--web.systemd-socket is set, but systemd passed no socket: start the service through its "
        ".socket unit, or remove the flag"
    )
