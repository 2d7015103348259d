"""Listen addresses: how they are written, what is bound, and each way in which that fails."""

import asyncio
import errno
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.listening.addresses import (
    Address,
    Endpoint,
    Inherited,
    ListenError,
    UnixAddress,
    activated,
    parse_endpoint,
)
from exporter.web.listening.listener import Listener, listen

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
REMEDY = "choose another address with --web.listen-address"
Bind = Callable[..., socket.socket]


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (":10072", Address("", 10_072)),
        ("0.0.0.0:10072", Address("0.0.0.0", 10_072)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:10072", Address("::1", 10_072)),
        ("[::]:65535", Address("::", 65_535)),
        ("[fe80::1%eth0]:1", Address("fe80::1%eth0", 1)),
        ("exporter.example:9", Address("exporter.example", 9)),
    ],
)
def test_addresses(value: str, address: Address) -> None:
    """What Prometheus' own programs accept."""
    assert Address.parse(value) == address


@pytest.mark.parametrize(
    ("value", "reached_at"),
    [
        (":10072", "127.0.0.1:10072"),
        ("0.0.0.0:10072", "127.0.0.1:10072"),
        ("[::]:10072", "127.0.0.1:10072"),
        ("[::1]:10072", "[::1]:10072"),
        ("exporter.example:9", "exporter.example:9"),
    ],
)
def test_every_address_is_reached_at_one_of_them(value: str, reached_at: str) -> None:
    """No browser opens `http://0.0.0.0/` everywhere."""
    assert Address.parse(value).reached_at == reached_at


@pytest.mark.parametrize(
    "value",
    ["", "10072", "localhost", "localhost:", ":http", "::1:10072", "[::1]", ":\u0661", ":1 "],
)
def test_what_is_no_address(value: str) -> None:
    """The sentence shows how to write one."""
    with pytest.raises(ValueError, match="listen address") as refusal:
        Address.parse(value)
    assert str(refusal.value) == (
        f"the listen address {value!r} is not [HOST]:PORT: write it like :10072, "
        "127.0.0.1:10072 or [::1]:10072"
    )


def test_a_port_that_is_too_high() -> None:
    """Ports end at 65535."""
    with pytest.raises(ValueError, match="port") as refusal:
        Address.parse(":65536")
    assert str(refusal.value) == "the listen address ':65536' has a port above 65535"


@pytest.mark.parametrize("value", ["[]:1", "[localhost]:1", "[127.0.0.1]:1"])
def test_brackets_around_no_ipv6_address(value: str) -> None:
    """They are there for those alone."""
    with pytest.raises(ValueError, match="brackets") as refusal:
        Address.parse(value)
    assert str(refusal.value) == (
        f"the listen address '{value}' must have an IPv6 address between its brackets"
    )


@given(st.text())
def test_any_value_is_read_or_refused(value: str) -> None:
    """Flags come from anywhere."""
    try:
        address = Address.parse(value)
    except ValueError as refusal:
        assert str(refusal).startswith("the listen address ")  # noqa: PT017 - either outcome is fine
    else:
        assert 0 <= address.port <= 65_535


def _app() -> web.Application:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    return app


async def _listen(*addresses: Endpoint, idle_timeout: float = 60.0) -> Listener:
    return await listen(_app(), addresses, idle_timeout=idle_timeout)


def _port(listener: Listener, at: int = 0) -> int:
    return int(listener.addresses[at].rpartition(":")[2])


async def _hello(host: str, port: int) -> bool:
    return await _answered(*await asyncio.open_connection(host, port))


