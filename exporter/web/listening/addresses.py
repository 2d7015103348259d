"""Where the exporter can listen, and how that is written. Opens nothing.

An address that cannot be had is an operator's problem, so that each such error is a sentence that
names the address and the remedy.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final, Self

_VALUE: Final = re.compile(r"(?:\[(?P<ipv6>[^\[\]]*)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]{1,5})")
_HIGHEST_PORT: Final = 65_535
_UNIX: Final = "unix:"


class ListenError(Exception):
    """An address that cannot be listened on.

    Args:
        message: a sentence that names the address and the remedy.
        in_use: whether another process has it.
    """

    def __init__(self, message: str, *, in_use: bool = False) -> None:
        super().__init__(message)
        self.in_use = in_use


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port of TCP."""

    host: str
    """Empty for every address of this host; an IPv6 address has no brackets."""
    port: int
    """0 for any free one."""

    @classmethod
    def parse(cls, value: str) -> Self:
        """Read `[HOST]:PORT`; an IPv6 address stands in brackets.

        Raises:
            ValueError: the message is a sentence.
        """
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
                f"the listen address {value!r} has no IPv6 address between its brackets"
            ) from None
        return cls(match["ipv6"], port)


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A socket in the file system, such as a reverse proxy on the same host wants it."""

    path: Path


@dataclass(frozen=True, slots=True)
class Inherited:
    """A socket that whoever started this process has opened and listens on."""

    descriptor: int


Endpoint = Address | UnixAddress | Inherited


def parse_endpoint(value: str) -> Endpoint:
    """Read one value of --web.listen-address: `[HOST]:PORT`, or `unix:PATH`.

    Raises:
        ValueError: the message is a sentence.
    """
    if not value.startswith(_UNIX):
        return Address.parse(value)
    path = value.removeprefix(_UNIX)
    if not path.startswith("/") or "\0" in path:
        raise ValueError(
            f"the listen address {value!r} names no absolute path: write it like "
            "unix:/run/agent-rest-exporter/web.sock"
        )
    return UnixAddress(Path(path))


def written(host: str, port: int) -> str:
    """`HOST:PORT`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
