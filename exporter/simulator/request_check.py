"""What a request asks for, checked the way the vendor's server checks it.

Pure: bytes in, a query or a sentence out. Knows nothing of what will be answered.
"""

from dataclasses import dataclass
from email.message import Message
from typing import Any

import msgspec

from exporter.simulator.scenarios import CC_IDS, VDNS

_LIMITS = range(1, 101)
_OFFSETS = range(2**31)


class ViolationError(ValueError):
    """The request breaks a rule of the interface; the message goes into resultDesc."""


@dataclass(frozen=True, slots=True)
class Query:
    """A request within the rules.

    Args:
        cc_id: call center, 1 to 65535.
        vdn: VDN, 1 to 5000.
        paging: (offset, limit) in rows; None if the request has neither.
    """

    cc_id: int
    vdn: int
    paging: tuple[int, int] | None = None


def read_query(content_type: str, body: bytes, *, pages: bool = True) -> Query:
    """Reads `{"queryParam": {"ccId": 1, "vdn": 1, "offset": 0, "limit": 100}}`.

    Args:
        content_type: the header's value, empty if it is missing.
        body: the request's body.
        pages: whether this interface knows offset and limit at all; 8.13 and earlier did not.

    Raises:
        ViolationError: a rule is broken; one sentence says which.
    """
    if not _is_json_in_utf8(content_type):
        raise ViolationError("Content-Type must be application/json; charset=UTF-8")
    try:
        message = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ViolationError("the body is not JSON") from None
    param = message.get("queryParam") if isinstance(message, dict) else None
    if not isinstance(param, dict):
        raise ViolationError("the body must be an object that holds an object queryParam")
    return Query(
        _integer(param, "ccId", CC_IDS),
        _integer(param, "vdn", VDNS),
        _paging(param) if pages else None,
    )


def _paging(param: dict[str, Any]) -> tuple[int, int] | None:
    given = [key for key in ("offset", "limit") if key in param]
    if not given:
        return None
    if len(given) == 1:
        raise ViolationError(
            f"offset and limit must exist or not exist at the same time; only {given[0]} does"
        )
    return _integer(param, "offset", _OFFSETS), _integer(param, "limit", _LIMITS)


def _integer(param: dict[str, Any], key: str, allowed: range) -> int:
    value = param.get(key)
    if value is None:
        raise ViolationError(f"queryParam.{key} is missing")
    if type(value) is not int or value not in allowed:
        raise ViolationError(
            f"queryParam.{key} must be an integer from {allowed[0]} to {allowed[-1]}"
        )
    return value


def _is_json_in_utf8(content_type: str) -> bool:
    header = Message()
    header["Content-Type"] = content_type
    return (
        header.get_content_type() == "application/json"
        and str(header.get_param("charset", "")).lower() == "utf-8"
    )
