"""What systemd does with the unit of deploy/systemd, for tests: start, watch, start again.

It keeps the files `log` and `status` of an installed tree as the journal and `systemctl status`
would show them. With time shortened it starts the exporter again at once, not after five seconds.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from tests.support.installed import lay_out
from tests.support.processes import COMMAND, clean_environment, free_port, until

UNIT: Final = "agent-rest-exporter.service"
CONFIGURATION_ERROR: Final = 2
"""The exit status after which the unit is not started again (RestartPreventExitStatus)."""


@dataclass
class Service:
    """One exporter, kept running.

    Args:
        tree: where it is installed.
        arguments: more flags of `serve`.
    """

    tree: Path
    arguments: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    starts: int = 0
    _process: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        """What it listens on, as host:port."""
        return f"127.0.0.1:{self.port}"

    @property
    def config(self) -> Path:
        """Its configuration."""
        return self.tree / "etc/agent-rest-exporter/config.yaml"

    async def answers(self) -> bool:
        """Whether it can be scraped."""
        with contextlib.suppress(httpx.TransportError):
            async with httpx.AsyncClient(trust_env=False) as client:
                reply = await client.get(f"http://{self.address}/-/healthy")
                return reply.is_success
        return False

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it is running."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def keep_running(self) -> None:
        """Start it, and start it again whenever it ends, but not after a configuration error."""
        while True:
            self.starts += 1
            self._process = process = await asyncio.create_subprocess_exec(
                COMMAND,
                "serve",
                f"--config.file={self.config}",
                f"--web.listen-address={self.address}",
                *self.arguments,
                env=clean_environment(),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            self._note(status="active (running)")
            assert process.stdout is not None
            try:
                async for line in process.stdout:
                    self._note(line.decode(errors="replace").rstrip("\n"))
                ended = await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.communicate()
            code, status = ("killed", f"{-ended}/KILL") if ended < 0 else ("exited", str(ended))
            self._note(f"{UNIT}: Main process exited, code={code}, status={status}")
            if ended == CONFIGURATION_ERROR:
                self._note(
                    f"{UNIT}: Failed with result 'exit-code'.",
                    status=f"failed (Result: exit-code)\n"
                    f"   Main PID: {process.pid} (code={code}, status={status})",
                )
                return
            self._note(f"{UNIT}: Scheduled restart job, restart counter is at {self.starts}.")

    def _note(self, line: str = "", *, status: str = "") -> None:
        log = self.tree / "log"
        if line:
            with log.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        if status:
            last = log.read_text(encoding="utf-8").splitlines()[-10:] if log.exists() else []
            (self.tree / "status").write_text(
                "\n".join([f"● {UNIT}", f"     Active: {status}", "", *last, ""]), encoding="utf-8"
            )


@contextlib.asynccontextmanager
async def running(tree: Path, config: str, *arguments: str) -> AsyncIterator[Service]:
    """Install an exporter, and keep it running until the block is left."""
    lay_out(tree)
    service = Service(tree, arguments)
    service.config.write_text(config, encoding="utf-8")
    task = asyncio.create_task(service.keep_running())
    try:
        await until(service.answers)
        yield service
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
