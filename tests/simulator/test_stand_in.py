"""The simulator on real sockets: both interfaces, checks, signatures, counters, shutdown."""

import asyncio
import hashlib
import hmac
import json
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import aiohttp
import pytest
import trustme

from exporter.simulator.floors import AgentRow, Floor, SimulatedFloors
from exporter.simulator.scenarios import parse_scenario
from exporter.simulator.stand_in import Address, Settings, Simulator, accelerated, serving

pytestmark = pytest.mark.anyio

PATH = "/rest/cmsapp/v1/openapi/agentgroup/agentrestinfos"
LEGACY = "/rest/cmsapp/v1/openapi/agentgroup/agentrestinfo"
JSON = "application/json; charset=UTF-8"
NOW = 1_760_000_000.0
ROWS = tuple(AgentRow(f"z{n}", 55_000 + n, None, 1_759_999_000_000, 600) for n in range(250))
FLOOR = Floor(101, 1, 148, ROWS)


class Answer(NamedTuple):
    """What a client has seen."""

    status: int
    headers: dict[str, str]
    json: Any


def settings_of(**changes: Any) -> Settings:
    """A server at a fixed time, with 250 fixed rows for every VDN."""
    return Settings(**{"clock": lambda: NOW, "floors": lambda *_: FLOOR} | changes)


def body_of(cc_id: int = 1, vdn: int = 1, **paging: int) -> bytes:
    """A query."""
    return json.dumps({"queryParam": {"ccId": cc_id, "vdn": vdn, **paging}}).encode()


async def until(condition: Callable[[], bool]) -> None:
    """Lets the server go on until something is true of it."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


async def ask(
    url: str, body: bytes | None = None, content_type: str = JSON, **headers: str
) -> Answer:
    """Sends one query and reads the JSON of its reply, if it is any."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            url, data=body or body_of(), headers={"Content-Type": content_type} | headers
        ) as reply,
    ):
        is_json = reply.content_type == "application/json"
        return Answer(reply.status, dict(reply.headers), await reply.json() if is_json else None)


def numbers(reply: dict[str, Any]) -> list[int]:
    """The agents' numbers in a reply, in order."""
    return [row["workNo"] for row in reply["resultDesc"]["agentsRestDetails"]]


def authorization(host: str, body: bytes, secret_key: str, at: float = NOW) -> str:
    """A signature of its own making: host alone, an ASCII body without reserved characters."""
    time = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    prefix = f"auth-v2/AKEXAMPLE0001/{time}/host"
    encoded = "".join(f"%{code:02X}" if chr(code) in '{}":, ' else chr(code) for code in body)
    canonical = f"POST\n{PATH}\nhost\nhost:{host.replace(':', '%3A')}\n{encoded}"
    key = hmac.new(secret_key.encode(), prefix.encode(), hashlib.sha256).hexdigest()
    signature = hmac.new(key.encode(), canonical.encode(), hashlib.sha256).hexdigest()
    return f"{prefix}/{signature}"


async def test_3_8_answers_all_rows_at_once() -> None:
    """CTI 3.8 ignores paging; the numbers are in the reply twice, dated by its own clock."""
    async with serving(Simulator(settings_of())) as address:
        answer = await ask(address.url + PATH, body_of(offset=100, limit=10))
    assert answer.status == 200
    assert (answer.json["result"], answer.json["resultCode"]) == ("0", "0100000")
    assert answer.json["resultDesc"] == answer.json["resultDatas"]
    assert numbers(answer.json) == [row.work_no for row in ROWS]
    assert answer.json["resultDesc"]["allowRestNum"] == 101
    assert parsedate_to_datetime(answer.headers["Date"]).timestamp() == NOW
    assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"


@pytest.mark.parametrize(
    ("paging", "expected"),
    [
        ({}, range(100)),
        ({"offset": 0, "limit": 100}, range(100)),
        ({"offset": 200, "limit": 100}, range(200, 250)),
        ({"offset": 250, "limit": 100}, range(0)),
    ],
)
async def test_3_6_answers_pages(paging: dict[str, int], expected: range) -> None:
    """CTI 3.6 answers the rows of the page, with the counters on every page."""
    async with serving(Simulator(settings_of(cti_version="3.6"))) as address:
        answer = await ask(address.url + PATH, body_of(**paging))
    assert numbers(answer.json) == [55_000 + n for n in expected]
    assert answer.json["resultDesc"]["waitRestNum"] == 148


