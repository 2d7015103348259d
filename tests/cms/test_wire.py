"""exporter.cms.wire: the vendor's bytes, in both spellings, and what may be wrong with them."""

import contextlib
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cms.wire import (
    DecodeError,
    Listing,
    Reply,
    ResultError,
    SchemaError,
    decode,
    request_body,
)
from exporter.rest import Counters, Row, reduce
from exporter.server import Api

NAME = "Zhang San"
OLD = Api.AGENT_REST_INFO
NEW = Api.AGENT_REST_INFOS

EXAMPLE = b"""{ "result": "0", "resultCode": "0100000", "resultDatas": { "allowRestNum": 101,
"onRestNum": 1, "waitRestNum": 0, "agentsRestDetails": [ { "agentName": "z1", "workNo": 55001,
"cantRestReason": 1, "beginTime": 2345, "restDuration": 22333 } ] }, "resultDesc": {
"allowRestNum": 101, "onRestNum": 1, "waitRestNum": 0, "agentsRestDetails": [ { "agentName": "z1",
"workNo": 55001, "cantRestReason": 1, "beginTime": 2345, "restDuration": 22333 } ] } }"""
"""The vendor's page, as it stands there."""

OLD_EXAMPLE = b"""{"result": "0", "resultDatas": {"allowrestnum": 101, "onrestnum": 1,
"waitrestnum": 0, "agentsrestdetails": [{"agentname": "z1", "workno": 55001, "cantrestreason": 1,
"begintime": 2345, "restduration": 22333}]}}"""
"""The page of 8.13."""

ROW = (55001, 1, 2345, 22333)


def detail(*rows: object, **changes: object) -> dict[str, object]:
    """The object that stands in a reply twice."""
    counters = {"allowRestNum": 3, "onRestNum": 2, "waitRestNum": 1}
    return {**counters, "agentsRestDetails": list(rows), **changes}


def reply(inner: object, **outer: object) -> bytes:
    """A reply around it."""
    return json.dumps({"resultCode": "0100000", "resultDesc": inner, **outer}).encode()


def facts(row: Row) -> tuple[object, ...]:
    """A row's fields, in the page's order."""
    return row.work_no, row.reason, row.begin_time, row.duration


# Requests


def test_a_request_without_pages() -> None:
    """CTI 3.8, and 8.13: all rows at once."""
    assert request_body(65535, 5000) == b'{"queryParam":{"ccId":65535,"vdn":5000}}'


def test_a_request_for_a_page() -> None:
    """CTI 3.6: offset and limit exist together."""
    body = request_body(1, 1, 0, 100)

    assert body == b'{"queryParam":{"ccId":1,"vdn":1,"offset":0,"limit":100}}'


def test_offset_and_limit_come_together_or_not_at_all() -> None:
    """The page refuses one without the other."""
    assert request_body(1, 2, 0, None) == request_body(1, 2, None, 9) == request_body(1, 2)


@pytest.mark.parametrize(("api", "last"), [(NEW, "agentrestinfos"), (OLD, "agentrestinfo")])
def test_the_path_of_each_spelling(api: Api, last: str) -> None:
    """Plural since after 8.13."""
    assert api.path == f"/rest/cmsapp/v1/openapi/agentgroup/{last}"


# Replies as the pages show them


def test_the_vendors_example() -> None:
    """To the letter."""
    counters, rows = decode(EXAMPLE, NEW)

    assert counters == Counters(101, 1, 0)
    assert [facts(row) for row in rows] == [ROW]


def test_the_example_of_8_13() -> None:
    """Every key in lower case, no resultCode and no resultDesc."""
    counters, rows = decode(OLD_EXAMPLE, OLD)

    assert counters == Counters(101, 1, 0)
    assert [facts(row) for row in rows] == [ROW]


def test_8_13_may_spell_its_outer_key_in_lower_case_too() -> None:
    """The page says that every key is."""
    body = OLD_EXAMPLE.replace(b"resultDatas", b"resultdatas")

    assert decode(body, OLD).counters == Counters(101, 1, 0)


