"""Log lines: two formats, and no message of an exception in either."""

import contextlib
import io
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from exporter.service.logs import MOST_WAITING, LogFormat, LogWriter, set_up

log = logging.getLogger("exporter.test")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A stream for log lines; the process's logging is as before afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    for added in {*root.handlers} - {*handlers}:
        added.close()
    root.handlers[:], root.level = handlers, level


def test_logfmt_quotes_what_needs_it(stream: io.StringIO) -> None:
    """Plain values stay plain; blanks, quotes, equals signs and line breaks are quoted."""
    writer = set_up("info", LogFormat.LOGFMT, stream)
    fields = {"cms": "lima", "error": 'a "b"=c\nd', "empty": "", "vdn": 7}
    log.info("poll failed", extra={"fields": fields})
    writer.flush()
    (line,) = stream.getvalue().splitlines()
    stamp, rest = line.split(" ", 1)
    assert stamp.startswith("ts=20")
    assert stamp.endswith("Z")
    assert rest == r'level=info msg="poll failed" cms=lima error="a \"b\"=c\nd" empty="" vdn=7'


def test_json_holds_one_object_a_line(stream: io.StringIO) -> None:
    """With the same keys, and with text as it is."""
    writer = set_up("info", LogFormat.JSON, stream)
    log.warning("poll failed", extra={"fields": {"cms": "利马", "vdn": 7, "skew": -95.5}})
    writer.flush()
    (line,) = stream.getvalue().splitlines()
    assert "利马" in line
    fields = json.loads(line)
    assert fields.pop("ts").endswith("Z")
    assert fields == {
        "level": "warning",
        "msg": "poll failed",
        "cms": "利马",
        "vdn": 7,
        "skew": -95.5,
    }


@pytest.mark.parametrize("log_format", LogFormat)
def test_an_exception_is_named_and_placed_never_quoted(
    stream: io.StringIO, log_format: LogFormat
) -> None:
    """Its message may hold a person's name."""
    writer = set_up("info", log_format, stream)
    try:
        raise KeyError("Zhang San")
    except KeyError:
        log.exception("a defect")
    writer.flush()
    assert "Zhang" not in stream.getvalue()
    assert "KeyError at test_logs.py:" in stream.getvalue()


def test_an_exception_that_was_never_raised_is_named(stream: io.StringIO) -> None:
    """It has no place."""
    writer = set_up("info", LogFormat.JSON, stream)
    log.error("a defect", exc_info=ValueError("Zhang San"))
    writer.flush()
    assert json.loads(stream.getvalue())["exception"] == "ValueError"


def test_the_level_holds_back_the_rest(stream: io.StringIO) -> None:
    """At `warning` no information is written."""
    writer = set_up("warning", LogFormat.LOGFMT, stream)
    log.info("unimportant")
    writer.flush()
    assert not stream.getvalue()


def test_a_library_only_says_where(stream: io.StringIO) -> None:
    """Its own words may quote a request; strangers cannot make it write line after line."""
    writer = set_up("debug", LogFormat.LOGFMT, stream)
    for library in ("aiohttp.server", "aiohttp.web", "asyncio"):
        logging.getLogger(library).error("from %s", "Zhang San", exc_info=ValueError("secret"))
        logging.getLogger(library).info("Zhang San")
    writer.flush()
    lines = [line.partition(" ")[2] for line in stream.getvalue().splitlines()]
    assert [re.sub(r":\d+", ":1", line) for line in lines] == [
        f'level=error msg="a library reported a problem" library={library} place=test_logs.py:1 '
        "exception=ValueError"
        for library in ("aiohttp", "asyncio")
    ]


