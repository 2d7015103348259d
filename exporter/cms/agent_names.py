"""Agents' names: read here and nowhere else, for the command `query`.

Polls do not come here: `wire` skips names. A name leaves this module only as a `Secret`.
"""

import itertools
import re
from collections.abc import Callable
from typing import Final

import msgspec

from exporter.cms import wire
from exporter.cms.wire import Reply
from exporter.rest import Row
from exporter.secret import Secret
from exporter.server import Api

_NAME: Final = re.compile(
    rb'(?i)"agent_?name"\s{0,9}:\s{0,9}(?P<text>"(?:[^"\\]|\\.){0,200}+(?P<end>")?)'
)
_SEARCHED: Final = 2**20
"""Bytes of a reply that are searched for names."""
_MOST_NAMES: Final = 200
_MOST_CHARACTERS: Final = 4000
"""Of all names in a reply that are looked for: each costs a search."""


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


def decoder(seen: list[NamedRow]) -> Callable[[bytes | bytearray, Api], Reply]:
    """A `wire.decode` that also appends every row, with its name, to `seen`."""

    def decode(body: bytes | bytearray, api: Api) -> Reply:
        reply = wire.decode(body, api)
        for row, raw in zip(reply.rows, _names(body, api), strict=True):
            name = _text(raw)
            seen.append(NamedRow(row.work_no, row.reason, row.begin_time, row.duration, name))
        return reply

    return decode


def mentioned(body: bytes | bytearray) -> set[str] | None:
    """The names in a reply that says that the query failed: to keep them out of its description.

    Wherever they are in it, because such a reply has no form that is known.

    Returns:
        None if there are more, or longer ones, than can be looked for.
    """
    found = list(itertools.islice(_NAME.finditer(body, 0, _SEARCHED), _MOST_NAMES + 1))
    if len(found) > _MOST_NAMES or len(body) > _SEARCHED or not all(each["end"] for each in found):
        return None
    texts = (_text(msgspec.Raw(each["text"])) for each in found)
    names = {name.reveal() for name in texts if name is not None}
    return names if sum(map(len, names)) <= _MOST_CHARACTERS else None


def _names(body: bytes | bytearray, api: Api) -> list[msgspec.Raw]:
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