@pytest.mark.parametrize(("body", "api"), [(EXAMPLE, OLD), (OLD_EXAMPLE, NEW)])
def test_the_other_spelling_is_no_reply(body: bytes, api: Api) -> None:
    """Keys of the wrong release are missing ones, not zeros."""
    key = "allowrestnum" if api is OLD else "allowRestNum"
    with pytest.raises(SchemaError, match=f"^{key} is missing$"):
        decode(body, api)


# Where the answer stands


def test_result_desc_goes_before_result_datas() -> None:
    """Both hold the same object; only one is read."""
    body = reply(detail(onRestNum=7), resultDatas=detail(onRestNum=8))

    assert decode(body, NEW).counters.resting == 7


@pytest.mark.parametrize("desc", ["query success", None, [], 0])
def test_result_datas_stands_in_for_result_desc(desc: object) -> None:
    """A server may keep resultDesc for a description also when it succeeds."""
    assert decode(reply(desc, resultDatas=detail()), NEW).counters == Counters(3, 2, 1)


def test_no_object_at_all_is_malformed() -> None:
    """Success without an answer."""
    with pytest.raises(SchemaError, match=r"^neither resultDesc nor resultDatas is an object$"):
        decode(reply("fine"), NEW)


# Success and failure


def test_result_code_goes_before_result() -> None:
    """`result` is kept for old clients alone."""
    assert decode(reply(detail(), result="7"), NEW).counters.approved == 3
    with pytest.raises(ResultError):
        decode(reply(detail(), resultCode="0100001", result="0"), NEW)


@pytest.mark.parametrize("result", ["0", 0], ids=["text", "number"])
def test_result_stands_in_for_result_code(result: object) -> None:
    """8.13 and earlier."""
    body = reply(detail(), resultCode=None, result=result)

    assert decode(body, NEW).counters.approved == 3


def test_neither_result_is_malformed() -> None:
    """JSON of somebody else."""
    with pytest.raises(SchemaError, match=r"^it has neither resultCode nor result$"):
        decode(b'{"status": "UP"}', NEW)


def test_a_failure_brings_its_code_and_its_description() -> None:
    """On failure resultDesc is a string. Both are as sent, and not in the error's own words."""
    with pytest.raises(ResultError) as caught:
        decode(reply("vdn  does not\nexist\x1b[0m", resultCode="0100002"), NEW)

    assert (caught.value.code, caught.value.description) == (
        "0100002",
        "vdn  does not\nexist\x1b[0m",
    )
    assert str(caught.value) == "the server says that the query failed"


@pytest.mark.parametrize("desc", [None, 5, [NAME], {"agentName": NAME}])
def test_a_description_that_is_no_text_is_left_out(desc: object) -> None:
    """Whatever else stands there may hold a name."""
    with pytest.raises(ResultError) as caught:
        decode(reply(desc, resultCode=-1), NEW)

    assert (caught.value.code, caught.value.description) == ("-1", "")


def test_a_description_that_is_no_sentence_is_left_out() -> None:
    """Megabytes of a stack trace are not even decoded."""
    with pytest.raises(ResultError) as caught:
        decode(reply("x" * 20_000, resultCode="1"), NEW)

    assert caught.value.description == ""


# Counters and rows


def test_integers_may_be_text() -> None:
    """Some gateways write every value as text."""
    row = {"workNo": 9, "cantRestReason": "4", "beginTime": "1750000000000", "restDuration": "600"}
    body = reply(detail(row, allowRestNum="101", onRestNum="1", waitRestNum="0"))

    counters, rows = decode(body, NEW)

    assert counters == Counters(101, 1, 0)
    assert [facts(row) for row in rows] == [(9, 4, 1_750_000_000_000, 600)]


