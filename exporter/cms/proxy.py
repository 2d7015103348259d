"""Which proxy leads to a server: by the configuration, or by the environment. Pure.

The environment is read as by curl. An item of `NO_PROXY` is `*`, a name (which means its subdomains
too, and a dot before it makes no difference), `*.name` for the subdomains alone, an address, or a
network such as `10.0.0.0/8`. A name or an address may have a port.
"""

import base64
import contextlib
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from exporter.endpoint import Endpoint, host_name, proxy_endpoint
from exporter.secret import Secret
from exporter.server import Server

_ITEM: Final = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(?::(?P<port>[0-9]+))?")


class ProxyAddressError(ValueError):
    """A proxy that cannot be used. The message names where it came from, not its address."""


@dataclass(frozen=True, slots=True)
class ChosenProxy:
    """The proxy that leads to a server, and where it came from."""

    endpoint: Endpoint
    origin: str
    """`proxy_url`, or the name of the environment variable."""

    def __str__(self) -> str:
        """The address without user and password, and where it came from."""
        place = "" if self.origin == "proxy_url" else " in the environment"
        return f"{self.endpoint.url} (from {self.origin}{place})"

    @property
    def headers(self) -> dict[str, str]:
        """The headers for the proxy: user and password, if configured."""
        login = self.endpoint.login
        if login is None:
            return {}
        text = unquote(login.reveal())
        encoded = base64.b64encode((text if ":" in text else f"{text}:").encode()).decode()
        return {"proxy-authorization": f"Basic {encoded}"}


def chosen_proxy(server: Server, environ: Mapping[str, str]) -> ChosenProxy | None:
    """The proxy for a server; None if connections are direct.

    Args:
        server: its `proxy_url` is used whatever the environment says.
        environ: with `HTTPS_PROXY` or `HTTP_PROXY`, by the scheme of the server's URL, and
            `NO_PROXY`; in lowercase they take precedence.

    Raises:
        ProxyAddressError: the environment's proxy is not a valid address.
    """
    if server.proxy_url is not None:
        return _proxy(server.proxy_url.loaded, "proxy_url")
    variable = f"{server.endpoint.scheme}_proxy"
    names = [name for name in (variable, variable.upper()) if environ.get(name)]
    no_proxy = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    items = re.split(r"[\s,]+", no_proxy)
    if not names or any(_means(item, server.endpoint) for item in items):
        return None
    address = environ[names[0]].strip()
    return _proxy(Secret(address if "://" in address else f"http://{address}"), names[0])


def _proxy(address: Secret, origin: str) -> ChosenProxy:
    problem = ""
    try:
        return ChosenProxy(proxy_endpoint(address.reveal()), origin)
    except ValueError as error:
        problem = str(error)
    # raised out here, so that no traceback leads to the address
    raise ProxyAddressError(f"{origin} {problem}")


def _means(item: str, endpoint: Endpoint) -> bool:
    """Whether an item of `NO_PROXY` means an endpoint."""
    if item == "*":
        return True
    host = endpoint.server_name
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host) in ipaddress.ip_network(item, strict=False)
    parts = _ITEM.fullmatch(item)
    if parts is None or parts["port"] not in {None, str(endpoint.port)}:
        return False
    below_only = parts["host"].startswith("*.")
    domain = _normal(parts["host"].removeprefix("*").lstrip("."))
    return bool(domain) and (host.endswith(f".{domain}") or (host == domain and not below_only))


def _normal(host: str) -> str | None:
    """A host as an endpoint has it, without a dot at its end."""
    try:
        return (host_name(host) or "").partition("%")[0].removesuffix(".")
    except ValueError:
        return None
