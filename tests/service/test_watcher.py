"""The watch on files: what counts as a change, and when."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.config.files import Seen
from exporter.service.reloader import watch_files

pytestmark = pytest.mark.anyio

INTERVAL, SETTLE = 30.0, 2.0


class Watched:
    """A file under watch whose sleeps a test ends by hand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("first\n")
        self.seen = Seen({path: ""}).look()
        self.reloads: list[str] = []
        self.slept: list[float] = []
        self._asleep: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()

    def write(self, text: str) -> None:
        """Change the file."""
        self.path.write_text(text, encoding="utf-8")

    async def reload(self) -> None:
        """Read the file."""
        self.seen = self.seen.look()
        self.reloads.append(self.path.read_text(encoding="utf-8"))

    async def sleep(self, seconds: float) -> None:
        """Until the next look."""
        self.slept.append(seconds)
        end = asyncio.get_running_loop().create_future()
        await self._asleep.put(end)
        await end

    async def look(self) -> None:
        """Let one look happen, from beginning to end."""
        async with asyncio.timeout(60):
            (await self._asleep.get()).set_result(None)
            while self._asleep.empty():
                await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def watching(path: Path) -> AsyncIterator[Watched]:
    """Watch a file during the block."""
    watched = Watched(path)
    task = asyncio.create_task(
        watch_files(
            lambda: watched.seen,
            watched.reload,
            interval=INTERVAL,
            settle=SETTLE,
            sleep=watched.sleep,
        )
    )
    try:
        yield watched
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_change_counts_when_it_was_seen_twice(tmp_path: Path) -> None:
    """The second look does not wait for a whole interval."""
    async with watching(tmp_path / "file") as watched:
        await watched.look()
        watched.write("second\n")
        await watched.look()
        assert watched.reloads == []
        await watched.look()
        assert watched.reloads == ["second\n"]
        await watched.look()
        assert watched.reloads == ["second\n"]
    assert watched.slept == [INTERVAL, INTERVAL, SETTLE, INTERVAL, INTERVAL]


async def test_a_file_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    """Line by line, for as long as it takes."""
    async with watching(tmp_path / "file") as watched:
        lines = [f"line {number}\n" for number in range(10)]
        watched.write("")
        for line in lines:
            await watched.look()
            with watched.path.open("a", encoding="utf-8") as file:
                file.write(line)
        await watched.look()
        assert watched.reloads == []
        await watched.look()
        assert watched.reloads == ["".join(lines)]


async def test_a_change_that_is_taken_back_is_none(tmp_path: Path) -> None:
    """What was read last is what is there."""
    async with watching(tmp_path / "file") as watched:
        watched.write("second\n")
        await watched.look()
        watched.write("first\n")
        for _ in range(3):
            await watched.look()
        assert watched.reloads == []


async def test_what_was_read_meanwhile_is_not_read_again(tmp_path: Path) -> None:
    """A reload by request comes between two looks."""
    async with watching(tmp_path / "file") as watched:
        watched.write("second\n")
        await watched.look()
        await watched.reload()
        for _ in range(3):
            await watched.look()
        assert watched.reloads == ["second\n"]


async def test_what_changes_during_a_reload_is_seen(tmp_path: Path) -> None:
    """Looks compare with what was read."""
    async with watching(tmp_path / "file") as watched:
        watched.write("second\n")
        await watched.look()
        await watched.look()
        watched.write("third\n")
        await watched.look()
        await watched.look()
        assert watched.reloads == ["second\n", "third\n"]


async def test_a_file_that_goes_and_comes_back(tmp_path: Path) -> None:
    """Being away is a state like any other."""
    async with watching(tmp_path / "file") as watched:
        watched.path.unlink()
        await watched.look()
        watched.write("second\n")
        await watched.look()
        assert watched.reloads == []
        await watched.look()
        assert watched.reloads == ["second\n"]