@pytest.mark.parametrize("written", ["{}", '"{}"'])
@pytest.mark.parametrize(("digits", "deadlines"), [(400, ()), (3, (1_750_000_999.0,))])
def test_no_rest_duration_raises(written: str, digits: int, deadlines: tuple[float, ...]) -> None:
    """One of 400 digits is no length: as a float it would overflow."""
    row = f'{{"beginTime": 1750000000000, "restDuration": {written.format("9" * digits)}}}'
    body = reply(detail("ROW", onRestNum=1, waitRestNum=0)).replace(b'"ROW"', row.encode())

    counters, rows = decode(body, NEW)
    snapshot = reduce(counters, rows, server_time=1_750_000_600.0)

    assert snapshot.deadlines == deadlines
    assert snapshot.longest_rest(1_750_000_600.0) == 600
    assert snapshot.overdue(1_750_000_600.0) == 0


def test_what_a_row_leaves_out_is_none() -> None:
    """Absent and null are the same."""
    rows = decode(reply(detail({}, {"workNo": None, "beginTime": None})), NEW).rows

    assert [facts(row) for row in rows] == [(None,) * 4] * 2


def test_a_work_no_may_be_a_text_of_its_own() -> None:
    """It only tells agents apart."""
    rows = decode(reply(detail({"workNo": "A-17"})), NEW).rows

    assert rows[0].work_no == "A-17"


@pytest.mark.parametrize("rows", [None, []])
def test_no_rows_are_no_fault(rows: object) -> None:
    """Nobody rests, or the server leaves the list out."""
    assert list(decode(reply(detail(agentsRestDetails=rows)), NEW).rows) == []


@pytest.mark.parametrize("name", ["allowRestNum", "onRestNum", "waitRestNum"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "{} is missing"),
        (-1, "{} is negative"),
        ("-1", "{} is negative"),
        (2**31, "{} is out of range"),
        (10**30, "{} is out of range"),
        (1.5, "{} is a decimal number, not a whole number"),
        (True, "{} is true or false, not a whole number"),
        ("", "{} is text, not a whole number"),
        (NAME, "{} is text, not a whole number"),
        ([], "{} is a list, not a whole number"),
    ],
    ids=repr,
)
def test_a_counter_that_is_none_is_malformed(name: str, value: object, said: str) -> None:
    """No number is invented, and the place is named."""
    with pytest.raises(SchemaError) as caught:
        decode(reply(detail(**{name: value})), NEW)

    assert str(caught.value) == said.format(name)


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        (detail({"workNo": 1.5}), "[…][0].workNo is a decimal number, not a whole number or text"),
        (detail({}, {"beginTime": NAME}), "[…][1].beginTime is text, not a whole number"),
        (detail({"restDuration": NAME}), "[…][0].restDuration is text, not a whole number"),
        (detail({"workNo": "9" * 65}), "[…][0].workNo has more than 64 characters"),
        (detail(NAME), "[…][0] is text, not an object"),
        (detail(None), "[…][0] is null, not an object"),
        (detail(agentsRestDetails=NAME), "[…] is text, not a list"),
        (detail(agentsRestDetails={NAME: 1}), "[…] is an object, not a list"),
    ],
)
def test_a_malformed_row_is_named_by_its_place(inner: object, said: str) -> None:
    """Its value could be a person's name, and is never quoted."""
    with pytest.raises(SchemaError) as caught:
        decode(reply(inner), NEW)

    assert str(caught.value) == said.replace("[…]", "agentsRestDetails")


@pytest.mark.parametrize("api", Api)
@pytest.mark.parametrize("blank", [b'""', b'"  "'])
def test_an_empty_text_in_a_row_is_no_value(api: Api, blank: bytes) -> None:
    """The counters are proven all the same."""
    body = EXAMPLE if api is NEW else OLD_EXAMPLE
    for key in (b"workNo", b"cantRestReason", b"beginTime", b"restDuration"):
        body = re.sub(rb'(?i)("%s": *)\d+' % key, rb"\1" + blank, body)

    counters, (row,) = decode(body, api)

    assert counters == Counters(101, 1, 0)
    assert facts(row) in {(None, None, None, None), (blank[1:-1].decode(), None, None, None)}


