"""A recorded poll as a document that can be attached to a bug report. Pure.

It contains only values that are known to be harmless. Hosts, paths, keys and signatures are left
out, and so are the values of headers that are not on a list, of requests and replies alike. Such a
header is still listed: by its name if many servers send it, and otherwise without.

In a body, nothing is searched for and removed; instead a new text is written, token by token, of
what is known to be harmless: punctuation, the keys of the vendor's pages, numbers of a size that
counters, reasons and durations have, begin times on a shifted clock, and words of this module. What
a server sends beyond that leaves its kind behind, text or number, and nothing else. It works on
tokens, not on a decoded object, because a reply that is not valid JSON is what a report may be
about.
"""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from email.utils import formatdate
from typing import Final
from urllib.parse import urlsplit

from exporter import __version__
from exporter.cms.body import CodingError, unpacked
from exporter.cms.failures import RESULT_CODES
from exporter.cms.reply_head import date_and_coding, http_date
from exporter.cms.signing import timestamp
from exporter.errors import PollResult
from exporter.inspection.recording import Headers, Recorded
from exporter.server import SIGNED_HEADERS, Api, Server, Signature

REFERENCE: Final = 978_307_200
"""2001-01-01 00:00 UTC: when every recording was made, by its own clock."""

_HOST: Final = "cms.example"
_OTHER_HOST: Final = "other.example"
_PORT: Final = 28_443
_SENT: Final = frozenset({"accept-encoding", "content-length", "content-type"})
"""Headers of requests whose values the exporter alone decides."""
_MEDIA_TYPES: Final = frozenset(
    {
        *("application/json", "application/xml", "application/octet-stream"),
        *("text/html", "text/plain", "text/xml", "text/json", "application/xhtml+xml"),
    }
)
_CHARSETS: Final = frozenset(
    {"utf-8", "utf8", "gbk", "gb2312", "gb18030", "iso-8859-1", "us-ascii"}
)
_CODINGS: Final = frozenset({"gzip", "x-gzip", "deflate", "br", "identity"})
_USUAL: Final = frozenset(
    {
        *("accept", "age", "allow", "cache-control", "connection", "content-disposition"),
        *("content-encoding", "content-language", "content-length", "cookie", "etag", "expires"),
        *("host", "keep-alive", "last-modified", "p3p", "pragma", "proxy-authenticate"),
        *("proxy-authorization", "proxy-connection", "proxy-status", "server", "set-cookie"),
        *("strict-transport-security", "transfer-encoding", "user-agent", "vary", "via"),
        *("www-authenticate", "x-cache", "x-content-type-options", "x-frame-options"),
        *("x-powered-by", "x-request-id", "x-squid-error", "x-xss-protection"),
    }
)
"""Names that say what software is on the way, and nothing about whose it is."""
_STATUSES: Final = range(100, 600)
_LONGEST_PAUSE: Final = 86_400
_SIGNED: Final = re.compile(r"auth-v2/[^/]*/[^/]*/([^/]*)/[^/]*")

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

_BROKEN: Final = r'"\?"'
"""A string that JSON does not allow."""
_UNPAIRED: Final = r'"\ud800"'
_LONGEST: Final = 2**20
"""Characters that are looked at: 4,000 agents, each listed twice."""


def document(
    recorded: Sequence[Recorded], result: PollResult, server: Server, target: tuple[int, int]
) -> str:
    """The text of the file, for one poll: its pages in the order asked."""
    bodies = Bodies(result.ended.wall)
    failure = result.error
    found = {
        "format": "agent-rest-exporter recording",
        "version": 1,
        "exporter": __version__,
        "clock": REFERENCE,
        "server": _server(server),
        "outcome": "success" if failure is None else failure.reason.value,
        "doubts": [doubt.value for doubt in result.snapshot.doubts] if result.snapshot else [],
        "exchanges": [
            {"request": _request(each, server, target), "reply": _reply(each, server, bodies)}
            for each in recorded
        ],
    }
    return json.dumps(found, indent=2) + "\n"


