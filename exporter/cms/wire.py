"""The bytes of the vendor's interface: request bodies out, typed replies and their pages in. Pure.

The source is the vendor's page *Querying Agent Rest Information*, and *Querying the Agent
Information in Rest State* for 8.13 and earlier, where every key is lowercase. `agentName` is never
decoded: a name that is not read cannot leak. (Only `agent_names` reads it, for `query`.)
"""

import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from exporter.rest import Counters, Row
from exporter.server import Api

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
"""Some servers begin their replies with it. It is not JSON."""


class DecodeError(ValueError):
    """The reply is not valid JSON."""


class SchemaError(ValueError):
    """The reply is JSON, but not what the vendor's page describes."""


class TooManyRowsError(ValueError):
    """The reply could have more than `MAX_ROWS` rows, by far."""


class ResultError(ValueError):
    """The server says that the query failed.

    Args:
        code: resultCode, else result.
        description: what the server says of it, or empty. Like the code it may be anything: see
            `foreign_text`.
    """

    def __init__(self, code: str, description: str) -> None:
        super().__init__("the server says that the query failed")
        self.code = code
        self.description = description


MAX_ROWS: Final = 100_000
"""Rows of one VDN: more than a floor can have."""
MAX_PAGES: Final = 500
"""50,000 agents of one VDN at 100 rows a page: more than any has."""


class Reply(NamedTuple):
    """One reply: its counters, and its rows in the order sent."""

    counters: Counters
    rows: Sequence[Row]


_KEYS: Final = {
    "result": "result",
    "result_code": "resultCode",
    "desc": "resultDesc",
    "datas": "resultDatas",
    "lowercase_datas": "resultdatas",
    "approved": "allowRestNum",
    "resting": "onRestNum",
    "waiting": "waitRestNum",
    "rows": "agentsRestDetails",
    "work_no": "workNo",
    "reason": "cantRestReason",
    "begin_time": "beginTime",
    "duration": "restDuration",
}
_LOWERCASE_KEYS: Final = {name: key.lower() for name, key in _KEYS.items()}

_Text = Annotated[str, msgspec.Meta(max_length=64)]


class _Row(Row, rename=_KEYS):
    work_no: int | _Text | None = None
    reason: int | None = None
    begin_time: int | None = None
    duration: int | None = None


class _Detail(msgspec.Struct, rename=_KEYS):
    approved: int | None = None
    resting: int | None = None
    waiting: int | None = None
    rows: list[_Row] | None = None


class _LowercaseRow(Row, rename=_LOWERCASE_KEYS):
    work_no: int | _Text | None = None
    reason: int | None = None
    begin_time: int | None = None
    duration: int | None = None


class _LowercaseDetail(msgspec.Struct, rename=_LOWERCASE_KEYS):
    approved: int | None = None
    resting: int | None = None
    waiting: int | None = None
    rows: list[_LowercaseRow] | None = None


class _Envelope(msgspec.Struct, rename=_KEYS):
    """The outer object. The detail stands in it twice: raw, so that one of the two is skipped."""

    result: int | str | None = None
    result_code: int | str | None = None
    desc: msgspec.Raw = msgspec.Raw()
    datas: msgspec.Raw = msgspec.Raw()
    lowercase_datas: msgspec.Raw = msgspec.Raw()


class _Success(msgspec.Struct, rename=_KEYS):
    """Nearly every reply. The duplicate of the detail is skipped."""

    result_code: Literal["0100000"]
    desc: _Detail
    result: int | _Text | None = None
    datas: msgspec.Raw = msgspec.Raw()