def test_an_empty_text_inside_of_a_text_is_left_alone() -> None:
    """There its quotes have a backslash before them."""
    quoted = json.dumps('"beginTime": "", ')
    body = reply(detail({"beginTime": "", "agentName": quoted}))

    (row,) = decode(body, NEW).rows

    assert row.begin_time is None


@pytest.mark.parametrize(
    "outer",
    [
        {"resultCode": "0100000 "},
        {"resultCode": "", "result": "0"},
        {"resultCode": None, "result": " 0"},
        {"resultCode": " ", "result": 0},
    ],
)
def test_blanks_around_a_code_are_not_the_code(outer: dict[str, object]) -> None:
    """A column of fixed width, or one that is not filled in."""
    assert decode(reply(detail(), **outer), NEW).counters == Counters(3, 2, 1)


def test_blanks_are_no_success() -> None:
    """Nothing says that the query succeeded."""
    with pytest.raises(SchemaError, match="neither resultCode nor result"):
        decode(reply(detail(), resultCode=" ", result=""), NEW)


@pytest.mark.parametrize("empty", [{}, None, "success"])
def test_an_empty_result_desc_hides_nothing(empty: object) -> None:
    """The counters are in the other object."""
    body = reply(empty, resultDatas=detail())

    assert decode(body, NEW).counters == Counters(3, 2, 1)


def test_two_empty_objects_have_no_counters() -> None:
    """The first one that is missing is named."""
    with pytest.raises(SchemaError, match="allowRestNum is missing"):
        decode(reply({}, resultDatas={}), NEW)


# Names


@pytest.mark.parametrize(
    "name",
    [
        b'"Zhang San"',
        b"null",
        b"17",
        b'{"first": ["Zhang"]}',
        b'"\\ud83d\\ude00"',
        b'"\xff\xfe in no encoding"',
    ],
)
def test_a_name_is_skipped_unread(name: bytes) -> None:
    """So it cannot leak, and what is wrong with it cannot matter."""
    counters = b'"allowRestNum":0,"onRestNum":1,"waitRestNum":0'
    rows = b'[{"agentName":%s,"workNo":5}]' % name
    body = b'{"resultCode":"0100000","resultDesc":{%s,"agentsRestDetails":%s}}' % (counters, rows)

    read = decode(body, NEW)

    assert [facts(row) for row in read.rows] == [(5, None, None, None)]
    assert "Zhang" not in repr(read)


# Anything at all


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><title>Login</title></html>",
        b'{"resultCode": "0100000"',
        b'{"result": "0"} and more',
        b"\xef\xbb\xbf{}",
        b'{"resultCode": "\xff"}',
        b'{"x":' + b"[" * 100_000,
        b'{"resultCode": "0100000", "resultDesc": {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    ],
)
def test_what_is_no_json_is_not_decoded(body: bytes) -> None:
    """HTML, a cut reply, bytes in no encoding, brackets without end."""
    with pytest.raises(DecodeError, match=r"^$"):
        decode(body, NEW)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just(NAME),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
_row = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ["agentName", "workNo", "cantRestReason", "beginTime", "restDuration"], _json
    ),
)
_detail = st.fixed_dictionaries(
    {},
    optional={
        "allowRestNum": st.integers(0, 9) | _json,
        "onRestNum": st.integers(0, 9) | _json,
        "waitRestNum": st.integers(0, 9) | _json,
        "agentsRestDetails": st.lists(_row, max_size=3) | _json,
    },
)
_replies = st.fixed_dictionaries(
    {},
    optional={
        "result": st.just("0") | _json,
        "resultCode": st.just("0100000") | _json,
        "resultDesc": _detail | _json,
        "resultDatas": _detail | _json,
    },
)


@given(_replies, st.sampled_from(Api))
def test_any_json_gives_numbers_or_an_error_without_a_name(
    content: dict[str, Any], api: Api
) -> None:
    """Only the description of an error, and its code, may quote the reply."""
    try:
        counters, _ = decode(json.dumps(content).encode(), api)
    except (DecodeError, SchemaError) as error:
        said = str(error)
        assert NAME not in said
    except ResultError as error:
        quoted = error.code + error.description
        assert len(quoted) <= 400
    else:
        assert min(counters) >= 0


