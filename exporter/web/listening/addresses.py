"""Listen addresses: how they are written, and the sockets that are opened for them.

TCP, Unix, or passed by systemd.
"""

import asyncio
import contextlib
import errno
import os
import re
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final, Self

_VALUE: Final = re.compile(r"(?:\[(?P<ipv6>[^\[\]]*)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]{1,5})")
_HIGHEST_PORT: Final = 65_535
_EVERY_ADDRESS: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  # only compared with
_UNIX: Final = "unix:"
_UNAVAILABLE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_BACKLOG: Final = 1024
"""Connections that wait to be accepted: beyond these, a client tries again after a second."""
_FIRST_DESCRIPTOR: Final = 3
_MAX_DESCRIPTORS: Final = 256
"""More than anyone has; a wrong number must not be counted up to."""


class ListenError(Exception):
    """An address that cannot be listened on: a sentence with the address and the remedy."""

    def __init__(self, message: str, *, in_use: bool = False) -> None:
        super().__init__(message)
        self.in_use = in_use
        """Whether another process uses it."""


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP host and port."""

    host: str
    """Empty for all addresses of this host; IPv6 without brackets."""
    port: int
    """0 for any free port."""

    @property
    def is_every(self) -> bool:
        """Whether it stands for all addresses of this host."""
        return self.host in _EVERY_ADDRESS

    @property
    def reached_at(self) -> str:
        """`HOST:PORT`, as programs on this host reach it."""
        return written("127.0.0.1" if self.is_every else self.host, self.port)

    @classmethod
    def parse(cls, value: str) -> Self:
        """Read `[HOST]:PORT`, with IPv6 in brackets. Raises ValueError with a sentence."""
        match = _VALUE.fullmatch(value)
        if match is None:
            raise ValueError(
                f"the listen address {value!r} is not [HOST]:PORT: write it like :10072, "
                "127.0.0.1:10072 or [::1]:10072"
            )
        port = int(match["port"])
        if port > _HIGHEST_PORT:
            raise ValueError(f"the listen address {value!r} has a port above {_HIGHEST_PORT}")
        if match["ipv6"] is None:
            return cls(match["host"], port)
        try:
            IPv6Address(match["ipv6"])
        except ValueError:
            raise ValueError(
                f"the listen address {value!r} must have an IPv6 address between its brackets"
            ) from None
        return cls(match["ipv6"], port)


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix socket, for example for a reverse proxy on the same host."""

    path: Path


@dataclass(frozen=True, slots=True)
class Inherited:
    """A listening socket that the parent process opened."""

    descriptor: int


Endpoint = Address | UnixAddress | Inherited


def parse_endpoint(value: str) -> Endpoint:
    """Read `[HOST]:PORT` or `unix:PATH`. Raises ValueError with a sentence."""
    if not value.startswith(_UNIX):
        return Address.parse(value)
    path = value.removeprefix(_UNIX)
    if not path.startswith("/") or "\0" in path:
        raise ValueError(
            f"the listen address {value!r} must have an absolute path: write it like "
            "unix:/run/agent-rest-exporter/web.sock"
        )
    return UnixAddress(Path(path))


