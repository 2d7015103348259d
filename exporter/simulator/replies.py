"""The JSON that the stand-in server answers, right and wrong, in both spellings.

Pure: floors in, bytes out. Knows nothing of HTTP.
"""

from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import Any

import msgspec

from exporter.simulator.floor import AgentRow, Floor

GENERIC_FAILURE = "0100001"
"""A resultCode that is not success; any other would do, clients are told no more of the codes."""

_SUCCESS = "0100000"
_COUNTERS = ("allowRestNum", "onRestNum", "waitRestNum")
_ROW = ("agentName", "workNo", "cantRestReason", "beginTime", "restDuration")
_ROWS = "agentsRestDetails"
_LOWERCASE = MappingProxyType({key: key.lower() for key in (*_COUNTERS, *_ROW, _ROWS)})
_MISSING = object()
_WRONG_COUNTERS = (_MISSING, -1, "many", None)


def success(floor: Floor, rows: Iterable[AgentRow], *, legacy: bool = False) -> bytes:
    """The reply to a query that succeeded: the floor's counters, and these of its rows.

    The object with the numbers stands in it twice, as the vendor's does.

    Args:
        floor: whose counters to tell.
        rows: the rows to tell.
        legacy: spell it as 8.13 and earlier: lowercase keys, only `result` and `resultDatas`.
    """
    return _envelope(_counters(floor), rows, legacy=legacy)


def wrong_shape(
    floor: Floor, rows: Iterable[AgentRow], turn: int, *, legacy: bool = False
) -> bytes:
    """A reply whose waitRestNum is missing, negative, a text or null, by turns."""
    counters = _counters(floor)
    wrong = _WRONG_COUNTERS[turn % len(_WRONG_COUNTERS)]
    if wrong is _MISSING:
        del counters["waitRestNum"]
    else:
        counters["waitRestNum"] = wrong
    return _envelope(counters, rows, legacy=legacy)


def failure(sentence: str, *, legacy: bool = False) -> bytes:
    """The reply to a query that failed: the sentence stands where the numbers would."""
    if legacy:
        return msgspec.json.encode({"result": "1", "resultDatas": sentence})
    return msgspec.json.encode(
        {"result": "1", "resultCode": GENERIC_FAILURE, "resultDesc": sentence}
    )


def endless_rows() -> Iterator[bytes]:
    """A reply in pieces of about 64 KiB that never comes to its end."""
    yield b'{"result":"0","resultCode":"0100000","resultDesc":{"agentsRestDetails":[{"workNo":1}'
    piece = b',{"workNo":1}' * 5_000
    while True:
        yield piece


def _counters(floor: Floor) -> dict[str, Any]:
    return dict(zip(_COUNTERS, (floor.approved, floor.resting, floor.waiting), strict=True))


def _envelope(counters: dict[str, Any], rows: Iterable[AgentRow], *, legacy: bool) -> bytes:
    detail: dict[str, Any] = counters | {_ROWS: [_row(row) for row in rows]}
    if legacy:
        detail = {_LOWERCASE[key]: value for key, value in detail.items()}
        detail["agentsrestdetails"] = [
            {_LOWERCASE[key]: value for key, value in row.items()}
            for row in detail["agentsrestdetails"]
        ]
        return msgspec.json.encode({"result": "0", "resultDatas": detail})
    encoded = msgspec.Raw(msgspec.json.encode(detail))
    return msgspec.json.encode(
        {
            "result": "0",
            "resultCode": _SUCCESS,
            "resultDatas": encoded,
            "resultDesc": encoded,
        }
    )


def _row(row: AgentRow) -> dict[str, Any]:
    values = (row.name, row.work_no, row.cant_rest_reason, row.begin_time, row.rest_duration)
    told = dict(zip(_ROW, values, strict=True))
    if row.cant_rest_reason is None:
        del told["cantRestReason"]
    return told
