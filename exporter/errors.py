"""Why a poll fails: the closed set of reasons, and the one error that carries them.

Knows nothing of HTTP, of metrics or of the configuration. Everything that speaks of a failed
poll (the client, the store, the metrics, the pages, the log) shares these names.
"""

from enum import StrEnum
from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).parent


class Reason(StrEnum):
    """The values of the label `reason`: a closed set, so that alert rules can name them."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"
    AUTH = "auth"
    RATE_LIMITED = "rate_limited"
    HTTP = "http"
    API = "api"
    DECODE = "decode"
    SCHEMA = "schema"
    TOO_LARGE = "too_large"
    INTERNAL = "internal"


class PollError(Exception):
    """A poll that failed: a reason of the closed set, and a sentence for the operator.

    Args:
        reason: which of the closed set.
        message: one sentence that says what happened and what to do. It is shown on pages and in
            logs, so it never holds a secret or an agent's name.
        retry_after: seconds for which the server asked to be left alone, if it did.
        requests: requests that this poll had sent when it failed.
        clock_skew: the server's `Date` less this host's clock in seconds, if a reply had one.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        retry_after: float | None = None,
        requests: int = 0,
        clock_skew: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.requests = requests
        self.clock_skew = clock_skew


def place(error: BaseException) -> str:
    """The type of an error and where in this package it came up, without its message."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    traceback, found = error.__traceback__, ""
    while traceback is not None:
        path = Path(traceback.tb_frame.f_code.co_filename)
        if not found or _PACKAGE in path.parents:
            found = f" at {path.name}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return type(error).__name__ + found
