"""URLs of servers and proxies: parsed once, and the same way by everybody.

The configuration checks and normalizes a URL with it, and the client connects by it, so that what
one accepts the other can use. No sentence repeats a URL, because it can contain a password.
"""

import functools
import ipaddress
import re
from dataclasses import dataclass
from typing import Final

_PORTS: Final = {"http": 80, "https": 443}
_LAST_PORT: Final = 65535
_URL: Final = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:(?P<login>[^/?#]*)@)?"
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+(?:%25[A-Za-z0-9._~-]+)?)\]|(?P<host>[^/?#@:\[\]]+))"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#]*)?"
    r"(?P<rest>[?#].*)?",
    re.IGNORECASE,
)
_NAME: Final = re.compile(
    r"(?=.{1,253}\.?$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_-]+)*\.?", re.IGNORECASE
)
# the last label of a name is never a number, so this is an address, or one with a typo
_NUMERIC: Final = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)\.?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The parts of a URL, normalized: scheme and host in lowercase, addresses in short form."""

    scheme: str
    host: str
    """A name or an address, without brackets; an IPv6 address with its zone: `fe80::1%eth0`."""
    port: int
    path: str = ""
    """As it is written, without a slash at its end."""
    login: str = ""
    """User and password as they are written: `user:p%40ss`."""
    rest: str = ""
    """Query and fragment."""
    default_port: bool = False
    """Whether the URL leaves the port to the scheme."""

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        return f"{self._bracketed(self.host)}:{self.port}"

    @property
    def authority(self) -> str:
        """Host, and the port if the URL has one: the value of the `Host` header."""
        host = self._bracketed(self.host.partition("%")[0])
        return host if self.default_port else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """The URL without login and path."""
        host = self._bracketed(self.host.replace("%", "%25"))
        return f"{self.scheme}://{host}" + ("" if self.default_port else f":{self.port}")

    @property
    def url(self) -> str:
        """The URL without login."""
        return self.origin + self.path

    @property
    def tls(self) -> bool:
        """Whether it is an https URL."""
        return self.scheme == "https"

    @staticmethod
    def _bracketed(host: str) -> str:
        return f"[{host}]" if ":" in host else host


@functools.lru_cache(maxsize=1024)
def endpoint(url: str) -> Endpoint:
    """The parts of a URL.

    Raises:
        ValueError: it cannot be used; with a sentence on what is wrong, without the URL.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise ValueError("must start with https:// or http://")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(
            "must be plain ASCII without spaces: write international names in punycode"
        )
    found = _URL.fullmatch(url)
    port = int((found and found["port"]) or 1)
    host = _host(found) if found else None
    if found is None or host is None or not 1 <= port <= _LAST_PORT:
        raise ValueError(
            "must contain a valid host, and a port from 1 to 65535 if any,"
            " such as https://10.22.26.181:28443"
        )
    scheme = found["scheme"].lower()
    return Endpoint(
        scheme=scheme,
        host=host,
        port=int(found["port"] or _PORTS[scheme]),
        path=(found["path"] or "").rstrip("/"),
        login=found["login"] or "",
        rest=found["rest"] or "",
        default_port=not found["port"],
    )


def _host(found: re.Match[str]) -> str | None:
    """The host, normalized, or None if it cannot be one."""
    if found["ipv6"]:
        address, zone, name = found["ipv6"].partition("%25")
        try:
            return str(ipaddress.IPv6Address(address)) + (f"%{name}" if zone else "")
        except ValueError:
            return None
    host = found["host"].lower()
    if _NUMERIC.fullmatch(host):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise ValueError(
                "contains a host that looks like an IPv4 address and is none: write four numbers"
                " from 0 to 255"
            ) from None
    return host if _NAME.fullmatch(host) else None
