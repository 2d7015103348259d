"""exporter.cms.agent_names: names are read for one command, and leave as secrets."""

import json

import httpx
import pytest

from exporter.cms import agent_names as names
from exporter.cms import wire
from exporter.cms.agent_names import NamedRow
from exporter.cms.client import CmsClient
from exporter.errors import Reason
from exporter.secret import Secret
from exporter.server import Api, Server
from tests.support.cms_peer import NAME, answer, failed
from tests.support.virtual_time import virtual_clock

pytestmark = pytest.mark.virtual_time

NEW, OLD = Api.AGENT_REST_INFOS, Api.AGENT_REST_INFO


def reply(*rows: object, api: Api = NEW) -> bytes:
    """A body with these rows."""
    counters = {"allowRestNum": 1, "onRestNum": 2, "waitRestNum": 3}
    detail = counters | {"agentsRestDetails": list(rows)}
    if api is NEW:
        return json.dumps({"resultCode": "0100000", "resultDesc": detail}).encode()
    old = {"result": "0", "resultDatas": detail}
    return json.dumps(old).lower().replace("resultdatas", "resultDatas").encode()


def named(body: bytes, api: Api = NEW) -> list[NamedRow]:
    """The rows of a body, as the client reads them."""
    rows: list[NamedRow] = []
    assert names.decoder(rows)(body, api) == wire.decode(body, api)
    return rows


@pytest.mark.parametrize("api", Api)
def test_each_row_gets_its_own_name(api: Api) -> None:
    """In both spellings; the numbers stay as they were."""
    body = reply(
        {"agentName": "li si", "workNo": 1, "cantRestReason": 4},
        {"agentName": "wang wu", "workNo": "2", "beginTime": "1750000000", "restDuration": 60},
        api=api,
    )
    assert named(body, api) == [
        NamedRow(1, 4, None, None, Secret("li si")),
        NamedRow(wire.decode(body, api).rows[1].work_no, None, 1750000000, 60, Secret("wang wu")),
    ]


@pytest.mark.parametrize("name", [None, 5, "", " ", ["x"], {"x": 1}])
def test_what_is_no_text_is_no_name(name: object) -> None:
    """It fails nothing: the numbers are as good as ever."""
    (first, second) = named(reply({"workNo": 1, "agentName": name}, {"workNo": 2}))
    assert (first.name, second.name) == (None, None)


def test_a_name_that_cannot_be_read_spoils_no_other() -> None:
    """Bytes that are no UTF-8 pass where nobody reads names, and must pass here."""
    body = reply({"agentName": "LATIN"}, {"agentName": NAME}).replace(b"LATIN", b"Jos\xe9")
    assert [row.name for row in named(body)] == [None, Secret(NAME)]


@pytest.mark.parametrize("rows", [b"[]", b"null"])
def test_no_rows(rows: bytes) -> None:
    """An empty floor."""
    assert named(reply().replace(b"[]", rows)) == []


def test_a_row_cannot_print_its_name() -> None:
    """Neither `repr` nor `str` shows it."""
    (row,) = named(reply({"agentName": NAME, "workNo": 1}))
    assert NAME not in f"{row} {row!r}"


def client(*bodies: bytes, page_size: int | None = None) -> CmsClient:
    """A client of a server that gives these replies in turn."""
    script = iter(bodies)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=next(script)))
    return CmsClient(
        Server("https://cms.example.com", page_size=page_size), transport, virtual_clock
    )


@pytest.mark.anyio
async def test_inspecting_brings_the_rows_of_every_page() -> None:
    """With the reading that a poll would have brought."""
    pages = [answer(1, 2, resting=3), answer(3, resting=3)]
    inspection = await client(*pages, page_size=2).inspect(1, 1)
    assert [row.work_no for row in inspection.rows] == [1, 2, 3]
    assert {row.name for row in inspection.rows} == {Secret(NAME)}
    assert inspection.result == await client(*pages, page_size=2).poll(1, 1)
    assert NAME not in repr(inspection)


@pytest.mark.anyio
async def test_inspecting_fails_like_a_poll() -> None:
    """With the same reason and sentence."""
    inspected = failed((await client(answer(code="1")).inspect(1, 1)).result)
    assert inspected.reason is Reason.API
    assert inspected == failed(await client(answer(code="1")).poll(1, 1))
