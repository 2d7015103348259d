"""Reloads of the real command: by request, by signal, by what lies on the disk."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from exporter.service.reloader import SETTLE
from exporter.simulator.stand_in import Settings, Simulator, serving
from tests.support.links import swapped
from tests.support.paths import FIXTURES
from tests.support.processes import COMMAND, Process, started, until

pytestmark = pytest.mark.anyio

BAD = FIXTURES / "config" / "bad"
ENVIRON = {
    "EMPTY": "",
    "TOKEN": "CANARY",
    "TWO_LINES": "CANARY\nCANARY",
    "CANARY_VALUE": "socks5://CANARY:1080",
}
LOADED = "agent_rest_exporter_config_last_reload_successful"
LOADED_AT = "agent_rest_exporter_config_last_reload_success_timestamp_seconds"


def configuration(url: str, vdns: str = "1-3", more: str = "") -> str:
    """One server that is polled every second."""
    targets = f"targets: [{{ccId: 1, vdn: {vdns}}}]" if vdns else ""
    return f"cms: [{{name: lima, url: '{url}', interval: 1s, {more} {targets}}}]\n"


@contextlib.asynccontextmanager
async def exporting(
    config: Path, text: str, every: str = "0"
) -> AsyncIterator[tuple[Process, httpx.AsyncClient]]:
    """The command on this configuration, looking for changes every so often."""
    config.write_text(text, encoding="utf-8")
    command = [
        COMMAND,
        "serve",
        f"--config.file={config.name}",
        "--web.listen-address=127.0.0.1:0",
        f"--config.auto-reload-interval={every}",
    ]
    async with started(*command, cwd=config.parent, environ=ENVIRON) as exporter:
        match = await exporter.wait_for(r"has started.* listen=(\S+)")
        async with httpx.AsyncClient(base_url=f"http://{match[1]}", trust_env=False) as client:
            yield exporter, client


async def scraped(client: httpx.AsyncClient) -> dict[str, float]:
    """Every sample by its name and labels."""
    reply = await client.get("/metrics", headers={"Accept": "text/plain"})
    assert reply.status_code == 200
    lines = [line for line in reply.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def exported_vdns(client: httpx.AsyncClient) -> set[int]:
    """The VDNs that have any series at all."""
    found = (re.search(r'vdn="(\d+)"', name) for name in await scraped(client))
    return {int(match[1]) for match in found if match}


async def follows(client: httpx.AsyncClient, *vdns: int) -> None:
    """Wait until these VDNs are the ones that are exported."""

    async def done() -> bool:
        return await exported_vdns(client) == set(vdns)

    await until(done)


def reloads(exporter: Process) -> list[str]:
    """What the log says of every reload so far that succeeded."""
    found = (re.search(r'reloaded" .*changes="([^"]*)"', line) for line in exporter.lines)
    return [match[1] for match in found if match]


async def logged(exporter: Process, count: int) -> list[str]:
    """The same, once there are so many: lines are written by a thread of their own."""

    async def enough() -> bool:
        return len(reloads(exporter)) >= count

    await until(enough)
    return reloads(exporter)


@pytest.fixture
async def cms() -> AsyncIterator[tuple[Simulator, str]]:
    """A server without passwords, and its URL."""
    simulator = Simulator()
    async with serving(simulator) as address:
        yield simulator, address.url


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_request_to_reload(tmp_path: Path, cms: tuple[Simulator, str], method: str) -> None:
    """The answer says what changed, and the next scrape shows it."""
    _, url = cms
    config = tmp_path / "config.yaml"
    async with exporting(config, configuration(url)) as (exporter, client):
        await follows(client, 1, 2, 3)
        config.write_text(configuration(url, "[2, 3, 4, 5]"), encoding="utf-8")
        reply = await client.request(method, "/-/reload")
        assert (reply.status_code, reply.text) == (
            200,
            "targets: 2 added, 1 removed, 0 changed, 2 unchanged; servers with changes: none\n",
        )
        assert reply.text.strip() in await logged(exporter, 1)
        assert await exported_vdns(client) == {2, 3, 4, 5}
        refused = await client.get("/-/reload")
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST, PUT")


async def test_every_bad_file_is_refused_and_changes_nothing(
    tmp_path: Path, cms: tuple[Simulator, str]
) -> None:
    """Fifty of them: the exact problems in the answer and the log; the old one goes on working."""
    simulator, url = cms
    shutil.copytree(BAD, tmp_path, dirs_exist_ok=True)
    config, good = tmp_path / "config.yaml", configuration(url)
    names = sorted(path.stem for path in BAD.glob("*.yaml"))
    assert len(names) >= 20
    seen = 0
    async with exporting(config, good) as (exporter, client):
        await follows(client, 1, 2, 3)
        loaded_at = (await scraped(client))[LOADED_AT]
        for name in names:
            shutil.copy(BAD / f"{name}.yaml", config)
            problems = (BAD / f"{name}.txt").read_text(encoding="utf-8")
            problems = problems.replace(f"{name}.yaml:", "config.yaml:")
            problems = problems.replace("{folder}", str(tmp_path))
            reply = await client.post("/-/reload")
            assert (name, reply.status_code) == (name, 500)
            # they come by file, and this one has another name
            assert sorted(reply.text.splitlines()) == sorted(problems.splitlines()), name
            seen = simulator.requests
            samples = await scraped(client)
            assert (samples[LOADED], samples[LOADED_AT]) == (0, loaded_at)
            assert await exported_vdns(client) == {1, 2, 3}

        async def still_polls() -> bool:
            return simulator.requests > seen

        await until(still_polls)
        assert "CANARY" not in "\n".join(exporter.lines).replace("CANARY_VALUE", "")
        refusals = [line for line in exporter.lines if "not reloaded" in line]
        assert len(refusals) >= len(names)
        config.write_text(good, encoding="utf-8")
        reply = await client.post("/-/reload")
        assert reply.text == (
            "targets: 0 added, 0 removed, 0 changed, 3 unchanged; servers with changes: none\n"
        )
        samples = await scraped(client)
        assert samples[LOADED] == 1
        assert samples[LOADED_AT] > loaded_at


async def test_sighup_reloads_and_no_interval_does_not_look(
    tmp_path: Path, cms: tuple[Simulator, str]
) -> None:
    """With --config.auto-reload-interval=0 a changed file waits until somebody says so."""
    simulator, url = cms
    config = tmp_path / "config.yaml"
    async with exporting(config, configuration(url), every="0") as (exporter, client):
        await follows(client, 1, 2, 3)
        config.write_text(configuration(url, "7"), encoding="utf-8")
        seen = simulator.requests

        async def two_rounds_later() -> bool:
            return simulator.requests >= seen + 6

        await until(two_rounds_later)
        assert reloads(exporter) == []
        exporter.handle.send_signal(signal.SIGHUP)
        await follows(client, 7)
        assert len(await logged(exporter, 1)) == 1


async def test_files_are_followed_by_content(tmp_path: Path, cms: tuple[Simulator, str]) -> None:
    """A touched file does nothing; a changed one, a new one and one that goes do."""
    _, url = cms
    config = tmp_path / "config.yaml"
    text = configuration(url, more="target_files: ['targets/*.yaml'],")
    (tmp_path / "targets").mkdir()
    async with exporting(config, text, every="50ms") as (exporter, client):
        await follows(client, 1, 2, 3)
        os.utime(config, (2e9, 2e9))
        (tmp_path / "targets" / "a.yaml").write_text("[{ccId: 1, vdn: 9}]", encoding="utf-8")
        await follows(client, 1, 2, 3, 9)
        config.write_text(text.replace("1-3", "1-2"), encoding="utf-8")
        await follows(client, 1, 2, 9)
        (tmp_path / "targets" / "a.yaml").unlink()
        await follows(client, 1, 2)
        # what is half written is refused, and then read when it is whole
        config.write_text(text[:20], encoding="utf-8")
        await exporter.wait_for("not reloaded")
        assert await exported_vdns(client) == {1, 2}
        config.write_text(text, encoding="utf-8")
        await follows(client, 1, 2, 3)
        none = "changed, {} unchanged; servers with changes: none"
        assert await logged(exporter, 4) == [
            f"targets: {added} added, {removed} removed, 0 {none.format(unchanged)}"
            for added, removed, unchanged in [(1, 0, 3), (0, 1, 3), (0, 1, 2), (1, 0, 2)]
        ]


async def test_a_target_file_that_is_written_slowly_removes_no_target(
    tmp_path: Path, cms: tuple[Simulator, str]
) -> None:
    """Line by line over three seconds: nothing is read until it is whole."""
    _, url = cms
    now = asyncio.get_running_loop().time
    config, targets = tmp_path / "config.yaml", tmp_path / "targets.yaml"
    lines = [f"- {{ccId: 1, vdn: {vdn}}}\n" for vdn in range(1, 9)]
    text = configuration(url, "", "target_files: [targets.yaml],")
    while True:
        targets.write_text("".join(lines[:6]), encoding="utf-8")
        async with exporting(config, text, every="50ms") as (exporter, client):
            await follows(client, *range(1, 7))
            pauses, seen, began = list[float](), list[set[int]](), now()
            with targets.open("w", encoding="utf-8", buffering=1) as file:
                for line in lines:
                    last, began = began, now()
                    file.write(line)
                    pauses.append(now() - last)
                    await asyncio.sleep(3 / 8)
                    seen.append(await exported_vdns(client))
                    pauses.append(now() - began)
            await follows(client, *range(1, 9))
            reports = await logged(exporter, 1)
        # a file that stays the same for longer counts as whole: a busy machine can pause so long
        if max(pauses) < SETTLE:
            break
    assert seen == [set(range(1, 7))] * 8
    assert reports == [
        "targets: 2 added, 0 removed, 0 changed, 6 unchanged; servers with changes: none"
    ]
    assert not any("not reloaded" in line for line in exporter.lines)


async def test_the_order_of_the_configuration_is_kept(
    tmp_path: Path, cms: tuple[Simulator, str]
) -> None:
    """Servers and targets come in the order of the file, before and after a reload."""
    _, url = cms
    config = tmp_path / "config.yaml"

    def ordered(names: tuple[str, ...]) -> str:
        targets = "targets: [{ccId: 1, vdn: 2}, {ccId: 1, vdn: 1}]"
        blocks = (f"{{name: {name}, url: '{url}', interval: 1s, {targets}}}" for name in names)
        return f"cms: [{', '.join(blocks)}]\n"

    names = ("zulu", "alpha", "mike")
    async with exporting(config, ordered(names)) as (_, client):
        for order in (names, names[::-1]):
            config.write_text(ordered(order), encoding="utf-8")
            assert (await client.post("/-/reload")).status_code == 200
            expected = [(name, vdn) for name in order for vdn in (2, 1)]
            groups = [group["labels"] for group in (await client.get("/sd")).json()]
            assert [(each["__param_cms"], int(each["__param_vdn"])) for each in groups] == expected
            metrics = (await client.get("/metrics")).text
            found = re.findall(r'agent_rest_exporter_targets\{cms="(\w+)"\}', metrics)
            assert tuple(found) == order
            found = re.findall(r'agent_rest_polls_total\{.*cms="(\w+)".*vdn="(\d)"', metrics)
            assert [(cms, int(vdn)) for cms, vdn in found] == expected


async def test_the_links_of_kubernetes(tmp_path: Path, cms: tuple[Simulator, str]) -> None:
    """A mounted ConfigMap changes by one link to a folder; names and times stay."""
    _, url = cms
    for release, vdns in (("..1", "1-3"), ("..2", "4")):
        (tmp_path / release).mkdir()
        (tmp_path / release / "config.yaml").write_text(configuration(url, vdns), encoding="utf-8")
        os.utime(tmp_path / release / "config.yaml", (1e9, 1e9))
    (tmp_path / "..data").symlink_to("..1")
    config = tmp_path / "config.yaml"
    config.symlink_to("..data/config.yaml")
    text = config.read_text(encoding="utf-8")
    async with exporting(config, text, every="50ms") as (exporter, client):
        await follows(client, 1, 2, 3)
        swapped(tmp_path / "..data", "..2")
        await follows(client, 4)
        assert len(await logged(exporter, 1)) == 1


AUTH = "auth: {access_key: AK, secret_key_file: sk},"


async def failures(client: httpx.AsyncClient) -> float:
    """How many polls have failed, of all targets; on a busy machine some time out."""
    samples = await scraped(client)
    return sum(
        value
        for name, value in samples.items()
        if name.startswith("agent_rest_exporter_poll_failures_total{")
        and 'reason="timeout"' not in name
    )


@pytest.mark.parametrize("every", ["0", "50ms"])
async def test_a_rotated_secret_costs_no_poll(tmp_path: Path, every: str) -> None:
    """The server refuses the old one from one moment to the next; by then the file has the new one.

    With a watch, the reload that it makes costs none either.
    """
    keys = {"AK": "canary-old"}
    simulator = Simulator(Settings(access_keys=keys))
    (tmp_path / "sk").write_text("canary-old\n", encoding="utf-8")
    async with serving(simulator) as address:
        text = configuration(address.url, "1-40", AUTH)
        async with exporting(tmp_path / "config.yaml", text, every=every) as (exporter, client):

            async def polled_again() -> bool:
                return simulator.requests >= seen + 120

            seen = 0
            await until(polled_again)
            (tmp_path / "sk").write_text("canary-new\n", encoding="utf-8")
            keys["AK"] = "canary-new"
            seen = simulator.requests
            await until(polled_again)
            assert await failures(client) == 0
            if every == "0":
                assert reloads(exporter) == []
                assert 1 <= len(simulator.refusals) <= 8, "each poll in flight may notice it"
            else:
                await exporter.wait_for("servers with changes: lima")
            assert "canary" not in "\n".join(exporter.lines)


async def test_a_secret_that_comes_late_is_taken_with_the_next_poll(tmp_path: Path) -> None:
    """Refused polls fail until the file has the new secret, and none after that."""
    keys = {"AK": "canary-old"}
    simulator = Simulator(Settings(access_keys=keys))
    (tmp_path / "sk").write_text("canary-old\n", encoding="utf-8")
    async with serving(simulator) as address:
        text = configuration(address.url, "1-10", AUTH)
        async with exporting(tmp_path / "config.yaml", text) as (exporter, client):
            await follows(client, *range(1, 11))
            keys["AK"] = "canary-new"

            async def refused() -> bool:
                return await failures(client) > 0

            await until(refused)
            (tmp_path / "sk").write_text("canary-new\n", encoding="utf-8")

            async def all_up() -> bool:
                samples = await scraped(client)
                up = [value for name, value in samples.items() if name.startswith("agent_rest_up{")]
                return up == [1] * 10

            await until(all_up)
            failed, seen = await failures(client), simulator.requests

            async def two_rounds_later() -> bool:
                return simulator.requests >= seen + 20

            await until(two_rounds_later)
            assert await failures(client) == failed
            assert reloads(exporter) == []


async def test_reloads_at_once_are_one_after_another(
    tmp_path: Path, cms: tuple[Simulator, str]
) -> None:
    """Requests, signals and the watch together: each answer is that of a whole reload."""
    _, url = cms
    config = tmp_path / "config.yaml"
    async with exporting(config, configuration(url), every="50ms") as (exporter, client):
        config.write_text(configuration(url, "1-5"), encoding="utf-8")
        for _ in range(5):
            exporter.handle.send_signal(signal.SIGHUP)
        replies = await asyncio.gather(*(client.post("/-/reload") for _ in range(10)))
        assert {reply.status_code for reply in replies} == {200}
        assert sum("targets: 2 added" in text for text in await logged(exporter, 1)) == 1
        assert await exported_vdns(client) == {1, 2, 3, 4, 5}