@pytest.mark.parametrize("log_format", LogFormat)
def test_no_text_moves_the_cursor(stream: io.StringIO, log_format: LogFormat) -> None:
    """Escapes, C1 controls, and what turns text around: all of it is escaped."""
    writer = set_up("info", log_format, stream)
    for text in ("\x1b[31mred", "\x9b31m", "a\u202eb", "a\u2028b", "\x7f"):
        log.info("poll failed", extra={"fields": {"cms": text}})
    writer.flush()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 5
    assert all(line.isprintable() for line in lines)


# A stderr that nobody reads


@contextlib.contextmanager
def pipe() -> Iterator[tuple[int, TextIO]]:
    """The end of a pipe to read from, and a stream that writes to the other one."""
    reads, writes = os.pipe()
    with open(writes, "w", encoding="utf-8") as stream:  # noqa: PTH123  # a descriptor
        yield reads, stream
    with contextlib.suppress(OSError):
        os.close(reads)


def read_until(descriptor: int, word: str) -> list[str]:
    """Lines up to the one with a word."""
    text = b""
    while word.encode() not in text or not text.endswith(b"\n"):
        text += os.read(descriptor, 1 << 16)
    return text.decode().splitlines()


def test_a_pipe_that_nobody_reads(stream: io.StringIO) -> None:
    """Lines wait, then they are dropped and counted; one line says so when they flow again."""
    assert not stream.getvalue()
    with pipe() as (reads, stderr):
        writer = set_up("info", LogFormat.LOGFMT, stderr)
        for number in range(MOST_WAITING + 2000):
            log.info("%s %d", "x" * 200, number)
        assert writer.dropped > 0
        lines = read_until(reads, "dropped")
        dropped = re.search(r'level=warning msg="log lines were dropped" dropped=(\d+)', lines[-1])
        assert dropped
        assert int(dropped[1]) == writer.dropped
        assert len(lines) - 1 + writer.dropped == MOST_WAITING + 2000
        log.info("again")
        assert read_until(reads, "again")[-1].endswith("msg=again")
        writer.flush()


def test_a_pipe_without_a_reader(stream: io.StringIO) -> None:
    """EPIPE costs lines, and nothing else."""
    assert not stream.getvalue()
    with pipe() as (reads, stderr):
        writer = set_up("info", LogFormat.JSON, stderr)
        os.close(reads)
        log.info("lost")
        log.info("lost as well")
        writer.flush()
        assert writer.dropped == 2


def test_a_descriptor_that_is_closed(stream: io.StringIO, tmp_path: Path) -> None:
    """As a supervisor may have it."""
    assert not stream.getvalue()
    stderr = (tmp_path / "stderr").open("w", encoding="utf-8")
    writer = set_up("info", LogFormat.LOGFMT, stderr)
    stderr.close()
    log.info("lost")
    writer.flush()
    assert writer.dropped == 1


def test_a_disk_that_is_full(stream: io.StringIO) -> None:
    """Each line is tried, and counted if it fails."""
    assert not stream.getvalue()
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        writer = set_up("info", LogFormat.LOGFMT, full)
        log.info("lost")
        writer.flush()
        assert writer.dropped == 1


def test_a_pipe_that_was_made_non_blocking(stream: io.StringIO) -> None:
    """By another process that shares it: what does not fit waits, and is whole."""
    assert not stream.getvalue()
    with pipe() as (reads, stderr):
        os.set_blocking(stderr.fileno(), False)
        writer = set_up("info", LogFormat.LOGFMT, stderr)
        for number in range(100):
            log.info("%s %d", "x" * 2000, number)
        lines = read_until(reads, ' 99"')
        assert [line.rpartition(" ")[2] for line in lines] == [f'{n}"' for n in range(100)]
        writer.flush()
        assert writer.dropped == 0


def test_the_thread_ends_with_its_handler(stream: io.StringIO) -> None:
    """Once it has written what waited."""
    writer = LogWriter(stream)
    writer.emit(logging.makeLogRecord({"msg": "last"}))
    writer.close()
    assert writer.ended(60)
    assert stream.getvalue() == "last\n"
