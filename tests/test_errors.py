"""The closed set of reasons, results of polls, and where an error was raised."""

import re

import pytest

from exporter.clock import Moment
from exporter.cms.signing import canonical_head
from exporter.errors import PollError, PollResult, Reason, error_location


def test_the_reasons_are_a_closed_set() -> None:
    """Alert rules name them: one more or one less is a change for users."""
    assert " ".join(Reason) == (
        "dns connect tls timeout disconnected auth rate_limited http api decode schema too_large "
        "internal"
    )


def test_an_error_prints_its_sentence() -> None:
    """And carries the pause that the server asked for."""
    error = PollError(Reason.API, "a sentence", retry_after=3.0)

    assert (str(error), error.message, error.reason) == ("a sentence", "a sentence", "api")
    assert error.retry_after == 3.0


def test_a_result_is_frozen_and_knows_its_duration() -> None:
    """By the monotonic clock: the other one may jump."""
    result = PollResult(Moment(100.0, 5.0, 5.0), Moment(50.0, 7.5, 7.5), None, None)

    assert result.duration == 2.5
    with pytest.raises(AttributeError):
        result.requests = 3  # type: ignore[misc]


def test_the_place_of_an_error_is_the_deepest_in_this_package() -> None:
    """A library's line would help nobody to find the fault."""
    with pytest.raises(UnicodeEncodeError) as caught:
        canonical_head("POST", "/", {"host": "\ud800"})

    place = re.sub(r"\d+", "N", error_location(caught.value))
    assert place == "UnicodeEncodeError at signing.py:N"


def test_the_place_of_an_error_from_elsewhere_is_its_first() -> None:
    """Without a line of this package, the one that asked for it."""
    with pytest.raises(ValueError, match="base 10") as caught:
        int("canary")

    assert re.sub(r"\d+", "N", error_location(caught.value)) == "ValueError at test_errors.py:N"


def test_an_error_that_was_never_raised_has_no_error_location() -> None:
    """Its type is all there is; its message may hold anything."""
    assert error_location(KeyError("canary")) == "KeyError"


def test_the_place_of_a_group_is_that_of_its_first() -> None:
    """A task group wraps what its tasks raise, however deep."""
    inner = ExceptionGroup("canary", [ValueError("canary"), KeyError("canary")])

    assert error_location(ExceptionGroup("canary", [inner])) == "ValueError"
