"""`/probe`: what a request must say, and what it is answered, over a real connection."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from exporter.clock import Moment
from exporter.errors import PollError, ProbeRefusedError, Reason
from exporter.metrics.exposition import Exposition, Format
from exporter.rest import Counters, reduce
from exporter.store import Target, TargetKey, TargetState
from exporter.web.probe import PATH, Note, time_left
from exporter.web.target_query import RequestError, asked_for, parameters
from tests.support.example_application import example_application
from tests.support.raw_client import raw_client
from tests.support.stores import failure, store_of, success

NOW = Moment(1_700_000_100.0, 1100.0, 1100.0)
TARGETS = [
    Target(TargetKey("lima", 1, 2), name="sales", labels=(("site", "a"),), max_resting=20),
    Target(TargetKey("lima", 1, 3)),
    Target(TargetKey("quito: 1 & 2", 1, 2)),
]
ASK = "write it like /probe?cms=lima&cc_id=1&vdn=2; /sd lists all targets"


class Server:
    """What probes ask, and what they were asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Target, float | None]] = []
        self.answer: PollError | ProbeRefusedError | None = None
        self.hangs = False

    async def __call__(
        self, target: Target, within: float | None, note: Note | None = None
    ) -> TargetState:
        self.asked.append((target, within))
        if note is not None:
            note("connect", "connect to 10.22.26.181:28443")
        while self.hangs:
            await asyncio.sleep(0.01)
        if isinstance(self.answer, ProbeRefusedError):
            raise self.answer
        state = TargetState(target)
        if self.answer:
            return state.after(failure(NOW, NOW, self.answer))
        numbers = reduce(Counters(target.key.vdn, 0, 0), [], NOW.wall)
        return state.after(success(NOW, NOW, numbers))


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that adds no header of its own, of an exporter with `TARGETS`."""
    app = example_application(store=store_of(TARGETS), moment=lambda: NOW, poll=server)
    async with raw_client(app) as client:
        yield client


def samples(text: str) -> dict[str, dict[str, str]]:
    """The labels of each sample by its name; each must be there once."""
    found: dict[str, dict[str, str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if "reason" not in sample.labels or sample.value:
                assert sample.name not in found
                found[sample.name] = sample.labels
    return found


# The request


@given(
    st.builds(
        TargetKey,
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        st.integers(1, 65535),
        st.integers(1, 5000),
    )
)
def test_what_discovery_says_is_what_a_probe_asks(key: TargetKey) -> None:
    """Whatever the server is called."""
    query = [("module", "x"), *parameters(key).items(), ("cms[]", "y")]
    assert asked_for(query, PATH) == key


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({}, "cms is missing, cc_id is missing, vdn is missing"),
        ({"cms": "lima", "cc_id": "", "vdn": "2"}, "cc_id is missing"),
        ({"cms": "", "cc_id": "1", "vdn": "x"}, "cms is missing, vdn is not a whole number"),
        ({"cms": "lima", "cc_id": "-1", "vdn": "2"}, "cc_id is not a whole number"),
        ({"cms": "lima", "cc_id": "1", "vdn": "2.0"}, "vdn is not a whole number"),
        (
            {"cms": "lima", "cc_id": "1", "vdn": "\N{DEVANAGARI DIGIT ONE}"},
            "vdn is not a whole number",
        ),
        ({"cms": "lima", "cc_id": "1" * 5000, "vdn": "2"}, "cc_id is not a whole number"),
    ],
)
def test_what_does_not_ask_for_a_target(query: dict[str, str], wrong: str) -> None:
    """Everything that is wrong, and what would be right."""
    with pytest.raises(RequestError) as refusal:
        asked_for(query.items(), PATH)
    assert str(refusal.value) == f"{wrong}: {ASK}"


def test_a_target_is_asked_for_once() -> None:
    """Which of two is meant would be a guess."""
    with pytest.raises(RequestError) as refusal:
        asked_for([("cms", "a"), ("cc_id", "1"), ("cms", "b"), ("vdn", "1")], PATH)
    assert str(refusal.value) == f"cms is given 2 times: {ASK}"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("10", 9.5), ("10.000000", 9.5), ("1.", 0.5), ("0.2", 0.1), ("3600", 3599.5)],
)
def test_the_time_of_a_probe(header: str | None, seconds: float | None) -> None:
    """Half a second less than the scrape's; of a short one, half."""
    assert time_left(header) == seconds


