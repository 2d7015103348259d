"""How fast a server may be polled: an even pace, and pauses."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cms.rate_limit import Pace, RateLimit
from tests.support.virtual_time import VirtualTimeLoop, virtual_clock


def reserve(pace: Pace, now: float) -> float:
    """Take the next free start. Gives the seconds to wait for it."""
    delay = pace.delay(now)
    pace.take(now)
    return delay


def test_without_a_limit_nobody_waits() -> None:
    """The default."""
    pace = Pace(None)

    assert [reserve(pace, 5.0) for _ in range(100)] == [0.0] * 100


def test_starts_are_spaced_evenly() -> None:
    """Four at once at two a second: no burst, not even of the first two."""
    pace = Pace(2)

    assert [reserve(pace, 10.0) for _ in range(4)] == [0.0, 0.5, 1.0, 1.5]


def test_unused_time_is_not_saved_up() -> None:
    """After an idle hour there is no burst of what was not used."""
    pace = Pace(2)
    reserve(pace, 0.0)

    assert [reserve(pace, 3600.0), reserve(pace, 3600.0)] == [0.0, 0.5]


def test_a_pause_puts_off_every_start() -> None:
    """Then the even pace goes on."""
    pace = Pace(1)
    pace.pause(100.0, 30.0)

    assert [reserve(pace, 100.0), reserve(pace, 110.0), reserve(pace, 200.0)] == [30.0, 21.0, 0.0]


def test_a_pause_tells_whether_it_lasts() -> None:
    """For those who had begun to wait before it."""
    pace = Pace(None)

    assert not pace.paused(0.0)
    pace.pause(0.0, 30.0)
    assert pace.paused(29.9)
    assert not pace.paused(30.0)


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    """Replies to requests side by side come in any order."""
    pace = Pace(None)
    pace.pause(0.0, 60.0)
    pace.pause(1.0, 5.0)

    assert pace.paused(59.0)
    assert reserve(pace, 1.0) == 59.0


@given(
    st.floats(0.01, 1000),
    st.lists(st.floats(0, 10, allow_subnormal=False), min_size=2, max_size=30),
)
def test_no_two_starts_are_closer_than_the_gap(per_second: float, arrivals: list[float]) -> None:
    """Whenever the askers come."""
    pace = Pace(per_second)
    starts = [now + reserve(pace, now) for now in sorted(arrivals)]

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


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": VirtualTimeLoop})])
async def test_requests_that_come_at_once_are_spaced() -> None:
    """Four, at two a second; without a limit nobody waits."""
    assert await _starts(RateLimit(2.0, virtual_clock), 4) == [0.0, 0.5, 1.0, 1.5]
    assert await _starts(RateLimit(None, virtual_clock), 4) == [1.5] * 4


@pytest.mark.anyio
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
