"""Listen addresses and how they are written. Opens nothing."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final, Self

_VALUE: Final = re.compile(r"(?:\[(?P<ipv6>[^\[\]]*)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]{1,5})")
_HIGHEST_PORT: Final = 65_535
_EVERY_ADDRESS: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  # only compared with
_UNIX: Final = "unix:"


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
