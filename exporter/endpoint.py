"""URLs of servers and proxies: parsed and normalized once, here.

The configuration refuses what this refuses, and the client connects by the parts that it gives, so
that nothing depends on how a URL is spelled. Each result is tried out on the libraries that the
client hands it to. No sentence repeats a URL, because it can contain a password.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import httpx
import yarl

from exporter.secret import Secret

_PORTS: Final = {"http": 80, "https": 443}
_LAST_PORT: Final = 65535
_AUTHORITY: Final = re.compile(
    r"(?:(?P<login>.*)@)?(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?", re.ASCII
)
_IPV6: Final = re.compile(
    r"\[(?P<address>[0-9A-Fa-f:.]+)(?:(?:%25|%(?!25))(?P<zone>[A-Za-z0-9._~-]+))?\]"
)
_NAME: Final = re.compile(r"(?=.{1,253}\.?$)(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
# no name ends in a number, so this is an address, or one with a typo
_ENDS_IN_A_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?")
_PATH: Final = re.compile(r"(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)*")
_INTERFACE: Final = re.compile(r"(?i)/rest/cmsapp(/|$)|/openapi/agentgroup(/|$)")
"""What the path of both interfaces has, in part or whole."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The parts of a URL."""

    scheme: str
    """`http` or `https`."""
    host: str
    """A name in lowercase ASCII or an address in its short form, without brackets.

    An IPv6 address has its zone: `fe80::1%eth0`.
    """
    port: int
    path: str = ""
    """As it is written, without a slash at its end."""
    login: Secret | None = None
    """`user:password`, as it is written."""

    @property
    def tls(self) -> bool:
        """Whether it is an https URL."""
        return self.scheme == "https"

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def authority(self) -> str:
        """The value of the `Host` header: without a zone, or a port that the scheme implies."""
        return _bracketed(self.host.partition("%")[0]) + self._port

    @property
    def server_name(self) -> str:
        """What a certificate must be for."""
        return self.host.partition("%")[0].removesuffix(".")

    @property
    def origin(self) -> str:
        """The URL without login and path, as the client connects to it."""
        return f"{self.scheme}://{_bracketed(self.host)}{self._port}"

    @property
    def url(self) -> str:
        """The URL without login, as people write it."""
        return self.origin.replace("%", "%25") + self.path

    @property
    def _port(self) -> str:
        return "" if self.port == _PORTS[self.scheme] else f":{self.port}"


def endpoint(url: str) -> Endpoint:
    """The parts of a URL. Raises ValueError with a sentence, without the URL."""
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _PORTS:
        raise ValueError("must start with https:// or http://")
    if not url.isprintable() or " " in url:
        raise ValueError("must not contain spaces or invisible characters")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path = rest.removeprefix(authority)
    parts = _AUTHORITY.fullmatch(authority)
    host = host_name(parts["host"]) if parts else None
    if parts and host:
        port = int(parts["port"] or _PORTS[scheme])
        login = None if parts["login"] is None else Secret(parts["login"])
        found = Endpoint(scheme, host, port, path.rstrip("/"), login)
        if 1 <= port <= _LAST_PORT and _is_understood(found):
            if "?" in path or "#" in path:
                raise ValueError("must not have a query or fragment")
            return found
    raise ValueError(
        "must contain a valid host, and a port from 1 to 65535 if any,"
        " such as https://10.22.26.181:28443"
        + ("; in a user or password, percent-encode /, ? and #" if "@" in path else "")
    )


def server_endpoint(url: str) -> Endpoint:
    """The parts of a CC-CMS's URL. Raises ValueError with a sentence, without the URL."""
    found = endpoint(url)
    if found.login is not None:
        raise ValueError(
            "must not contain a user or password, because pages show the url: use auth"
        )
    if _INTERFACE.search(found.path):
        raise ValueError("must end before /rest/cmsapp: the interface's path is appended")
    if not _PATH.fullmatch(found.path) or {".", ".."} & set(unquote(found.path).split("/")):
        raise ValueError(
            'has an invalid path: no empty, "." or ".." segments, and special characters'
            " percent-encoded"
        )
    return found


def proxy_endpoint(url: str) -> Endpoint:
    """The parts of a proxy's URL, which may contain a user and a password.

    Raises ValueError with a sentence, without the URL.
    """
    found = endpoint(url)
    if found.path:
        raise ValueError("must end after the port, without a path")
    return found


def host_name(text: str) -> str | None:
    """A host in its normal form; None if it cannot be one.

    Args:
        text: a name, also an international one, an IPv4 address, or an IPv6 address in brackets.

    Raises:
        ValueError: it looks like an IPv4 address, but is none; with a sentence.
    """
    ipv6 = _IPV6.fullmatch(text)
    try:
        if ipv6:
            zone = f"%{ipv6['zone']}" if ipv6["zone"] else ""
            return f"{ipaddress.IPv6Address(ipv6['address'])}{zone}"
        # the client's library encodes international names
        name = yarl.URL.build(scheme="http", host=text).raw_host or ""
    except ValueError:
        return None
    if _ENDS_IN_A_NUMBER.fullmatch(name):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise ValueError(
                "contains a host that ends in a number but is not an IPv4 address: write four"
                " numbers from 0 to 255, without zeros in front, such as 10.22.26.181"
            ) from None
    return name if _NAME.fullmatch(name) else None


def is_address(host: str) -> bool:
    """Whether a host is an IP address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_understood(found: Endpoint) -> bool:
    """Whether the client's libraries read the same from it."""
    try:
        carried = httpx.URL(found.origin)
        dialled = yarl.URL(found.origin, encoded=True)
        return (carried.raw_host.decode(), dialled.raw_host, dialled.port) == (
            found.host,
            found.host,
            found.port,
        ) and bool(dialled.host)
    except (httpx.InvalidURL, ValueError):
        return False


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
