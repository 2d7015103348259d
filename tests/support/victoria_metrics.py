"""VictoriaMetrics in place of Prometheus: its database, vmagent that scrapes, vmalert with rules.

Debian 12 has release 1.79, which lacks some options of later ones.
"""

import contextlib
import functools
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx

from tests.support.processes import answering, optional_program

_PACKAGE: Final = "victoria-metrics"


@contextlib.asynccontextmanager
async def database(folder: Path) -> AsyncIterator[tuple[str, httpx.AsyncClient]]:
    """A database on a free port: its URL, and a client of its API, which is that of Prometheus."""
    binary = optional_program("victoria-metrics", _PACKAGE)
    arguments = [
        f"-storageDataPath={folder}",
        # Queries see samples at once, not after 30 s, and a gap as Prometheus does.
        "-search.latencyOffset=0s",
        "-search.disableCache",
    ]
    async with (
        _listening(binary, arguments) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        yield url, client


@contextlib.asynccontextmanager
async def scraping_vmagent(folder: Path, config: str, database_url: str) -> AsyncIterator[None]:
    """A vmagent that scrapes by a configuration in the form of Prometheus, into the database."""
    binary = optional_program("vmagent", _PACKAGE)
    folder.mkdir()
    file = folder / "scrape.yml"
    file.write_text(config, encoding="utf-8")
    arguments = [
        f"-promscrape.config={file}",
        f"-remoteWrite.url={database_url}/api/v1/write",
        f"-remoteWrite.tmpDataPath={folder / 'queue'}",
    ]
    async with _listening(binary, arguments):
        yield


@contextlib.asynccontextmanager
async def evaluating_vmalert(
    rules: Path, database_url: str, alertmanager: str
) -> AsyncIterator[None]:
    """A vmalert that evaluates the files of a folder every second.

    Args:
        rules: the folder.
        database_url: where it reads, and writes the series of alerts and recording rules.
        alertmanager: host:port.
    """
    binary = optional_program("vmalert", _PACKAGE)
    arguments = [
        f"-rule={rules}/*.yaml",
        f"-datasource.url={database_url}",
        f"-remoteWrite.url={database_url}",
        f"-remoteRead.url={database_url}",
        f"-notifier.url=http://{alertmanager}",
        "-evaluationInterval=1s",
        "-rule.evalDelay=0s",
        "-remoteWrite.flushInterval=500ms",
    ]
    async with _listening(binary, arguments):
        yield


def dry_run(rules: Path) -> subprocess.CompletedProcess[str]:
    """Vmalert's verdict on the files of a folder."""
    binary = optional_program("vmalert", _PACKAGE)
    command = [binary, "-dryRun", f"-rule={rules}/*.yaml"]
    return subprocess.run(command, capture_output=True, check=False, text=True)


@contextlib.asynccontextmanager
async def _listening(binary: str, arguments: list[str]) -> AsyncIterator[str]:
    known = _options(binary)
    wanted = [one for one in arguments if one.partition("=")[0] in known]
    command = [binary, *wanted, "-loggerLevel=ERROR"]
    async with answering(*command, flag="-httpListenAddr", page="/health") as client:
        yield str(client.base_url)


@functools.cache
def _options(binary: str) -> frozenset[str]:
    told = subprocess.run([binary, "-help"], capture_output=True, check=False, text=True)
    lines = (told.stdout + told.stderr).splitlines()
    return frozenset(line.split()[0] for line in lines if line.startswith("  -"))