_SUCCESSFUL: Final = msgspec.json.Decoder(_Success, strict=False)
_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
# not strict: integers may arrive as text
_DETAIL: Final = msgspec.json.Decoder(_Detail, strict=False)
_LOWERCASE_DETAIL: Final = msgspec.json.Decoder(_LowercaseDetail, strict=False)
_SUCCESS: Final = "0100000"
_EMPTY_OBJECT: Final = 9
"""Bytes, with a few blanks between its braces."""
_LARGEST_COUNTER: Final = 2**31 - 1  # the page's type for it is Integer
_UNSET: Final = re.compile(
    rb'(?i)("(?:workNo|cantRestReason|beginTime|restDuration)"\s{0,9}:\s{0,9})"\s{0,9}"'
)
"""A field of a row that is empty text. Inside of text its quotes have a backslash before them."""
_MISMATCH: Final = re.compile(r"Expected `([a-z |]+)`, got `([a-z]+)`(?: - at `\$\.?(.*)`)?")
_TOO_LONG: Final = re.compile(r"Expected `str` of length <= ([0-9]+) - at `\$\.?(.*)`")
_KINDS: Final = {
    "int": "a whole number",
    "float": "a decimal number",
    "str": "text",
    "bool": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}
"""Types, as msgspec calls them."""
_LONGEST_RAW_DESCRIPTION: Final = 2**14
"""Bytes. A longer one is not a sentence, and is left out."""
_FEW_ROWS: Final = 100
_WORK_NO_BITS: Final = 63
_MOST_OBJECTS: Final = 2 * MAX_ROWS + 100
"""In one reply: CC-CMS sends each row twice. An object is two bytes or more."""


def request_body(
    cc_id: int, vdn: int, offset: int | None = None, limit: int | None = None
) -> bytes:
    """The body that asks for one VDN: all of it, or `limit` rows from row `offset` (CTI 3.6)."""
    if offset is None or limit is None:
        return b'{"queryParam":{"ccId":%d,"vdn":%d}}' % (cc_id, vdn)
    return b'{"queryParam":{"ccId":%d,"vdn":%d,"offset":%d,"limit":%d}}' % (
        cc_id,
        vdn,
        offset,
        limit,
    )