async def _sent(port: int, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection whose first bytes are there before the server can find it idle."""
    opened = socket.create_connection(("127.0.0.1", port))
    opened.sendall(data)
    return await asyncio.open_connection(sock=opened)


async def _answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    reply = await reader.read()
    writer.close()
    await writer.wait_closed()
    return reply.endswith(b"hello")


@pytest.mark.anyio
async def test_no_host_means_every_address_of_both_families() -> None:
    """One port for IPv4 and IPv6, as Prometheus' own programs do."""
    listener = await _listen(Address("", 0))
    port = _port(listener)
    assert listener.addresses == (f"[::]:{port}",)
    assert await _hello("127.0.0.1", port)
    assert await _hello("::1", port)
    await listener.close()


@pytest.mark.anyio
async def test_several_addresses() -> None:
    """The flag is repeatable; each is served, and on nothing once closed."""
    listener = await _listen(Address("127.0.0.1", 0), Address("::1", 0))
    first, second = _port(listener, 0), _port(listener, 1)
    assert listener.addresses == (f"127.0.0.1:{first}", f"[::1]:{second}")
    assert await _hello("127.0.0.1", first)
    assert await _hello("::1", second)
    await listener.close()
    with pytest.raises(ConnectionRefusedError):
        await _hello("127.0.0.1", first)


def _resolve_to(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Let every name stand for `hosts`."""

    def resolve(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        return [
            (
                socket.AF_INET6 if ":" in host else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (host, 0),
            )
            for host in hosts
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.anyio
async def test_a_name_is_listened_on_at_all_of_its_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Clients try either first; both have the port that was found."""
    _resolve_to(monkeypatch, "127.0.0.1", "::1", "127.0.0.1")
    listener = await _listen(Address("localhost", 0))
    port = _port(listener)
    assert listener.addresses == (f"127.0.0.1:{port}", f"[::1]:{port}")
    await listener.close()


@pytest.mark.anyio
async def test_a_name_whose_address_is_partly_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """`localhost` names ::1 in containers that have no IPv6; what else it names will do."""
    _resolve_to(monkeypatch, "192.0.2.1", "127.0.0.1")
    listener = await _listen(Address("localhost", 0))
    assert listener.addresses == (f"127.0.0.1:{_port(listener)}",)
    await listener.close()


def _no_ipv6(error: int, bind: Bind) -> Bind:
    """`bind` on a host where IPv6 sockets fail with `error`."""

    def without(
        address: tuple[str, int], *, family: int, backlog: int, dualstack_ipv6: bool
    ) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(error, os.strerror(error))
        return bind(address, family=family, backlog=backlog, dualstack_ipv6=dualstack_ipv6)

    return without


@pytest.mark.anyio
@pytest.mark.parametrize("error", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
async def test_no_host_without_ipv6(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    """IPv4 alone then, without a word: many hosts are like that."""
    monkeypatch.setattr(socket, "create_server", _no_ipv6(error, socket.create_server))
    listener = await _listen(Address("", 0))
    assert listener.addresses == (f"0.0.0.0:{_port(listener)}",)
    await listener.close()


@pytest.mark.anyio
async def test_no_host_where_one_socket_cannot_do_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """IPv4 is what scrapers reach everywhere."""
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    listener = await _listen(Address("", 0))
    assert listener.addresses == (f"0.0.0.0:{_port(listener)}",)
    await listener.close()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("host", "where"), [("127.0.0.1", "127.0.0.1"), ("", "this host"), ("::", "::")]
)
async def test_a_port_that_is_in_use(host: str, where: str) -> None:
    """Nothing of the other addresses stays bound: a supervisor may try again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError) as refusal:
            await _listen(Address("127.0.0.1", 0), Address(host, port))
    assert refusal.value.in_use
    assert str(refusal.value) == (
        f"port {port} is already in use on {where}: stop the other process or {REMEDY}"
    )


@pytest.mark.anyio
async def test_an_address_of_another_host() -> None:
    """192.0.2.0/24 is nobody's."""
    with pytest.raises(ListenError) as refusal:
        await _listen(Address("192.0.2.1", 0))
    assert not refusal.value.in_use
    assert str(refusal.value) == f"192.0.2.1 is not an address of this host: {REMEDY}"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            errno.EACCES,
            (
                "no permission to listen on port 80 of 127.0.0.1: choose a port above 1023 with "
                "--web.listen-address, or grant the process CAP_NET_BIND_SERVICE"
            ),
        ),
        (errno.EMFILE, f"cannot listen on 127.0.0.1:80: Too many open files: {REMEDY}"),
    ],
)
async def test_other_refusals(monkeypatch: pytest.MonkeyPatch, error: int, sentence: str) -> None:
    """Each is a sentence, whatever the operating system says."""

    def refuse(*_: Any, **__: Any) -> socket.socket:
        raise OSError(error, "whatever")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(ListenError) as refusal:
        await _listen(Address("127.0.0.1", 80))
    assert str(refusal.value) == sentence


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64])
async def test_a_name_that_cannot_be_resolved(host: str) -> None:
    """Be it unknown or no name at all."""
    with pytest.raises(ListenError) as refusal:
        await _listen(Address(host, 0))
    assert str(refusal.value) == (
        f"the host name '{host}' cannot be resolved to listen on it: check its spelling in "
        "--web.listen-address, or give an IP address"
    )


