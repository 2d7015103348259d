"""When servers are polled: on virtual time, with the real client over a scripted transport."""

import asyncio
import itertools
import logging

import httpx
import pytest

from exporter.errors import Reason
from exporter.polling.poller import STALLED_AFTER
from exporter.polling.schedule import phase
from exporter.server import Server
from exporter.store import TargetKey
from tests.support.scripted_server import Floor, make, reply, running
from tests.support.virtual_time import EPOCH, virtual_clock

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]


async def test_every_target_is_polled_once_in_each_interval_at_its_phase() -> None:
    """Twenty minutes of 50 targets: each start is where the schedule puts it, or a moment later."""
    floor = Floor(takes=0.2)
    poller, store = make(floor, Server("http://cms", name="lima"), 50)
    async with running(poller):
        await asyncio.sleep(1200)
    starts: dict[int, list[float]] = {}
    for at, vdn in floor.asked:
        starts.setdefault(vdn, []).append(at)
    assert sorted(starts) == list(range(1, 51))
    for vdn, times in starts.items():
        assert len(times) == 40
        due = phase(TargetKey("lima", 1, vdn), 30.0)
        late = [(EPOCH + at - due) % 30.0 for at in times]
        # never early; later only to start together with others
        assert max(late) < 0.021
    stats = store.server("lima")
    assert stats.skipped == 0
    assert stats.requests == 2000
    assert stats.delay.counts[0] == 2000
    assert stats.in_flight == 0


async def test_polls_that_are_due_within_20_ms_start_together() -> None:
    """2,000 targets, one each 15 ms: half as many wake-ups, and who is alone is punctual."""
    floor = Floor()
    poller, _ = make(floor, Server("http://cms", name="lima", max_concurrency=50), 2000)
    dues = sorted((phase(TargetKey("lima", 1, vdn), 30.0) - EPOCH) % 30.0 for vdn in range(1, 2001))
    async with running(poller):
        await asyncio.sleep(29.9)
    assert len(floor.asked) == pytest.approx(2000, abs=30)
    starts = sorted({at for at, _ in floor.asked})
    assert len(starts) < 1000
    for due, (at, _) in zip(dues, floor.asked, strict=False):
        assert -0.001 < at - due < 0.021
    alone = [
        place
        for place in range(1, len(floor.asked) - 1)
        if dues[place] - dues[place - 1] > 0.042 and dues[place + 1] - dues[place] > 0.021
    ]
    assert alone
    for place in alone:
        assert floor.asked[place][0] == pytest.approx(dues[place], abs=0.001)


async def test_a_hanging_server_costs_the_others_nothing() -> None:
    """Two servers, one of which never answers: the other's polls start on time."""
    dead, alive = Floor(takes=1e9), Floor()
    hanging, hanging_store = make(dead, Server("http://dead", name="dead", timeout=29.0), 100)
    healthy, healthy_store = make(alive, Server("http://alive", name="alive"), 100)
    async with running(hanging, healthy):
        await asyncio.sleep(600)
    stats = healthy_store.server("alive")
    assert (stats.requests, stats.skipped) == (2000, 0)
    assert stats.delay.counts[0] == 2000
    assert dead.most_in_flight == 8
    assert hanging_store.server("dead").failures[Reason.TIMEOUT] > 0
    assert hanging_store.server("dead").skipped > 0


async def test_what_is_late_is_skipped_and_counted_never_queued() -> None:
    """One slot, three targets that take 20 s each: a full round takes two intervals."""
    floor = Floor(takes=20.0)
    server = Server("http://cms", name="lima", timeout=29.0, max_concurrency=1)
    poller, store = make(floor, server, 3)
    async with running(poller):
        await asyncio.sleep(3600)
    assert floor.most_in_flight == 1
    polls = sum(state.polls for state in store.states())
    assert polls == pytest.approx(180, abs=2)
    due_times = 3 * 120
    assert polls + store.server("lima").skipped == pytest.approx(due_times, abs=6)
    assert min(state.polls for state in store.states()) > 40, "a target starves"


async def test_requests_in_flight_keep_their_bound() -> None:
    """Everything is due within a second, and still no more than max_concurrency are under way."""
    floor = Floor(takes=0.5)
    poller, _ = make(floor, Server("http://cms", name="lima", max_concurrency=3), 60, interval=1.0)
    async with running(poller):
        await asyncio.sleep(30)
    assert floor.most_in_flight == 3


async def test_a_rate_limit_spaces_the_starts() -> None:
    """Two requests a second: never two within half a second, and the delay shows."""
    floor = Floor()
    server = Server("http://cms", name="lima", max_requests_per_second=2.0)
    poller, store = make(floor, server, 50)
    async with running(poller):
        await asyncio.sleep(120)
    times = [at for at, _ in floor.asked]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(gaps) >= 0.499
    assert sum(store.server("lima").delay.counts[3:]) > 0, "the delay does not show"


