"""Why a poll fails: the closed set of reasons, and the result of a poll.

The client, the store, the metrics, the pages and the log share these names.
"""

from enum import Enum, StrEnum, auto
from pathlib import Path
from typing import Final

import msgspec

from exporter.clock import Moment
from exporter.rest import Snapshot

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


class Clue(Enum):
    """What a failure tells of the settings that a server needs, for commands that look for them."""

    PLAIN_HTTP = auto()
    """The port does not use TLS."""
    NEEDS_TLS = auto()
    """The server wants https."""
    OLD_TLS = auto()
    """It may have no TLS version or cipher that this host allows."""
    UNKNOWN_CA = auto()
    """`tls.ca_file` has not the CA of its certificate."""
    OTHER_NAME = auto()
    """`tls.server_name` is to be another."""
    CERTIFICATE = auto()
    """Something else is wrong with its certificate, or it requires one of the client."""
    NO_INTERFACE = auto()
    """There is nothing at the path of `api`."""
    SIGNATURE = auto()
    """The signature was refused, and the clocks agree or cannot be compared."""
    CTI_3_6 = auto()
    """The server wants to be asked for pages."""


class PollError(Exception):
    """Why a poll failed.

    Args:
        reason: one of the closed set.
        message: one sentence that says what happened and what to do. It is shown on pages and in
            logs, so it never contains a secret or an agent's name.
        retry_after: seconds for which the server asked not to be polled, if it did.
        clue: what it tells of the settings, if anything.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        retry_after: float | None = None,
        clue: Clue | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.clue = clue

    def with_message(self, message: str) -> "PollError":
        """The same failure in other words."""
        return PollError(self.reason, message, retry_after=self.retry_after, clue=self.clue)


class PollResult(msgspec.Struct, frozen=True):
    """One poll that has ended: the snapshot that it brought, or the error."""

    started: Moment
    """When its first request could be sent: a slot was free and the rate limit allowed it."""
    ended: Moment
    snapshot: Snapshot | None
    error: PollError | None
    """None if there is a snapshot."""
    requests: int = 0
    """Sent for it, those sent again included."""
    clock_skew: float | None = None
    """The server's `Date` less this host's clock in seconds, if a reply had one."""
    moved: bool = False
    """Whether the counters changed between the pages of the listing, in two readings of it."""
    replied: float | None = None
    """On the boot clock: when the reply began whose time the snapshot has. None if with `ended`."""

    @property
    def duration(self) -> float:
        """Seconds that it took, all its pages."""
        return self.ended.monotonic - self.started.monotonic


class ProbeRefusedError(Exception):
    """A probe that was not made: one sentence that says why."""


def error_location(error: BaseException) -> str:
    """The type of an error and where in this package it was raised, without its message."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    traceback, found = error.__traceback__, ""
    while traceback is not None:
        path = Path(traceback.tb_frame.f_code.co_filename)
        if not found or _PACKAGE in path.parents:
            found = f" at {path.name}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return type(error).__name__ + found


def internal_error(error: BaseException) -> str:
    """A sentence for an error that nothing expected. Its own message may quote a reply."""
    return f"internal error in the exporter ({error_location(error)}): please report it"
