"""The API: every field to the letter, what is absent, and that the document tells of all of it."""

import dataclasses
import json
import re
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from exporter.errors import Reason
from exporter.metrics.families import FAMILIES
from exporter.rest import Doubt
from exporter.store import Store, Target, TargetKey
from exporter.web import api
from exporter.web.listening.addresses import Address
from exporter.web.listening.listener import listen
from exporter.web.target_query import Query
from exporter.web.target_search import NextPoll
from tests.support.example_application import example_application
from tests.support.paths import ROOT
from tests.support.status_targets import BUSY, NOW, TIMEOUT, fail, succeed, target
from tests.support.stores import store_of

DOCUMENT = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


def _answer(store: Store, query: Query | None = None, next_poll: NextPoll = lambda _: None) -> Any:
    return json.loads(b"".join(api.slices(store, NOW, query or Query(), next_poll)))


def _full() -> tuple[Store, Target]:
    """A target that has everything to tell: it failed, and its numbers are still fresh."""
    each = dataclasses.replace(
        target(2, "sales", (("site", "lima"),), max_resting=20),
        max_rest=2700.0,
        max_wait=900.0,
        rest_bounds=(900.0,),
    )
    store = store_of([each])
    succeed(
        store,
        each,
        replace(
            BUSY,
            deadlines=(1_699_999_780.0,),
            starts=(1_699_999_000.0,),
            unusable_begin_times=1,
            doubts=(Doubt.UNUSABLE_BEGIN_TIMES,),
        ),
    )
    fail(store, each)
    store.server("lima").condition.clock_skew = -1.5
    store.server("lima").condition.paused_until = NOW.boot + 30
    store.server("lima").condition.single_use_until = NOW.boot + 3600
    store.server("lima").condition.certificate_expiry = 1_800_000_000.0
    return store, each


def test_everything_there_is_to_tell() -> None:
    """The names are promises, and those of numbers are the metrics'."""
    store, _ = _full()
    assert _answer(store, next_poll=lambda _: NOW.monotonic + 12.5) == {
        "timestamp_seconds": 1_700_000_100.0,
        "servers": [
            {
                "cms": "lima",
                "targets": 1,
                "states": {"down": 1, "stale": 0, "doubtful": 0, "waiting": 0, "up": 0},
                "clock_skew_seconds": -1.5,
                "pause_remaining_seconds": 30.0,
                "tls_certificate_expiry_timestamp_seconds": 1_800_000_000.0,
                "single_use_connections": True,
            }
        ],
        "found": 1,
        "page": 1,
        "pages": 1,
        "limit": 100,
        "targets": [
            {
                "cms": "lima",
                "cc_id": 1,
                "vdn": 2,
                "name": "sales",
                "labels": {"site": "lima"},
                "state": "down",
                "error": {
                    "reason": "timeout",
                    "message": TIMEOUT,
                    "since_timestamp_seconds": 1_699_999_350.0,
                    "lasting_seconds": 750.0,
                },
                "doubts": {"unusable_begin_times": Doubt.UNUSABLE_BEGIN_TIMES.sentence},
                "last_success_age_seconds": 20.0,
                "next_poll_in_seconds": 12.5,
                "next_poll_timestamp_seconds": 1_700_000_112.5,
                "up": 0,
                "approved_agents": 101,
                "resting_agents": 3,
                "waiting_agents": 7,
                "waiting_reason_agents": {
                    "awaiting_approval": 1,
                    "busy": 2,
                    "vdn_limit": 0,
                    "no_skill_queue": 0,
                    "skill_queue_limit": 0,
                    "unknown": 4,
                },
                "longest_rest_seconds": 4320.0,
                "longest_rest_start_timestamp_seconds": 1_699_995_760.0,
                "overdue_agents": 1,
                "longest_overdue_seconds": 300.0,
                "unclassified_agents": 0,
                "unlisted_agents": 0,
                "unusable_begin_times": 1,
                "longest_wait_seconds": 1080.0,
                "resting_longer_agents": {"900": 1},
                "max_resting_agents": 20,
                "max_rest_seconds": 2700.0,
                "max_wait_seconds": 900.0,
                "last_attempt_timestamp_seconds": 1_699_999_350.0,
                "last_success_timestamp_seconds": 1_700_000_080.0,
                "last_poll_duration_seconds": 10.0,
                "polls_total": 2,
                "poll_failures_total": 1,
            }
        ],
    }


