"""How fast a server may be polled, and what one poll and all polls of it may hold."""

import asyncio
import itertools
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cms import wire
from exporter.cms.body import TooLargeError
from exporter.cms.limits import MAX_POLL_BYTES, Allowance, Capacity, RateLimit
from exporter.rest import Asked, Counters, Row
from exporter.server import Api
from tests.support.virtual_time import VirtualTimeLoop, virtual_clock

pytestmark = pytest.mark.anyio

MEBIBYTE = 2**20


def reserve(limit: RateLimit, now: float) -> float:
    """Take the next free start. Gives the seconds to wait for it."""
    delay = limit.delay(now)
    limit.take(now)
    return delay


def test_without_a_limit_nobody_waits() -> None:
    """The default."""
    limit = RateLimit(None, virtual_clock)

    assert [reserve(limit, 5.0) for _ in range(100)] == [0.0] * 100


def test_starts_are_spaced_evenly() -> None:
    """Four at once at two a second: no burst, not even of the first two."""
    limit = RateLimit(2, virtual_clock)

    assert [reserve(limit, 10.0) for _ in range(4)] == [0.0, 0.5, 1.0, 1.5]


def test_unused_time_is_not_saved_up() -> None:
    """After an idle hour there is no burst of what was not used."""
    limit = RateLimit(2, virtual_clock)
    reserve(limit, 0.0)

    assert [reserve(limit, 3600.0), reserve(limit, 3600.0)] == [0.0, 0.5]


def test_a_pause_puts_off_every_start() -> None:
    """Then the even pace goes on."""
    limit = RateLimit(1, virtual_clock)
    limit.pause(100.0, 30.0)

    assert [reserve(limit, 100.0), reserve(limit, 110.0), reserve(limit, 200.0)] == [
        30.0,
        21.0,
        0.0,
    ]


def test_a_pause_tells_whether_it_lasts() -> None:
    """For those who had begun to wait before it."""
    limit = RateLimit(None, virtual_clock)

    assert not limit.paused(0.0)
    limit.pause(0.0, 30.0)
    assert limit.paused(29.9)
    assert not limit.paused(30.0)


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    """Replies to requests side by side come in any order."""
    limit = RateLimit(None, virtual_clock)
    limit.pause(0.0, 60.0)
    limit.pause(1.0, 5.0)

    assert limit.paused(59.0)
    assert reserve(limit, 1.0) == 59.0


@given(
    st.floats(0.01, 1000),
    st.lists(st.floats(0, 10, allow_subnormal=False), min_size=2, max_size=30),
)
def test_no_two_starts_are_closer_than_the_gap(per_second: float, arrivals: list[float]) -> None:
    """Whenever the askers come."""
    limit = RateLimit(per_second, virtual_clock)
    starts = [now + reserve(limit, now) for now in sorted(arrivals)]

    assert all(
        later - earlier >= 1 / per_second - 1e-9 for earlier, later in itertools.pairwise(starts)
    )


async def _starts(limit: RateLimit, count: int) -> list[float]:
    """When requests that come at once may start."""
    times: list[float] = []

    async def start() -> None:
        await limit.wait()
        times.append(asyncio.get_running_loop().time())

    await asyncio.gather(*(start() for _ in range(count)))
    return times


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": VirtualTimeLoop})])
async def test_requests_that_come_at_once_are_spaced() -> None:
    """Four, at two a second; without a limit nobody waits."""
    assert await _starts(RateLimit(2.0, virtual_clock), 4) == [0.0, 0.5, 1.0, 1.5]
    assert await _starts(RateLimit(None, virtual_clock), 4) == [1.5] * 4


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": VirtualTimeLoop})])
async def test_a_cancelled_waiter_takes_no_start() -> None:
    """A probe whose scrape has ended leaves its place to those behind it, and no gap."""
    limit = RateLimit(1.0, virtual_clock)
    await limit.wait()
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.25):
                await limit.wait()
    await limit.wait()
    assert asyncio.get_running_loop().time() == 1.0


@pytest.mark.parametrize(("polls", "free"), [(1, 1.5), (8, 1.5), (24, 0.5), (96, 0.125)])
async def test_what_each_poll_may_receive_freely(polls: int, free: float) -> None:
    """12 MiB for all of them, and 1.5 MiB are enough for one."""
    assert Capacity(polls).free_bytes == free * MEBIBYTE


async def test_small_polls_do_not_wait_for_a_large_one() -> None:
    """A listing of 5,000 agents is a small one."""
    capacity = Capacity(8)
    large, small = Allowance(capacity), Allowance(capacity)
    await large(4 * MEBIBYTE)

    async with asyncio.timeout(1):
        await small(MEBIBYTE)


async def test_large_polls_go_one_after_another() -> None:
    """The second one goes on when the first one has ended."""
    capacity = Capacity(8)
    first, second = Allowance(capacity), Allowance(capacity)
    await first(2 * MEBIBYTE)
    await first(2 * MEBIBYTE)
    waits = asyncio.create_task(second(2 * MEBIBYTE))
    await asyncio.sleep(0.01)
    assert (waits.done(), second.waits) == (False, True)

    first.release()
    first.release()
    await waits
    assert not second.waits
    second.release()
    assert not capacity.large.locked()


async def test_all_pages_of_a_poll_count() -> None:
    """However small each is."""
    allowance = Allowance(Capacity(1))
    for _ in range(MAX_POLL_BYTES // MEBIBYTE):
        await allowance(MEBIBYTE)

    with pytest.raises(TooLargeError, match="the pages of the listing are larger than 32 MiB"):
        await allowance(1)


@pytest.mark.parametrize(
    ("body", "beside"),
    [
        (b"", False),
        (b"{" * 2**16, False),
        (b"{" * (2**16 + 1), True),
        (b"{" * 2_500 + bytes(2**18), False),
        (b"{" * 2_501 + bytes(2**18), True),
        (bytes(2**19 + 1), True),
    ],
    ids=lambda value: str(len(value)) if isinstance(value, bytes) else None,
)
async def test_large_bodies_are_decoded_beside_the_loop(body: bytes, beside: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """A thread costs more than it is worth for the others."""
    seen: list[int] = []

    def decode(_body: bytes | bytearray, _api: Api) -> wire.Reply:
        seen.append(threading.get_ident())
        return wire.Reply(Counters(0, 0, 0), ())

    await Capacity(1).decode(decode, body, Api.AGENT_REST_INFOS)

    assert (seen != [threading.get_ident()]) is beside


@pytest.mark.parametrize("rows", [0, 1_200, 1_201, 5_000])
async def test_a_listing_is_reduced_to_the_same_either_way(rows: int) -> None:
    """In the loop or beside it."""
    listing = [Row(number, None, 1_700_000_000, 600) for number in range(rows)]

    snapshot = await Capacity(1).reduce(Counters(1, rows, 0), listing, 1_700_000_100.0, Asked())

    assert (snapshot.rows, snapshot.resting) == (rows, rows)
