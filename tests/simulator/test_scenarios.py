"""The pure parts of the simulator: scenarios, queries, pages and replies."""

import gzip
import json
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.simulator import messages
from exporter.simulator.faults import gzip_bomb, page_of
from exporter.simulator.floors import AgentRow, Floor
from exporter.simulator.messages import Query, ViolationError, read_query
from exporter.simulator.scenarios import (
    KINDS,
    Course,
    Fault,
    Scenario,
    parse_scenario,
    scenario_for,
    written,
)

JSON = "application/json; charset=UTF-8"
ALL = (
    "quiet, lunch-rush, approver-absent, overdue, hang, slow, drop, cut, flapping, error, "
    "unavailable, rate-limited, forbidden, redirect, html, garbage, oversized, gzip-bomb, "
    "unauthorized, key-rotated, clock, api-error, unknown-vdn, legacy-only, crowded, zeros, "
    "seconds, wrong-shape, ignore-offset, endless, overlap"
)


def rows_of(count: int) -> tuple[AgentRow, ...]:
    """So many resting agents."""
    return tuple(AgentRow(f"z{n}", 55_000 + n, 0, 1_700_000_000_000, 600) for n in range(count))


@pytest.mark.parametrize(
    ("text", "scenario"),
    [
        ("hang", Scenario(Fault.HANG)),
        ("api-error@1/7", Scenario(Fault.API_ERROR, (1, 7), 0.0, "0100001")),
        ("api-error=0101003", Scenario(Fault.API_ERROR, None, 0.0, "0101003")),
        ("slow", Scenario(Fault.SLOW, None, 5.0)),
        ("slow=1m30s", Scenario(Fault.SLOW, None, 90.0)),
        ("clock=-8760h", Scenario(Fault.CLOCK, None, -31_536_000.0)),
        ("slow=250ms@65535/5000", Scenario(Fault.SLOW, (65_535, 5_000), 0.25)),
        ("clock", Scenario(Fault.CLOCK, None, 1200.0)),
        ("clock=-2h", Scenario(Fault.CLOCK, None, -7200.0)),
        ("rate-limited@2/1", Scenario(Fault.RATE_LIMITED, (2, 1), 30.0)),
        ("unavailable=2m", Scenario(Fault.UNAVAILABLE, None, 120.0)),
    ],
)
def test_scenarios_are_read(text: str, scenario: Scenario) -> None:
    """A fault, its duration and its target, each with its default."""
    assert parse_scenario(text) == scenario


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hnag", "scenario 'hnag': there is no scenario 'hnag'; did you mean 'hang'?"),
        ("", f"scenario '': there is no scenario ''; the scenarios are {ALL}"),
        (
            "dns",
            (
                "scenario 'dns': the simulator cannot produce 'dns'; "
                "use a host name that does not resolve"
            ),
        ),
        (
            "connect@1/1",
            (
                "scenario 'connect@1/1': the simulator cannot produce 'connect'; "
                "use a port that nothing listens on"
            ),
        ),
        (
            "tls",
            (
                "scenario 'tls': the simulator cannot produce 'tls'; "
                "start it with a certificate that the client does not trust"
            ),
        ),
        ("hang@", "scenario 'hang@': '' is not a target; write @ccId/vdn, such as @1/7"),
        ("hang@1", "scenario 'hang@1': '1' is not a target; write @ccId/vdn, such as @1/7"),
        ("hang@0/7", "scenario 'hang@0/7': ccId must be from 1 to 65535, not 0"),
        ("hang@65536/7", "scenario 'hang@65536/7': ccId must be from 1 to 65535, not 65536"),
        ("hang@1/5001", "scenario 'hang@1/5001': vdn must be from 1 to 5000, not 5001"),
        ("hang=5s", "scenario 'hang=5s': hang takes no value; write 'hang'"),
        ("slow=", "scenario 'slow=': '' is not a duration; write one such as 5s or 1m30s"),
        ("slow=-", "scenario 'slow=-': '-' is not a duration; write one such as 5s or 1m30s"),
        ("slow=5", "scenario 'slow=5': '5' is not a duration; write one such as 5s or 1m30s"),
        (
            "api-error=100003",
            (
                "scenario 'api-error=100003': '100003' is not a result code; write one such as "
                "0100003"
            ),
        ),
        ("slow=8761h", "scenario 'slow=8761h': '8761h' is longer than 8760h"),
        ("clock=-8760h1ms", "scenario 'clock=-8760h1ms': '-8760h1ms' is longer than 8760h"),
        (
            f"clock={'9' * 5000}h",
            f"scenario 'clock={'9' * 5000}h': '{'9' * 5000}h' is longer than 8760h",
        ),
        ("slow=-5s", "scenario 'slow=-5s': the duration of slow cannot be negative"),
        ("quiet=5s", "scenario 'quiet=5s': quiet takes no value; write 'quiet'"),
        ("flapping=0s", "scenario 'flapping=0s': the period of flapping must be above 0s"),
    ],
)
def test_a_scenario_that_cannot_be_read_says_why(text: str, message: str) -> None:
    """One sentence names the text, the mistake and the remedy."""
    with pytest.raises(ValueError, match="scenario") as caught:
        parse_scenario(text)
    assert str(caught.value) == message