def decode(body: bytes | bytearray, api: Api) -> Reply:
    """Decode the body of a reply with status 200.

    Raises:
        DecodeError: it is not valid JSON.
        TooManyRowsError: it has far too many objects to be a listing.
        ResultError: the server says that the query failed.
        SchemaError: something that the numbers need is missing or malformed. No message quotes a
            value of the reply: it could be a person's name.
    """
    if len(body) > 2 * _MOST_OBJECTS and body.count(b"{") > _MOST_OBJECTS:
        raise TooManyRowsError
    if api is Api.AGENT_REST_INFOS:
        # one pass is enough for a success; anything else is decoded again, step by step
        with contextlib.suppress(ValueError, RecursionError):
            return _reply(_SUCCESSFUL.decode(body).desc, _KEYS)
    try:
        envelope = _ENVELOPE.decode(body)
        _check_result(envelope)
        raw = _detail_of(envelope)
        try:
            return _read(raw, api)
        except msgspec.ValidationError:
            # some servers write an unset number as an empty text
            return _read(_UNSET.sub(rb"\1null", bytes(memoryview(raw))), api)
    except msgspec.ValidationError as error:
        raise SchemaError(_describe(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise DecodeError from None


def detail(body: bytes | bytearray) -> msgspec.Raw:
    """The object with counters and rows, undecoded, of a body that `decode` has accepted."""
    return _detail_of(_ENVELOPE.decode(body))


def check_work_numbers(rows: Sequence[Row]) -> None:
    """Rows are told apart by them. Integers of any size could be chosen that all have one hash.

    Twenty thousand of those would take a minute to be told apart; `decode` lets a hundred pass.

    Raises:
        SchemaError: one is out of range.
    """
    for row in rows:
        number = row.work_no
        if type(number) is int and number.bit_length() > _WORK_NO_BITS:
            raise SchemaError("workNo is out of range")


def _read(raw: msgspec.Raw | bytes, api: Api) -> Reply:
    if api is Api.AGENT_REST_INFOS:
        return _reply(_DETAIL.decode(raw), _KEYS)
    return _reply(_LOWERCASE_DETAIL.decode(raw), _LOWERCASE_KEYS)


def _reply(detail: _Detail | _LowercaseDetail, keys: Mapping[str, str]) -> Reply:
    counters = Counters(
        _counter(keys["approved"], detail.approved),
        _counter(keys["resting"], detail.resting),
        _counter(keys["waiting"], detail.waiting),
    )
    rows = detail.rows or ()
    if len(rows) > _FEW_ROWS:
        check_work_numbers(rows)
    return Reply(counters, rows)


def _check_result(envelope: _Envelope) -> None:
    for value, success in ((envelope.result_code, _SUCCESS), (envelope.result, "0")):
        code = "" if value is None else str(value).strip()
        if code and code != success:
            raise ResultError(code, _description(envelope.desc))
        if code:
            return
    raise SchemaError("it has neither resultCode nor result")


def _detail_of(envelope: _Envelope) -> msgspec.Raw:
    objects = [
        raw
        for raw in (envelope.desc, envelope.datas, envelope.lowercase_datas)
        if bytes(memoryview(raw)[:1]) == b"{"
    ]
    # one of the two may be an empty object
    for raw in objects:
        if len(memoryview(raw)) > _EMPTY_OBJECT:
            return raw
    if objects:
        return objects[0]
    raise SchemaError("neither resultDesc nor resultDatas is an object")


def _description(raw: msgspec.Raw) -> str:
    if len(memoryview(raw)) > _LONGEST_RAW_DESCRIPTION:
        return ""
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _counter(key: str, value: int | None) -> int:
    if value is None:
        raise SchemaError(f"{key} is missing")
    if not 0 <= value <= _LARGEST_COUNTER:
        raise SchemaError(f"{key} is {'negative' if value < 0 else 'out of range'}")
    return value


def _describe(error: msgspec.ValidationError) -> str:
    """What is wrong by types and places, never by a value."""
    text = str(error)
    if mismatch := _MISMATCH.fullmatch(text):
        wanted, got, place = mismatch.groups()
        kinds = [_KINDS.get(kind, kind) for kind in wanted.split(" | ") if kind != "null"]
        return f"{place or 'it'} is {_KINDS.get(got, got)}, not {' or '.join(kinds)}"
    if too_long := _TOO_LONG.fullmatch(text):
        return f"{too_long[2]} has more than {too_long[1]} characters"
    text = text.replace("`", "")
    return text[:1].lower() + text[1:]


class Listing:
    """The pages of one listing (CTI 3.6), in the order read.

    A reply has no total: the last page is the one with fewer rows than asked for. A server that
    ignores `offset` sends the first page again and again; such a listing must end, too.

    Args:
        limit: rows asked for with each page, 1 to 100.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: set[int | str] = set()
        self._counters: set[Counters] = set()
        self.pages = 0
        self.rows: list[Row] = []

    @property
    def offset(self) -> int:
        """The `offset` of the next page, in rows."""
        return self._limit * self.pages

    @property
    def moved(self) -> bool:
        """Whether the counters differ between its pages: it changed while it was read."""
        return len(self._counters) > 1

    def add(self, reply: Reply) -> bool:
        """Add the next page. Returns whether it was the last one.

        The last page is a short one, or one without an agent who was not seen before.
        """
        before = len(self._seen)
        self._seen.update([row.work_no or _unnumbered(row) for row in reply.rows])
        repeated = len(self._seen) == before
        self._counters.add(reply.counters)
        # of the rows with one number the last one counts; those without would count twice
        self.rows.extend(row for row in reply.rows if row.work_no or not repeated)
        self.pages += 1
        return repeated or len(reply.rows) < self._limit


def _unnumbered(row: Row) -> str:
    """What tells a row without a number from others: all that it says.

    Text, because hashes of integers are known: a server could send rows that all have the same.
    """
    values = row.reason, row.begin_time, row.duration
    return "/".join("" if value is None else f"{value:x}" for value in values)
