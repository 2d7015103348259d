"""A recorded poll as a document that can be attached to a bug report. Pure.

It contains only values that are known to be harmless; for bodies, `sanitized_body` decides. Hosts,
paths, keys and signatures are left out, and so are the values of headers that are not on a list, of
requests and replies alike. Such a header is still listed: by its name if many servers send it, and
otherwise without.
"""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from email.utils import formatdate
from typing import Final
from urllib.parse import urlsplit

from exporter import __version__
from exporter.cms.body import CodingError, unpacked
from exporter.cms.reply_headers import date_and_coding, http_date
from exporter.cms.signing import timestamp
from exporter.errors import PollResult
from exporter.inspection.recording import Headers, Recorded
from exporter.inspection.sanitized_body import REFERENCE, Pseudonyms, sanitized
from exporter.server import SIGNED_HEADERS, Api, Server, Signature

FORMAT: Final = "agent-rest-exporter recording"
VERSION: Final = 1

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


def document(
    recorded: Sequence[Recorded], result: PollResult, server: Server, target: tuple[int, int]
) -> str:
    """The text of the file, for one poll: its pages in the order asked."""
    now = result.ended.wall
    pseudonyms = Pseudonyms()
    failure = result.error
    found = {
        "format": FORMAT,
        "version": VERSION,
        "exporter": __version__,
        "clock": REFERENCE,
        "server": _server(server),
        "outcome": "success" if failure is None else failure.reason.value,
        "doubts": [doubt.value for doubt in result.snapshot.doubts] if result.snapshot else [],
        "exchanges": [
            {
                "request": _request(each, server, target),
                "reply": _reply(each, server, now, pseudonyms),
            }
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


def _reply(
    recorded: Recorded, server: Server, now: float, pseudonyms: Pseudonyms
) -> dict[str, object] | None:
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
        "headers": dict(_received(recorded.reply_headers, server, now)),
        "left_out": _left_out(
            recorded.reply_headers,
            {"date", "content-type", "retry-after", "location", "content-encoding"},
        ),
        "coding": coding if coding in _CODINGS or not coding else "other",
        "damaged": damaged,
        "complete": recorded.complete or recorded.status != 200,  # noqa: PLR2004  # HTTP's
        "body": "?" if damaged else sanitized(data, now, pseudonyms),
    }


def _received(headers: Headers, server: Server, now: float) -> Iterator[tuple[str, str]]:
    shift = REFERENCE - int(now)
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