def written(host: str, port: int) -> str:
    """`HOST:PORT`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def bind_tcp(
    address: Address, flag: str = "--web.listen-address"
) -> AsyncIterator[socket.socket]:
    """Every socket for an address: a host name may have several. Raises ListenError.

    `flag` is the one that the address comes from.
    """
    port, bound, unavailable = address.port, False, None
    for family, host in await _candidates(address.host, flag):
        try:
            # One socket of both families takes `[::]` and IPv4 under the same free port.
            server = socket.create_server(
                (host, port),
                family=family,
                backlog=_BACKLOG,
                dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6(),
            )
        except OSError as error:
            unavailable = _tcp_error(error, host if address.host else "this host", port, flag)
            # `localhost` includes ::1 even if IPv6 is disabled: its other addresses are enough.
            if error.errno not in _UNAVAILABLE:
                raise unavailable from error
        else:
            bound, port = True, server.getsockname()[1]
            yield server
            if not address.host:
                return
    if unavailable is not None and not bound:
        raise unavailable


async def _candidates(host: str, flag: str) -> list[tuple[socket.AddressFamily, str]]:
    """Families and addresses to bind. Without a host, the first one that can be bound is enough."""
    if not host:
        ipv4 = [(socket.AF_INET, "0.0.0.0")]  # noqa: S104 - every address is what was asked for
        return [(socket.AF_INET6, "::"), *ipv4] if socket.has_dualstack_ipv6() else ipv4
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise ListenError(
            f"the host name {host!r} cannot be resolved to listen on it: check its spelling in "
            f"{flag}, or give an IP address"
        ) from error
    return list(dict.fromkeys((family, str(place[0])) for family, _, _, _, place in found))


def _tcp_error(error: OSError, host: str, port: int, flag: str) -> ListenError:
    remedy = f"choose another address with {flag}"
    if error.errno == errno.EADDRINUSE:
        return ListenError(
            f"port {port} is already in use on {host}: stop the other process or {remedy}",
            in_use=True,
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return ListenError(
            f"no permission to listen on port {port} of {host}: choose a port above 1023 with "
            f"{flag}, or grant the process CAP_NET_BIND_SERVICE"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return ListenError(f"{host} is not an address of this host: {remedy}")
    return ListenError(f"cannot listen on {written(host, port)}: {_reason(error)}: {remedy}")


class SocketFile:
    """The file of a Unix socket that is listened on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity = _identity(path)

    def remove(self) -> None:
        """Remove it, unless it has been replaced: by a process that is already to take over."""
        with contextlib.suppress(OSError):
            if _identity(self._path) == self._identity:
                self._path.unlink()


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def bind_unix(path: Path) -> socket.socket:
    """A socket bound to a path, in place of one that a dead process left there.

    The directory and the umask decide who may connect, as for any file. Raises ListenError.
    """
    _remove_abandoned(path)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.bind(str(path))
        server.listen(_BACKLOG)
    except OSError as error:
        server.close()
        raise _unix_error(path, error) from error
    return server


def _remove_abandoned(path: Path) -> None:
    """Remove a socket on which no process listens any more."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ListenError(
                f"{path} exists and is not a socket: remove it or choose another path with "
                "--web.listen-address"
            )
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(str(path))
    except ConnectionRefusedError:
        path.unlink()
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise _unix_error(path, error) from error
    else:
        raise ListenError(
            f"{path} is already in use: stop the other process or choose another path with "
            "--web.listen-address",
            in_use=True,
        )


def _unix_error(path: Path, error: OSError) -> ListenError:
    return ListenError(
        f"cannot listen on unix:{path}: {_reason(error)}: choose another path with "
        "--web.listen-address"
    )


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)


def activated(environ: Mapping[str, str], pid: int) -> list[Inherited]:
    """The sockets that systemd passed, from `LISTEN_FDS` and `LISTEN_PID`: sd_listen_fds(3).

    Raises ListenError if there are none.
    """
    count = environ.get("LISTEN_FDS", "")
    own = environ.get("LISTEN_PID") == str(pid)
    if not (own and count.isascii() and count.isdigit() and 0 < int(count) <= _MAX_DESCRIPTORS):
        raise ListenError(
            "--web.systemd-socket is set, but systemd passed no socket: start the service through "
            "its .socket unit, or remove the flag"
        )
    return [Inherited(_FIRST_DESCRIPTOR + index) for index in range(int(count))]


def inherited(descriptor: int) -> socket.socket:
    """The listening socket with a descriptor that systemd passed. Raises ListenError."""
    with contextlib.suppress(OSError):
        served = socket.socket(fileno=descriptor)
        # with ListenStream= and Accept=no, it is already listening
        if served.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return served
        served.close()
    raise ListenError(
        f"systemd passed file descriptor {descriptor}, which is not a listening stream socket: use "
        "ListenStream= and Accept=no in the .socket unit"
    )
