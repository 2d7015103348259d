"""What the log says of targets that fail, and of numbers that are doubtful."""

import logging

import msgspec
import pytest

from exporter.clock import Moment
from exporter.errors import PollError, PollResult, Reason
from exporter.polling.failure_log import SHOWN, FailureLog
from exporter.rest import Counters, Doubt, reduce
from exporter.store import Target, TargetKey, TargetState
from tests.support.stores import failure, success

START = 1_750_000_000.0
SNAPSHOT = reduce(Counters(0, 0, 0), (), START)


def at(seconds: float) -> Moment:
    """A moment so many seconds after the start."""
    return Moment(START + seconds, seconds, seconds)


class Floor:
    """Targets of one server, and the log of their polls."""

    def __init__(self) -> None:
        self.log = FailureLog("lima")
        self.states: dict[int, TargetState] = {}

    def state(self, vdn: int) -> TargetState:
        """A target's state, be it that it was never polled."""
        return self.states.get(vdn) or TargetState(Target(TargetKey("lima", 1, vdn)))

    def poll(self, vdn: int, result: PollResult) -> None:
        """One poll of a target."""
        before = self.state(vdn)
        self.states[vdn] = before.after(result)
        self.log.note(before, self.states[vdn], result)

    def fails(
        self, vdn: int, reason: Reason = Reason.HTTP, message: str = "", seconds: float = 0.0
    ) -> None:
        """A poll that fails."""
        error = PollError(reason, message or f"{reason} has a remedy")
        self.poll(vdn, failure(at(seconds), at(seconds), error))

    def succeeds(self, vdn: int, *doubts: Doubt, seconds: float = 0.0) -> None:
        """A poll that succeeds, with doubts or without."""
        snapshot = msgspec.structs.replace(SNAPSHOT, doubts=doubts)
        self.poll(vdn, success(at(seconds), at(seconds), snapshot))


@pytest.fixture
def floor(caplog: pytest.LogCaptureFixture) -> Floor:
    """Whose log is captured from the info level up."""
    caplog.set_level(logging.INFO, "exporter")
    return Floor()


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, dict[str, object]]]:
    """Level, message and fields of every line, less the labels of the target."""
    labels = {"cms", "cc_id", "vdn"}
    return [
        (
            record.levelname,
            record.getMessage(),
            {key: text for key, text in record.__dict__["fields"].items() if key not in labels},
        )
        for record in caplog.records
    ]


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Level and message of every line."""
    return [(level, message) for level, message, _ in lines(caplog)]


def test_a_failure_is_told_from_beginning_to_end(
    floor: Floor, caplog: pytest.LogCaptureFixture
) -> None:
    """With its labels, the reason, the remedy, and how long it lasted."""
    for reason in (Reason.HTTP, Reason.HTTP, Reason.AUTH):
        floor.fails(7, reason)
    floor.succeeds(7, seconds=90)
    assert lines(caplog) == [
        ("WARNING", "poll failed", {"reason": "http", "error": "http has a remedy"}),
        ("WARNING", "poll failed", {"reason": "auth", "error": "auth has a remedy"}),
        ("INFO", "polls succeed again", {"failed_for": "1m30s"}),
    ]
    for record in caplog.records:
        fields = record.__dict__["fields"]
        assert (fields["cms"], fields["cc_id"], fields["vdn"]) == ("lima", 1, 7)


def test_a_clock_that_was_set_back_gives_no_negative_duration(
    floor: Floor, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure began an hour after its end, by the wall clock."""
    floor.fails(7, seconds=3600)
    back = Moment(START, 3630.0, 3630.0)
    floor.poll(7, success(back, back, SNAPSHOT))
    assert lines(caplog)[-1] == ("INFO", "polls succeed again", {"failed_for": "0s"})


