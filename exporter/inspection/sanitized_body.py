"""The body of a reply without anything that could be personal or secret. Pure.

Nothing is searched for and removed; instead a new text is written, token by token, of what is known
to be harmless: punctuation, the keys of the vendor's pages, numbers of a size that counters,
reasons and durations have, begin times on a shifted clock, and words of this module. What a server
sends beyond that leaves its kind behind, text or number, and nothing else. It works on tokens, not
on a decoded object, because a reply that is not valid JSON is what a report may be about.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Final

from exporter.cms.failures import RESULT_CODES

REFERENCE: Final = 978_307_200
"""2001-01-01 00:00 UTC: when every recording was made, by its own clock."""

_BYTE_ORDER_MARK: Final = "\ufeff"
_TOKEN: Final = re.compile(
    r"""
    (?P<string> "(?:[^"\\]|\\.)*" ) (?P<key> \s*: )?
    | (?P<number> -?\d+(?:\.\d+)?(?:[eE][+-]?\d+)? ) (?![^\s,\]}])
    | (?P<word> true | false | null ) (?![^\s,\]}])
    | (?P<mark> [{}\[\],:] )
    | (?P<space> \s+ )
    | (?P<open> ".* )
    | (?P<other> [^\s{}\[\],:"]+ )
    """,
    re.VERBOSE | re.DOTALL,
)
_INTEGER: Final = re.compile(r"-?\d{1,40}")
_DATE: Final = re.compile(r"\d{4}\D\d{1,2}\D\d{1,2}.\d{1,2}:\d{1,2}")

_COUNTERS: Final = frozenset({"allowrestnum", "onrestnum", "waitrestnum"})
KEYS: Final = _COUNTERS | {
    *("result", "resultcode", "resultdesc", "resultdatas", "agentsrestdetails"),
    *("agentname", "workno", "cantrestreason", "begintime", "restduration"),
}
"""Of the interface, in lower case: a server may write them in any."""
_CODES: Final = {"0100000", *RESULT_CODES}
_OTHER_CODE: Final = "0199999"
_RESULTS: Final = range(-9, 10)
_MOST_AGENTS: Final = 100_000
_REASONS: Final = range(-9, 100)
_DAY: Final = 86_400
_LONGEST_AGE: Final = 400 * _DAY
_UNSET: Final = frozenset({0, -1, 4_294_967_295, 4_294_967_295_000})
"""What servers send for a time that is not set."""
_SMALL: Final = 2_345
"""A begin time that is none, as in the vendor's example."""
_LARGE: Final = 253_402_300_799_000
"""The last millisecond of the year 9999."""
_SIGNED_32: Final = 2**31
_SIGNED_64: Final = 2**63

_TEXT: Final = "text"
_REMOVED: Final = "description removed"
_BROKEN: Final = r'"\?"'
"""A string that JSON does not allow."""
_UNPAIRED: Final = r'"\ud800"'
_LONGEST: Final = 2**20
"""Characters that are looked at: 4,000 agents, each listed twice."""


@dataclass(slots=True)
class Pseudonyms:
    """Replacements for agents in all replies of one recording: the same agent gets the same one."""

    names: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)


def sanitized(data: bytes, now: float, pseudonyms: Pseudonyms) -> str:
    """The body to record.

    `data` is decompressed. `now` is when it came, in epoch seconds by this host's clock: times are
    shifted by it.

    Returns:
        Text; a lone surrogate represents a byte that is not UTF-8.
    """
    text = data.decode("utf-8", "surrogateescape")[:_LONGEST]
    mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    rest = text.removeprefix(mark).lstrip()
    if not rest:
        return mark
    if rest[0] not in "{[":
        # a page, or anything else: it has no token that could matter
        return f"{mark}<?>" if rest[0] == "<" else f"{mark}?"
    return mark + "".join(_Tokens(now, pseudonyms).of(rest))


class _Tokens:
    """Rewrites the tokens, each by its kind and its key."""

    def __init__(self, now: float, pseudonyms: Pseudonyms) -> None:
        self._now = now
        self._shift = REFERENCE - int(now)
        self._pseudonyms = pseudonyms
        self._key = ""

    def of(self, text: str) -> list[str]:
        """The new tokens."""
        written: list[str] = []
        for token in _TOKEN.finditer(text):
            if token["string"]:
                new = self._string(token["string"], is_key=token["key"] is not None)
            elif token["number"]:
                new = self._number(token["number"])
            elif token["space"]:
                new = " "
            elif token["open"]:
                # a string without an end: all that follows belongs to it
                new = '"?'
            else:
                # a run of anything else is one token, to hide its length
                new = token["word"] or token["mark"] or "?"
            written.append(new)
        return written

    def _string(self, token: str, *, is_key: bool) -> str:
        try:
            value = json.loads(token, strict=True)
        except ValueError:
            if is_key:
                self._key = ""
            return _BROKEN + ":" * is_key
        damage = ""
        if any("\udc80" <= letter <= "\udcff" for letter in token):
            damage = "\udcff"
        elif any("\ud800" <= letter <= "\udfff" for letter in value):
            return _UNPAIRED + ":" * is_key
        new = self._named(value) if is_key else self._value(value)
        return f'"{new}{damage}"' + ":" * is_key

    def _named(self, key: str) -> str:
        lower = key.lower()
        if key.isascii() and lower in KEYS:
            self._key = lower
            return key
        self._key = ""
        return f"unknown{_index(self._pseudonyms.keys, key)}"

    def _value(self, text: str) -> str:
        """The replacement of a text."""
        key, new = self._key, _TEXT
        if not text.strip():
            new = ""
        elif key == "agentname":
            new = f"Agent {_index(self._pseudonyms.names, text)}"
        elif key == "resultcode":
            new = text if text in _CODES else _OTHER_CODE
        elif key in {"resultdesc", "resultdatas"}:
            new = _REMOVED
        elif _INTEGER.fullmatch(text):
            new = self._integer(int(text))
        elif key == "workno":
            new = f"A{_index(self._pseudonyms.numbers, text)}"
        elif key == "begintime" and _DATE.match(text):
            new = "2001-01-01 00:00:00"
        return new

    def _number(self, text: str) -> str:
        """The replacement of a number."""
        if text == "-0" or (_INTEGER.fullmatch(text) and str(int(text)) == text):
            return self._integer(int(text))
        if text.lstrip("-").isdigit():
            # a zero in front of others, or more digits than any number of ours
            return "00" if text.lstrip("-").startswith("0") else str(_SIGNED_64 * 2)
        return "0.5"

    def _integer(self, number: int) -> str:
        key, pseudonyms = self._key, self._pseudonyms
        new = 0
        if key in _COUNTERS:
            new = _bounded(number, _MOST_AGENTS)
        elif key == "workno":
            new = _index(pseudonyms.numbers, str(number))
            new = new + 2 * _SIGNED_64 if number.bit_length() >= _SIGNED_64.bit_length() else new
        elif key == "cantrestreason":
            new = number if number in _REASONS else _REASONS.stop
        elif key == "restduration":
            new = number if number in _UNSET else _bounded(number, _DAY)
        elif key == "begintime":
            new = self._begin(number)
        elif key == "result":
            new = number if number in _RESULTS else _RESULTS.stop
        elif key == "resultcode":
            # as a number it has lost the zero in front
            new = number if f"0{number}" in _CODES or not number else int(_OTHER_CODE)
        return str(new)

    def _begin(self, number: int) -> int:
        for unit in (1, 1000):
            if abs(number / unit - self._now) < _LONGEST_AGE:
                return number + self._shift * unit
        if number in _UNSET:
            return number
        return _SMALL if number < self._now else _LARGE


def _bounded(number: int, most: int) -> int:
    """The number; or, if it is out of range, one that is out of it in the same way."""
    if number < 0:
        return -1
    if number <= most:
        return number
    return most + 1 if number < _SIGNED_32 else _SIGNED_32


def _index(known: dict[str, int], text: str) -> int:
    return known.setdefault(text, len(known) + 1)
