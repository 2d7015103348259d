"""Which proxy to use for a server, from the configuration or the environment. Pure."""

import base64
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import httpx

from exporter.endpoint import Endpoint, endpoint
from exporter.secret import Secret
from exporter.server import Server

_ITEM: Final = re.compile(r"(\[[^]]*\]|[^:]*|[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:./]*)(?::([0-9]+))?")


class ProxyAddressError(httpx.ProxyError):
    """The proxy address is not valid. The message is what names it: it may contain a password."""


@dataclass(frozen=True, slots=True)
class ChosenProxy:
    """The proxy that leads to a server."""

    address: Secret
    origin: str
    """Where it was configured: `proxy_url`, or the name of a variable."""

    def __str__(self) -> str:
        try:
            shown = endpoint(self.address.reveal()).origin
        except ValueError:
            shown = "not a valid address"
        place = "" if self.origin == "proxy_url" else " in the environment"
        return f"{shown} (from {self.origin}{place})"

    @property
    def has_password(self) -> bool:
        """Whether it is told a user and a password."""
        return self.usable is not None and "proxy-authorization" in self.usable.headers

    @property
    def usable(self) -> httpx.Proxy | None:
        """The proxy as httpx takes it; None for an address from the environment that is none."""
        try:
            parts = endpoint(self.address.reveal())
        except ValueError:
            return None
        if parts.path or parts.rest:
            return None
        if not parts.login:
            return httpx.Proxy(parts.origin)
        user, _, password = parts.login.partition(":")
        # not as `auth`: aiohttp deprecates that, and would keep it in every connection's key
        login = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
        return httpx.Proxy(parts.origin, headers={"proxy-authorization": f"Basic {login}"})


def chosen_proxy(server: Server, environ: Mapping[str, str]) -> ChosenProxy | None:
    """The proxy that leads to a server, if there is one."""
    if server.proxy_url is not None:
        return ChosenProxy(server.proxy_url.loaded, "proxy_url")
    return environment_proxy(server.endpoint, environ)


def environment_proxy(url: Endpoint, environ: Mapping[str, str]) -> ChosenProxy | None:
    """The proxy for a URL by `HTTPS_PROXY` (or `HTTP_PROXY`) and `NO_PROXY`, if there is one.

    `NO_PROXY` is read as Go and curl do: `*`, names with their subdomains, `*.` or `.` for the
    subdomains alone, addresses, networks such as `10.0.0.0/8`, each but the last with a port or
    without; separated by commas or spaces.
    """
    lower = f"{url.scheme}_proxy"
    name = lower if environ.get(lower) else lower.upper()
    address = environ.get(name)
    if not address:
        return None
    no_proxy = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if any(_bypasses(item, url) for item in re.split(r"[\s,]+", no_proxy.lower())):
        return None
    return ChosenProxy(Secret(address if "://" in address else f"http://{address}"), name)


def _bypasses(item: str, url: Endpoint) -> bool:
    """Whether an item of `NO_PROXY` means this host."""
    if item == "*":
        return True
    host = url.host.partition("%")[0]
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(item, strict=False)
    except ValueError:
        pass
    found = _ITEM.fullmatch(item)
    if found is None or (found[2] and int(found[2]) != url.port):
        return False
    pattern = found[1].strip("[]")
    try:
        return ipaddress.ip_address(host) == ipaddress.ip_address(pattern)
    except ValueError:
        pass
    domain = pattern.removeprefix("*").removeprefix(".").rstrip(".")
    name = host.rstrip(".")
    return bool(domain) and (
        name.endswith(f".{domain}") or (name == domain and not pattern.startswith(("*", ".")))
    )
