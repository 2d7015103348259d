"""`healthcheck`: ask a running exporter over HTTP whether it is healthy.

Container engines run this every few seconds. So it imports little: `http.client`, and no asyncio.
"""

import http.client
import os
import re
import socket
import ssl
import sys
import threading
from typing import Final
from urllib.parse import urlsplit

from exporter.cli.signals import Signals
from exporter.durations import format_duration, parse_duration

_URL: Final = re.compile(r"https?://[!-.0-~]+(/[!-~]*)?")
_SHOWN: Final = 200
"""Characters of a reply's first line: enough for the exporter's own sentences."""


def parse_url(text: str) -> str:
    """A URL to ask. Raises ValueError with a sentence."""
    if not _URL.fullmatch(text) or _port_of(text) == 0:
        raise ValueError("not a URL: write it like http://127.0.0.1:10072/-/healthy")
    if "@" in text.split("/")[2]:
        raise ValueError("the health page needs no password: leave out the part before the @")
    return text


def _port_of(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:  # above 65535, or brackets around what is not IPv6
        return 0


def parse_timeout(text: str) -> float:
    """Seconds above 0, of a Prometheus duration. Raises ValueError with a sentence."""
    seconds = parse_duration(text)
    if not seconds:
        raise ValueError("must be above 0")
    return seconds


def run(_signals: Signals, url: str, timeout: float) -> int:
    """Ask once. 0 if the exporter is healthy, 1 if it is not or does not answer."""
    problem: str | None = f"no reply within {format_duration(timeout)}"

    def ask() -> None:
        nonlocal problem
        problem = _problem(url)

    # In a thread, because no timeout of a socket covers the resolver, or a reply that trickles in.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(timeout)
    if problem is None:
        print(f"{url}: healthy")
        return 0
    print(f"{url}: {problem}", file=sys.stderr)
    return 1


def _problem(url: str) -> str | None:
    """Why the exporter at `url` is not healthy; None if it is. It may take for ever."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection = http.client.HTTPConnection(host, port)
    if parts.scheme == "https":
        # Any certificate will do: it has the name that others use, not 127.0.0.1, and nothing
        # secret is sent. Kubernetes' probes do the same.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, context=context)
    connected = False
    try:
        connection.connect()
        connected = True
        connection.request("GET", parts._replace(scheme="", netloc="", fragment="").geturl() or "/")
        reply = connection.getresponse()
        start = reply.read(_SHOWN).decode("ascii", "replace")
    except ssl.SSLError:
        return "the TLS handshake failed: check that it serves https without a client certificate"
    except (OSError, UnicodeError, http.client.HTTPException) as error:
        if connected:
            return "no HTTP reply: check the port, and whether the exporter serves https"
        return _no_connection(error, host)
    finally:
        connection.close()
    if reply.status == http.client.OK:
        return None
    words = start.partition("\n")[0]
    return f"status {reply.status}: {words.strip() or reply.reason}"


def _no_connection(error: Exception, host: str) -> str:
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"the host name {host!r} cannot be resolved"
    reason = os.strerror(getattr(error, "errno", None) or 0)
    return f"no connection ({reason}): check that the exporter is running and listens on this port"
