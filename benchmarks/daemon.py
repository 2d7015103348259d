"""The real daemon: `agent-rest-exporter serve` with as many targets as one likes."""

import contextlib
import http.client
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.processes import PATIENCE, BenchmarkError, await_port, free_port, started

COMMAND = Path(sys.executable).with_name("agent-rest-exporter")
VDNS = 5000
"""Of one call center: the vendor's limit."""

GZIP = {
    "Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
    "Accept-Encoding": "gzip",
}
"""What Prometheus sends."""

_HEAD = """\
cms:
  - name: bench
    url: {url}
    auth: {{access_key: AKEXAMPLE0001, secret_key: example}}
    interval: {interval}ms
    timeout: {timeout}ms
    max_concurrency: 50
    {more}
    targets:
"""


def write_config(  # noqa: PLR0913  # one for each thing that tells two runs apart
    path: Path, url: str, targets: int, interval: float, *, renamed: str = "", server: str = ""
) -> None:
    """Write a configuration that lists every target by itself, with a name: the longest way.

    Args:
        path: of the file.
        url: of the server.
        targets: how many.
        interval: in seconds.
        renamed: another name for the first target, so that one target differs.
        server: more of the server's keys, in lines.
    """
    milliseconds = round(interval * 1000)
    timeout = min(10_000, milliseconds * 9 // 10)
    lines = [_HEAD.format(url=url, interval=milliseconds, timeout=timeout, more=server)]
    for number in range(targets):
        call_center, vdn = number // VDNS + 1, number % VDNS + 1
        name = renamed if renamed and not number else f"vdn {call_center}-{vdn}"
        lines.append(f"      - {{ccId: {call_center}, vdn: {vdn}, name: {name}}}\n")
    path.write_text("".join(lines), encoding="utf-8")


class Polls(NamedTuple):
    """Counts of polls since the daemon's start."""

    started: float
    late: float
    """Started later than 250 ms after they were due."""
    skipped: float


@dataclass(frozen=True, slots=True)
class Exporter:
    """A daemon at work."""

    process: subprocess.Popen[str]
    port: int
    listening_after: float
    """Seconds from its start until it listened."""

    @property
    def pid(self) -> int:
        """Of its process."""
        return self.process.pid

    def sum_of(self, sample: str) -> float:
        """The sum of all samples of that name."""
        return _sum(get(self.port, f"/metrics?name[]={sample}").decode(), sample)

    def polls(self) -> Polls:
        """What there has been so far."""
        delay = "agent_rest_exporter_poll_delay_seconds"
        skipped = "agent_rest_exporter_polls_skipped_total"
        wanted = (f"{delay}_count", f"{delay}_bucket", skipped)
        # all of one moment
        text = get(self.port, f"/metrics?{'&'.join(f'name[]={name}' for name in wanted)}").decode()
        all_of_them = _sum(text, f"{delay}_count")
        in_time = _sum(text, f'{delay}_bucket{{cms="bench",le="0.25"')
        return Polls(all_of_them, all_of_them - in_time, _sum(text, skipped))

    def await_first_round(self, targets: int, seconds: float) -> None:
        """Wait until every target was polled once.

        Args:
            targets: how many there are.
            seconds: within which it must be so.
        """
        until = time.monotonic() + seconds + PATIENCE
        while time.monotonic() < until:
            if status(self.port, "/-/ready") == http.client.OK:
                polled = self.sum_of("agent_rest_up")
                if polled == targets:
                    return
                raise BenchmarkError(f"{polled:.0f} of {targets} targets were polled well")
            time.sleep(0.05)
        raise BenchmarkError(f"{targets} targets were not all polled within {seconds} s")


@contextlib.contextmanager
def exporter(config: Path) -> Iterator[Exporter]:
    """Run the daemon while the block runs."""
    port = free_port()
    begun = time.monotonic()
    command = (
        *(COMMAND, "serve", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"),
        *("--log.level=error", "--config.auto-reload-interval=0"),
    )
    with started(*command, text=True) as process:
        await_port(port, process)
        yield Exporter(process, port, time.monotonic() - begun)


def get(port: int, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> bytes:
    """The body of a reply whose status is 200, as it came."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        body = response.read()
    if response.status != http.client.OK:
        raise BenchmarkError(f"{method} {path} answers {response.status}: {body[:200]!r}")
    return body


def status(port: int, path: str) -> int:
    """The status of a reply."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


def _sum(text: str, sample: str) -> float:
    """The sum of all samples in an exposition that start so, as in `name{label="value"`."""
    return sum(map(float, re.findall(rf"^{re.escape(sample)}.* (\S+)$", text, re.MULTILINE)))
