"""No reply is ever taken for another's, whatever a server sends beyond what it was asked for.

Replies carry no VDN, so every number here names its own: VDN 7 has seven agents resting. A scrape
looks at the store all the time, and notes each poll whose numbers are another VDN's.
"""

import asyncio
import contextlib
import random
import re
import socket
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from exporter.clock import Moment, system_clock
from exporter.cms.client import SINGLE_USE, CmsClient
from exporter.cms.transport import Transport
from exporter.errors import Reason
from exporter.polling.poller import Poller
from exporter.server import Server
from exporter.store import Store, Target, TargetKey
from tests.support.cms_peer import (
    Step,
    answer,
    connected,
    failed,
    http,
    listening,
    read,
    serving,
)
from tests.support.stores import store_of

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.both_loops,
]  # when bytes are seen differs between the loops


SURPLUS = (
    "127.0.0.1:PORT sent more replies than it was asked for, so this one may be another VDN's and "
    "was discarded: look for a gateway or load balancer that repeats or delays replies"
)
LATE_408 = http(b"", "408 Request Timeout")

Send = Callable[[bytes], None]
Shape = Callable[[Send, bytes, random.Random], Awaitable[None]]
"""Sends the reply to one request, and whatever else."""


def vdn_of(request: bytes) -> int:
    """The VDN that is asked for."""
    found = re.search(rb'"vdn":(\d+)', request)
    assert found is not None
    return int(found[1])


def later(delay: float, send: Send, data: bytes) -> None:
    """Send something after the reply has gone out, whatever is asked meanwhile."""
    asyncio.get_running_loop().call_later(delay, send, data)


async def duplicate_at_once(send: Send, reply: bytes, _chance: random.Random) -> None:
    """In one segment with the reply."""
    send(reply + reply)


async def duplicate_late(send: Send, reply: bytes, chance: random.Random) -> None:
    """While nothing is asked, or just after the next request has gone out."""
    send(reply)
    later(chance.uniform(0, 0.06), send, reply)


async def timeout_late(send: Send, reply: bytes, chance: random.Random) -> None:
    """A gateway that believes to wait for a request."""
    send(reply)
    later(chance.uniform(0, 0.06), send, LATE_408)


async def garbage(send: Send, reply: bytes, chance: random.Random) -> None:
    """No reply at all."""
    send(reply)
    later(chance.uniform(0, 0.06), send, b"\x00\xffgarbage")


async def half_a_duplicate(send: Send, reply: bytes, chance: random.Random) -> None:
    """It begins in the segment of the reply, and ends much later."""
    send(reply + reply[:30])
    later(chance.uniform(0.01, 0.06), send, reply[30:])


async def body_too_long(send: Send, reply: bytes, chance: random.Random) -> None:
    """A Content-Length that is too small; what is left comes with the reply, or later."""
    rest = b" " * 40 + reply
    if chance.random() < 0.5:
        send(reply + rest)
    else:
        send(reply)
        later(chance.uniform(0, 0.06), send, rest)


async def body_late(send: Send, reply: bytes, chance: random.Random) -> None:
    """The second half of some replies comes when the poll has given up."""
    if chance.random() < 0.7:
        send(reply)
    else:
        send(reply[:-20])
        later(0.25, send, reply[-20:])


async def reply_late(send: Send, reply: bytes, chance: random.Random) -> None:
    """Some replies come when the poll has given up."""
    if chance.random() < 0.7:
        send(reply)
    else:
        later(0.25, send, reply)


async def interim_late(send: Send, reply: bytes, chance: random.Random) -> None:
    """An interim reply belongs to a request, too."""
    send(b"HTTP/1.1 100 Continue\r\n\r\n" + reply)
    later(chance.uniform(0, 0.06), send, b"HTTP/1.1 103 Early Hints\r\n\r\n" + reply)


async def without_length(send: Send, reply: bytes, _chance: random.Random) -> None:
    """The reply lasts until the connection ends, and another one is in it."""
    send(re.sub(rb"Content-Length: \d+\r\n", b"", reply))
    send(b"")


SHAPES = [
    duplicate_at_once,
    duplicate_late,
    timeout_late,
    garbage,
    half_a_duplicate,
    body_too_long,
    body_late,
    reply_late,
    interim_late,
    without_length,
]


def server_of(shape: Shape, seed: int) -> Callable[..., Awaitable[None]]:
    """Each connection answers one request after the other, in the same way."""
    chance = random.Random(seed)  # noqa: S311

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def send(data: bytes) -> None:
            if not data:
                writer.close()
            elif not writer.is_closing():
                writer.write(data)

        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            assert length is not None
            vdn = vdn_of(await reader.readexactly(int(length[1])))
            await asyncio.sleep(chance.uniform(0.01, 0.03))
            await shape(send, http(answer(vdn, resting=vdn)), chance)

    return converse


