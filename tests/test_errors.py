"""exporter.errors: the closed set of reasons, and where an error came up."""

import re

import pytest

from exporter.cms.server import Server
from exporter.errors import PollError, Reason, place


def test_the_reasons_are_a_closed_set() -> None:
    """Alert rules name them: one more or one less is a change for users."""
    assert " ".join(Reason) == (
        "dns connect tls timeout disconnected auth rate_limited http api decode schema too_large "
        "internal"
    )


def test_an_error_prints_its_sentence() -> None:
    """And carries what the poller counts."""
    error = PollError(Reason.API, "a sentence", retry_after=3.0, requests=2, clock_skew=-1.5)

    assert (str(error), error.message, error.reason) == ("a sentence", "a sentence", "api")
    assert (error.retry_after, error.requests, error.clock_skew) == (3.0, 2, -1.5)


def test_the_place_of_an_error_is_the_deepest_in_this_package() -> None:
    """A library's line would help nobody to find the fault."""
    with pytest.raises(ValueError, match="IPv6") as caught:
        _ = Server("https://[malformed").address

    assert re.sub(r"\d+", "N", place(caught.value)) == "ValueError at server.py:N"


def test_the_place_of_an_error_from_elsewhere_is_its_first() -> None:
    """Without a line of this package, the one that asked for it."""
    with pytest.raises(ValueError, match="base 10") as caught:
        int("canary")

    assert re.sub(r"\d+", "N", place(caught.value)) == "ValueError at test_faults.py:N"


def test_an_error_that_was_never_raised_has_no_place() -> None:
    """Its type is all there is; its message may hold anything."""
    assert place(KeyError("canary")) == "KeyError"


def test_the_place_of_a_group_is_that_of_its_first() -> None:
    """A task group wraps what its tasks raise, however deep."""
    inner = ExceptionGroup("canary", [ValueError("canary"), KeyError("canary")])

    assert place(ExceptionGroup("canary", [inner])) == "ValueError"
