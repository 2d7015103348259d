"""The text of a probe's steps."""

from exporter.clock import Moment
from exporter.errors import PollError, Reason
from exporter.rest import Doubt
from exporter.store import Target, TargetKey, TargetState
from exporter.web.probe import ProbeLog
from tests.support.stores import failure, snapshot, success

NOW = Moment(1_700_000_100.0, 1100.0, 1100.0)
TARGET = Target(TargetKey("lima", 1, 2), "sales")


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.passed = 0.0

    def __call__(self) -> Moment:
        """Now."""
        return Moment(NOW.wall + self.passed, NOW.monotonic + self.passed, NOW.boot + self.passed)


def test_a_probe_of_two_pages() -> None:
    """Each step with its beginning and its length; the sums add up the pages."""
    clock = Clock()
    log = ProbeLog(TARGET, clock)
    for took, name, text in (
        (0.5, "sign", "prepare request 1"),
        (0.001, "wait", "send the request and wait for the reply"),
        (1.25, "read", "read the reply"),
        (0.0125, "sign", "prepare request 2"),
        (0.001, "wait", "send the request and wait for the reply"),
        (0.75, "read", "read the reply"),
    ):
        clock.passed += took
        log.note(name, text)
    clock.passed += 0.0075
    shown = log.end(
        TargetState(TARGET).after(success(NOW, NOW, snapshot(NOW.wall, doubts=(Doubt.CUT_OFF,))))
    )

    assert shown.decode().splitlines() == [
        "The probe of lima, call center 1, VDN 2 succeeded after 2,522.00 ms.",
        "",
        f"cut_off: {Doubt.CUT_OFF.sentence}",
        "",
        "Steps, over a new connection:",
        "",
        "     at ms    took ms  step",
        "      0.00     500.00  turn     wait for a free slot and the rate limit",
        "    500.00       1.00  sign     prepare request 1",
        "    501.00   1,250.00  wait     send the request and wait for the reply",
        "  1,751.00      12.50  read     read the reply",
        "  1,763.50       1.00  sign     prepare request 2",
        "  1,764.50     750.00  wait     send the request and wait for the reply",
        "  2,514.50       7.50  read     read the reply",
        "",
        "Sums in ms:",
        "",
        "    500.00  turn",
        "      2.00  sign",
        "  2,000.00  wait",
        "     20.00  read",
        "",
        "The samples that a scrape would have got:",
        "",
    ]


def test_a_probe_that_failed() -> None:
    """With the sentence that the log has, and the step that did not end."""
    clock = Clock()
    log = ProbeLog(TARGET, clock)
    log.note("connect", "connect to 10.22.26.181:28443")
    clock.passed = 10.0
    error = PollError(Reason.CONNECT, "nothing answers at this address")
    shown = log.end(TargetState(TARGET).after(failure(NOW, NOW, error)))

    assert shown.decode().splitlines()[:8] == [
        "The probe of lima, call center 1, VDN 2 failed after 10,000.00 ms.",
        "",
        "connect: nothing answers at this address",
        "",
        "Steps, over a new connection:",
        "",
        "     at ms    took ms  step",
        "      0.00       0.00  turn     wait for a free slot and the rate limit",
    ]
    assert b"connect  connect to 10.22.26.181:28443 - the poll failed here\n" in shown