@pytest.mark.anyio
@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: loc", b"GET /"])
async def test_a_connection_without_a_whole_request_is_closed(sent: bytes) -> None:
    """Be it idle or slow on purpose; others are served meanwhile."""
    listener = await _listen(Address("127.0.0.1", 0), idle_timeout=0.05)
    reader, writer = await _sent(_port(listener), sent)
    other, its_writer = await _sent(_port(listener), REQUEST)
    assert (await other.read()).endswith(b"hello")
    assert await reader.read() == b""
    its_writer.close()
    await its_writer.wait_closed()
    writer.close()
    await writer.wait_closed()
    await listener.close()


@pytest.mark.anyio
async def test_a_kept_connection_is_closed_when_idle() -> None:
    """It serves as many requests as come, and ends after the last one."""
    listener = await _listen(Address("127.0.0.1", 0), idle_timeout=0.05)
    reader, writer = await _sent(_port(listener), REQUEST * 2)
    for _ in range(2):
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    await listener.close()


# Sockets in the file system


@pytest.mark.parametrize(
    ("value", "endpoint"),
    [
        (":10072", Address("", 10_072)),
        ("unix:/run/web.sock", UnixAddress(Path("/run/web.sock"))),
        ("unix:/with:colon/and space", UnixAddress(Path("/with:colon/and space"))),
    ],
)
def test_endpoints(value: str, endpoint: Endpoint) -> None:
    """An address, or the path of a socket."""
    assert parse_endpoint(value) == endpoint


@pytest.mark.parametrize("value", ["unix:", "unix:web.sock", "unix:@web", "unix:/web\0sock"])
def test_what_is_no_path(value: str) -> None:
    """It must not depend on the folder in which a process starts."""
    with pytest.raises(ValueError, match="path") as refusal:
        parse_endpoint(value)
    assert str(refusal.value) == (
        f"the listen address {value!r} must have an absolute path: write it like "
        "unix:/run/agent-rest-exporter/web.sock"
    )


def test_what_is_neither() -> None:
    """Who wrote neither is told of the usual form."""
    with pytest.raises(ValueError, match=r"is not \[HOST\]:PORT"):
        parse_endpoint("10072")


@pytest.fixture
def path() -> Iterator[Path]:
    """Where a socket can be: its path is short, and pytest's folders are not."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "web.sock"


@pytest.mark.anyio
async def test_a_unix_socket_beside_a_port(path: Path) -> None:
    """Both are served; the socket's file goes with the exporter."""
    listener = await _listen(Address("127.0.0.1", 0), UnixAddress(path))
    assert listener.addresses[1] == f"unix:{path}"
    assert await _hello("127.0.0.1", _port(listener))
    assert await _answered(*await asyncio.open_unix_connection(path))
    await listener.close()
    assert not path.exists()


@pytest.mark.anyio
async def test_the_socket_of_a_successor_stays(path: Path) -> None:
    """Who stops after its successor has started removes nothing of it."""
    first = await _listen(UnixAddress(path))
    path.unlink()
    second = await _listen(UnixAddress(path))
    await first.close()
    assert await _answered(*await asyncio.open_unix_connection(path))
    await second.close()
    assert not path.exists()


@pytest.mark.anyio
async def test_a_socket_that_was_removed(path: Path) -> None:
    """Nothing is left to remove."""
    listener = await _listen(UnixAddress(path))
    path.unlink()
    await listener.close()


