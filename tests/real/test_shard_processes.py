"""Shards as real processes beside each other: a server sees who asks for what."""

import re
import sys
from collections import defaultdict
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.config.shard import Shard
from exporter.simulator.stand_in import Settings, Simulator, serving
from exporter.store import TargetKey
from tests.support.processes import MEASURED, Process, run, serving_exporter, started, until

ACCESS_KEY, SECRET_KEY = "AKTEST", "secret-of-the-test"
UP = re.compile(r'^agent_rest_up\{cc_id="(\d+)",cms="(\w+)",vdn="(\d+)"\} 1\.0$', re.MULTILINE)
HOST_NAMED = """
import socket, sys
socket.gethostname = lambda: "agent-rest-exporter-2.agent-rest.example"
from exporter.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""The whole program, on a host of this name: giving the real host another one takes root."""

Targets = set[tuple[str, str, str]]


class Witness(Simulator):
    """The simulator, noting which exporter asked for which target."""

    def __init__(self) -> None:
        super().__init__(Settings(access_keys={ACCESS_KEY: SECRET_KEY}))
        self.asked: dict[tuple[int, int], list[str]] = defaultdict(list)

    def app(self) -> web.Application:
        app = super().app()
        app.middlewares.append(self._note)
        return app

    @web.middleware
    async def _note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        query = (await request.json())["queryParam"]
        self.asked[query["ccId"], query["vdn"]].append(request.headers["X-Exporter"])
        return await handler(request)


def write_configuration(path: Path, url: str, vdns: str) -> None:
    """Two servers behind one address; each exporter says who it is."""
    common = f"""
        url: {url}
        auth: {{access_key: {ACCESS_KEY}, secret_key: {SECRET_KEY}}}
        headers: {{X-Exporter: "${{WHO}}"}}
        interval: 1s
        timeout: 900ms"""
    path.write_text(
        f"""
    cms:
      - name: lima{common}
        targets: [{{ccId: 1, vdn: {vdns}}}]
      - name: quito{common}
        targets: [{{ccId: 2, vdn: 1}}]
    """,
        encoding="utf-8",
    )


async def pages(process: Process, path: str, method: str = "GET") -> str:
    """What a page of an exporter says."""
    async with httpx.AsyncClient(trust_env=False) as client:
        reply = await client.request(method, f"http://{process.address}{path}")
    return reply.text if reply.status_code == httpx.codes.OK else ""


async def up(process: Process) -> Targets:
    """The targets that an exporter shows as up."""
    found = UP.findall(await pages(process, "/metrics"))
    assert len(found) == len(set(found))
    return set(found)


async def start_by_host_name(stack: AsyncExitStack, config: Path) -> Process:
    """A shard that takes its number from the name of its host."""
    process = await stack.enter_async_context(
        started(
            sys.executable,
            "-c",
            HOST_NAMED,
            "serve",
            f"--config.file={config}",
            "--web.listen-address=127.0.0.1:0",
            "--shard=auto/3",
            environ={"WHO": "host name"},
        )
    )
    process.address = (await process.wait_for(r"has started.* listen=(\S+)"))[1]
    return process