async def test_retry_after_puts_off_the_whole_server() -> None:
    """After a 429 with 60 s nobody asks for 60 s; then all is as before."""
    floor = Floor()
    refusal = httpx.Response(429, headers={"Retry-After": "60"})
    floor.answers = iter([refusal, *(reply() for _ in range(10_000))])
    poller, store = make(floor, Server("http://cms", name="lima"), 30)
    async with running(poller):
        await asyncio.sleep(300)
    (first, _), (second, _) = floor.asked[:2]
    assert second - first == pytest.approx(60.0, abs=0.01)
    assert store.server("lima").failures[Reason.RATE_LIMITED] == 1
    assert all(state.failure is None for state in store.states())


async def test_states_follow_success_and_failure() -> None:
    """A failure keeps the last numbers and says since when; a success clears it."""
    floor = Floor(takes=0.5)
    floor.answers = iter([reply(3), httpx.Response(500), httpx.Response(404), reply(4)])
    poller, store = make(floor, Server("http://cms", name="lima"), 1, interval=10.0)
    key = TargetKey("lima", 1, 1)
    first = (phase(key, 10.0) - EPOCH) % 10.0
    async with running(poller):
        await asyncio.sleep(first + 1)
        state = store.state(key)
        assert state.snapshot is not None
        assert (state.polls, state.failures, state.snapshot.resting) == (1, 0, 3)
        assert state.duration == pytest.approx(0.5)
        assert state.last_attempt == pytest.approx(EPOCH + first)
        await asyncio.sleep(20)
        state = store.state(key)
        assert state.failure is not None
        assert state.snapshot is not None
        assert (state.polls, state.failures, state.snapshot.resting) == (3, 2, 3)
        assert state.failure.since == pytest.approx(EPOCH + first + 10)
        await asyncio.sleep(10)
        state = store.state(key)
        assert state.failure is None
        assert state.snapshot is not None
        assert (state.polls, state.failures, state.snapshot.resting) == (4, 2, 4)


async def test_a_failure_is_logged_when_it_starts_changes_and_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A day of a failing server is a handful of lines, not one for each poll."""
    floor = Floor()
    failures = [httpx.Response(500) for _ in range(1332)] + [httpx.Response(404)] * 2
    floor.answers = iter([reply(), *failures, *(reply() for _ in range(3000))])
    poller, _ = make(floor, Server("http://cms", name="lima"), 1, interval=30.0)
    with caplog.at_level(logging.INFO, "exporter"):
        async with running(poller):
            await asyncio.sleep(86_400)
    lines = [(record.getMessage(), getattr(record, "fields", {})) for record in caplog.records]
    assert [message for message, _ in lines] == [
        "poll failed",
        *["polls still fail"] * 11,
        "poll failed",
        "polls succeed again",
    ]
    assert lines[0][1]["reason"] == "http"
    assert lines[-1][1] == {"cms": "lima", "cc_id": 1, "vdn": 1, "failed_for": "11h7m"}


async def test_a_changed_reason_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A server that was down and now refuses the key is another matter."""
    floor = Floor()
    floor.answers = iter([httpx.Response(500), httpx.Response(403), reply()])
    poller, _ = make(floor, Server("http://cms", name="lima"), 1, interval=10.0)
    with caplog.at_level(logging.INFO, "exporter"):
        async with running(poller):
            await asyncio.sleep(30)
    reasons = [getattr(record, "fields", {}).get("reason") for record in caplog.records]
    assert reasons == ["http", "auth", None]


async def test_stopping_ends_polls_in_flight() -> None:
    """Cancelled, the poller leaves at once, whatever hangs."""
    floor = Floor(takes=1e9)
    poller, store = make(floor, Server("http://cms", name="lima", timeout=29.0), 5)
    before = asyncio.get_running_loop().time()
    async with running(poller):
        await asyncio.sleep(31)
        assert floor.in_flight > 0
    assert floor.in_flight == 0
    assert store.server("lima").in_flight == 0
    assert asyncio.get_running_loop().time() - before == pytest.approx(31)


async def test_stopping_during_a_pause() -> None:
    """A pause is not a stall, and a poller that is cancelled in it ends at once."""
    floor = Floor()
    floor.answers = iter([httpx.Response(503, headers={"Retry-After": "600"})])
    server = Server("http://cms", name="lima", max_concurrency=1)
    poller, store = make(floor, server, 3)
    async with running(poller):
        await asyncio.sleep(120)
        assert not poller.stalled(virtual_clock().monotonic)
    assert len(floor.asked) == 1
    assert store.server("lima").failures[Reason.HTTP] == 1
    assert store.server("lima").in_flight == 0


async def test_a_poller_at_work_is_not_stalled_and_a_dead_one_is() -> None:
    """Asked every second for ten minutes, with a server that always runs into its timeout."""
    floor = Floor(takes=1e9)
    server = Server("http://cms", name="lima", timeout=29.0, max_concurrency=1)
    poller, _ = make(floor, server, 20)
    async with running(poller):
        for _ in range(600):
            await asyncio.sleep(1)
            assert not poller.stalled(virtual_clock().monotonic)
    await asyncio.sleep(29 + STALLED_AFTER + 1)
    assert poller.stalled(virtual_clock().monotonic)


async def test_a_server_without_targets_waits_in_peace() -> None:
    """Its poller has nothing to do, and is not stalled."""
    poller, _ = make(Floor(), Server("http://cms", name="lima"), 0)
    async with running(poller):
        await asyncio.sleep(3600)
        assert not poller.stalled(virtual_clock().monotonic)
