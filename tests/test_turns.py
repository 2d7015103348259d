"""Turns: one at a time, and none of the clients twice while another one waits."""

import asyncio

import pytest

from exporter.turns import Turns

pytestmark = pytest.mark.anyio


async def test_clients_take_turns() -> None:
    """However many of one client came before."""
    turns, order = Turns(), list[str]()

    async def take(client: str) -> None:
        async with turns.turn(client):
            order.append(client)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for client in "aaaaabbc":
            group.create_task(take(client))
    assert order[:2] == ["a", "a"] or order[:2] == ["a", "b"]
    assert set(order[:4]) == {"a", "b", "c"}
    assert sorted(order) == [*"aaaaabbc"]
    assert not turns.waiting


async def test_one_that_gives_up_holds_nobody_up() -> None:
    """Neither in its own line, nor in that of all."""
    turns = Turns()
    async with turns.turn("a"):
        leaving = asyncio.create_task(turns.turn("b").__aenter__())
        await asyncio.sleep(0)
        assert turns.waiting == {"a": 1, "b": 1}
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
    async with turns.turn("b"):
        assert turns.waiting == {"b": 1}
