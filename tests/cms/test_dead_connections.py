"""Connections that died, and names that moved: what a kept connection must not cost."""

import asyncio
import random

import pytest

from exporter.cms import connections
from exporter.errors import Reason
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
from tests.support.dns_peer import naming
from tests.support.processes import free_port

pytestmark = [pytest.mark.anyio, pytest.mark.both_loops]

GOOD = Step(http(answer(1, resting=1)))


async def test_connections_that_are_cut_at_once_cost_no_poll() -> None:
    """A firewall forgets all of them: each is found out by its request, which is sent again."""
    together = 6
    cut = asyncio.Event()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        old = not cut.is_set()
        while True:
            await reader.readuntil(b"}}")
            if old and cut.is_set():
                return
            await asyncio.sleep(0.05)
            writer.write(GOOD.data)

    async with (
        serving(converse) as port,
        connected(f"http://127.0.0.1:{port}", max_concurrency=together) as client,
    ):

        async def round_of_polls() -> list[int]:
            polls = [client.poll(1, vdn) for vdn in range(together)]
            return [read(result).requests for result in await asyncio.gather(*polls)]

        assert await round_of_polls() == [1] * together
        await client.rested()
        cut.set()
        assert await round_of_polls() == [2] * together


async def test_a_connection_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failover its machine would be asked for ever: it is replaced, while all is well."""
    life = 2.0
    monkeypatch.setattr(connections, "LONGEST_LIFE", life)
    async with (
        listening(GOOD) as peer,
        connected(f"http://127.0.0.1:{peer.port}") as client,
    ):
        for _ in range(3):
            read(await client.poll(1, 1))
            await client.rested()
        assert peer.connections == 1
        await asyncio.sleep(life)
        read(await client.poll(1, 1))
        assert peer.connections == 2


async def test_polls_share_connections_whatever_the_pace_of_the_replies() -> None:
    """Slow ones and bursts: the connections that rest are bounded, and so are all that are made."""
    together, polls = 8, 40
    chance = random.Random(1)  # noqa: S311  # chance, not a secret
    made, waiting, answered = 0, list[asyncio.StreamWriter](), asyncio.Event()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal made
        made += 1
        while True:
            await reader.readuntil(b"}}")
            waiting.append(writer)

    async def answer_in_bursts() -> None:
        while not answered.is_set():
            await asyncio.sleep(chance.choice([0, 0, 0, 0.002, 0.1]))
            size = chance.randint(1, together)
            for writer in waiting[:size]:
                writer.write(GOOD.data)
            del waiting[:size]

    async with (
        serving(converse) as port,
        connected(f"http://127.0.0.1:{port}", max_concurrency=together) as client,
    ):

        async def in_turn() -> None:
            for _ in range(polls):
                read(await client.poll(1, 1))

        bursts = asyncio.create_task(answer_in_bursts())
        await asyncio.gather(*(in_turn() for _ in range(2 * together)))
        answered.set()
        await bursts

    assert made <= 3 * together


@pytest.mark.parametrize("old_answers", [True, False])
async def test_a_failover_is_followed(
    monkeypatch: pytest.MonkeyPatch, *, old_answers: bool
) -> None:
    """The name leads to another machine; the old one still listens, and answers or refuses."""
    life = 3.0
    monkeypatch.setattr(connections, "LONGEST_LIFE", life)
    last = GOOD if old_answers else Step(http(b"", "503 Service Unavailable"))
    addresses, port = {"cms.test": "127.0.0.1"}, free_port()
    async with (
        listening(GOOD, last, port=port) as old,
        listening(GOOD, host="127.0.0.2", port=port) as new,
        naming(addresses, ttl=1) as dns,
        connected(f"http://cms.test:{port}", nameservers=[f"127.0.0.1:{dns.port}"]) as client,
    ):
        read(await client.poll(1, 1))
        addresses["cms.test"] = "127.0.0.2"
        await client.rested()
        assert (await client.poll(1, 1)).error is None or not old_answers
        await asyncio.sleep(life)
        for _ in range(3):
            read(await client.poll(1, 1))
            await client.rested()

    assert (len(old.requests), len(new.requests)) == (2, 3)
    assert dns.asked == ["cms.test", "cms.test"]


async def test_a_result_code_keeps_the_connection() -> None:
    """CC-CMS itself has answered: one VDN that does not exist costs the others no handshakes."""
    async with (
        listening(Step(http(answer(code="0100002")))) as peer,
        connected(f"http://127.0.0.1:{peer.port}") as client,
    ):
        for _ in range(3):
            assert failed(await client.poll(1, 1)).reason is Reason.API
            await client.rested()

    assert peer.connections == 1


async def test_a_reload_drops_idle_connections() -> None:
    """Whoever reloads may have moved an address."""
    async with (
        listening(GOOD) as peer,
        connected(f"http://127.0.0.1:{peer.port}") as client,
    ):
        read(await client.poll(1, 1))
        await client.rested()
        client.drop_idle()
        read(await client.poll(1, 1))

    assert peer.connections == 2