def test_every_scenario_is_described_and_can_be_asked_for() -> None:
    """What a list shows is what the parser accepts, with the values that it has by default."""
    assert sorted(KINDS) == sorted([*Course, *Fault])
    assert [parse_scenario(kind) for kind in KINDS] == [
        parse_scenario(written(kind)) for kind in KINDS.values()
    ]
    assert [parse_scenario(kind).kind for kind in KINDS] == list(KINDS.values())
    kinds: tuple[Course | Fault, ...] = (Course.QUIET, Fault.SLOW, Fault.CLOCK, Fault.API_ERROR)
    assert [written(kind) for kind in (*kinds, Fault.HANG)] == [
        "quiet",
        "slow=5s",
        "clock=20m",
        "api-error=0100001",
        "hang",
    ]


def test_a_targets_own_scenario_takes_precedence_and_the_last_one_applies() -> None:
    """One fault applies to a request: the most specific one, and of equals the last."""
    given_ones = [parse_scenario(text) for text in ("drop@1/1", "hang@1/1", "error", "html")]
    assert scenario_for(given_ones, (1, 1)) == Scenario(Fault.HANG, (1, 1))
    assert scenario_for(given_ones, (1, 2)) == Scenario(Fault.HTML)
    assert scenario_for(given_ones, None) == Scenario(Fault.HTML)
    assert scenario_for(reversed(given_ones), (1, 1)) == Scenario(Fault.DROP, (1, 1))
    assert scenario_for(given_ones[:2], (1, 2)) is None


def test_a_floor_has_its_course_beside_any_fault() -> None:
    """By the same rules: its own, and of several the last."""
    texts = ("quiet", "hang", "overdue@1/1", "lunch-rush@1/1", "drop@1/1")
    given_ones = [parse_scenario(text) for text in texts]
    assert scenario_for(given_ones, (1, 1), Course) == Scenario(Course.LUNCH_RUSH, (1, 1))
    assert scenario_for(given_ones, (1, 2), Course) == Scenario(Course.QUIET)
    assert scenario_for(given_ones[1:], (1, 2), Course) is None
    assert scenario_for(given_ones, (1, 2)) == Scenario(Fault.HANG)


@pytest.mark.parametrize(
    ("param", "query"),
    [
        ({"ccId": 1, "vdn": 1}, Query(1, 1)),
        ({"ccId": 65535, "vdn": 5000, "offset": 0, "limit": 1}, Query(65535, 5000, (0, 1))),
        ({"ccId": 1, "vdn": 1, "offset": 2**31 - 1, "limit": 100}, Query(1, 1, (2**31 - 1, 100))),
    ],
)
def test_valid_queries_are_read(param: dict[str, Any], query: Query) -> None:
    """The bounds themselves are allowed."""
    body = json.dumps({"queryParam": param}).encode()
    for content_type in (JSON, "application/json;charset=utf-8"):
        assert read_query(content_type, body) == query


