"""What a person may see of a recorded exchange: only what is known to be harmless.

Nothing is looked for and struck out; everything is masked that is not on a list. Of a request these
are the headers that the exporter sets itself, with the access key and the signature taken out of
`Authorization`. Of a reply: headers that gateways and servers are known to send, and in a listing
the interface's own fields, without names. A reply without a listing is what a server or a gateway
has to say, so its text is shown as far as `foreign_text` lets it pass.
"""

import contextlib
import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.cms import agent_names, wire
from exporter.cms.body import CodingError, unpacked
from exporter.cms.foreign_text import MASK, ForeignText, printable, secrets_of
from exporter.cms.proxy import ChosenProxy
from exporter.cms.reply_head import date_and_coding
from exporter.cms.requests import with_secrets
from exporter.inspection.recording import Headers, Recorded
from exporter.inspection.sanitized import KEYS
from exporter.server import Auth, Server

_OWN_HEADERS: Final = frozenset(
    {"accept", "accept-encoding", "content-length", "content-type", "host", "user-agent"}
)
_AUTHORIZATION: Final = re.compile(r"auth-v2/[^/]+/([0-9T:.Z-]+)/([a-z0-9!#$%&'*+.^_`|~;-]+)/[^/]+")
_REPLY_HEADERS: Final = frozenset(
    {
        *("age", "allow", "cache-control", "connection", "content-encoding", "content-length"),
        *("content-type", "date", "expires", "keep-alive", "location", "pragma", "proxy-status"),
        *("retry-after", "server", "transfer-encoding", "vary", "via", "www-authenticate"),
        *("x-cache", "x-request-id", "x-squid-error"),
    }
)
_QUERY: Final = re.compile(r"[?;#].*")
"""Of an address: it may be a session."""
_NAME: Final = "agentname"
_LISTING: Final = frozenset({"agentsrestdetails", "agentname", "agent_name"})
_KEY: Final = re.compile(r"[A-Za-z_$@][A-Za-z0-9_.$@-]{0,39}")
_NUMBER: Final = re.compile(r"-?[0-9]{1,19}(?:\.[0-9]{1,9})?")
_TEXT_SHOWN: Final = 600
_HEADER_SHOWN: Final = 200
_LIKE_DATA: Final = (b"{", b"[", b"<?xml")


