"""The JSON of the vendor's interface, from the server's side: queries read, replies written.

Pure: bytes in, a query or a sentence out; a floor in, bytes out. Replies can be wrong on purpose.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.message import Message
from typing import Any

import msgspec

from exporter.simulator.floors import AgentRow, Floor
from exporter.simulator.scenarios import CC_IDS, VDNS

INVALID_PARAMETER = "0100002"
"""The vendor's code for a query that breaks a rule, or asks for what does not exist."""

_ROW = ("agentName", "workNo", "cantRestReason", "beginTime", "restDuration")
_WRONG_WAITING: tuple[dict[str, Any], ...] = (
    {},
    {"waitRestNum": -1},
    {"waitRestNum": "many"},
    {"waitRestNum": None},
)


class ViolationError(ValueError):
    """The request breaks a rule of the interface; the message goes into resultDesc."""


@dataclass(frozen=True, slots=True)
class Query:
    """A valid query.

    Args:
        cc_id: call center, 1 to 65535.
        vdn: VDN, 1 to 5000.
        paging: (offset, limit) in rows; None if both are missing.
    """

    cc_id: int
    vdn: int
    paging: tuple[int, int] | None = None


def read_query(content_type: str, body: bytes, *, pages: bool = True) -> Query:
    """Reads `{"queryParam": {"ccId": 1, "vdn": 1, "offset": 0, "limit": 100}}`.

    `pages` says whether this interface has offset and limit at all; 8.13 and earlier did not.
    Raises ViolationError.
    """
    header = Message()
    header["Content-Type"] = content_type
    charset = str(header.get_param("charset", "")).lower()
    if header.get_content_type() != "application/json" or charset != "utf-8":
        raise ViolationError("Content-Type must be application/json; charset=UTF-8")
    try:
        message = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ViolationError("the body is not valid JSON") from None
    param = message.get("queryParam") if isinstance(message, dict) else None
    if not isinstance(param, dict):
        raise ViolationError("the body must be an object with an object queryParam")
    cc_id, vdn = _integer(param, "ccId", CC_IDS), _integer(param, "vdn", VDNS)
    given = [key for key in ("offset", "limit") if pages and key in param]
    if not given:
        return Query(cc_id, vdn)
    if len(given) == 1:
        raise ViolationError(f"offset and limit must be given together; only {given[0]} is")
    paging = _integer(param, "offset", range(2**31)), _integer(param, "limit", range(1, 101))
    return Query(cc_id, vdn, paging)


def success(floor: Floor, rows: Iterable[AgentRow], *, legacy: bool = False) -> bytes:
    """The reply to a query that succeeded: the floor's counters, and the given rows.

    The object with the numbers appears twice, as in the vendor's replies. A legacy reply, of 8.13
    and earlier, has lowercase keys and only `result` and `resultDatas`.
    """
    return _reply(floor, {"waitRestNum": floor.waiting}, rows, legacy=legacy)


def wrong_shape(
    floor: Floor, rows: Iterable[AgentRow], turn: int, *, legacy: bool = False
) -> bytes:
    """A reply whose waitRestNum is missing, negative, a string or null, in turn."""
    return _reply(floor, _WRONG_WAITING[turn % len(_WRONG_WAITING)], rows, legacy=legacy)


def failure(code: str, sentence: str, *, legacy: bool = False) -> bytes:
    """The reply to a query that failed, as the vendor shows it: a code and a sentence, no numbers.

    8.13 and earlier have no codes.
    """
    if legacy:
        return msgspec.json.encode({"result": "1", "resultDatas": sentence})
    return msgspec.json.encode({"resultCode": code, "resultDesc": sentence})


def endless_rows() -> Iterator[bytes]:
    """A reply that never ends, in pieces of about 64 KiB."""
    yield b'{"result":"0","resultCode":"0100000","resultDesc":{"agentsRestDetails":[{"workNo":1}'
    piece = b',{"workNo":1}' * 5_000
    while True:
        yield piece


def _integer(param: dict[str, Any], key: str, allowed: range) -> int:
    value = param.get(key)
    if value is None:
        raise ViolationError(f"queryParam.{key} is missing")
    if type(value) is not int or value not in allowed:
        raise ViolationError(
            f"queryParam.{key} must be an integer from {allowed[0]} to {allowed[-1]}"
        )
    return value


def _reply(
    floor: Floor, waiting: dict[str, Any], rows: Iterable[AgentRow], *, legacy: bool
) -> bytes:
    counters = {"allowRestNum": floor.approved, "onRestNum": floor.resting} | waiting
    # a row's names are in the order of its fields; only cant_rest_reason can be None
    details = [
        {key: value for key, value in zip(_ROW, row, strict=True) if value is not None}
        for row in rows
    ]
    if legacy:
        data = _lowercase(counters) | {"agentsrestdetails": [_lowercase(row) for row in details]}
        return msgspec.json.encode({"result": "0", "resultDatas": data})
    raw = msgspec.Raw(msgspec.json.encode(counters | {"agentsRestDetails": details}))
    return msgspec.json.encode(
        {"result": "0", "resultCode": "0100000", "resultDatas": raw, "resultDesc": raw}
    )


def _lowercase(values: dict[str, Any]) -> dict[str, Any]:
    return {key.lower(): value for key, value in values.items()}
