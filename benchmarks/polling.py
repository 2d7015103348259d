"""CPU of one poll, against those who only fetch, and of polls with many rows."""

import tempfile
import time
from typing import Any
from urllib.parse import quote

from benchmarks.daemon import get
from benchmarks.figures import RATE, Effort, Figure, cpu_per_poll, daemon, microseconds, ratios
from benchmarks.peer import PAGE, Peer
from benchmarks.processes import await_port, cpu_seconds, free_port, measured, started


def poll_cpu(peer: Peer, effort: Effort, blackbox: str | None) -> list[Figure]:
    """CPU of one poll in the daemon, against those who only fetch."""
    ours, httpx, aiohttp, paced, probe = [], [], [], [], []
    client: list[float] = []
    for _ in range(effort.turns):
        with daemon(peer.rows20) as running:
            time.sleep(3)
            ours.append(cpu_per_poll(running, effort.window))
        fetch: dict[str, Any] = {"url": peer.rows20, "requests": effort.requests}
        httpx.append(_load("httpx", **fetch | {"requests": effort.requests // 5}))
        aiohttp.append(_load("aiohttp", **fetch))
        client.append(_load("client", **fetch))
        fetch["requests"] = round(RATE * effort.window / 2)
        paced.append(_load("aiohttp", **fetch, rate=RATE))
        if blackbox:
            probe.append(probe_cpu(blackbox, peer.rows20))
    name = "CPU of one poll, "
    figures = [
        Figure(
            f"{name}10,000 targets every 30 s / plain `httpx.AsyncClient`, 50 in flight",
            ratios(ours, httpx),
            0.15,
            beside=f"{microseconds(ours)} / {microseconds(httpx)}",
        ),
        Figure(
            f"{name}10,000 targets every 30 s / bare aiohttp loop at the same pace",
            ratios(ours, paced),
            2.0,
            goal="aim",
            beside=f"{microseconds(ours)} / {microseconds(paced)}",
        ),
        Figure(
            f"{name}10,000 targets every 30 s / bare aiohttp loop, 50 in flight",
            ratios(ours, aiohttp),
            beside=f"{microseconds(ours)} / {microseconds(aiohttp)}",
        ),
        Figure(
            f"{name}client alone, 50 in flight / bare aiohttp loop, 50 in flight",
            ratios(client, aiohttp),
            2.0,
            goal="aim",
            beside=f"{microseconds(client)} / {microseconds(aiohttp)}",
        ),
    ]
    if probe:
        figures.append(
            Figure(
                f"{name}10,000 targets every 30 s / one POST probe of blackbox_exporter",
                ratios(ours, probe),
                beside=f"{microseconds(ours)} / {microseconds(probe)}",
            )
        )
    return figures


def rows(peer: Peer, effort: Effort) -> list[Figure]:
    """CPU of big listings, against a small one."""
    small, big, paged, alone, big_alone, paged_alone = [], [], [], [], [], []
    for _ in range(effort.turns):
        small.append(_polling(peer.rows20, effort))
        big.append(_polling(peer.rows1000, effort))
        paged.append(_polling(peer.paged, effort, f'cti_version: "3.6"\n    page_size: {PAGE}'))
        alone.append(_load("client", url=peer.rows20, requests=effort.requests))
        big_alone.append(_load("client", url=peer.rows1000, requests=effort.requests // 5))
        many = effort.requests // 10
        paged_alone.append(_load("client", url=peer.paged, requests=many, page_size=PAGE))
    return [
        Figure(
            "CPU of a 1,000-row poll (3.8) / the 20-row poll, in the daemon",
            ratios(big, small),
            4,
            beside=f"{microseconds(big)} / {microseconds(small)}",
        ),
        Figure(
            "CPU of 1,000 rows in ten pages (3.6) / the 20-row poll, in the daemon",
            ratios(paged, small),
            14,
            beside=f"{microseconds(paged)} / {microseconds(small)}",
        ),
        Figure(
            "CPU of a 1,000-row reply / a 20-row reply, client alone, 50 in flight",
            ratios(big_alone, alone),
            beside=f"{microseconds(big_alone)} / {microseconds(alone)}",
        ),
        Figure(
            "CPU of 1,000 rows in ten pages / a 20-row reply, client alone, 50 in flight",
            ratios(paged_alone, alone),
            beside=f"{microseconds(paged_alone)} / {microseconds(alone)}",
        ),
    ]


def _polling(url: str, effort: Effort, server: str = "") -> float:
    with daemon(url, server=server) as running:
        time.sleep(3)
        return cpu_per_poll(running, effort.window)


def _load(load: str, **facts: str | float) -> float:
    cpu: float = measured("benchmarks.loads", load=load, **facts)["cpu"]
    return cpu


_BLACKBOX = """\
modules:
  cms:
    prober: http
    http:
      method: POST
      headers: {Content-Type: "application/json; charset=UTF-8"}
      body: '{"queryParam":{"ccId":1,"vdn":1}}'
"""


def probe_cpu(program: str, url: str, probes: int = 300) -> float:
    """CPU that blackbox_exporter takes for one POST probe."""
    port = free_port()
    path = f"/probe?module=cms&target={quote(url + '/probe')}"
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as config:
        config.write(_BLACKBOX)
        config.flush()
        options = (f"--config.file={config.name}", f"--web.listen-address=127.0.0.1:{port}")
        with started(program, *options, "--log.level=error") as process:
            await_port(port, process)
            for _ in range(20):
                get(port, path)
            before = cpu_seconds(process.pid)
            for _ in range(probes):
                get(port, path)
            return (cpu_seconds(process.pid) - before) / probes
