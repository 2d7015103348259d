"""Log lines on stderr: logfmt or JSON, with the fields that a line's `extra` carries.

Of an exception only the type and the place are logged, never its message, which may quote a reply.

Lines are written by a thread of their own. A pipe that nobody reads, or a disk that is full, costs
lines, which are counted, and never the work that they are about.
"""

import contextlib
import json
import logging
import os
import queue
import re
import select
import threading
import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TextIO

from exporter import log_messages
from exporter.errors import error_location
from exporter.log_messages import Value

MOST_WAITING: Final = 1000
"""Lines that may wait to be written: some 300 kB."""
_FLUSH_TIMEOUT: Final = 1.0
_LIBRARY_INTERVAL: Final = 60.0
"""Seconds between two lines of one library."""

_PLAIN: Final = re.compile(r"[^\s\"=\\]+")


class LogFormat(StrEnum):
    """How a log line is written."""

    LOGFMT = "logfmt"
    JSON = "json"


class Formatter(logging.Formatter):
    """One line for each record, with the fields of its `extra`.

    In logfmt, as Prometheus' own components write: `ts=… level=info msg="…" key=value`. Or as a
    JSON object, in which numbers are numbers.
    """

    def __init__(self, log_format: LogFormat) -> None:
        super().__init__()
        self._json = log_format is LogFormat.JSON

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        moment = datetime.fromtimestamp(record.created, UTC)
        fields: dict[str, Value] = {
            "ts": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "msg": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            fields["exception"] = error_location(record.exc_info[1])
        if self._json:
            return _quote(fields)
        return " ".join(f"{key}={_plain_or_quoted(str(value))}" for key, value in fields.items())


class _Libraries(logging.Filter):
    """Lets libraries say where there is a problem, and how bad it is; and that now and then.

    Their own words may quote what a client or a server has sent, as often as they send it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._again_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is logged. The words of a library are replaced."""
        library = record.name.partition(".")[0]
        if library == "exporter":
            return True
        due = record.created >= self._again_at.get(library, 0.0)
        if record.levelno < logging.WARNING or not due:
            return False
        self._again_at[library] = record.created + _LIBRARY_INTERVAL
        record.msg, record.args = log_messages.LIBRARY_PROBLEM.text, ()
        record.fields = {"library": library, "place": f"{record.filename}:{record.lineno}"}
        return True


class LogWriter(logging.Handler):
    """Writes lines in a thread of its own, and drops those for which there is no room.

    The stream's descriptor is written to if it has one: a thread that waits in a write of a
    buffered stream would hold up the interpreter's end.
    """

    def __init__(self, stream: TextIO, most_waiting: int = MOST_WAITING) -> None:
        super().__init__()
        self._stream = stream
        self._descriptor: int | None = None
        with contextlib.suppress(OSError):
            self._descriptor = stream.fileno()
        self._lines: queue.Queue[str | None] = queue.Queue(most_waiting)
        self._no_room = 0
        self._not_written = 0
        self._reported = 0
        self._thread = threading.Thread(target=self._write_lines, name="log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines that were not written, since the start."""
        return self._no_room + self._not_written

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line."""
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._no_room += 1

    def flush(self) -> None:
        """Wait until all lines are written, for a second at most."""
        done = self._lines.all_tasks_done
        with done:
            done.wait_for(lambda: not self._lines.unfinished_tasks, _FLUSH_TIMEOUT)

    def close(self) -> None:
        """Let the thread end once it has written what waits."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(None)
        super().close()

    def ended(self, within: float) -> bool:
        """Whether the thread has ended, or does so in time."""
        self._thread.join(within)
        return not self._thread.is_alive()

    def _write_lines(self) -> None:
        while (line := self._lines.get()) is not None:
            if not self._write(line):
                self._not_written += 1
            elif self._lines.empty():
                self._report_dropped()
            self._lines.task_done()
        self._lines.task_done()

    def _report_dropped(self) -> None:
        """Say how many lines are missing, now that lines can be written again."""
        dropped = self.dropped
        if dropped > self._reported:
            level, text = log_messages.LINES_DROPPED.level, log_messages.LINES_DROPPED.text
            facts = {"levelno": level, "levelname": logging.getLevelName(level)}
            fields = {"dropped": dropped - self._reported}
            message = {"msg": text, "created": time.time(), "fields": fields}
            if self._write(self.format(logging.makeLogRecord(facts | message))):
                self._reported = dropped

    def _write(self, line: str) -> bool:
        """Whether it could be written."""
        try:
            if self._descriptor is None:
                self._stream.write(f"{line}\n")
                self._stream.flush()
            else:
                _write_all(self._descriptor, f"{line}\n".encode(errors="backslashreplace"))
        except (OSError, ValueError):  # nobody reads, no room on the disk, or it is closed
            return False
        return True


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # another process has made the pipe non-blocking
            ready = select.poll()
            ready.register(descriptor, select.POLLOUT)
            ready.poll()


def set_up(level: str, log_format: LogFormat, stream: TextIO) -> LogWriter:
    """Let every log line of this process go to `stream`. What is waiting is written at its end."""
    handler = LogWriter(stream)
    handler.setFormatter(Formatter(log_format))
    handler.addFilter(_Libraries())
    logging.captureWarnings(capture=True)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    return handler


def _plain_or_quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and text.isprintable() else _quote(text)


def _quote(value: object) -> str:
    """As JSON, without what could move a terminal's cursor or turn its text around."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)
