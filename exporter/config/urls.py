"""Which URLs the exporter can use, and why not the others. Pure.

No sentence repeats the URL, because it can contain a password.
"""

import ipaddress
import re
from urllib.parse import urlsplit

_HOST = re.compile(
    r"(?=.{1,253}\.?$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_-]+)*\.?", re.IGNORECASE
)
_PATH = re.compile(r"(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)*/*")
# Both spellings of the vendor's path end alike, but for an "s".
_INTERFACE = "/openapi/agentgroup/agentrestinfo"


def check_server(url: str) -> None:
    """Whether a CC-CMS can be asked at this address.

    Raises:
        ValueError: with a sentence on what is wrong.
    """
    _check(url)
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError(
            "must not contain a user or password, because pages show the url: use auth"
        )
    if "?" in url or "#" in url:
        raise ValueError("must not have a query or fragment: the interface's path is appended")
    if _INTERFACE in parts.path:
        raise ValueError("must end before /rest/cmsapp: the interface's path is appended")
    if not _PATH.fullmatch(parts.path) or {".", ".."} & set(parts.path.split("/")):
        raise ValueError(
            'has an invalid path: no empty, "." or ".." segments, and special characters'
            " percent-encoded"
        )


def check_proxy(url: str) -> None:
    """Whether a proxy can be used at this address; it may contain a user and a password.

    Raises:
        ValueError: with a sentence on what is wrong.
    """
    _check(url)
    if urlsplit(url).path.strip("/") or "?" in url or "#" in url:
        raise ValueError("must end after the port: no path, query or fragment")


def _check(url: str) -> None:
    if not url.lower().startswith(("http://", "https://")):
        raise ValueError("must start with https:// or http://")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(
            "must be plain ASCII without spaces: write international names in punycode"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
        if "[" in parts.netloc:
            ipaddress.IPv6Address(host)
    except ValueError:
        host, port = "", 0
    if port == 0 or not (":" in host or _HOST.fullmatch(host)):
        raise ValueError(
            "must contain a valid host, and a port from 1 to 65535 if any,"
            " such as https://10.22.26.181:28443"
        )