def test_stale_numbers_are_absent() -> None:
    """Neither zero nor null: the promise that the metrics make."""
    each = target(1, stale_after=10)
    store = store_of([each])
    succeed(store, each)
    (answer,) = _answer(store)["targets"]
    assert answer.keys() == {
        *("cms", "cc_id", "vdn", "labels", "state", "up", "last_success_age_seconds"),
        *("last_attempt_timestamp_seconds", "last_success_timestamp_seconds"),
        *("last_poll_duration_seconds", "polls_total", "poll_failures_total"),
    }
    assert (answer["state"], answer["up"]) == ("stale", 1)


def test_a_target_that_was_never_polled() -> None:
    """Hardly anything is known of it, and its server's clock was never seen."""
    answer = _answer(store_of([target(1)]))
    assert answer["targets"] == [
        {
            "cms": "lima",
            "cc_id": 1,
            "vdn": 1,
            "labels": {},
            "state": "waiting",
            "polls_total": 0,
            "poll_failures_total": 0,
        }
    ]
    assert "clock_skew_seconds" not in answer["servers"][0]


def test_a_poll_that_is_due_waits_no_negative_time() -> None:
    """Its time is told as it was."""
    (answer,) = _answer(store_of([target(1)]), next_poll=lambda _: NOW.monotonic - 2.0)["targets"]
    assert answer["next_poll_in_seconds"] == 0.0
    assert answer["next_poll_timestamp_seconds"] == NOW.wall - 2.0


@pytest.mark.parametrize(
    ("query", "vdns"),
    [
        (Query(), range(1, 101)),
        (Query(page=3), range(201, 251)),
        (Query(page=4), []),
        (Query(limit=7, page=36), range(246, 251)),
        (Query(limit=1000), range(1, 251)),
        (Query(search="vdn=77"), [77]),
    ],
)
def test_pages(query: Query, vdns: range | list[int]) -> None:
    """A page beyond the last one is empty, so that a script knows where to end."""
    answer = _answer(store_of(map(target, range(1, 251))), query)
    assert [each["vdn"] for each in answer["targets"]] == list(vdns)
    assert answer["pages"] == max(1, -(-answer["found"] // answer["limit"]))


@given(text=st.text())
def test_any_text_is_told_as_it_is(text: str) -> None:
    """Names, labels and messages survive the journey."""
    each = Target(TargetKey(text, 1, 1), text, ((text, text),))
    store = store_of([each])
    fail(store, each, text, Reason.API)
    (answer,) = _answer(store)["targets"]
    assert answer["cms"] == answer["name"] == answer["labels"][text] == text
    assert answer["error"]["message"] == text


@pytest.mark.anyio
async def test_over_http() -> None:
    """JSON with the answer, or with a sentence about what cannot be asked."""
    store, each = _full()
    app = example_application(
        store=store,
        moment=lambda: NOW,
        next_polls=lambda: lambda key: NOW.monotonic + 5.0 if key == each.key else None,
    )
    listener = await listen(app, [Address("127.0.0.1", 0)])
    try:
        async with aiohttp.ClientSession(f"http://{listener.addresses[0]}") as client:
            reply = await client.get("/api/v1/targets?q=sales&state=down&sort=-resting")
            assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
            (answer,) = (await reply.json())["targets"]
            assert answer["next_poll_in_seconds"] == 5.0
            refusal = await client.get("/api/v1/targets?state=bad")
            assert (refusal.status, await refusal.json()) == (
                400,
                {"error": "state must be one of down, stale, doubtful, waiting, up"},
            )
            page = await client.get("/?sort=<script>")
            assert (page.status, page.headers["Content-Type"]) == (
                400,
                "text/plain; charset=utf-8",
            )
            assert await page.text() == (
                "400: sort must be one of trouble, target, resting, waiting, approved, "
                "longest_rest, last_success, next_poll.\n"
            )
            assert ">in 5 s</td>" in await (await client.get("/")).text()
    finally:
        await listener.close()


def _fields(answer: dict[str, Any]) -> set[str]:
    return {
        name for each in (answer, *answer["servers"], *answer["targets"]) for name in each
    } | set(answer["targets"][0]["error"])


def test_the_document_lists_every_field() -> None:
    """And no other: each in the first column of a table."""
    store, _ = _full()
    listed = {
        name
        for line in DOCUMENT.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([a-z_]+)`", line.split("|")[1])
    }
    parameters = {"q", "cms", "state", "doubt", "sort", "page", "limit"}
    assert listed - parameters == _fields(_answer(store, next_poll=lambda _: 1.0)) - parameters
    assert parameters <= listed


def test_every_number_has_a_metric_of_the_same_name() -> None:
    """So that whoever knows the one knows the other."""
    names = {family.name.removeprefix("agent_rest_") for family in FAMILIES}
    store, _ = _full()
    told = set(_answer(store)["targets"][0])
    assert names - told == {"failing", "doubt"}
