"""How many polls of one server run at once, and how long they wait: on virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.cms.client import CmsClient
from exporter.errors import PollResult, Reason
from exporter.server import Server
from tests.support.scripted_server import Floor
from tests.support.virtual_time import VirtualTimeLoop, virtual_clock

LATE_TURN = (
    "no free slot for a poll for 9 s of 11 s, and no complete reply in the rest: raise "
    "max_concurrency or max_requests_per_second, or poll less often"
)
SLOW_SERVER = (
    "no complete reply from cms:80 within 10 s: the server is slow or a firewall drops packets; "
    "raise timeout if it is only slow"
)

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]


def now() -> float:
    """Virtual seconds since the test began."""
    return asyncio.get_running_loop().time()


def make_client(
    floor: Floor | Callable[[httpx.Request], httpx.Response], slots: int = 1, **facts: Any
) -> CmsClient:
    """A client of a scripted server."""
    server = Server("http://cms", max_concurrency=slots, timeout=10.0, **facts)
    return CmsClient(server, httpx.MockTransport(floor), virtual_clock)


async def paused_client(floor: Floor) -> CmsClient:
    """A client whose server has asked for a pause of ten minutes."""
    client = make_client(floor)
    answers = iter([httpx.Response(429, headers={"Retry-After": "600"})])
    floor.answers = answers
    await client.poll(1, 1)
    floor.answers = None
    return client


def reason(result: PollResult) -> Reason | None:
    """Why a poll failed, if it did."""
    return result.error.reason if result.error else None


@pytest.mark.parametrize("slots", [1, 3])
async def test_no_more_polls_at_once_than_slots(slots: int) -> None:
    """Twelve polls of one second each take turns, first come first served."""
    floor = Floor(takes=1.0)
    client = make_client(floor, slots)
    results = await asyncio.gather(*(client.poll(1, vdn) for vdn in range(1, 13)))
    assert floor.most_in_flight == slots
    assert now() == 12 / slots
    assert [vdn for _, vdn in floor.asked] == list(range(1, 13))
    assert [result.started.monotonic for result in results] == [n // slots for n in range(12)]
    assert {result.duration for result in results} == {1.0}


async def test_waiting_does_not_count_against_the_timeout() -> None:
    """A poll that has waited a minute for its slot still has its ten seconds."""
    floor = Floor(takes=9.0)
    client = make_client(floor)
    results = await asyncio.gather(*(client.poll(1, vdn) for vdn in range(1, 8)))
    assert [reason(result) for result in results] == [None] * 7
    assert now() == 63.0


async def test_a_deadline_includes_the_waiting() -> None:
    """No slot within four seconds: nothing was sent, and the message says what to change."""
    floor = Floor(takes=9.0)
    client = make_client(floor)
    first = asyncio.create_task(client.poll(1, 1))
    await asyncio.sleep(0)
    result = await client.poll(1, 2, within=4.0)
    assert (now(), reason(result), result.requests, result.duration) == (4, Reason.TIMEOUT, 0, 4)
    assert result.error is not None
    assert result.error.message == (
        "no free slot for a poll within 4 s: raise max_concurrency or max_requests_per_second, or "
        "poll less often"
    )
    assert reason(await first) is None
    assert [vdn for _, vdn in floor.asked] == [1]


async def test_a_deadline_that_ends_in_a_pause() -> None:
    """The server wanted it so: no limit of ours is blamed."""
    client = await paused_client(Floor())
    result = await client.poll(1, 2, within=4.0)
    assert (now(), reason(result), result.requests) == (4, Reason.RATE_LIMITED, 0)
    assert result.error is not None
    assert result.error.message == (
        "the server asked for a pause (Retry-After), which lasts for another 596 s: lower "
        "max_requests_per_second or lengthen interval"
    )


@pytest.mark.parametrize(
    ("within", "message"),
    [
        (11.0, LATE_TURN),
        (19.0, SLOW_SERVER),
    ],
)
async def test_whether_the_server_or_the_wait_for_a_turn_was_long(
    within: float, message: str
) -> None:
    """Two seconds are no fair trial of a server; ten, which is its timeout, are."""
    floor = Floor(takes=9.0)
    client = make_client(floor)
    first = asyncio.create_task(client.poll(1, 1))
    await asyncio.sleep(0)
    second = asyncio.create_task(client.poll(1, 2, within=within))
    await asyncio.sleep(8)
    floor.takes = 1e9
    assert reason(await first) is None
    error = (await second).error
    assert error is not None
    assert (error.reason, error.message) == (Reason.TIMEOUT, message)


async def test_a_large_listing_that_waits_for_another_one() -> None:
    """Only one is read at a time, and the one that hangs is to blame."""

    async def endless() -> AsyncIterator[bytes]:
        yield bytes(4 << 20)
        await asyncio.sleep(1e9)

    client = make_client(lambda _: httpx.Response(200, content=endless()), 2)
    first, second = await asyncio.gather(client.poll(1, 1), client.poll(1, 2))
    assert (now(), reason(first), reason(second)) == (10, Reason.TIMEOUT, Reason.TIMEOUT)
    assert str(first.error).startswith("no complete reply from cms:80 within 10 s")
    assert str(second.error) == (
        "the reply is large, and another large one of this server was being read for most of 10 s, "
        "one at a time: raise timeout, or lengthen interval"
    )


async def test_what_is_left_of_a_deadline_is_for_the_poll() -> None:
    """A slot is free after nine of ten seconds, and the server takes nine more."""
    floor = Floor(takes=9.0)
    client = make_client(floor)
    first, second = await asyncio.gather(client.poll(1, 1), client.poll(1, 2, within=10.0))
    assert (reason(first), reason(second)) == (None, Reason.TIMEOUT)
    assert (now(), second.requests, second.duration) == (10.0, 1, 1.0)


async def test_a_share_is_a_limit_of_its_own() -> None:
    """Of eight slots, polls that share two get two."""
    floor = Floor(takes=1.0)
    client, share = make_client(floor, 8), asyncio.Semaphore(2)
    await asyncio.gather(*(client.poll(1, vdn, share=share) for vdn in range(1, 7)))
    assert floor.most_in_flight == 2
    assert now() == 3.0


async def test_a_cancelled_poll_gives_its_slot_back() -> None:
    """Cancelled while it waits for a slot, during a pause, and under way."""
    floor = Floor()
    client = await paused_client(floor)
    floor.takes = 1e9
    waits_for_pause, waits_for_slot = (asyncio.create_task(client.poll(1, n)) for n in (1, 2))
    await asyncio.sleep(1)
    waits_for_slot.cancel()
    waits_for_pause.cancel()
    under_way = asyncio.create_task(client.poll(1, 3))
    await asyncio.sleep(601)
    assert client.stats.in_flight == 1
    under_way.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert client.stats.in_flight == 0
    floor.takes = 0.0
    assert reason(await client.poll(1, 4)) is None


async def test_when_a_slot_is_free_at_the_latest() -> None:
    """Within the timeout of a poll; after a pause that the server has asked for."""
    client = make_client(Floor())
    assert client.free_by(5.0) == 15.0
    assert (await paused_client(Floor())).free_by(5.0) == 610.0


async def test_polls_under_way_are_counted() -> None:
    """One that waits is not under way; requests and the clock's skew are counted as they come."""
    floor = Floor(takes=1.0)
    client = make_client(floor)
    polls = [asyncio.create_task(client.poll(1, vdn)) for vdn in (1, 2)]
    await asyncio.sleep(0.5)
    assert (client.stats.in_flight, client.stats.requests) == (1, 1)
    await asyncio.gather(*polls)
    assert (client.stats.in_flight, client.stats.requests) == (0, 2)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["poll", "probe", "give up", "late"]),
            st.sampled_from([None, 0.0, 0.5, 3.0]),
        ),
        max_size=40,
    )
)
@settings(deadline=None)
def test_whatever_happens_no_slot_is_lost(steps: list[tuple[str, float | None]]) -> None:
    """Polls, probes that share one slot, deadlines and cancellations, in any order."""

    async def play() -> None:
        floor = Floor(takes=2.0)
        client, share = make_client(floor, 2, max_requests_per_second=4.0), asyncio.Semaphore(1)
        tasks: list[asyncio.Task[PollResult]] = []
        for step, pause in steps:
            start: dict[str, Coroutine[Any, Any, PollResult]] = {
                "poll": client.poll(1, 1),
                "probe": client.poll(1, 1, share=share),
                "late": client.poll(1, 1, within=1.0, share=share),
            }
            if step in start:
                tasks.append(asyncio.create_task(start.pop(step)))
            elif tasks:
                tasks.pop().cancel()
            for unused in start.values():
                unused.close()
            if pause is not None:
                await asyncio.sleep(pause)
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(10)
        assert floor.most_in_flight <= 2
        assert client.stats.in_flight == 0
        begun = now()
        again = [client.poll(1, 1), client.poll(1, 1, share=share)]
        assert [reason(result) for result in await asyncio.gather(*again)] == [None, None]
        assert now() - begun < 3.0, "both slots are free"

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(play())