class _Literal(str):
    """A number as it was sent."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Object:
    """A JSON object: its keys in the order sent, also those that occur twice."""

    pairs: Sequence[tuple[str, object]]


@dataclass(frozen=True, slots=True)
class Shown:
    """One message, as it may be shown."""

    first_line: str
    headers: tuple[tuple[str, str], ...]
    body: tuple[str, ...]
    """Lines; JSON is reformatted."""
    note: str = ""
    """What is to be said about the body, if anything."""


class Redaction:
    """Makes exchanges with one server fit to be shown."""

    def __init__(
        self, server: Server, proxy: ChosenProxy | None = None, *, show_names: bool = False
    ) -> None:
        self._own_headers = _OWN_HEADERS - {name for name, _ in server.headers}
        self._foreign = ForeignText(secrets_of(server, _auths(server), proxy))
        self._show_names = show_names

    def request(self, recorded: Recorded) -> Shown:
        """What was sent."""
        headers = tuple(self._request_headers(recorded.request_headers))
        # the exporter's own: numbers only
        body = recorded.request_body.decode()
        return Shown(f"{recorded.method} {recorded.target}", headers, (body,))

    def reply(self, recorded: Recorded) -> Shown | None:
        """What was received; None if nothing was."""
        if recorded.status is None:
            return None
        body, note = self._body(recorded)
        if not recorded.complete:
            note = f"{note}; only the first part was received".removeprefix("; ")
        headers = tuple(self._reply_headers(recorded.reply_headers))
        return Shown(f"HTTP {recorded.status}", headers, tuple(body), note)

    def _request_headers(self, headers: Headers) -> Iterator[tuple[str, str]]:
        for raw_name, raw_value in headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            signed = _AUTHORIZATION.fullmatch(value) if name.lower() == "authorization" else None
            if signed:
                yield name, f"auth-v2/{MASK}/{signed[1]}/{signed[2]}/{MASK}"
            else:
                yield name, value if name.lower() in self._own_headers else MASK

    def _reply_headers(self, headers: Headers) -> Iterator[tuple[str, str]]:
        for raw_name, raw_value in headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            known = name.lower() in _REPLY_HEADERS
            if name.lower() == "location":
                value = _QUERY.sub(f"?{MASK}", value)
            shown = self._foreign.sentence(value, _HEADER_SHOWN) if known else ""
            yield name if known else self._key(name, ()), shown or (MASK if value else "")

    def _body(self, recorded: Recorded) -> tuple[list[str], str]:
        data = bytes(recorded.reply_body)
        try:
            data = unpacked(data, date_and_coding(recorded.reply_headers)[1])
        except CodingError:
            return [], f"{len(data)} bytes that cannot be decompressed"
        data = data.removeprefix(wire.BYTE_ORDER_MARK)
        if not data.strip():
            return [], "no body"
        try:
            return self._json(_parsed(data.decode()), data), ""
        except json.JSONDecodeError as error:
            problem = f"not valid JSON at character {error.pos + 1}"
        except (UnicodeDecodeError, RecursionError):
            problem = "not valid JSON"
        if data.lstrip().startswith(_LIKE_DATA) or b"\0" in data:
            return [], f"{len(data)} bytes, {problem}: not shown, because it may contain names"
        names = agent_names.mentioned(data)
        text = data.decode("utf-8", "replace")
        shown = "" if names is None else self._foreign.sentence(text, _TEXT_SHOWN, names)
        if not shown:
            return [], f"{len(data)} bytes, {problem}: not shown, as it may contain a secret"
        return [shown], f"{problem}; white space is shortened"

    def _json(self, found: object, data: bytes) -> list[str]:
        names = agent_names.mentioned(data)
        # more names than can be looked for are treated like a listing
        listing = names is None or _is_listing(found)
        masked = self._masked(found, "", names or (), listing=listing)
        return list(_laid_out(masked))

    def _masked(self, value: object, key: str, names: Collection[str], *, listing: bool) -> object:
        if isinstance(value, _Object):
            return _Object(
                [
                    (self._key(name, names), self._masked(inner, name, names, listing=listing))
                    for name, inner in value.pairs
                ]
            )
        if isinstance(value, list):
            return [self._masked(inner, key, names, listing=listing) for inner in value]
        if value is None or isinstance(value, bool):
            return value
        assert isinstance(value, str)  # noqa: S101  # nothing else is parsed
        shown = self._text(value, key.casefold(), names, listing=listing)
        return _Literal(shown) if isinstance(value, _Literal) and shown == value else shown

    def _text(self, text: str, key: str, names: Collection[str], *, listing: bool) -> str:
        if key == _NAME:
            return printable(text) if self._show_names or not text.strip() else MASK
        if listing and key not in KEYS:
            return MASK
        if _NUMBER.fullmatch(text) and self._foreign.sentence(text) == text:
            return text
        if listing:
            return self._foreign.code(text, names) or (MASK if text else "")
        return self._foreign.sentence(text, _TEXT_SHOWN, names) or (MASK if text else "")

    def _key(self, key: str, names: Collection[str]) -> str:
        harmless = _KEY.fullmatch(key) and self._foreign.sentence(key, names=names) == key
        return key if harmless or key.casefold() in KEYS else MASK


def _auths(server: Server) -> Iterator[Auth]:
    """With the secrets that were read first, and with those of now: a poll may have sent either."""
    yield with_secrets(server.auth, lambda source: source.loaded)
    with contextlib.suppress(Exception):
        yield with_secrets(server.auth, lambda source: source.read())


def _parsed(text: str) -> object:
    return json.loads(
        text,
        object_pairs_hook=_Object,
        parse_int=_Literal,
        parse_float=_Literal,
        parse_constant=_Literal,
    )


def _is_listing(value: object) -> bool:
    """Whether it has agents' rows, or what could be some."""
    if isinstance(value, _Object):
        return any(key.casefold() in _LISTING or _is_listing(inner) for key, inner in value.pairs)
    return isinstance(value, list) and bool(value)


def _laid_out(value: object, indent: str = "", before: str = "", after: str = "") -> Iterator[str]:
    """The lines of a JSON value. What has nothing nested in it, as a row, is one line."""
    inner = _inner(value)
    if not any(isinstance(each, _Object | list) for _, each in inner):
        yield f"{indent}{before}{_inline(value)}{after}"
        return
    opening, closing = "{}" if isinstance(value, _Object) else "[]"
    yield f"{indent}{before}{opening}"
    for number, (key, each) in enumerate(inner, 1):
        yield from _laid_out(each, indent + "  ", key, "," if number < len(inner) else "")
    yield f"{indent}{closing}{after}"


def _inline(value: object) -> str:
    inside = ", ".join(key + _inline(each) for key, each in _inner(value))
    if isinstance(value, _Object):
        return f"{{{inside}}}"
    if isinstance(value, list):
        return f"[{inside}]"
    return str(value) if isinstance(value, _Literal) else _quoted(value)


def _inner(value: object) -> Sequence[tuple[str, object]]:
    """What is inside of an object or array, with what comes before each."""
    if isinstance(value, _Object):
        return [(f"{_quoted(key)}: ", each) for key, each in value.pairs]
    return [("", each) for each in value] if isinstance(value, list) else ()


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
