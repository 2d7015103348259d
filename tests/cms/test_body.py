"""exporter.cms.body: decompressed, mended, and never more of it in memory than the cap."""

import contextlib
import gzip
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exporter.cms import body as bodies
from exporter.cms.body import CodingError, TooLargeError, mended
from exporter.cms.limits import Allowance, Capacity
from exporter.cms.wire import DecodeError, decode
from exporter.rest import Counters
from exporter.server import Api
from tests.support.cms_peer import NAME, answer

pytestmark = pytest.mark.anyio

CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
}


async def read(stream: AsyncIterator[bytes], coding: str, limit: int) -> bytes | bytearray:
    """The body of a poll's only reply."""
    return await bodies.read(stream, coding, limit, Allowance(Capacity(1)))


async def stream(data: bytes, size: int = 7) -> AsyncIterator[bytes]:
    """The data in chunks of that size."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("coding", ["", "identity", " Identity "])
async def test_a_plain_body_comes_through(coding: str) -> None:
    """Up to the very cap."""
    assert await read(stream(b"0123456789"), coding, 10) == b"0123456789"


@pytest.mark.parametrize("coding", ["", "identity"])
async def test_a_plain_body_above_the_cap_is_refused(coding: str) -> None:
    """One byte is enough."""
    with pytest.raises(TooLargeError):
        await read(stream(b"0123456789"), coding, 9)


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_compressed_body_is_decompressed(coding: str) -> None:
    """Nobody asked for compression, but gateways have their own mind."""
    data = b'{"resultCode": "0100000"}' * 40

    assert await read(stream(CODINGS[coding](data)), coding.upper(), len(data)) == data


@pytest.mark.parametrize("coding", CODINGS)
async def test_the_cap_holds_after_decompression(coding: str) -> None:
    """One byte of what comes out is enough."""
    data = b'{"resultCode": "0100000"}' * 40

    with pytest.raises(TooLargeError):
        await read(stream(CODINGS[coding](data)), coding, len(data) - 1)


async def test_the_cap_holds_before_decompression() -> None:
    """Bytes that decompress to nothing are bytes all the same."""
    data = gzip.compress(b"", mtime=0) + bytes(200)

    with pytest.raises(TooLargeError):
        await read(stream(data), "gzip", 100)


async def test_a_bomb_is_never_held_whole() -> None:
    """64 MiB of zeros in 64 KiB: the memory in use stays near the cap."""
    limit = 2**20
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(64)) + packer.flush()
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError):
            await read(stream(bomb, 2**14), "gzip", limit)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 8 * limit


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("br", b"\x0b\x02\x80{}\x03"),
        ("zstd", b"\x28\xb5\x2f\xfd"),
        ("gzip", b"no gzip"),
        ("gzip", gzip.compress(b'{"a": 1}', mtime=0)[:-8] + bytes(8)),
        ("gzip", gzip.compress(b"{}", mtime=0) + gzip.compress(b"[1, 2, 3]", mtime=0)[:-12]),
        ("gzip", gzip.compress(b"a whole reply, and then cut", mtime=0)[:-9]),
        ("gzip", b"\x1f"),
    ],
)
async def test_what_cannot_be_decompressed_is_an_error(coding: str, data: bytes) -> None:
    """An unknown coding, another coding than named, a cut."""
    with pytest.raises(CodingError):
        await read(stream(data), coding, 1000)


@pytest.mark.parametrize(
    ("coding", "said"),
    [
        ("br", "the reply is compressed with br, and compression was not requested: turn it off"),
        (
            "gzip, ZSTD",
            "the reply is compressed with zstd, and compression was not requested: turn",
        ),
        ("Zhang San", "the reply cannot be decompressed: look for a gateway that alters"),
    ],
)
async def test_a_coding_that_was_not_asked_for_is_named(coding: str, said: str) -> None:
    """Only if it is a known one: the header may contain anything."""
    with pytest.raises(CodingError) as caught:
        await read(stream(b"\x0b\x02\x80"), coding, 1000)
    assert str(caught.value).startswith(said)


BODY = b'{"resultCode": "0100000"}'
ZIPPED = gzip.compress(BODY, mtime=0)


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("", ZIPPED),
        ("identity", ZIPPED),
        ("gzip, identity", ZIPPED),
        ("identity, gzip", ZIPPED),
        ("gzip, gzip", gzip.compress(ZIPPED, mtime=0)),
        ("gzip", gzip.compress(ZIPPED, mtime=0)),
        ("deflate, gzip", ZIPPED),
        ("deflate", ZIPPED),
        ("gzip", zlib.compress(BODY)),
        ("gzip", BODY),
        ("gzip", b"\xef\xbb\xbf" + BODY),
        ("deflate", b" " + BODY),
        ("gzip", gzip.compress(BODY[:9], mtime=0) + gzip.compress(BODY[9:], mtime=0)),
        ("gzip", ZIPPED + bytes(20)),
        ("gzip", ZIPPED + b"garbage"),
        ("gzip", ZIPPED[:-8]),
        ("deflate", zlib.compress(BODY) + b"garbage"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 1000])
async def test_the_bytes_say_how_they_are_compressed(coding: str, data: bytes, size: int) -> None:
    """Whatever the header says: gateways compress twice, or name a coding for plain text."""
    assert (await read(stream(data, size), coding, 1000)).endswith(BODY)


@pytest.mark.parametrize("coding", ["", "gzip", "deflate", "none"])
@pytest.mark.parametrize("size", [1, 20, 2**18])
async def test_a_body_may_have_a_few_members(coding: str, size: int) -> None:
    """Some servers compress each part of a reply on its own; an empty part may end it."""
    parts = [BODY[start : start + 2] for start in range(0, len(BODY), 2)]
    data = b"".join(gzip.compress(part, mtime=0) for part in [*parts, b""])

    assert await read(stream(data, size), coding, 1000) == BODY


@pytest.mark.parametrize("coding", ["", "gzip", "deflate", "none"])
@pytest.mark.parametrize("size", [1000, 2**18])
@pytest.mark.parametrize("part", [b"", b" ", b"{}"], ids=["empty", "a blank", "two bytes"])
@pytest.mark.parametrize("level", [0, 9])
async def test_very_many_members_are_refused(
    coding: str, size: int, part: bytes, level: int
) -> None:
    """Early: each of them costs far more than its bytes."""
    member = gzip.compress(part, level, mtime=0)
    received = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal received
        async for chunk in stream(member * 2000, size):
            received += len(chunk)
            yield chunk

    with pytest.raises(CodingError):
        await read(counted(), coding, 2**20)
    assert coding in {"", "none"} or received <= max(size, 1000)


async def test_very_many_members_inside_of_a_compressed_body_are_refused() -> None:
    """Each layer is counted."""
    data = gzip.compress(gzip.compress(b"", mtime=0) * 100, mtime=0)

    with pytest.raises(CodingError):
        await read(stream(data), "gzip", 2**20)


async def test_blanks_without_end_are_not_held_back() -> None:
    """While it is told whether a body is compressed."""
    with pytest.raises(TooLargeError):
        await read(stream(b" " * 100_000, 1000), "gzip", 50_000)


@pytest.mark.parametrize("coding", ["", *CODINGS])
@given(data=st.binary(max_size=300), size=st.integers(1, 50), limit=st.integers(0, 400))
async def test_a_body_comes_whole_or_not_at_all(
    coding: str, data: bytes, size: int, limit: int
) -> None:
    """However it is cut into chunks."""
    assume(not data.startswith(b"\x1f\x8b"))  # compressed twice
    sent = CODINGS[coding](data) if coding else data
    try:
        body = await read(stream(sent, size), coding, limit)
    except TooLargeError:
        assert len(sent) > limit or len(data) > limit
    else:
        assert body == data
        assert max(len(sent), len(data)) <= limit


@pytest.mark.parametrize("coding", ["", *CODINGS])
@given(data=st.binary(max_size=100))
async def test_any_bytes_end_in_a_body_or_a_known_error(coding: str, data: bytes) -> None:
    """Nothing else comes out."""
    with contextlib.suppress(TooLargeError, CodingError):
        assert len(await read(stream(data), coding, 64)) <= 64


@pytest.mark.parametrize("coding", ["UTF-8", "none", "identity", "br", "gzip"])
@pytest.mark.parametrize("body", [b"", b"{}", b" [1]", b"\xef\xbb\xbf{}"])
async def test_what_is_plain_is_read_whatever_it_is_called(coding: str, body: bytes) -> None:
    """Some servers name a character set there."""
    assert await read(stream(body, 1), coding, 100) == body


@pytest.mark.parametrize("size", [1, 2, 1000])
async def test_deflate_without_its_header_is_read(size: int) -> None:
    """As browsers do: many servers send it so."""
    compressor = zlib.compressobj(wbits=-15)
    body = b'{"resultCode": "0100000"}' * 10
    raw = compressor.compress(body) + compressor.flush()

    assert await read(stream(raw, size), "deflate", 1000) == body


@pytest.mark.parametrize("mebibytes", [1, 2, 3])
async def test_a_large_body_is_put_together_in_order(mebibytes: int) -> None:
    """From the second mebibyte on it grows in place."""
    body = b"".join(b"%08d" % number for number in range(mebibytes * 2**17))

    assert await read(stream(body, 2**18), "", 2**22) == body


# JSON that a strict parser refuses


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


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
async def test_what_proves_its_numbers_is_read(body: bytes) -> None:
    """Strict readers refuse each of them for something that no number depends on."""
    reply = await Capacity(1).decode(decode, body, Api.AGENT_REST_INFOS)

    assert reply.counters == Counters(3, 2, 1)
    assert [row.work_no for row in reply.rows] == [1]


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
