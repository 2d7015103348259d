"""exporter.cms.odd_json: what strict readers refuse, and what nobody could read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cms.capacity import Capacity
from exporter.cms.odd_json import mended
from exporter.cms.wire import DecodeError, decode
from exporter.rest import Counters
from exporter.server import Api
from tests.support.cms_peer import NAME, answer

WHOLE = answer(1, approved=3, resting=2, waiting=1)


def named(name: bytes) -> bytes:
    """The reply with these bytes in place of an agent's name."""
    return WHOLE.replace(NAME.encode(), name)


ODD = {
    "GBK with a backslash in a character": named(b"\x81\x5c"),
    "GBK with a brace in a character": named(b"\x81\x7b\xd5\xc5"),
    "Latin-1": named(b"Jos\xe9"),
    "UTF-8, cut": named(b"\xe5\xbc\x5c\x22"),
    "half of an emoji": named(b"\\ud83d"),
    "a tab": named(b"a\tb"),
    "a line break": named(b"a\r\nb"),
    "UTF-16": WHOLE.decode().encode("utf-16"),
    "UTF-16 without a mark": WHOLE.decode().encode("utf-16-le"),
    "a NUL after it": WHOLE + b"\0",
    "many NULs": WHOLE + b"\0" * 512,
    "NaN": WHOLE.replace(b"{", b'{"load": NaN, "peak": -Infinity, ', 1),
    "a tab and a NUL": named(b"a\tb") + b"\0",
}


@pytest.mark.anyio
@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
async def test_what_proves_its_numbers_is_read(body: bytes) -> None:
    """Strict readers refuse each of them for something that no number depends on."""
    reply = await Capacity(1).decode(decode, body, Api.AGENT_REST_INFOS)

    assert reply.counters == Counters(3, 2, 1)
    assert [row.work_no for row in reply.rows] == [1]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0\0",
        b"<html></html>",
        WHOLE[:-1],
        WHOLE + WHOLE,
        WHOLE + b";",
        b"callback(" + WHOLE + b")",
        WHOLE.replace(b"}", b",}"),
        WHOLE.replace(b": 2", b": 02"),
        WHOLE.replace(b": 2", b": +2"),
        b'{"x": ' + b"[" * 100_000,
        named(b"a\tb") + b" " * 2**20,
        b'{"x": ' + b"1" * 5000 + b"\t" + WHOLE[1:],
        WHOLE.replace(b"{", b'{"x": 1e999, "y": "\t", ', 1),
    ],
    ids=[
        *("nothing", "NULs", "HTML", "cut", "two", "a semicolon", "JSONP", "a comma", "02", "+2"),
        *("brackets", "large", "a long number", "a number beyond all"),
    ],
)
async def test_what_is_not_json_stays_unread(body: bytes) -> None:
    """No number is guessed, and a large reply is not read twice."""
    with pytest.raises(DecodeError):
        await Capacity(1).decode(decode, body, Api.AGENT_REST_INFOS)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(_json, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "gb18030"]))
def test_it_stays_the_same_json(value: object, charset: str) -> None:
    """Whatever Unicode it came in."""
    sent = ("  " + json.dumps(value, ensure_ascii=False) + "  ").encode(charset, "replace")
    found = mended(sent)

    assert found is not None
    if charset != "gb18030":
        assert json.loads(found) == json.loads(sent.decode(charset))


@given(st.binary(max_size=200))
def test_no_bytes_raise(body: bytes) -> None:
    """They are JSON or nothing."""
    found = mended(body)

    assert found is None or json.loads(found) is not Ellipsis