async def test_the_legacy_path_answers_in_lowercase_without_pages() -> None:
    """8.13 has its own path and spelling, and no paging even in front of CTI 3.6."""
    async with serving(Simulator(settings_of(cti_version="3.6"))) as address:
        answer = await ask(address.url + "/behind/a/gateway" + LEGACY, body_of(limit=0))
        refused = await ask(address.url + LEGACY, b"?")
    assert answer.json.keys() == {"result", "resultDatas"}
    assert len(answer.json["resultDatas"]["agentsrestdetails"]) == 250
    assert refused.json == {"result": "1", "resultDatas": "the body is not valid JSON"}


async def test_a_legacy_only_server_has_no_other_interface() -> None:
    """The path of the newer interface is not found, the older one answers."""
    simulator = Simulator(settings_of(scenarios=(parse_scenario("legacy-only"),)))
    async with serving(simulator) as address:
        newer = await ask(address.url + PATH)
        older = await ask(address.url + LEGACY)
    assert newer.status == 404
    assert older.json["resultDatas"]["waitrestnum"] == 148


async def test_an_invalid_query_fails_with_status_200() -> None:
    """The vendor's server reports failures in resultCode, with a description in resultDesc."""
    simulator = Simulator(settings_of(targets={(1, 1)}))
    async with serving(simulator) as address:
        url = address.url + PATH
        answers = [
            await ask(url, body_of(cc_id=0)),
            await ask(url, body_of(limit=100)),
            await ask(url, content_type="text/plain"),
            await ask(url, body_of(1, 2)),
        ]
    assert {answer.status for answer in answers} == {200}
    assert {answer.json["resultCode"] for answer in answers} == {"0100002"}
    assert [answer.json["resultDesc"] for answer in answers] == [
        "queryParam.ccId must be an integer from 1 to 65535",
        "offset and limit must be given together; only limit is",
        "Content-Type must be application/json; charset=UTF-8",
        "call center 1 has no VDN 2",
    ]
    assert simulator.requests == 4
    assert simulator.requests_by_target == {(1, 2): 1}


async def test_only_post_is_served_and_the_root_says_what_this_is() -> None:
    """Nobody should take the simulator for a CC-CMS."""
    async with serving(Simulator()) as address, aiohttp.ClientSession() as session:
        async with session.get(address.url + PATH) as reply:
            assert (reply.status, reply.headers["Allow"]) == (405, "POST")
        async with session.get(address.url + "/") as reply:
            assert reply.content_type == "text/plain"
            assert (await reply.text()).startswith("This is a simulator, not a CC-CMS")
        async with session.post(address.url + "/elsewhere") as reply:
            assert reply.status == 404


async def test_signatures_are_checked_and_refusals_remembered() -> None:
    """A valid signature passes; a wrong one, none, and an old one get 401 with the reason."""
    simulator = Simulator(settings_of(access_keys={"AKEXAMPLE0001": "right"}))
    async with serving(simulator) as address:
        url, host = address.url + PATH, f"127.0.0.1:{address.port}"
        good = await ask(url, Authorization=authorization(host, body_of(), "right"))
        bad = await ask(url, Authorization=authorization(host, body_of(), "wrong"))
        none = await ask(url)
        old = await ask(url, Authorization=authorization(host, body_of(), "right", NOW - 1000))
    assert [answer.status for answer in (good, bad, none, old)] == [200, 401, 401, 401]
    assert list(simulator.refusals) == [
        "the signature does not match the request and the key",
        "the Authorization header is missing",
        "the timestamp is 1000 s behind the server's clock; 900 s are allowed",
    ]


async def test_a_clock_that_is_off_dates_replies_and_refuses_signatures() -> None:
    """What looks like a wrong key is a wrong clock, and the header Date shows it."""
    simulator = Simulator(
        settings_of(
            access_keys={"AKEXAMPLE0001": "right"}, scenarios=(parse_scenario("clock=-20m"),)
        )
    )
    async with serving(simulator) as address:
        host = f"127.0.0.1:{address.port}"
        answer = await ask(
            address.url + PATH, Authorization=authorization(host, body_of(), "right")
        )
    assert answer.status == 401
    assert parsedate_to_datetime(answer.headers["Date"]).timestamp() == NOW - 1200
    assert list(simulator.refusals) == [
        "the timestamp is 1200 s ahead of the server's clock; 900 s are allowed"
    ]