@contextlib.asynccontextmanager
async def polled(port: int, concurrency: int, vdns: int) -> AsyncIterator[tuple[Store, CmsClient]]:
    """Every VDN of a server, polled without a pause."""
    server = Server(
        f"http://127.0.0.1:{port}",
        name="lima",
        interval=0.1,
        timeout=0.2,
        max_concurrency=concurrency,
    )
    keys = [TargetKey("lima", 1, vdn) for vdn in range(1, vdns + 1)]
    store = store_of(map(Target, keys))
    client = CmsClient(server, Transport(server, {}), system_clock)
    task = asyncio.create_task(Poller(client, keys, store, system_clock).run())
    try:
        yield store, client
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("shape", SHAPES)
async def test_nothing_wrong_is_ever_seen_twice(shape: Shape) -> None:
    """A poll whose numbers are another VDN's is the only one of its target."""
    await asyncio.gather(*(_seen_at_most_once(shape, concurrency) for concurrency in (1, 4, 8)))


async def _seen_at_most_once(shape: Shape, concurrency: int) -> None:
    surplus_is_seen = shape not in {body_late, reply_late, without_length}
    wrong: dict[int, set[float]] = defaultdict(set)
    right = 0
    async with (
        serving(server_of(shape, concurrency)) as port,
        polled(port, concurrency, 6 * concurrency) as (store, client),
    ):
        now = asyncio.get_running_loop().time
        begin, seen = now(), False
        # on a busy machine, the first polls can all time out
        while now() < begin + 0.8 or (now() < begin + 20 and not (right and seen)):
            seen = (client.condition.single_use_until is not None) == surplus_is_seen
            await asyncio.sleep(0.002)
            for state in store.states():
                numbers = state.fresh(system_clock())
                if numbers is not None and state.last_success is not None:
                    vdn = state.target.key.vdn
                    if numbers.resting == vdn:
                        right += 1
                    else:
                        wrong[vdn].add(state.last_success.monotonic)

    assert {vdn: len(polls) for vdn, polls in wrong.items() if len(polls) > 1} == {}
    assert right > 0
    assert (client.condition.single_use_until is not None) == surplus_is_seen


async def test_the_numbers_of_a_poll_that_was_answered_by_another_go_at_once() -> None:
    """The surplus reply comes first, the poll's own when nobody waits for it any more."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for position in range(9):
            vdn = vdn_of(await reader.readuntil(b"}}"))
            if position == 1:
                writer.write(http(answer(resting=1)))
            await asyncio.sleep(0.1)
            writer.write(http(answer(resting=vdn)))

    doubts = []
    async with (
        serving(converse) as port,
        connected(f"http://127.0.0.1:{port}") as client,
    ):
        client.on_doubt = lambda *doubt: doubts.append(doubt)
        read(await client.poll(1, 1))
        await client.rested()
        shifted = await client.poll(1, 2)
        assert read(shifted).snapshot.resting == 1
        # its own reply is still on its way: another connection is used meanwhile
        assert read(await client.poll(1, 3)).snapshot.resting == 3
        await client.rested()
        assert read(await client.poll(1, 4)).snapshot.resting == 4

    [(cc_id, vdn, ended, error)] = doubts
    assert (cc_id, vdn, ended, error.reason) == (1, 2, shifted.ended, Reason.DISCONNECTED)
    assert error.message.replace(str(port), "PORT") == SURPLUS


async def test_a_probe_does_not_hide_the_poll_before_it() -> None:
    """Of one VDN, over one connection: the numbers that are kept are the poll's."""
    ended = asyncio.Event()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        vdn = 0
        for _ in range(3):
            vdn = vdn_of(await reader.readuntil(b"}}"))
            writer.write(http(answer(resting=vdn)))
        async with asyncio.timeout(10):
            await ended.wait()
        writer.write(http(answer(resting=vdn)))

    doubts = []
    async with (
        serving(converse) as port,
        connected(f"http://127.0.0.1:{port}") as client,
    ):
        client.on_doubt = lambda *doubt: doubts.append(doubt)
        read(await client.poll(1, 1))
        await client.rested()
        kept = await client.poll(1, 2)
        await client.rested()
        read(await client.poll(1, 2, share=asyncio.Semaphore(1)))
        ended.set()
        async with asyncio.timeout(10):
            while client.condition.single_use_until is None:
                await asyncio.sleep(0.01)

    assert [(cc_id, vdn, ended) for cc_id, vdn, ended, _ in doubts] == [(1, 2, kept.ended)]


async def test_two_replies_to_the_second_request_are_none() -> None:
    """One of them is the first request's: which one, nothing tells."""
    twice = Step(http(answer(resting=1)) + http(answer(resting=2)))
    async with (
        listening(Step(http(answer(resting=1))), twice, Step(http(answer(resting=3)))) as peer,
        connected(f"http://127.0.0.1:{peer.port}") as client,
    ):
        read(await client.poll(1, 1))
        await client.rested()
        error = failed(await client.poll(1, 2))
        assert (error.reason, error.message.replace(str(peer.port), "PORT")) == (
            Reason.DISCONNECTED,
            SURPLUS,
        )
        assert read(await client.poll(1, 3)).snapshot.resting == 3