def test_success_after_success_is_not_logged(
    floor: Floor, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing at all, at any level."""
    caplog.set_level(logging.DEBUG, "exporter")
    floor.succeeds(1)
    floor.succeeds(1)
    assert not caplog.records


def test_another_sentence_of_the_same_reason_is_another_cause(
    floor: Floor, caplog: pytest.LogCaptureFixture
) -> None:
    """A 404 after a 500 has another remedy; other seconds in a sentence have not."""
    for message in (
        "HTTP 500: the server failed",
        "HTTP 404: not found",
        "HTTP 404: not found",
        "the clocks differ by only 2 s: check the key",
        "the clocks differ by only 3 s: check the key",
    ):
        floor.fails(7, message=message)
    assert [fields["error"] for _, _, fields in lines(caplog)] == [
        "HTTP 500: the server failed",
        "HTTP 404: not found",
        "the clocks differ by only 2 s: check the key",
    ]


def test_a_dead_server_is_a_handful_of_lines(
    floor: Floor, caplog: pytest.LogCaptureFixture
) -> None:
    """A thousand targets fail and recover."""
    for vdn in range(1000):
        floor.fails(vdn)
    outage = said(caplog)
    for vdn in range(1000):
        floor.succeeds(vdn, seconds=60)
    more = "more targets fail like this; the others are logged at the debug level"
    assert outage == [*[("WARNING", "poll failed")] * SHOWN, ("WARNING", more)]
    assert said(caplog)[len(outage) :] == [("INFO", "polls succeed again")] * SHOWN


def test_another_cause_among_many_failures_is_told(
    floor: Floor, caplog: pytest.LogCaptureFixture
) -> None:
    """Each cause has its own first few: a refused key is not lost among timeouts."""
    for vdn in range(100):
        floor.fails(vdn)
    caplog.clear()
    floor.fails(200, Reason.AUTH)
    assert said(caplog) == [("WARNING", "poll failed")]


def test_what_still_fails_is_repeated_every_hour(
    floor: Floor, caplog: pytest.LogCaptureFixture
) -> None:
    """In one line for the server: the log of the last hour always names the cause."""
    for vdn in range(20):
        floor.fails(vdn, Reason.AUTH if vdn < 3 else Reason.TIMEOUT)
    caplog.clear()
    for seconds in range(30, 3 * 3600, 30):
        for vdn in range(20):
            floor.fails(vdn, Reason.AUTH if vdn < 3 else Reason.TIMEOUT, seconds=seconds)
    again = {
        "failing": "17 timeout, 3 auth",
        "reason": "timeout",
        "error": "timeout has a remedy",
    }
    assert lines(caplog) == [("WARNING", "polls still fail", again)] * 2


def test_the_hour_begins_with_the_failure(floor: Floor, caplog: pytest.LogCaptureFixture) -> None:
    """Not with the exporter: a failure is not repeated minutes after it was logged."""
    floor.succeeds(1, seconds=7200)
    floor.fails(1, seconds=7230)
    floor.fails(1, seconds=7260)
    assert said(caplog) == [("WARNING", "poll failed")]


def test_flapping_targets_are_bounded_by_rate(
    floor: Floor, caplog: pytest.LogCaptureFixture
) -> None:
    """Four targets that fail and recover all day: a burst, then two lines a minute at most."""
    for seconds in range(0, 86_400, 10):
        for vdn in range(4):
            if seconds // 10 % 2:
                floor.succeeds(vdn, seconds=seconds)
            else:
                floor.fails(vdn, seconds=seconds)
    assert len(caplog.records) <= 30 + 86_400 / 60 + 1


def test_targets_that_are_gone_no_longer_count(
    floor: Floor, caplog: pytest.LogCaptureFixture
) -> None:
    """After a reload the first few are the first few again."""
    for vdn in range(100):
        floor.fails(vdn)
        floor.succeeds(vdn + 1000, Doubt.UNLISTED)
    floor.log.recount([floor.state(1), floor.state(1001)])
    caplog.clear()
    floor.fails(200)
    floor.succeeds(201, Doubt.UNLISTED)
    assert said(caplog) == [("WARNING", "poll failed"), ("WARNING", "the numbers are doubtful")]


def test_a_doubt_is_told_when_it_begins_and_when_it_ends(
    floor: Floor, caplog: pytest.LogCaptureFixture
) -> None:
    """With the sentence that pages show; a failure in between is not its end."""
    floor.succeeds(1)
    floor.succeeds(1, Doubt.CUT_OFF, Doubt.UNLISTED)
    floor.succeeds(1, Doubt.CUT_OFF, Doubt.UNLISTED)
    floor.fails(1)
    floor.succeeds(1, Doubt.UNLISTED)
    floor.succeeds(1)
    doubtful, ended = "the numbers are doubtful", "the numbers are no longer doubtful"
    expected = [
        ("WARNING", doubtful, {"doubt": "cut_off", "meaning": Doubt.CUT_OFF.sentence}),
        ("WARNING", doubtful, {"doubt": "unlisted", "meaning": Doubt.UNLISTED.sentence}),
        ("WARNING", "poll failed", {"reason": "http", "error": "http has a remedy"}),
        ("INFO", "polls succeed again", {"failed_for": "0s"}),
        ("INFO", ended, {"doubt": "cut_off"}),
        ("INFO", ended, {"doubt": "unlisted"}),
    ]
    assert lines(caplog) == expected


def test_a_thousand_doubtful_targets_are_a_handful_of_lines(
    floor: Floor, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong unit concerns every target of a server."""
    for vdn in range(1000):
        floor.succeeds(vdn, Doubt.WRONG_UNIT)
    assert said(caplog) == [("WARNING", "the numbers are doubtful")] * SHOWN


def test_a_pause_is_told_once(floor: Floor, caplog: pytest.LogCaptureFixture) -> None:
    """However many polls under way are told to wait; and again when it comes again."""
    error = PollError(Reason.RATE_LIMITED, "HTTP 429: too many", retry_after=30.0)
    for vdn in range(3):
        floor.poll(vdn, failure(at(0), at(1), error))
    floor.poll(1, failure(at(40), at(41), error))
    pauses = [fields for _, message, fields in lines(caplog) if message.startswith("the server")]
    assert pauses == [{"pause": "30s", "error": "HTTP 429: too many"}] * 2


def test_causes_that_never_come_again(floor: Floor, caplog: pytest.LogCaptureFixture) -> None:
    """A server that names each request in its errors: what is remembered does not grow.

    What still fails is said every hour all the same, with the newest cause.
    """
    for number in range(2000):
        floor.fails(7, Reason.API, f"request {number:x} failed", seconds=30 * number)
    assert len(vars(floor.log)["_failing"]) == 1
    repeated = [fields for _, message, fields in lines(caplog) if message == "polls still fail"]
    assert len(repeated) == 2000 * 30 // 3600
    assert repeated[0] == {"failing": "1 api", "reason": "api", "error": "request 78 failed"}
    floor.succeeds(7, seconds=60_000)
    assert not vars(floor.log)["_failing"]


def test_a_wrong_clock_is_told_with_the_first_reply(
    floor: Floor, caplog: pytest.LogCaptureFixture
) -> None:
    """It explains refused signatures before anyone asks; once, until it is right again."""
    for skew in (None, -95.26, -96.0, None, 59.0, 0.0, 61.0):
        result = success(at(0), at(0), SNAPSHOT)
        floor.poll(7, msgspec.structs.replace(result, clock_skew=skew))
    assert lines(caplog) == [
        (
            "WARNING",
            "the server's clock and this host's clock differ",
            {"clock_skew_seconds": -95.3},
        ),
        (
            "INFO",
            "the server's clock and this host's clock agree again",
            {"clock_skew_seconds": 59.0},
        ),
        (
            "WARNING",
            "the server's clock and this host's clock differ",
            {"clock_skew_seconds": 61.0},
        ),
    ]
