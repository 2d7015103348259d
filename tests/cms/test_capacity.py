"""What one poll may receive, and what all polls of a server may hold together."""

import asyncio
import threading

import pytest

from exporter.cms import wire
from exporter.cms.body import TooLargeError
from exporter.cms.capacity import MAX_POLL_BYTES, Allowance, Capacity
from exporter.rest import Asked, Counters, Row
from exporter.server import Api

pytestmark = pytest.mark.anyio

MEBIBYTE = 2**20


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
