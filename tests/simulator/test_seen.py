"""What the simulator has seen of each request, as a line of its log."""

import asyncio
import contextlib
from typing import Any

import aiohttp
import pytest

from exporter.simulator.floors import Floor
from exporter.simulator.scenarios import parse_scenario
from exporter.simulator.stand_in import Seen, Settings, Simulator, serving
from tests.support.processes import until

pytestmark = pytest.mark.anyio

PATH = "/rest/cmsapp/v1/openapi/agentgroup/agentrestinfos"
JSON = "application/json; charset=UTF-8"


async def seen_of(body: bytes, *scenarios: str, path: str = PATH, **changes: Any) -> Seen:
    """What is known of one query."""
    seen: list[Seen] = []
    facts: dict[str, Any] = {
        "clock": lambda: 1_760_000_000.5,
        "floors": lambda *_: Floor(0, 0, 0),
        "scenarios": tuple(map(parse_scenario, scenarios)),
        "on_answer": seen.append,
    }
    simulator = Simulator(Settings(**facts | changes))
    async with serving(simulator) as address, aiohttp.ClientSession() as session:

        async def ask() -> None:
            headers = {"Content-Type": JSON}
            async with session.post(address.url + path, data=body, headers=headers) as got:
                await got.read()

        async def is_known() -> bool:
            return bool(simulator.requests_by_target)

        asking = asyncio.create_task(ask())
        if "hang" in scenarios:
            await until(is_known)
            asking.cancel()
        with contextlib.suppress(asyncio.CancelledError, aiohttp.ClientError):
            await asking
    (found,) = seen
    found.seconds = 0.0012
    return found


QUERY = b'{"queryParam":{"ccId":1,"vdn":2,"offset":5,"limit":10}}'
BEGIN = f"time=2025-10-09T08:53:20.500Z method=POST path={PATH}"


@pytest.mark.parametrize(
    ("body", "scenarios", "rest"),
    [
        (QUERY, (), "cc_id=1 vdn=2 offset=5 limit=10 status=200 duration_ms=1"),
        (
            b'{"queryParam":{"ccId":1,"vdn":2}}',
            ("slow=1ms",),
            "cc_id=1 vdn=2 status=200 duration_ms=1 scenario=slow",
        ),
        (QUERY, ("quiet",), "cc_id=1 vdn=2 offset=5 limit=10 status=200 duration_ms=1"),
        (
            QUERY,
            ("error",),
            "cc_id=1 vdn=2 offset=5 limit=10 status=500 duration_ms=1 scenario=error",
        ),
        (
            QUERY,
            ("hang",),
            "cc_id=1 vdn=2 offset=5 limit=10 status=none duration_ms=1 scenario=hang",
        ),
        (
            QUERY,
            ("drop",),
            "cc_id=1 vdn=2 offset=5 limit=10 status=none duration_ms=1 scenario=drop",
        ),
        (QUERY, ("cut",), "cc_id=1 vdn=2 offset=5 limit=10 status=200 duration_ms=1 scenario=cut"),
        (b"{", (), 'status=200 duration_ms=1 problem="the body is not valid JSON"'),
        (b" " * 70_000, (), "status=413 duration_ms=1"),
    ],
)
async def test_a_line_for_each_request(body: bytes, scenarios: tuple[str, ...], rest: str) -> None:
    """What was asked, what was played, and how it ended."""
    assert (await seen_of(body, *scenarios)).line() == f"{BEGIN} {rest}"


async def test_a_refused_signature_is_told_without_it() -> None:
    """The reason, and nothing of the header."""
    found = (await seen_of(QUERY, access_keys={"AK": "SK"})).line()
    assert found.endswith('status=401 duration_ms=1 problem="the Authorization header is missing"')


async def test_a_path_that_needs_quotes_gets_them() -> None:
    """A line stays one line, and its fields can be told apart."""
    found = (await seen_of(QUERY, path=f"/a%22b{PATH}?x=1")).line()
    assert f'path="/a%22b{PATH}?x=1"' in found


async def test_a_defect_has_the_status_that_the_client_got() -> None:
    """It got one, although nothing has made it on purpose."""

    def broken(*_: object) -> Floor:
        raise LookupError

    assert (await seen_of(QUERY, floors=broken)).status == 500


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_body_that_is_not_compressed_although_its_header_says_so(coding: str) -> None:
    """It is read as it is: no client of this interface compresses."""
    seen: list[Seen] = []
    headers = {"Content-Type": JSON, "Content-Encoding": coding}
    settings = Settings(on_answer=seen.append)
    async with serving(Simulator(settings)) as address, aiohttp.ClientSession() as session:
        url = address.url + PATH
        async with session.post(url, data=b"hello", headers=headers, compress=None) as reply:
            assert reply.status == 200
    assert [each.problem for each in seen] == ["the body is not valid JSON"]
