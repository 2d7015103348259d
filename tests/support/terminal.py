"""A program on a terminal of its own, driven by keys as a person would."""

import asyncio
import contextlib
import os
import pty
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.processes import PATIENCE

_END: Final = b"\0end\0"


@dataclass
class Terminal:
    """What was typed into it, and what it shows."""

    descriptor: int
    process: asyncio.subprocess.Process
    shown: str = ""

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.descriptor, keys.encode())

    async def wait_for(self, pattern: str) -> str:
        """What it shows once that matches; and forget what was shown before."""
        async with asyncio.timeout(PATIENCE):
            while not (match := re.search(pattern, self.shown)):
                await asyncio.sleep(0.02)
        self.shown = self.shown[match.end() :]
        return match[0]

    async def end(self) -> int:
        """The exit status, once the program has ended."""
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


def read_to_end(descriptor: int, other: int) -> bytes:
    """What a terminal shows once the last program has left it. Closes both of its sides.

    The other side is held open until then, and told where the end is: Linux may drop what is
    beyond 4 kB when the last program leaves a terminal that nobody reads.
    """
    shown = b""
    os.write(other, _END)
    while not shown.endswith(_END):
        shown += os.read(descriptor, 65_536)
    os.close(other)
    os.close(descriptor)
    return shown.removesuffix(_END)


@asynccontextmanager
async def terminal(*command: str, cwd: Path, environ: Mapping[str, str]) -> AsyncIterator[Terminal]:
    """Run a program on a terminal of 200 columns; kill it when the block is left."""
    main, other = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env=dict(environ) | {"COLUMNS": "200", "TERM": "dumb"},
        stdin=other,
        stdout=other,
        stderr=other,
        start_new_session=True,
    )
    os.close(other)
    found = Terminal(main, process)

    def read() -> None:
        try:
            found.shown += os.read(main, 65_536).decode(errors="replace")
        except OSError:  # the last program has left it
            loop.remove_reader(main)

    loop = asyncio.get_running_loop()
    loop.add_reader(main, read)
    try:
        yield found
    finally:
        with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
            process.kill()
        await process.wait()
        loop.remove_reader(main)
        os.close(main)