async def test_the_clock_moves_the_simulated_day() -> None:
    """With the default floors, rows belong to the clock's time."""
    now = [NOW]
    clock = accelerated(lambda: now[0], speed=3600)
    simulator = Simulator(Settings(clock=clock, floors=SimulatedFloors(5)))
    async with serving(simulator) as address:
        for hour in range(3):
            now[0] = NOW + hour
            told = (await ask(address.url + PATH)).json["resultDesc"]
            floor = SimulatedFloors(5)(1, 1, NOW + hour * 3600)
            assert told["onRestNum"] == floor.resting
            assert [row["agentName"] for row in told["agentsRestDetails"]] == [
                row.name for row in floor.rows
            ]


async def test_it_speaks_tls() -> None:
    """With a context it serves HTTPS under the same paths."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    async with (
        serving(Simulator(settings_of()), ssl_context=server) as address,
        aiohttp.ClientSession() as session,
        session.post(
            address.url + PATH, data=body_of(), headers={"Content-Type": JSON}, ssl=client
        ) as reply,
    ):
        assert address.url == f"https://127.0.0.1:{address.port}"
        assert len(numbers(await reply.json())) == 250


async def test_a_port_in_use_is_an_os_error() -> None:
    """The caller can tell people, and nothing is left open."""
    async with serving(Simulator()) as address:
        with pytest.raises(OSError, match="address already in use"):
            async with serving(Simulator(), port=address.port):
                pytest.fail("two servers on one port")


async def test_leaving_cuts_off_requests_that_hang() -> None:
    """Shutdown waits neither for hanging requests nor for idle connections."""
    simulator = Simulator(settings_of(scenarios=(parse_scenario("hang@1/1"),)))
    async with aiohttp.ClientSession() as session, asyncio.timeout(30):
        async with serving(simulator) as address:
            async with session.post(
                address.url + PATH, data=body_of(1, 2), headers={"Content-Type": JSON}
            ) as reply:
                await reply.read()  # its connection stays open, and idle
            hanging = [asyncio.create_task(ask(address.url + PATH)) for _ in range(3)]
            await until(lambda: simulator.in_flight == 3)
        outcomes = await asyncio.gather(*hanging, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [aiohttp.ServerDisconnectedError] * 3
    assert (simulator.in_flight, simulator.most_in_flight, simulator.requests) == (0, 3, 4)


async def test_a_request_ends_when_its_client_leaves() -> None:
    """Clients that time out leave nothing behind."""
    simulator = Simulator(settings_of(scenarios=(parse_scenario("hang"),)))
    async with serving(simulator) as address:
        asking = asyncio.create_task(ask(address.url + PATH))
        await until(lambda: simulator.in_flight == 1)
        asking.cancel()
        await until(lambda: simulator.in_flight == 0)
        with pytest.raises(asyncio.CancelledError):
            await asking


def test_an_ipv6_address_is_written_in_brackets() -> None:
    """The URL can be used as it is."""
    assert Address("https", "::1", 28443).url == "https://[::1]:28443"
    assert Address("http", "127.0.0.1", 80).url == "http://127.0.0.1:80"


def test_settings_do_not_print_secret_keys() -> None:
    """The secret keys stay out of a repr."""
    assert "canary" not in repr(Settings(access_keys={"AK": "canary"}))


async def test_a_rotated_key_is_another_one_from_then_on() -> None:
    """Only where the scenario is played, and by the server's clock."""
    now = NOW
    settings = settings_of(
        clock=lambda: now,
        access_keys={"AKEXAMPLE0001": "sk"},
        scenarios=(parse_scenario("key-rotated=5m@1/1"),),
    )
    async with serving(Simulator(settings)) as address:

        async def status(key: str, vdn: int = 1) -> int:
            body = body_of(1, vdn)
            host = f"{address.host}:{address.port}"
            signature = authorization(host, body, key, now)
            return (await ask(address.url + PATH, body, Authorization=signature)).status

        assert (await status("sk"), await status("sk-rotated")) == (200, 401)
        now += 300
        assert (await status("sk"), await status("sk-rotated")) == (401, 200)
        assert await status("sk", 2) == 200
