"""`healthcheck`: does a running exporter do its work? For container engines, which run a command.

Knows how to ask over HTTP and how to say what came of it. What healthy means is the answer's
matter.
"""

import argparse
import asyncio
import os
import re
import sys
from typing import Final

import aiohttp

from exporter.cli.flags import Command, Flag
from exporter.durations import format_duration, parse_duration

_ADDRESS: Final = re.compile(r"https?://[!-.0-~]+(/[!-~]*)?")
_OK: Final = 200
_SHOWN: Final = 200
"""Characters of a refusal's first line: enough for the exporter's own sentences."""


def endpoint(text: str) -> str:
    """An address to ask. Raises ValueError with a sentence."""
    if not _ADDRESS.fullmatch(text):
        raise ValueError("not an address: write it like http://127.0.0.1:10072/-/healthy")
    if "@" in text.split("/")[2]:
        raise ValueError("health needs no password: leave out what stands before the @")
    return text


def patience(text: str) -> float:
    """Seconds above 0, of a Prometheus duration. Raises ValueError with a sentence."""
    seconds = parse_duration(text)
    if not seconds:
        raise ValueError("must be above 0")
    return seconds


def run(arguments: argparse.Namespace) -> int:
    """Ask once. 0 if the exporter is healthy, 1 if it is not or does not answer."""
    url, timeout = arguments.url, arguments.timeout
    problem = asyncio.run(_problem(url, timeout))
    if problem is None:
        print(f"{url}: healthy")
        return 0
    print(f"{url}: {problem}", file=sys.stderr)
    return 1


async def _problem(url: str, timeout: float) -> str | None:  # noqa: ASYNC109 - aiohttp keeps it, for the whole exchange
    """Why the exporter at `url` is not healthy; None if it is."""
    try:
        # The certificate carries the name that others use, not 127.0.0.1, and nothing secret is
        # sent: like Kubernetes' probes, this takes any.
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session,
            session.get(url, ssl=False, allow_redirects=False) as reply,
        ):
            if reply.status == _OK:
                return None
            start = await reply.content.read(_SHOWN)
            words = start.decode("ascii", "replace").partition("\n")[0].strip()
            return f"status {reply.status}: {words or reply.reason}"
    except TimeoutError:
        return f"no reply within {format_duration(timeout)}"
    except aiohttp.ClientError as error:
        return _sentence(error)


def _sentence(error: aiohttp.ClientError) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"the host name {error.host!r} cannot be resolved"
        case aiohttp.ClientSSLError():
            return "no TLS session: does it serve https there, without asking for a certificate?"
        case aiohttp.ClientConnectorError():
            reason = os.strerror(error.os_error.errno or 0)
            return f"no connection ({reason}): is the exporter running, and on this port?"
    return "no HTTP reply: is it the exporter's port, and does it serve https?"


COMMAND: Final = Command(
    "healthcheck",
    "ask a running exporter whether it is healthy, for container engines",
    run,
    (
        Flag(
            "url",
            "where its health is told",
            "http://127.0.0.1:10072/-/healthy",
            metavar="URL",
            parse=endpoint,
        ),
        Flag("timeout", "how long to wait for the reply", "3s", metavar="DURATION", parse=patience),
    ),
)