@pytest.mark.parametrize("header", ["", "0", "-1", "1e3", "nan", "inf", "10s", "٣", "9" * 10])
def test_a_time_that_is_none(header: str) -> None:
    """Nobody guesses what was meant."""
    with pytest.raises(RequestError) as refusal:
        time_left(header)
    assert str(refusal.value) == (
        "X-Prometheus-Scrape-Timeout-Seconds must be a number of seconds above 0, such as 10"
    )


# The answer


@pytest.mark.anyio
async def test_the_target_and_nothing_else() -> None:
    """Its own families, with its own labels; nothing of other targets or of the exporter."""
    server = Server()
    async with serving(server) as client:
        for target in (TARGETS[0], TARGETS[2], TARGETS[0]):
            reply = await client.get("/probe", params=dict(parameters(target.key)))
            text = await reply.text()
            assert (reply.status, reply.headers["Content-Type"]) == (200, Format.TEXT.value)
            found = samples(text)
            own = {"cms": target.key.cms, "cc_id": "1", "vdn": "2"}
            own |= {"name": "sales", "site": "a"} if target.name else {}
            assert all(labels.items() >= own.items() for labels in found.values())
            assert {"agent_rest_up", "agent_rest_approved_agents"} <= found.keys()
            assert "agent_rest_polls_total" in found
            assert "agent_rest_exporter_" not in text
    assert [target for target, _ in server.asked] == [TARGETS[0], TARGETS[2], TARGETS[0]]


@pytest.mark.anyio
@pytest.mark.parametrize("gzip", [True, False])
@pytest.mark.parametrize(
    ("accept", "form"),
    [("application/openmetrics-text;version=1.0.0", Format.OPENMETRICS), ("*/*", Format.TEXT)],
)
async def test_format_and_coding_as_of_metrics(accept: str, form: Format, *, gzip: bool) -> None:
    """The same bytes that /metrics would have for this one target."""
    headers = {"Accept": accept, "Accept-Encoding": "gzip" if gzip else "identity"}
    async with serving(Server()) as client:
        query = dict(parameters(TARGETS[1].key))
        reply = await client.get("/probe", params=query, headers=headers)
        body = await reply.read()
    expected = await Server()(TARGETS[1], None)
    assert reply.headers["Content-Type"] == form.value
    assert reply.headers["Vary"] == "Accept, Accept-Encoding"
    assert (reply.headers.get("Content-Encoding") == "gzip") is gzip
    plain = zlib.decompress(body, zlib.MAX_WBITS | 16) if gzip else body
    assert plain == b"".join(Exposition().slices([expected], NOW, form))


@pytest.mark.anyio
async def test_a_poll_that_fails_is_told_by_a_scrape_that_succeeds() -> None:
    """With its reason, without numbers, and without its sentence, which may be of the server."""
    server = Server()
    server.answer = PollError(Reason.TLS, "no trust")
    async with serving(server) as client:
        reply = await client.get("/probe", params=dict(parameters(TARGETS[0].key)))
        text = await reply.text()
    assert reply.status == 200
    lines = text.splitlines()
    first = '{cc_id="1",cms="lima",name="sales",'
    assert f'agent_rest_up{first}site="a",vdn="2"}} 0.0' in lines
    assert f'agent_rest_failing{first}reason="tls",site="a",vdn="2"}} 1.0' in lines
    assert "agent_rest_approved_agents{" not in text
    assert "no trust" not in text


