"""Which proxy to use for a server, from the configuration or the environment. Pure."""

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx

from exporter.secret import Secret
from exporter.server import Server

_LAST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class ProxyInUse:
    """The proxy that requests to a server go through, as a person is told of it."""

    address: str
    """Host and port."""
    origin: str
    """What names it: `proxy_url`, or a variable of the environment."""
    has_password: bool

    def __str__(self) -> str:
        place = self.origin if self.origin == "proxy_url" else f"{self.origin} in the environment"
        return f"the proxy {self.address} (from {place})"

    def bypass(self, server: Server) -> str:
        """How to reach a server without the proxy."""
        if self.origin == "proxy_url":
            return "if the server can be reached without a proxy, remove proxy_url"
        host = urlsplit(server.url).hostname
        return f"if the server can be reached without a proxy, add {host} to NO_PROXY"


class ProxyAddressError(httpx.ProxyError):
    """The proxy address is not valid. The message is what names it: it may contain a password."""


def usable_proxy(address: Secret) -> httpx.Proxy | None:
    """The proxy at an address such as `http://user:password@host:port`.

    Returns:
        None if the address cannot be used: it may come from the environment, unchecked.
    """
    try:
        proxy = httpx.Proxy(address.reveal())
    except (httpx.InvalidURL, ValueError):
        return None
    url = proxy.url
    if url.scheme not in {"http", "https"} or not url.host or (url.port or 1) > _LAST_PORT:
        return None
    if proxy.auth is None:
        return proxy
    # not as `auth`: aiohttp deprecates that, and would keep the password in every connection's key
    login = base64.b64encode(":".join(proxy.auth).encode()).decode()
    return httpx.Proxy(url, headers={"proxy-authorization": f"Basic {login}"})


def environment_proxy(url: str, environ: Mapping[str, str]) -> Secret | None:
    """The proxy for a URL by `HTTPS_PROXY` (or `HTTP_PROXY`) and `NO_PROXY`, if there is one.

    `NO_PROXY` may hold networks (`10.0.0.0/8`) beside names, because CC-CMS servers are often bare
    addresses.
    """
    parts = urlsplit(url)
    variable = f"{parts.scheme}_proxy"
    proxy = environ.get(variable) or environ.get(variable.upper())
    if not proxy:
        return None
    no_proxy = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    netloc, host = parts.netloc.lower(), parts.hostname or ""
    if any(_bypasses(item.strip().lower(), netloc, host) for item in no_proxy.split(",")):
        return None
    return Secret(proxy if "://" in proxy else f"http://{proxy}")


def _bypasses(item: str, netloc: str, host: str) -> bool:
    """Whether an item of `NO_PROXY` means this host: `*`, a domain, host and port, a network."""
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(item, strict=False)
    except ValueError:
        domain = item.lstrip(".")
        return item in {"*", netloc} or (
            domain != "" and (host == domain or host.endswith(f".{domain}"))
        )