SHAPE = "the body must be an object with an object queryParam"
CC_ID = "queryParam.ccId must be an integer from 1 to 65535"
VDN = "queryParam.vdn must be an integer from 1 to 5000"
LIMIT = "queryParam.limit must be an integer from 1 to 100"
OFFSET = "queryParam.offset must be an integer from 0 to 2147483647"
TOGETHER = "offset and limit must be given together; only "


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("{", "the body is not valid JSON"),
        ("[1]", SHAPE),
        ("{}", SHAPE),
        ('{"queryParam": 1}', SHAPE),
        ('{"queryParam": {"vdn": 1}}', "queryParam.ccId is missing"),
        ('{"queryParam": {"ccId": 1}}', "queryParam.vdn is missing"),
        ('{"queryParam": {"ccId": 0, "vdn": 1}}', CC_ID),
        ('{"queryParam": {"ccId": 65536, "vdn": 1}}', CC_ID),
        ('{"queryParam": {"ccId": "1", "vdn": 1}}', CC_ID),
        ('{"queryParam": {"ccId": true, "vdn": 1}}', CC_ID),
        ('{"queryParam": {"ccId": 1, "vdn": 5001}}', VDN),
        ('{"queryParam": {"ccId": 1, "vdn": 1.0}}', VDN),
        ('{"queryParam": {"ccId": 1, "vdn": 1, "offset": 0}}', TOGETHER + "offset is"),
        ('{"queryParam": {"ccId": 1, "vdn": 1, "limit": 1}}', TOGETHER + "limit is"),
        ('{"queryParam": {"ccId": 1, "vdn": 1, "offset": 0, "limit": 0}}', LIMIT),
        ('{"queryParam": {"ccId": 1, "vdn": 1, "offset": 0, "limit": 101}}', LIMIT),
        ('{"queryParam": {"ccId": 1, "vdn": 1, "offset": -1, "limit": 1}}', OFFSET),
    ],
)
def test_an_invalid_query_gets_a_sentence(body: str, sentence: str) -> None:
    """Ranges, shapes, and offset without limit."""
    with pytest.raises(ViolationError) as caught:
        read_query(JSON, body.encode())
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/json", "application/json; charset=latin-1"]
)
def test_a_query_of_another_content_type_gets_a_sentence(content_type: str) -> None:
    """The vendor's page allows no other value."""
    with pytest.raises(
        ViolationError, match=r"^Content-Type must be application/json; charset=UTF-8$"
    ):
        read_query(content_type, b'{"queryParam":{"ccId":1,"vdn":1}}')


def test_an_interface_without_paging_ignores_it() -> None:
    """8.13 has neither offset nor limit, so that it cannot refuse them."""
    body = b'{"queryParam":{"ccId":1,"vdn":1,"limit":0}}'
    assert read_query(JSON, body, pages=False) == Query(1, 1)


def read_all(
    rows: tuple[AgentRow, ...], limit: int, fault: Fault | None, pages: int = 1000
) -> list[AgentRow]:
    """Reads pages as a client does: until one is short."""
    read: list[AgentRow] = []
    for page in range(pages):
        got = page_of(rows, page * limit, limit, fault)
        assert len(got) <= limit
        read += got
        if len(got) < limit:
            break
    return read


@given(st.integers(0, 300), st.integers(1, 100))
def test_pages_add_up_to_the_floor(count: int, limit: int) -> None:
    """Correct pages hold every row once, in order; overlapping ones at least once."""
    rows = rows_of(count)
    assert read_all(rows, limit, None) == list(rows)
    overlapping = read_all(rows, limit, Fault.OVERLAP)
    assert list(dict.fromkeys(overlapping)) == list(rows)
    assert (len(overlapping) > count) == (count >= limit > 1)


