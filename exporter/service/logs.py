"""Log lines on stderr: logfmt or JSON, with the fields that a line's `extra` carries.

Of an exception only the type and the place are logged, never its message, which may quote a reply.
"""

import json
import logging
import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TextIO

from exporter.errors import error_location

_PLAIN: Final = re.compile(r"[^\s\"=\\]+")


class LogFormat(StrEnum):
    """How a log line is written."""

    LOGFMT = "logfmt"
    JSON = "json"


class _Formatter(logging.Formatter):
    def fields(self, record: logging.LogRecord) -> dict[str, str]:
        moment = datetime.fromtimestamp(record.created, UTC)
        fields = {
            "ts": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "msg": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            fields["exception"] = error_location(record.exc_info[1])
        return fields


class LogfmtFormatter(_Formatter):
    """`ts=… level=info msg="…" key=value`, as Prometheus' own components write."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        return " ".join(f"{key}={_quote(text)}" for key, text in self.fields(record).items())


class JsonFormatter(_Formatter):
    """One object for each line."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        return json.dumps(self.fields(record), ensure_ascii=False)


def set_up(level: str, log_format: LogFormat, stream: TextIO) -> None:
    """Let every log line of this process go to `stream`.

    Args:
        level: debug, info, warning or error.
        log_format: how lines are written.
        stream: stderr, in a daemon.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if log_format is LogFormat.JSON else LogfmtFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _quote(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
