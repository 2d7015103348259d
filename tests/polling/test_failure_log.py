"""What the log says of failing targets."""

import logging

import pytest

from exporter.clock import Moment
from exporter.errors import PollError, Reason
from exporter.polling.failure_log import SHOWN, FailureLog
from exporter.rest import Counters, reduce
from exporter.store import Target, TargetKey, TargetState
from tests.support.stores import failure, success

NOW = Moment(1_750_000_000.0, 0.0)
SNAPSHOT = reduce(Counters(0, 0, 0), (), NOW.wall)


def fresh(vdn: int) -> TargetState:
    """A target that was never polled."""
    return TargetState(Target(TargetKey("lima", 1, vdn)))


def failed(state: TargetState, reason: Reason = Reason.HTTP, at: Moment = NOW) -> TargetState:
    """The same target after a failed poll."""
    return state.after(failure(at, at, PollError(reason, f"{reason} has a remedy")))


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Level and message of every line."""
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_one_target_is_told_from_beginning_to_end(caplog: pytest.LogCaptureFixture) -> None:
    """With its labels, the reason, the remedy, and how long it lasted."""
    journal, state = FailureLog(), fresh(7)
    with caplog.at_level(logging.DEBUG, "exporter.polling.failure_log"):
        first = failed(state)
        journal.note(state, first, NOW)
        second = failed(first)
        journal.note(first, second, NOW)
        other = failed(second, Reason.AUTH)
        journal.note(second, other, NOW)
        journal.note(other, other.after(success(NOW, NOW, SNAPSHOT)), Moment(NOW.wall + 90, 90.0))
    assert said(caplog) == [
        ("WARNING", "poll failed"),
        ("WARNING", "poll failed"),
        ("INFO", "polls succeed again"),
    ]
    labels = {"cms": "lima", "cc_id": "1", "vdn": "7"}
    assert [getattr(record, "fields", None) for record in caplog.records] == [
        {**labels, "reason": "http", "error": "http has a remedy"},
        {**labels, "reason": "auth", "error": "auth has a remedy"},
        {**labels, "failed_for": "90s"},
    ]


def test_success_after_success_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing at all is logged."""
    state = fresh(1).after(success(NOW, NOW, SNAPSHOT))
    with caplog.at_level(logging.DEBUG, "exporter.polling.failure_log"):
        FailureLog().note(state, state.after(success(NOW, NOW, SNAPSHOT)), NOW)
    assert not caplog.records


def test_a_dead_server_is_a_handful_of_lines(caplog: pytest.LogCaptureFixture) -> None:
    """A thousand targets fail and recover, ten times over."""
    journal = FailureLog()
    states = [fresh(vdn) for vdn in range(1000)]
    with caplog.at_level(logging.INFO, "exporter.polling.failure_log"):
        down = [failed(state) for state in states]
        for before, after in zip(states, down, strict=True):
            journal.note(before, after, NOW)
        outage = said(caplog)
        for before in down:
            journal.note(before, before.after(success(NOW, NOW, SNAPSHOT)), NOW)
    more = "more targets fail like this; the others are logged at the debug level"
    assert outage == [*[("WARNING", "poll failed")] * SHOWN, ("WARNING", more)]
    assert said(caplog)[len(outage) :] == [("INFO", "polls succeed again")] * SHOWN


def test_another_reason_among_many_failures_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Each reason has its own first few: a refused key does not drown in timeouts."""
    journal = FailureLog()
    with caplog.at_level(logging.INFO, "exporter.polling.failure_log"):
        for vdn in range(100):
            journal.note(fresh(vdn), failed(fresh(vdn)), NOW)
        caplog.clear()
        journal.note(fresh(200), failed(fresh(200), Reason.AUTH), NOW)
    assert said(caplog) == [("WARNING", "poll failed")]


def test_targets_that_are_gone_no_longer_count(caplog: pytest.LogCaptureFixture) -> None:
    """After a reload the first few are the first few again."""
    journal = FailureLog()
    for vdn in range(100):
        journal.note(fresh(vdn), failed(fresh(vdn)), NOW)
    caplog.clear()
    journal.recount([failed(fresh(1)), fresh(2)])
    with caplog.at_level(logging.INFO, "exporter.polling.failure_log"):
        journal.note(fresh(200), failed(fresh(200)), NOW)
    assert said(caplog) == [("WARNING", "poll failed")]
