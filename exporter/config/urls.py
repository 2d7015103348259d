"""Which URLs the exporter can use, and why not the others. Pure.

No sentence repeats the URL, because it can contain a password.
"""

import re

from exporter.endpoint import endpoint

_PATH = re.compile(r"(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)*/*")
HOST_HEADER = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
# Both spellings of the vendor's path end alike, but for an "s".
_INTERFACE = "/openapi/agentgroup/agentrestinfo"


def server_url(url: str) -> str:
    """The URL of a CC-CMS, normalized.

    Raises:
        ValueError: with a sentence on what is wrong.
    """
    parts = endpoint(url)
    if parts.login or "@" in url.partition("://")[2].partition("/")[0]:
        raise ValueError(
            "must not contain a user or password, because pages show the url: use auth"
        )
    if parts.rest:
        raise ValueError("must not have a query or fragment: the interface's path is appended")
    if _INTERFACE in parts.path:
        raise ValueError("must end before /rest/cmsapp: the interface's path is appended")
    if not _PATH.fullmatch(parts.path) or {".", ".."} & set(parts.path.split("/")):
        raise ValueError(
            'has an invalid path: no empty, "." or ".." segments, and special characters'
            " percent-encoded"
        )
    return parts.url


def check_proxy(url: str) -> None:
    """Whether a proxy can be used at this address; it may contain a user and a password.

    Raises:
        ValueError: with a sentence on what is wrong.
    """
    parts = endpoint(url)
    if parts.path or parts.rest:
        raise ValueError("must end after the port: no path, query or fragment")
