"""Log lines: two formats, and no message of an exception in either."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from exporter.service.logs import LogFormat, set_up

log = logging.getLogger("exporter.test")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A stream for log lines; the process's logging is as before afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:], root.level = handlers, level


def test_logfmt_quotes_what_needs_it(stream: io.StringIO) -> None:
    """Plain values stay plain; blanks, quotes, equals signs and line breaks are quoted."""
    set_up("info", LogFormat.LOGFMT, stream)
    fields = {"cms": "lima", "error": 'a "b"=c\nd', "empty": ""}
    log.info("poll failed", extra={"fields": fields})
    (line,) = stream.getvalue().splitlines()
    stamp, rest = line.split(" ", 1)
    assert stamp.startswith("ts=20")
    assert stamp.endswith("Z")
    assert rest == r'level=info msg="poll failed" cms=lima error="a \"b\"=c\nd" empty=""'


def test_json_holds_one_object_a_line(stream: io.StringIO) -> None:
    """With the same keys, and with text as it is."""
    set_up("info", LogFormat.JSON, stream)
    log.warning("poll failed", extra={"fields": {"cms": "利马"}})
    (line,) = stream.getvalue().splitlines()
    assert "利马" in line
    fields = json.loads(line)
    assert fields.pop("ts").endswith("Z")
    assert fields == {"level": "warning", "msg": "poll failed", "cms": "利马"}


@pytest.mark.parametrize("log_format", LogFormat)
def test_an_exception_is_named_and_placed_never_quoted(
    stream: io.StringIO, log_format: LogFormat
) -> None:
    """Its message may hold a person's name."""
    set_up("info", log_format, stream)
    try:
        raise KeyError("Zhang San")
    except KeyError:
        log.exception("a defect")
    assert "Zhang" not in stream.getvalue()
    assert "KeyError at test_logs.py:" in stream.getvalue()


def test_an_exception_that_was_never_raised_is_named(stream: io.StringIO) -> None:
    """It has no place."""
    set_up("info", LogFormat.JSON, stream)
    log.error("a defect", exc_info=ValueError("Zhang San"))
    assert json.loads(stream.getvalue())["exception"] == "ValueError"


def test_the_level_holds_back_the_rest(stream: io.StringIO) -> None:
    """At `warning` no information is written."""
    set_up("warning", LogFormat.LOGFMT, stream)
    log.info("unimportant")
    assert not stream.getvalue()
