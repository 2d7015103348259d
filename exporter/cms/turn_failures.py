"""Polls that had to wait for their turn until it was too late: the server itself may be well."""

from exporter.errors import PollError, Reason


def of_no_turn(seconds: float, pause: float) -> PollError:
    """A poll that could not start in time; `pause` are seconds for which the server wants none."""
    if pause:
        return _of_pause(pause)
    return PollError(
        Reason.TIMEOUT,
        f"no free slot for a poll within {seconds:g} s: raise max_concurrency or "
        "max_requests_per_second, or poll less often",
    )


def of_late_turn(waited: float, seconds: float) -> PollError:
    """A poll that could start only when most of its time had passed."""
    return PollError(
        Reason.TIMEOUT,
        f"no free slot for a poll for {waited:.3g} s of {seconds:g} s, and no complete reply in "
        "the rest: raise max_concurrency or max_requests_per_second, or poll less often",
    )


def of_next_page(seconds: float, page: int, pause: float) -> PollError:
    """A listing whose next page had to wait for the rate limit, or for the end of a pause."""
    if pause:
        return _of_pause(pause)
    return PollError(
        Reason.TIMEOUT,
        f"page {page} could not be requested within {seconds:g} s, because "
        "max_requests_per_second allows too few: raise it, or raise timeout",
    )


def of_large_listings(seconds: float) -> PollError:
    """A large listing that had to wait for another."""
    return PollError(
        Reason.TIMEOUT,
        f"the reply is large, and another large one of this server was being read for most of "
        f"{seconds:g} s, one at a time: raise timeout, or lengthen interval",
    )


def _of_pause(seconds: float) -> PollError:
    return PollError(
        Reason.RATE_LIMITED,
        f"the server asked for a pause (Retry-After), which lasts for another {seconds:.0f} s: "
        "lower max_requests_per_second or lengthen interval",
    )