@pytest.mark.anyio
async def test_a_socket_that_was_left_behind(path: Path) -> None:
    """By a process that was killed: it is replaced."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    listener = await _listen(UnixAddress(path))
    assert await _answered(*await asyncio.open_unix_connection(path))
    await listener.close()


@pytest.mark.anyio
async def test_a_socket_that_is_in_use(path: Path) -> None:
    """It stays the other process's, and nothing of the other addresses stays behind."""
    first = path.with_name("first.sock")
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(path))
        alive.listen()
        with pytest.raises(ListenError) as refusal:
            await _listen(UnixAddress(first), UnixAddress(path))
    assert refusal.value.in_use
    assert str(refusal.value) == (
        f"{path} is already in use: stop the other process or choose another path with "
        "--web.listen-address"
    )
    assert path.exists()
    assert not first.exists()


@pytest.mark.anyio
async def test_a_file_is_not_replaced(path: Path) -> None:
    """Somebody may need it."""
    path.write_text("precious", encoding="utf-8")
    with pytest.raises(ListenError) as refusal:
        await _listen(UnixAddress(path))
    assert str(refusal.value) == (
        f"{path} exists and is not a socket: remove it or choose another path with "
        "--web.listen-address"
    )
    assert path.read_text(encoding="utf-8") == "precious"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no-folder/web.sock", "No such file or directory"),
        ("file/web.sock", "Not a directory"),
        ("x" * 100, "AF_UNIX path too long"),
    ],
)
async def test_a_path_that_cannot_be_had(path: Path, name: str, reason: str) -> None:
    """With the operating system's reason."""
    (path.parent / "file").touch()
    with pytest.raises(ListenError) as refusal:
        await _listen(UnixAddress(path.parent / name))
    assert not refusal.value.in_use
    assert str(refusal.value) == (
        f"cannot listen on unix:{path.parent / name}: {reason}: choose another path with "
        "--web.listen-address"
    )


# Sockets that were handed over


def test_activation() -> None:
    """As many as systemd says, from descriptor 3 up."""
    environ = {"LISTEN_PID": "4711", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "http:http"}
    assert activated(environ, 4711) == [Inherited(3), Inherited(4)]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "4711"},
        {"LISTEN_PID": "4712", "LISTEN_FDS": "1"},
        {"LISTEN_PID": "4711", "LISTEN_FDS": "0"},
        {"LISTEN_PID": "4711", "LISTEN_FDS": "-1"},
        {"LISTEN_PID": "4711", "LISTEN_FDS": "257"},
        {"LISTEN_PID": "4711", "LISTEN_FDS": "one"},
    ],
)
def test_no_activation(environ: dict[str, str]) -> None:
    """Started by hand, or by a unit without its socket."""
    with pytest.raises(ListenError) as refusal:
        activated(environ, 4711)
    assert str(refusal.value) == (
        "--web.systemd-socket is set, but systemd passed no socket: start the service through its "
        ".socket unit, or remove the flag"
    )


@pytest.mark.anyio
async def test_sockets_that_were_handed_over(path: Path) -> None:
    """They are served, and those with a file keep it: it is systemd's."""
    tcp, file = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)
    file.bind(str(path))
    file.listen()
    listener = await _listen(Inherited(tcp.detach()), Inherited(file.detach()))
    assert listener.addresses == (f"127.0.0.1:{_port(listener)}", f"unix:{path}")
    assert await _hello("127.0.0.1", _port(listener))
    assert await _answered(*await asyncio.open_unix_connection(path))
    await listener.close()
    assert path.exists()


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM, None])
async def test_a_descriptor_that_does_not_listen(kind: socket.SocketKind | None) -> None:
    """A datagram's, a connection's, or none at all."""
    if kind:
        descriptor = socket.socket(socket.AF_INET, kind).detach()
    else:
        with socket.socket() as closed:
            descriptor = closed.fileno()
    with pytest.raises(ListenError) as refusal:
        await _listen(Inherited(descriptor))
    assert str(refusal.value) == (
        f"systemd passed file descriptor {descriptor}, which is not a listening stream socket: "
        "use ListenStream= and Accept=no in the .socket unit"
    )