def _cut(body: bytes, at: int, junk: bytes) -> bytes:
    return body[:at] + junk


def _replaced(body: bytes, at: int, junk: bytes) -> bytes:
    return body[:at] + junk + body[at + len(junk) :]


@given(
    st.sampled_from([EXAMPLE, OLD_EXAMPLE, b""]),
    st.integers(0, 420),
    st.binary(max_size=20),
    st.sampled_from([_cut, _replaced]),
    st.sampled_from(Api),
)
def test_any_bytes_end_in_a_reply_or_a_known_error(
    body: bytes,
    at: int,
    junk: bytes,
    damage: Callable[[bytes, int, bytes], bytes],
    api: Api,
) -> None:
    """Nothing else comes out, whatever a line, a gateway or a crash makes of a reply."""
    with contextlib.suppress(DecodeError, SchemaError, ResultError):
        assert min(decode(damage(body, at, junk), api).counters) >= 0


# Listings in pages


def page(*work_nos: int | str | None) -> Reply:
    """A reply with these agents."""
    return Reply(Counters(0, 0, 0), [Row(work_no=number) for number in work_nos])


def test_a_short_page_is_the_last() -> None:
    """The reply has no total: a page with fewer rows than asked for ends the listing."""
    listing = Listing(3)

    assert listing.offset == 0
    assert not listing.add(page(1, 2, 3))
    assert listing.offset == 3
    assert listing.add(page(4, 5))
    assert [row.work_no for row in listing.rows] == [1, 2, 3, 4, 5]
    assert listing.pages == 2


def test_an_empty_page_ends_a_listing_of_whole_pages() -> None:
    """Nothing else tells that the page before it was the last."""
    listing = Listing(2)

    assert not listing.add(page(1, 2))
    assert listing.add(page())
    assert len(listing.rows) == 2


def test_a_server_that_ignores_offset_is_asked_twice() -> None:
    """The same page again brings nobody new, so that no further one will."""
    listing = Listing(2)

    assert not listing.add(page(1, 2))
    assert listing.add(page(1, 2))


def test_a_page_that_overlaps_in_part_is_not_the_last() -> None:
    """Rows move between pages while they are read."""
    listing = Listing(2)

    assert not listing.add(page(1, 2))
    assert not listing.add(page(2, 3))
    assert listing.add(page(4))


@pytest.mark.parametrize("work_no", [None, "", 0])
def test_rows_without_a_number_are_told_apart_by_what_they_say(work_no: int | str | None) -> None:
    """A whole page of them is not the end; one that says nothing new is, and counts only once."""

    def unnumbered(*begin_times: int | None) -> Reply:
        rows = [Row(work_no=work_no, reason=0, begin_time=time) for time in begin_times]
        return Reply(Counters(0, 0, 0), rows)

    listing = Listing(2)

    assert not listing.add(unnumbered(10**400, None))
    assert not listing.add(unnumbered(1, 2))
    assert listing.add(unnumbered(2, 1))
    assert [row.begin_time for row in listing.rows] == [10**400, None, 1, 2]


def test_a_repeated_page_brings_later_rows_of_the_same_agents() -> None:
    """They are what counts of an agent who is listed twice; a row without a number is not."""
    listing = Listing(2)

    assert not listing.add(page(1, None))
    assert listing.add(page(1, None))
    assert [row.work_no for row in listing.rows] == [1, None, 1]


def test_counters_that_change_between_pages_tell_that_the_listing_moved() -> None:
    """CTI 3.6 counts anew for each page."""
    listing = Listing(1)
    listing.add(Reply(Counters(0, 1, 0), [Row(work_no=1)]))
    assert not listing.moved
    listing.add(Reply(Counters(0, 2, 0), [Row(work_no=2)]))
    assert listing.moved