@pytest.mark.anyio
async def test_three_shards_poll_every_target_exactly_once(tmp_path: Path) -> None:
    """One by its flag, one by a pod's name in the environment, one by its host's name.

    Then targets are added: after a reload each of them, too, is polled by one shard.
    """
    witness, config = Witness(), tmp_path / "config.yaml"
    names = ["flag", "pod name", "host name"]
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(serving(witness))
        write_configuration(config, address.url, "1-40")
        by_flag = serving_exporter(config, "--shard=0/3", environ={"WHO": "flag"})
        environ = {"AGENT_REST_EXPORTER_SHARD": "auto/3", "POD_NAME": "exporter-1"}
        by_pod = serving_exporter(config, environ=environ | {"WHO": "pod name"})
        shards = [
            await stack.enter_async_context(by_flag),
            await stack.enter_async_context(by_pod),
            await start_by_host_name(stack, config),
        ]
        for index, process in enumerate(shards):
            await process.wait_for(
                rf"polling one shard of the targets.* shard={index}/3 targets=\d+ of=\d+$"
            )

        async def all_were_polled_often() -> bool:
            polls = [len(who) for who in witness.asked.values()]
            return len(polls) == 41 and min(polls) >= 3

        await until(all_were_polled_often)
        assert not [target for target, who in witness.asked.items() if len(set(who)) > 1]
        asked_by = {target: who[0] for target, who in witness.asked.items()}
        for (cc_id, vdn), name in asked_by.items():
            cms = "lima" if cc_id == 1 else "quito"
            assert Shard(names.index(name), 3).holds(TargetKey(cms, cc_id, vdn))

        async def all_are_up() -> bool:
            # on a busy machine a poll can time out
            shown = [await up(process) for process in shards]
            together = set.union(*shown)
            assert sum(map(len, shown)) == len(together)
            return len(together) == 41 and min(map(len, shown)) > 0

        await until(all_are_up)
        families = [await pages(process, "/metrics") for process in shards]
        with_quito = [
            text.count('agent_rest_exporter_targets{cms="quito"} 1.0') for text in families
        ]
        assert sorted(with_quito) == [0, 0, 1], "a server is known where it has targets"

        write_configuration(config, address.url, "1-60")
        reports = [await pages(process, "/-/reload", "POST") for process in shards]
        added = [int(re.findall(r"(\d+) added, 0 removed", report)[0]) for report in reports]
        assert sum(added) == 20

        async def new_ones_are_up() -> bool:
            return sum([len(await up(process)) for process in shards]) == 61

        await until(new_ones_are_up)
        assert len(witness.asked) == 61
        assert not [target for target, who in witness.asked.items() if len(set(who)) > 1]
        assert [await process.stop() for process in shards] == [0, 0, 0]
    assert not witness.refusals


@pytest.mark.anyio
async def test_a_shard_without_targets_waits_for_some(tmp_path: Path) -> None:
    """More shards than targets: the idle one is healthy and ready, and says what it has."""
    config = tmp_path / "config.yaml"
    config.write_text(
        "cms: [{name: lima, url: http://127.0.0.1:9, targets: [{ccId: 1, vdn: 1}]}]",
        encoding="utf-8",
    )
    assert not Shard(1, 3).holds(TargetKey("lima", 1, 1))
    async with serving_exporter(config, "--shard=1/3", environ=MEASURED) as process:
        await process.wait_for(r"has started.* servers=0 targets=0 ")
        assert await pages(process, "/-/healthy")
        assert await pages(process, "/-/ready")
        assert "\nagent_rest_up{" not in await pages(process, "/metrics")
        assert await process.stop() == 0


@pytest.mark.parametrize(
    ("environ", "arguments", "message"),
    [
        ({}, ["--shard=3"], "'3' is not INDEX/TOTAL: write it like 0/3, or auto/3"),
        ({}, ["--shard=3/3"], "'3/3': INDEX must be from 0 to TOTAL - 1, which is 2"),
        (
            {"POD_NAME": "exporter-3", "AGENT_REST_EXPORTER_SHARD": "auto/3"},
            [],
            (
                "'auto/3': the ordinal of POD_NAME 'exporter-3' must be from 0 to TOTAL - 1, which "
                "is 2: make TOTAL the number of replicas"
            ),
        ),
    ],
)
def test_a_wrong_shard_is_one_line(
    environ: dict[str, str], arguments: list[str], message: str
) -> None:
    """Before anything is read or polled; status 2."""
    done = run("serve", *arguments, environ=environ)
    source = "--shard" if arguments else "AGENT_REST_EXPORTER_SHARD"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"agent-rest-exporter serve: invalid value for {source}: {message}; "
        "see agent-rest-exporter serve --help\n"
    )


def test_a_check_is_of_all_targets(tmp_path: Path) -> None:
    """Whatever the environment says of a shard: mistakes and load concern every one of them."""
    config = tmp_path / "config.yaml"
    config.write_text(
        "cms: [{url: 'http://cms', targets: [{ccId: 1, vdn: 1-60}]}]", encoding="utf-8"
    )
    done = run("check", f"--config.file={config}", environ={"AGENT_REST_EXPORTER_SHARD": "0/3"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "60 targets" in done.stdout
