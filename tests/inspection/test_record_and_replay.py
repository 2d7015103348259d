"""What was recorded of a server, the simulator answers again: a poll comes to the same."""

import dataclasses
import json

import pytest

from exporter.clock import system_clock
from exporter.cms.client import CmsClient
from exporter.errors import PollResult, Reason
from exporter.inspection.recording import RecordingTransport
from exporter.inspection.sanitized import document
from exporter.rest import Snapshot
from exporter.secret import Secret
from exporter.server import Api, Server, Signature
from exporter.simulator.floors import SimulatedFloors
from exporter.simulator.replay import Recordings
from exporter.simulator.scenarios import Fault, parse_scenario
from exporter.simulator.stand_in import Settings, Simulator, serving

pytestmark = pytest.mark.anyio

KEYS = {"AKCANARY001": "canary-secret-key"}
AUTH = Signature(Secret("AKCANARY001"), Secret("canary-secret-key"))
SERVER = Server("http://127.0.0.1", auth=AUTH, timeout=5.0)
NOT_RECORDED = {
    # the client reads a part of these, so that their replay ends too early
    Fault.OVERSIZED: {Reason.DISCONNECTED, Reason.DECODE},
    Fault.GZIP_BOMB: {Reason.DISCONNECTED, Reason.DECODE},
}
SLOW = {Fault.HANG, Fault.SLOW, Fault.ENDLESS}


async def poll(server: Server) -> tuple[PollResult, str]:
    """A poll, and its recording."""
    transport = RecordingTransport(server, {})
    client = CmsClient(server, transport, system_clock, max_reply_bytes=2**16)
    try:
        result = await client.poll(1, 1)
    finally:
        await client.aclose()
    return result, document(transport.recorded, result, server, (1, 1))


async def both(settings: Settings, server: Server) -> tuple[PollResult, PollResult]:
    """A poll of a simulator, and one of the simulator that replays it.

    Their clock stands still: a second that passed between two pages would be seen in the numbers.
    """
    now = system_clock().wall
    settings = dataclasses.replace(settings, clock=lambda: now)
    async with serving(Simulator(settings)) as address:
        first, text = await poll(dataclasses.replace(server, url=address.url))
    for secret in ("canary", "AKCANARY", "127.0.0.1", str(address.port)):
        assert secret not in text
    recordings = Recordings({"a.json": text.encode()})
    assert recordings.targets == ((1, 1),)
    keys = KEYS if server.auth else {}
    replay = Settings(access_keys=keys, recordings=recordings, clock=lambda: now)
    async with serving(Simulator(replay)) as address:
        second, _ = await poll(dataclasses.replace(server, url=address.url))
    return first, second


def ages(snapshot: Snapshot) -> Snapshot:
    """The same with times as ages, to the millisecond."""

    def age(start: float | None) -> float | None:
        return None if start is None else round(snapshot.server_time - start, 3)

    return Snapshot(
        **{
            **{name: getattr(snapshot, name) for name in snapshot.__struct_fields__},
            "server_time": 0.0,
            "longest_rest_start": age(snapshot.longest_rest_start),
            "longest_wait_start": age(snapshot.longest_wait_start),
            "deadlines": snapshot.deadlines
            and tuple(age(end) or 0.0 for end in snapshot.deadlines),
            "starts": snapshot.starts and tuple(age(start) or 0.0 for start in snapshot.starts),
        }
    )


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault not in SLOW], ids=str)
async def test_a_failure_is_the_same_when_it_is_replayed(fault: Fault) -> None:
    """For each fault of the simulator: the reason, or the numbers and doubts."""
    settings = Settings(access_keys=KEYS, scenarios=(parse_scenario(fault),))
    paged = fault in {Fault.IGNORE_OFFSET, Fault.OVERLAP}
    first, second = await both(
        settings, dataclasses.replace(SERVER, page_size=5 if paged else None)
    )
    if first.error is None:
        assert first.snapshot is not None
        assert second.snapshot is not None
        assert ages(first.snapshot) == ages(second.snapshot)
        assert first.clock_skew == pytest.approx(second.clock_skew, abs=2.0)
    else:
        assert second.error is not None
        assert {first.error.reason, *NOT_RECORDED.get(fault, ())} >= {second.error.reason}


@pytest.mark.parametrize(
    ("settings", "server"),
    [
        (Settings(access_keys=KEYS, cti_version="3.6"), dataclasses.replace(SERVER, page_size=2)),
        (Settings(access_keys=KEYS), dataclasses.replace(SERVER, api=Api.AGENT_REST_INFO)),
        (Settings(), dataclasses.replace(SERVER, auth=None)),
        (
            Settings(
                access_keys=KEYS, floors=SimulatedFloors(scenarios=[parse_scenario("overdue")])
            ),
            SERVER,
        ),
    ],
    ids=["pages", "legacy", "no signature", "overdue"],
)
async def test_a_success_is_the_same_when_it_is_replayed(
    settings: Settings, server: Server
) -> None:
    """Numbers, ages, pages and clock."""
    first, second = await both(settings, server)
    assert first.snapshot is not None
    assert second.snapshot is not None
    assert ages(first.snapshot) == ages(second.snapshot)
    assert first.requests == second.requests


async def test_what_was_asked_again_is_answered_in_turn() -> None:
    """And a question that nobody recorded gets a sentence."""
    text = json.dumps(
        {
            "format": "agent-rest-exporter recording",
            "version": 1,
            "clock": 978_307_200,
            "exchanges": [
                {
                    "request": {"api": "agentrestinfos", "ccId": 1, "vdn": 1},
                    "reply": {
                        "status": status,
                        "headers": {"Date": "canary"},
                        "body": "",
                        "coding": "identity",
                    },
                }
                for status in (500, 429)
            ]
            + [
                {
                    "request": {"api": "agentrestinfos", "ccId": 1, "vdn": 2, "limit": 7},
                    "reply": None,
                }
            ],
        }
    ).encode()
    recordings = Recordings({"a": text})
    assert (recordings.page_size, recordings.legacy) == (7, False)
    async with serving(Simulator(Settings(recordings=recordings))) as address:
        server = Server(address.url)
        results = [(await poll(server))[0] for _ in range(3)]
        paged, _ = await poll(dataclasses.replace(server, page_size=3))
        legacy, _ = await poll(dataclasses.replace(server, api=Api.AGENT_REST_INFO))
    assert [result.error and result.error.message[:8] for result in results] == [
        "HTTP 500",
        "HTTP 429",
        "HTTP 500",
    ]
    assert paged.error is not None
    assert "no recording has this question: ccId 1, vdn 1, offset 0, limit 3" in paged.error.message
    assert legacy.error is not None
    assert legacy.error.reason is Reason.API


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("canary", "a is not a recording: make one with query --record"),
        ("{}", "a is not a recording: make one with query --record"),
        (
            ('{"format":"agent-rest-exporter recording","version":1,"clock":1,"exchanges":[]}'),
            "a is a recording without an exchange of a VDN: record it again",
        ),
        (
            (
                '{"format":"agent-rest-exporter recording","version":1,"clock":1,"exchanges":[{'
                '"request":{"api":"agentrestinfos","ccId":0,"vdn":1},"reply":null}]}'
            ),
            "a is a recording without an exchange of a VDN: record it again",
        ),
    ],
)
def test_what_is_not_a_recording(text: str, problem: str) -> None:
    """Says so, with the file's name and without its content."""
    with pytest.raises(ValueError, match="recording") as caught:
        Recordings({"a": text.encode()})
    assert str(caught.value) == problem
