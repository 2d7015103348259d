"""What is refused, how often, and in which words."""

from collections import Counter
from enum import StrEnum
from typing import Final

from aiohttp import hdrs, web

SERVER: Final = "agent-rest-exporter"
"""In each reply, without versions."""


class Refusal(StrEnum):
    """Why a request or a connection was refused or ended."""

    MALFORMED = "malformed"
    """Not valid HTTP, or larger than 32 kB."""
    BUSY = "busy"
    """503: too many requests were in progress."""
    SLOW_READER = "slow_reader"
    """The reply was not read in time, or its place or memory was needed."""
    TOO_MANY_CONNECTIONS = "too_many_connections"
    """A connection of the client that has most of them, closed for a new one; or the new one."""
    TLS_HANDSHAKE = "tls_handshake"
    """It failed, or took longer than 10 seconds."""


Refusals = Counter[str]
"""How often each was the case."""


def no_refusals() -> Refusals:
    """A count of none, in which each reason is present."""
    return Counter({str(each): 0 for each in Refusal})


def refusal(status: int, sentence: str) -> web.Response:
    """A reply that ends the connection."""
    response = web.Response(
        text=f"{status}: {sentence}.\n", status=status, headers={hdrs.SERVER: SERVER}
    )
    response.force_close()
    return response
