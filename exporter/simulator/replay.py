"""Recorded exchanges, served again: what `query --record` has written, as the server answers it.

The times of a recording are shifted to the simulator's clock, so that ages are what they were. A
question that was asked more than once is answered in the order recorded, over and over.
"""

import re
import zlib
from collections.abc import Mapping
from email.utils import formatdate, parsedate_to_datetime
from itertools import cycle
from typing import Literal

import msgspec

from exporter.simulator.scenarios import CC_IDS, VDNS

_BEGIN_TIME = re.compile(r'(?i)("begintime"\s*:\s*"?)(\d{9,13})\b')
_MILLISECONDS = 10**11
"""A later time in seconds would be in the year 5138."""
_LONGEST_AGE = 500 * 86_400
_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}

Question = tuple[int, int, int | None, int | None]
"""ccId, vdn, offset, limit; None without paging."""


class Reply(msgspec.Struct, frozen=True):
    """A reply as it was recorded.

    Args:
        status: of HTTP.
        headers: values by name.
        body: its text; bytes that are not UTF-8 are lone surrogates.
        complete: whether it was read to its end.
        coding: how it was compressed; empty if it was not.
        damaged: whether it could not be decompressed.
    """

    status: int
    headers: dict[str, str]
    body: str
    complete: bool = True
    coding: str = ""
    damaged: bool = False

    def at(self, shift: int, clock: int) -> "Served":
        """The reply with its times shifted by a number of seconds.

        `clock` is the recorder's time in the recording, in seconds since the epoch.
        """
        body = _BEGIN_TIME.sub(
            lambda found: found[1] + _shifted(int(found[2]), shift, clock), self.body
        )
        data = body.encode("utf-8", "surrogateescape")
        headers = {
            name: _date(value, shift) if name == "Date" else value
            for name, value in self.headers.items()
        }
        if self.coding and not self.damaged:
            data = _compressed(data, self.coding)
        if self.coding:
            headers["Content-Encoding"] = self.coding
        return Served(self.status, headers, data, self.complete)


class Served(msgspec.Struct, frozen=True):
    """A reply as it is sent."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool


class _Request(msgspec.Struct, frozen=True, rename="camel"):
    api: Literal["agentrestinfos", "agentrestinfo"]
    cc_id: int
    vdn: int
    offset: int | None = None
    limit: int | None = None


class _Exchange(msgspec.Struct, frozen=True):
    request: _Request
    reply: Reply | None


class _File(msgspec.Struct, frozen=True):
    format: Literal["agent-rest-exporter recording"]
    version: Literal[1]
    clock: int
    exchanges: tuple[_Exchange, ...]


class Recordings:
    """What recorded files answer. Raises ValueError with a sentence that names a wrong file."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        recorded: dict[tuple[bool, Question], list[tuple[Reply | None, int]]] = {}
        for name, data in files.items():
            file = _read(name, data)
            for each in file.exchanges:
                asked = each.request
                question = asked.cc_id, asked.vdn, asked.offset, asked.limit
                key = asked.api == "agentrestinfo", question
                recorded.setdefault(key, []).append((each.reply, file.clock))
        self._answers = {key: cycle(replies) for key, replies in recorded.items()}
        self.targets = tuple(dict.fromkeys(question[:2] for _, question in recorded))
        """The (ccId, vdn) that were asked for, in order."""
        self.page_size = max(filter(None, (limit for _, (*_, limit) in recorded)), default=None)
        """The largest page that was asked for; None without paging."""
        self.legacy = next(iter(recorded))[0]
        """Whether the first exchange is of the interface of 8.13 and earlier."""

    def answer(
        self, question: Question, now: float, *, legacy: bool
    ) -> Served | Literal["unknown", "none"]:
        """The next reply to a question.

        `now` is in seconds since the epoch; `legacy` is the interface of 8.13 and earlier. Gives
        `unknown` if the question was not recorded, `none` if no reply came to it.
        """
        answers = self._answers.get((legacy, question))
        if answers is None:
            return "unknown"
        reply, clock = next(answers)
        return "none" if reply is None else reply.at(int(now) - clock, clock)


def _read(name: str, data: bytes) -> _File:
    try:
        file = msgspec.json.decode(data, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError(f"{name} is not a recording: make one with query --record") from None
    asked = [each.request for each in file.exchanges]
    if not asked or any(each.cc_id not in CC_IDS or each.vdn not in VDNS for each in asked):
        raise ValueError(f"{name} is a recording without an exchange of a VDN: record it again")
    return file


def _shifted(value: int, shift: int, clock: int) -> str:
    """A begin time in its own unit; values far from the recording's time are not changed."""
    unit = 1000 if value > _MILLISECONDS else 1
    near = abs(value / unit - clock) < _LONGEST_AGE
    return str(value + shift * unit if near else value)


def _date(text: str, shift: int) -> str:
    try:
        return formatdate(parsedate_to_datetime(text).timestamp() + shift, usegmt=True)
    except (ValueError, OverflowError):
        return text


def _compressed(data: bytes, coding: str) -> bytes:
    if coding not in _WBITS:
        return data
    stream = zlib.compressobj(wbits=_WBITS[coding])
    return stream.compress(data) + stream.flush()