def _server(server: Server) -> dict[str, object]:
    """How it is configured, as far as that decides what is sent."""
    path = server.endpoint.path
    auth = server.auth
    return {
        "tls": server.endpoint.tls,
        "path": "" if not path else ("/prefix%20" if "%" in path else "/prefix"),
        "host_header": server.host is not None,
        "begin_time_unit": server.begin_time_unit.value,
        "auth": None if auth is None else type(auth).__name__,
        "empty_query_line": isinstance(auth, Signature) and auth.empty_query_line,
        "own_headers": len(server.headers),
        "proxy_url": server.proxy_url is not None,
    }


def _request(recorded: Recorded, server: Server, target: tuple[int, int]) -> dict[str, object]:
    asked = json.loads(recorded.request_body)["queryParam"]
    return {
        "api": Api.AGENT_REST_INFO if recorded.target.endswith("info") else Api.AGENT_REST_INFOS,
        "ccId": target[0],
        "vdn": target[1],
        "offset": asked.get("offset"),
        "limit": asked.get("limit"),
        "headers": dict(_sent(recorded.request_headers, server)),
        "left_out": _left_out(recorded.request_headers, {*_SENT, "host", "authorization"}),
    }


def _sent(headers: Headers, server: Server) -> Iterator[tuple[str, str]]:
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name in _SENT:
            yield name, value
        elif name == "host":
            has_port = value.rpartition(":")[2].isdigit() and not value.endswith("]")
            yield name, f"{_HOST}:{_PORT}" if has_port else _HOST
        elif name == "authorization":
            yield name, _authorization(value, server)


def _authorization(value: str, server: Server) -> str:
    """Its form: which headers were signed."""
    form = _SIGNED.fullmatch(value)
    if form is None or not isinstance(server.auth, Signature):
        return "***"
    names = (name if name in SIGNED_HEADERS else "own-header" for name in form[1].split(";"))
    return f"auth-v2/***/{timestamp(REFERENCE)}/{';'.join(names)}/***"


def _reply(recorded: Recorded, server: Server, bodies: "Bodies") -> dict[str, object] | None:
    if recorded.status is None:
        return None
    coding = date_and_coding(recorded.reply_headers)[1].strip().lower()
    data, damaged = bytes(recorded.reply_body), False
    try:
        data = unpacked(data, coding)
    except CodingError:
        damaged = True
    return {
        "status": recorded.status if recorded.status in _STATUSES else _STATUSES.stop,
        "headers": dict(_received(recorded.reply_headers, server, bodies.shift)),
        "left_out": _left_out(
            recorded.reply_headers,
            {"date", "content-type", "retry-after", "location", "content-encoding"},
        ),
        "coding": coding if coding in _CODINGS or not coding else "other",
        "damaged": damaged,
        "complete": recorded.complete or recorded.status != 200,  # noqa: PLR2004  # HTTP's
        "body": "?" if damaged else bodies.sanitized(data),
    }


def _received(headers: Headers, server: Server, shift: int) -> Iterator[tuple[str, str]]:
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip()
        if name == "date":
            yield "Date", _date(value, shift)
        elif name == "content-type":
            yield "Content-Type", _content_type(value)
        elif name == "retry-after":
            seconds = int(value[:6]) if value.isascii() and value.isdigit() else -1
            known = 0 <= seconds <= _LONGEST_PAUSE
            yield "Retry-After", str(seconds) if known else "other"
        elif name == "location":
            yield "Location", _location(value, server)


def _date(value: str, shift: int) -> str:
    moment = http_date(value)
    return "no date" if moment is None else formatdate(moment + shift, usegmt=True)


def _content_type(value: str) -> str:
    media_type, _, parameters = value.lower().partition(";")
    known = media_type.strip() if media_type.strip() in _MEDIA_TYPES else "application/other"
    charset = re.search(r"charset\s*=\s*\"?([a-z0-9-]+)", parameters)
    if charset is None:
        return known
    return f"{known}; charset={charset[1] if charset[1] in _CHARSETS else 'other'}"