async def test_the_first_reply_of_a_connection_is_nobody_elses() -> None:
    """A duplicate behind it costs no poll."""
    twice = Step(http(answer(resting=1)) * 2)
    async with (
        listening(twice) as peer,
        connected(f"http://127.0.0.1:{peer.port}") as client,
    ):
        for _ in range(3):
            assert read(await client.poll(1, 1)).snapshot.resting == 1

    assert peer.connections == 3


BODY = answer(1, resting=7)
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SIZE = b"%x\r\n" % len(BODY)
IN_PIECES = {
    "a body after its head": (LENGTH, BODY),
    "a body in two pieces": (LENGTH + BODY[:9], BODY[9:]),
    "chunks after their head": (CHUNKED, SIZE + BODY + b"\r\n0\r\n\r\n"),
    "the last chunk alone": (CHUNKED + SIZE + BODY + b"\r\n", b"0\r\n\r\n"),
    "the last line end alone": (CHUNKED + SIZE + BODY + b"\r\n0\r\n", b"\r\n"),
}


@pytest.mark.parametrize("rest", [b"", b"HTTP/1.1 200 OK\r\nX-Half"], ids=["alone", "and more"])
@pytest.mark.parametrize("pieces", IN_PIECES.values(), ids=IN_PIECES)
async def test_a_reply_in_pieces_is_one_reply(pieces: tuple[bytes, bytes], rest: bytes) -> None:
    """The parser ends the exchange before it has looked at what follows in the same piece."""
    connections = 0

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"}}"):
            writer.write(pieces[0])
            await asyncio.sleep(0.02)
            writer.write(pieces[1] + rest)

    async with (
        serving(converse) as port,
        connected(f"http://127.0.0.1:{port}", max_concurrency=1) as client,
    ):
        for _ in range(2):
            assert read(await client.poll(1, 1)).snapshot.resting == 7
            await client.rested()
        surplus_seen = client.condition.single_use_until is not None

    assert (surplus_seen, connections) == ((True, 2) if rest else (False, 1))


async def test_bytes_that_the_loop_has_not_read_yet_are_seen() -> None:
    """They came while the loop was busy, and the next request is about to go out."""
    go, sent = threading.Event(), threading.Event()

    def serve(listener: socket.socket) -> None:
        first, _ = listener.accept()
        first.recv(4096)
        first.sendall(http(answer(resting=1)))
        go.wait(10)
        first.sendall(http(answer(resting=1)))
        sent.set()
        second, _ = listener.accept()
        second.recv(4096)
        second.sendall(http(answer(resting=2)))
        first.close()
        second.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        async with connected(f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
            read(await client.poll(1, 1))
            await client.rested()
            go.set()
            sent.wait(10)
            assert read(await client.poll(1, 2)).snapshot.resting == 2
            assert client.condition.single_use_until is not None
        thread.join()


@pytest.mark.parametrize("rest", [b"}", b"\x00", http(answer(resting=9))[5:]])
async def test_a_body_that_is_longer_than_it_says_is_read_as_far_as_it_says(rest: bytes) -> None:
    """As every client reads it; what is left is nobody's."""
    async with (
        listening(Step(http(answer(resting=1)) + rest)) as peer,
        connected(f"http://127.0.0.1:{peer.port}") as client,
    ):
        assert read(await client.poll(1, 1)).snapshot.resting == 1
        assert client.condition.single_use_until is not None


async def test_stray_line_ends_cost_a_connection_and_nothing_else() -> None:
    """Some old servers send one more line end than they should: it is no reply."""
    polled, closed = asyncio.Barrier(2), asyncio.Barrier(2)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}}")
        writer.write(http(answer(resting=1)))
        async with asyncio.timeout(10):
            await polled.wait()
            writer.write(b"\r\n")
            await reader.read()
            await closed.wait()

    async with (
        serving(converse) as port,
        connected(f"http://127.0.0.1:{port}") as client,
    ):
        for _ in range(3):
            read(await client.poll(1, 1))
            async with asyncio.timeout(10):
                await polled.wait()
                await closed.wait()

    assert client.condition.single_use_until is None


async def test_connections_are_used_once_for_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    """The log says so when it begins and when it ends."""
    caplog.set_level("INFO")
    passed = 0.0

    def clock() -> Moment:
        now = system_clock()
        return Moment(now.wall + passed, now.monotonic + passed, now.boot + passed)

    good = Step(http(answer(resting=1)))
    async with (
        listening(Step(good.data * 2), good) as peer,
        connected(f"http://127.0.0.1:{peer.port}", clock=clock, name="lima") as client,
    ):
        for expected in (1, 2, 3):
            read(await client.poll(1, 1))
            await client.rested()
            assert peer.connections == expected
        passed = SINGLE_USE + 1
        for _ in range(3):
            read(await client.poll(1, 1))
            await client.rested()
        assert peer.connections == 4

    assert [record.getMessage() for record in caplog.records if "exporter" in record.name] == [
        (
            "the server sent an unexpected reply: each request uses a new connection for the next "
            "hour"
        ),
        "connections are kept again",
    ]
