"""One line for each request that the simulator has answered. Pure: facts in, text out.

No line has an agent's name or a part of a signature: only what was asked, and how it ended.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

_PLAIN = re.compile(r"[!-~]+")
_QUOTED = re.compile(r'["=]')


@dataclass(slots=True)
class Seen:
    """What is known of a request; the server fills it in as it goes along.

    Args:
        time: the server's, in seconds since the epoch.
        method: of the request.
        path: as sent, with the query.
        target: (ccId, vdn), if they could be read.
        paging: (offset, limit), if the request has them and the interface knows them.
        scenario: what was played, if anything.
        problem: why the server refused it: its signature, or its query.
        status: of the reply; None if the client got none.
        seconds: that the answer took.
    """

    time: float
    method: str
    path: str
    target: tuple[int, int] | None = None
    paging: tuple[int, int] | None = None
    scenario: str = ""
    problem: str = ""
    status: int | None = None
    seconds: float = 0.0


def line(seen: Seen) -> str:
    """A line in logfmt, without its end."""
    return " ".join(f"{key}={_value(value)}" for key, value in _fields(seen))


def _fields(seen: Seen) -> Iterator[tuple[str, str]]:
    moment = datetime.fromtimestamp(seen.time, UTC).isoformat(timespec="milliseconds")
    yield "time", moment.removesuffix("+00:00") + "Z"
    yield "method", seen.method
    yield "path", seen.path
    if seen.target:
        yield from zip(("cc_id", "vdn"), map(str, seen.target), strict=True)
    if seen.paging:
        yield from zip(("offset", "limit"), map(str, seen.paging), strict=True)
    yield "status", "none" if seen.status is None else str(seen.status)
    yield "duration_ms", f"{seen.seconds * 1000:.0f}"
    if seen.scenario:
        yield "scenario", seen.scenario
    if seen.problem:
        yield "problem", seen.problem


def _value(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and not _QUOTED.search(text) else json.dumps(text)