def test_a_page_that_ignores_its_offset_is_the_first_one() -> None:
    """Every page is the same."""
    rows = rows_of(7)
    assert read_all(rows, 3, Fault.IGNORE_OFFSET, pages=4) == [*rows[:3]] * 4


@given(st.integers(0, 50), st.integers(1, 100))
def test_endless_pages_are_full_of_new_agents(count: int, limit: int) -> None:
    """After the real rows there are always more, and no number occurs twice."""
    rows = rows_of(count)
    read = read_all(rows, limit, Fault.ENDLESS, pages=5)
    assert len(read) == 5 * limit
    assert len({row.work_no for row in read}) == 5 * limit
    assert tuple(read[:count]) == rows[: 5 * limit]


FLOOR = Floor(1, 2, 3, (AgentRow("张伟", 55_001, 1, 2345, 22_333), AgentRow("z", 2, None, 1, 0)))


def test_a_reply_holds_the_numbers_twice() -> None:
    """The vendor's shape, with the object under both names."""
    detail = {
        "allowRestNum": 1,
        "onRestNum": 2,
        "waitRestNum": 3,
        "agentsRestDetails": [
            {
                "agentName": "张伟",
                "workNo": 55_001,
                "cantRestReason": 1,
                "beginTime": 2345,
                "restDuration": 22_333,
            },
            {"agentName": "z", "workNo": 2, "beginTime": 1, "restDuration": 0},
        ],
    }
    assert json.loads(messages.success(FLOOR, FLOOR.rows)) == {
        "result": "0",
        "resultCode": "0100000",
        "resultDatas": detail,
        "resultDesc": detail,
    }


def test_a_legacy_reply_is_in_lowercase() -> None:
    """8.13 has no resultCode and no resultDesc."""
    assert json.loads(messages.success(FLOOR, FLOOR.rows[:1], legacy=True)) == {
        "result": "0",
        "resultDatas": {
            "allowrestnum": 1,
            "onrestnum": 2,
            "waitrestnum": 3,
            "agentsrestdetails": [
                {
                    "agentname": "张伟",
                    "workno": 55_001,
                    "cantrestreason": 1,
                    "begintime": 2345,
                    "restduration": 22_333,
                }
            ],
        },
    }


def test_a_failure_is_a_sentence() -> None:
    """The vendor shows a code and a description, without `result` and `resultDatas`."""
    told = messages.failure("0100002", "no")
    assert json.loads(told) == {"resultCode": "0100002", "resultDesc": "no"}
    told = messages.failure("0100002", "no", legacy=True)
    assert json.loads(told) == {"result": "1", "resultDatas": "no"}


def test_wrong_shapes_take_turns() -> None:
    """Missing, negative, a string, null, and again."""
    details = [json.loads(messages.wrong_shape(FLOOR, (), turn))["resultDesc"] for turn in range(5)]
    assert [detail.get("waitRestNum", "missing") for detail in details] == [
        "missing",
        -1,
        "many",
        None,
        "missing",
    ]
    legacy = json.loads(messages.wrong_shape(FLOOR, (), 1, legacy=True))
    assert legacy["resultDatas"]["waitrestnum"] == -1


def test_an_endless_reply_starts_like_a_correct_one() -> None:
    """Cut after any piece and closed, it is valid: only its size is wrong."""
    start = b"".join(islice(messages.endless_rows(), 3))
    rows = json.loads(start + b"]}}")["resultDesc"]["agentsRestDetails"]
    assert len(rows) == 10_001


@pytest.mark.parametrize("mebibytes", [1, 3])
def test_a_bomb_is_gzip_that_hides_a_reply(mebibytes: int) -> None:
    """White space that takes almost nothing on the wire, followed by the reply."""
    bomb = b"".join(gzip_bomb(b'{"a":1}', mebibytes << 20))
    assert len(bomb) < mebibytes * 1100 + 100
    assert gzip.decompress(bomb) == b" " * (mebibytes << 20) + b'{"a":1}'
