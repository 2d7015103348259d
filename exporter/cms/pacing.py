"""How fast one server may be asked: an even pace, and pauses that the server asks for. Pure."""

import math
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_PAUSE: Final = 900.0
"""A server's `Retry-After` is believed up to 15 minutes: a wrong one must not blind a whole day."""


class Pace:
    """The times at which requests may start: evenly spaced, never in bursts.

    Even, because the servers are fragile: fifty requests at once each second are no fifty a second.

    Args:
        per_second: requests that may start in a second, or None for no limit.
    """

    def __init__(self, per_second: float | None) -> None:
        self._gap = 1 / per_second if per_second else 0.0
        self._next = -math.inf
        self._paused_until = -math.inf

    def delay(self, now: float) -> float:
        """Seconds until the next free start."""
        return max(now, self._next) - now

    def take(self, asked: float) -> None:
        """Take the next free start, for somebody who has asked since then.

        Take it when it has come: a start that is taken and then not used is lost to everybody.
        """
        self._next = max(asked, self._next) + self._gap

    def pause(self, now: float, seconds: float) -> None:
        """Let no request start for that long, at most `LONGEST_PAUSE`."""
        self._paused_until = max(self._paused_until, now + min(seconds, LONGEST_PAUSE))
        self._next = max(self._next, self._paused_until)

    def paused(self, now: float) -> bool:
        """Whether a pause lasts: it also puts off those who had begun to wait before it."""
        return now < self._paused_until


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds from a `Retry-After` header: seconds or an HTTP date (RFC 9110, 10.2.3).

    Args:
        value: of the header, if there is one.
        now: epoch seconds by the clock of the server that sent it.

    Returns:
        Seconds of 0 or more, or None for a value that cannot be read.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    moment = http_date(text)
    return None if moment is None else max(0.0, moment - now)


def http_date(text: str) -> float | None:
    """Epoch seconds of an HTTP date (RFC 9110, 5.6.7), or None for anything else."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None
