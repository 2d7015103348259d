"""Agents' names: read here and nowhere else, for the command `query`.

Polls do not come here: `wire` skips names. A name leaves this module only as a `Secret`.
"""

from collections.abc import Callable

import msgspec

from exporter.cms import wire
from exporter.cms.wire import Reply
from exporter.rest import Row
from exporter.secret import Secret
from exporter.server import Api


class NamedRow(Row, gc=False):
    """A row with the agent's name."""

    name: Secret | None = None
    """agentName; None if it is absent or not text."""


class _Row(msgspec.Struct):
    # raw, so that a name that cannot be decoded does not affect the others
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
