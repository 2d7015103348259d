"""Agents' names: the one place that reads them, for a person who asks for one listing.

No poll comes here: `wire` skips names unread. Knows where a name stands in a reply, and lets it
out only as a `Secret`.
"""

from collections.abc import Callable

import msgspec

from exporter.cms import wire
from exporter.cms.wire import Api, Reply
from exporter.rest import Row
from exporter.secret import Secret


class NamedRow(Row, gc=False):
    """A row, and whose it is."""

    name: Secret | None = None
    """agentName; None if the reply holds no text there."""


class _Row(msgspec.Struct):
    # raw, so that a name that cannot be read spoils no other
    name: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="agentName")


class _Detail(msgspec.Struct):
    rows: list[_Row] | None = msgspec.field(default=None, name="agentsRestDetails")


class _LowercaseRow(msgspec.Struct):
    name: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="agentname")


class _LowercaseDetail(msgspec.Struct):
    rows: list[_LowercaseRow] | None = msgspec.field(default=None, name="agentsrestdetails")


def decoder(seen: list[NamedRow]) -> Callable[[bytes, Api], Reply]:
    """A `wire.decode` that also appends every row, with its name, to `seen`."""

    def decode(body: bytes, api: Api) -> Reply:
        reply = wire.decode(body, api)
        for row, raw in zip(reply.rows, _names(body, api), strict=True):
            name = _text(raw)
            seen.append(NamedRow(row.work_no, row.reason, row.begin_time, row.duration, name))
        return reply

    return decode


def _names(body: bytes, api: Api) -> list[msgspec.Raw]:
    detail = wire.detail(body)
    if api is Api.AGENT_REST_INFOS:
        return [row.name for row in msgspec.json.decode(detail, type=_Detail).rows or ()]
    return [row.name for row in msgspec.json.decode(detail, type=_LowercaseDetail).rows or ()]


def _text(raw: msgspec.Raw) -> Secret | None:
    try:
        text = msgspec.json.decode(raw, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return Secret(text) if text.strip() else None