def _location(value: str, server: Server) -> str:
    """Whether it leads to the same host, with or without TLS, and to the same interface."""
    try:
        parts = urlsplit(value)
        host = (parts.hostname or "").lower()
    except ValueError:
        return "other"
    path = server.api.path if parts.path.endswith(server.api.path) else "/other"
    if not host:
        return path
    scheme = parts.scheme if parts.scheme in {"http", "https"} else "other"
    return f"{scheme}://{_HOST if host == server.endpoint.host else _OTHER_HOST}{path}"


def _left_out(headers: Headers, kept: Collection[str]) -> list[str]:
    """The usual names among the headers that are left out, and how many others there were."""
    names = [name.decode("latin-1").lower() for name, _ in headers]
    left = [name for name in names if name not in kept]
    usual = sorted({name for name in left if name in _USUAL})
    others = sum(name not in _USUAL for name in left)
    return [*usual, *([f"others: {others}"] if others else [])]


class Bodies:
    """Rewrites the bodies of one recording.

    `now` is when they came, in epoch seconds by this host's clock: times are shifted by it. In all
    of them the same agent, or unknown key, gets the same replacement.
    """

    def __init__(self, now: float) -> None:
        self._now = now
        self.shift = REFERENCE - int(now)
        """Seconds from this host's clock to the recording's."""
        self._names: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self._keys: dict[str, int] = {}
        self._key = ""
        """The key whose value is being rewritten."""

    def sanitized(self, data: bytes) -> str:
        """The body to record, of one that is decompressed.

        A lone surrogate represents a byte that is not UTF-8.
        """
        text = data.decode("utf-8", "surrogateescape")[:_LONGEST]
        mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
        rest = text.removeprefix(mark).lstrip()
        if not rest:
            return mark
        if rest[0] not in "{[":
            # a page, or anything else: it has no token that could matter
            return f"{mark}<?>" if rest[0] == "<" else f"{mark}?"
        return mark + "".join(self._tokens(rest))

    def _tokens(self, text: str) -> Iterator[str]:
        self._key = ""
        for token in _TOKEN.finditer(text):
            if token["string"]:
                is_key = token["key"] is not None
                new = self._string(token["string"], is_key=is_key) + ":" * is_key
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
            yield new

    def _string(self, token: str, *, is_key: bool) -> str:
        try:
            value = json.loads(token, strict=True)
        except ValueError:
            if is_key:
                self._key = ""
            return _BROKEN
        damage = ""
        if any("\udc80" <= letter <= "\udcff" for letter in token):
            damage = "\udcff"
        elif any("\ud800" <= letter <= "\udfff" for letter in value):
            return _UNPAIRED
        new = self._named(value) if is_key else self._value(value)
        return f'"{new}{damage}"'

    def _named(self, key: str) -> str:
        lower = key.lower()
        known = key.isascii() and lower in KEYS
        self._key = lower if known else ""
        return key if known else f"unknown{_index(self._keys, key)}"

    def _value(self, text: str) -> str:
        key, new = self._key, "text"
        if not text.strip():
            new = ""
        elif key == "agentname":
            new = f"Agent {_index(self._names, text)}"
        elif key == "resultcode":
            new = text if text in _CODES else _OTHER_CODE
        elif key in {"resultdesc", "resultdatas"}:
            new = "description removed"
        elif _INTEGER.fullmatch(text):
            new = self._integer(int(text))
        elif key == "workno":
            new = f"A{_index(self._numbers, text)}"
        elif key == "begintime" and _DATE.match(text):
            new = "2001-01-01 00:00:00"
        return new

    def _number(self, text: str) -> str:
        if text == "-0" or (_INTEGER.fullmatch(text) and str(int(text)) == text):
            return self._integer(int(text))
        if text.lstrip("-").isdigit():
            # a zero in front of others, or more digits than any number of ours
            return "00" if text.lstrip("-").startswith("0") else str(_SIGNED_64 * 2)
        return "0.5"

    def _integer(self, number: int) -> str:
        key, new = self._key, 0
        if key in _COUNTERS:
            new = _bounded(number, _MOST_AGENTS)
        elif key == "workno":
            new = _index(self._numbers, str(number))
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
                return number + self.shift * unit
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