@pytest.mark.anyio
async def test_prometheus_says_how_long() -> None:
    """Its header is the deadline; without it, the server's own timeout is."""
    server = Server()
    query = dict(parameters(TARGETS[1].key))
    async with serving(server) as client:
        await client.get("/probe", params=query)
        header = {"X-Prometheus-Scrape-Timeout-Seconds": "15"}
        await client.get("/probe", params=query, headers=header)
        header["X-Prometheus-Scrape-Timeout-Seconds"] = "soon"
        reply = await client.get("/probe", params=query, headers=header)
        assert reply.status == 400
        assert await reply.text() == (
            "400: X-Prometheus-Scrape-Timeout-Seconds must be a number of seconds above 0, such "
            "as 10.\n"
        )
    assert server.asked == [(TARGETS[1], None), (TARGETS[1], 14.5)]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("cms=lima&vdn=2", f"cc_id is missing: {ASK}"),
        (
            "cms=lima&cc_id=1&vdn=4",
            "no target is configured with cms 'lima', cc_id 1 and vdn 4: /sd lists all targets",
        ),
        (
            "cms=%0A<b>&cc_id=1&vdn=2",
            r"no target is configured with cms '\n<b>', cc_id 1 and vdn 2: /sd lists all targets",
        ),
    ],
)
async def test_unknown_targets_are_refused(query: str, sentence: str) -> None:
    """In plain text, and nobody is asked."""
    server = Server()
    async with serving(server) as client:
        reply = await client.get(f"/probe?{query}")
        assert (reply.status, await reply.text()) == (400, f"400: {sentence}.\n")
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert not server.asked


@pytest.mark.anyio
async def test_a_probe_that_is_not_made() -> None:
    """It is no failure of the target: the scrape itself fails, and says why."""
    server = Server()
    server.answer = ProbeRefusedError("500 probes wait for lima already")
    async with serving(server) as client:
        reply = await client.get("/probe", params=dict(parameters(TARGETS[0].key)))
        assert (reply.status, await reply.text()) == (
            503,
            "503: 500 probes wait for lima already.\n",
        )


@pytest.mark.anyio
async def test_probes_leave_connections_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that hangs must not keep the exporter from being scraped."""
    monkeypatch.setattr("exporter.web.probe.connection_limit", lambda: 4)
    server = Server()
    server.hangs = True
    query = dict(parameters(TARGETS[0].key))
    async with serving(server) as client:
        waiting = [asyncio.create_task(client.get("/probe", params=query)) for _ in range(2)]
        while len(server.asked) < 2:
            await asyncio.sleep(0.01)
        refused = await client.get("/probe", params=query)
        assert (refused.status, await refused.text()) == (
            503,
            "503: 2 probes are in progress: scrape less often.\n",
        )
        server.hangs = False
        assert {(await each).status for each in waiting} == {200}
        assert (await client.get("/probe", params=query)).status == 200


@pytest.mark.parametrize("path", ["/probe", "/sd"])
def test_metrics_cannot_stand_there(path: str) -> None:
    """The telemetry path is another one."""
    with pytest.raises(ValueError, match=f"'{path}' is already used by another page"):
        example_application(telemetry_path=path)


@pytest.mark.anyio
async def test_the_steps_of_a_probe() -> None:
    """They come before the metrics, as text for a person."""
    server = Server()
    async with serving(server) as client:
        reply = await client.get("/probe?cms=lima&cc_id=1&vdn=2&debug=true")
        text = await reply.text()
        assert reply.status == 200
        assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert text.startswith("The probe of lima, call center 1, VDN 2 succeeded after 0.00 ms.")
        assert "      0.00       0.00  connect  connect to 10.22.26.181:28443\n" in text
        assert 'agent_rest_up{cc_id="1",cms="lima",name="sales",site="a",vdn="2"} 1.0\n' in text
        plain = await client.get("/probe?cms=lima&cc_id=1&vdn=2&debug=false")
        assert (await plain.text()).startswith("# HELP")
        wrong = await client.get("/probe?cms=lima&cc_id=1&vdn=2&debug=1")
        assert (wrong.status, await wrong.text()) == (400, "400: debug must be true or false.\n")
    assert len(server.asked) == 2
