"""The settings that a server needs: differences are detected, refusals explained, none guessed."""

from dataclasses import replace

import pytest

from exporter.begin_time import BeginTimeUnit
from exporter.clock import Moment, system_clock
from exporter.cms.agent_names import NamedRow
from exporter.cms.client import CmsClient, Inspection
from exporter.cms.transport import Transport
from exporter.errors import Clue, PollError, PollResult, Reason
from exporter.inspection.survey import Found, Survey, Vdn, explain_refusal
from exporter.rest import Counters, reduce
from exporter.secret import Secret
from exporter.server import Api, Server, Signature
from exporter.simulator.floors import SimulatedFloors
from exporter.simulator.scenarios import parse_scenario
from exporter.simulator.stand_in import Settings, Simulator
from exporter.simulator.stand_in import serving as simulating
from tests.support.cms_peer import connected, serving
from tests.support.picky_server import PING, Picky

pytestmark = pytest.mark.anyio

KEYS = {"AK1": "sk"}
AUTH = Signature(Secret("AK1"), Secret("sk"))
NOW = 1_760_000_000.0
VDNS = [(1, 1), (1, 2)]
MILLISECONDS = "the server sends beginTime in milliseconds"
AT_ONCE = "the server sends all rows at once, as CTI 3.8 does"


async def ask(server: Server, vdn: Vdn) -> Inspection:
    """One real poll."""
    client = CmsClient(server, Transport(server, {}), system_clock)
    try:
        return await client.inspect(*vdn)
    finally:
        await client.aclose()


async def found(server: Server, *, guess: bool = False) -> tuple[Found, list[str]]:
    """What is found out about a server, and what is told of it."""
    told: list[str] = []
    result = await Survey(ask, VDNS, told.append).find(server, guess_scheme=guess)
    assert list(result.reasons.values()) == told
    return result, told


@pytest.mark.parametrize(
    ("cti_version", "scenarios", "server", "told"),
    [
        ("3.8", "approver-absent", {}, [MILLISECONDS, AT_ONCE]),
        (
            "3.6",
            "approver-absent",
            {"page_size": 100},
            [MILLISECONDS, "the server sends pages, as CTI 3.6 does"],
        ),
        (
            "3.8",
            "approver-absent,legacy-only",
            {"api": Api.AGENT_REST_INFO},
            ["the server has no agentrestinfos (HTTP 404), but agentrestinfo", MILLISECONDS],
        ),
        (
            "3.8",
            "approver-absent,seconds",
            {"begin_time_unit": BeginTimeUnit.SECONDS},
            ["the server sends beginTime in seconds", AT_ONCE],
        ),
    ],
    ids=["3.8", "3.6", "legacy", "seconds"],
)
async def test_each_version_is_found_out(
    cti_version: str, scenarios: str, server: dict[str, object], told: list[str]
) -> None:
    """By real polls of the simulator, and a poll with what was found succeeds."""
    parsed = tuple(map(parse_scenario, scenarios.split(",")))
    settings = Settings(
        cti_version="3.6" if cti_version == "3.6" else "3.8",
        access_keys=KEYS,
        scenarios=parsed,
        floors=SimulatedFloors(scenarios=parsed),
    )
    async with simulating(Simulator(settings)) as address:
        result, sentences = await found(Server(address.url, auth=AUTH))
        again = await ask(result.server, (1, 1))
    assert again.result.error is None
    assert sentences == told
    expected: dict[str, object] = {
        "api": Api.AGENT_REST_INFOS,
        "page_size": None,
        "begin_time_unit": BeginTimeUnit.MILLISECONDS,
    }
    assert {key: getattr(result.server, key) for key in expected} == expected | server


async def test_a_floor_without_agents_leaves_it_open() -> None:
    """What cannot be known is said, with what to do."""
    settings = Settings(
        access_keys=KEYS,
        floors=lambda *_: SimulatedFloors(scenarios=[parse_scenario("quiet")])(1, 1, 0),
    )
    async with simulating(Simulator(settings)) as address:
        result, _ = await found(Server(address.url, auth=AUTH))
    assert result.error is None
    assert result.server == Server(address.url, auth=AUTH)
    assert result.reasons["begin_time_unit"].startswith("the unit of beginTime is not known yet")
    assert result.reasons["cti_version"].startswith("whether the server sends pages")


@pytest.mark.parametrize(
    ("picky", "option", "sentence"),
    [
        (
            Picky(query=("",)),
            "empty_query_line",
            "the server accepts the signature only with auth.empty_query_line: true",
        ),
        (
            Picky(lambda _port: "127.0.0.1"),
            "host_header",
            'the server accepts the signature only with host_header: "127.0.0.1"',
        ),
    ],
    ids=["empty query line", "host without port"],
)
async def test_what_is_signed_is_found_out(picky: Picky, option: str, sentence: str) -> None:
    """The vendor's pages leave it open, and load balancers change it."""
    async with serving(picky.converse) as picky.port:
        result, _ = await found(Server(f"http://127.0.0.1:{picky.port}", auth=AUTH))
        again = await ask(result.server, (1, 1))
    assert result.reasons[option] == sentence
    assert again.result.error is None


async def test_a_wrong_key_stays_a_wrong_key() -> None:
    """Nothing is set that does not help."""
    simulator = Simulator(Settings(access_keys={"AK1": "other"}))
    async with simulating(simulator) as address:
        server = Server(address.url, auth=AUTH)
        result, told = await found(server)
    assert (result.server, told) == (server, [])
    assert result.error is not None
    assert result.error.reason is Reason.AUTH
    # a server may lock a key that it refuses too often
    assert simulator.requests == 3


async def test_a_guessed_scheme_is_corrected() -> None:
    """Of an address without a scheme: https is tried first."""
    async with simulating(Simulator(Settings())) as address:
        guessed = address.url.replace("http:", "https:")
        result, told = await found(Server(guessed), guess=True)
        kept, _ = await found(Server(guessed))
    assert result.server.url == address.url
    assert told[0] == "the server answers with http"
    # somebody who writes https:// wants it
    assert kept.server.url == guessed
    assert kept.error is not None


# --- Servers that only a script can play

SUCCESS = reduce(Counters(0, 0, 0), (), NOW)
Script = dict[str, PollError | None]


def failed(reason: Reason, clue: Clue | None = None) -> PollError:
    """A failure."""
    return PollError(reason, f"{reason} {clue}", clue=clue)


def kind(server: Server) -> str:
    """What differs from a server with every default."""
    tls = server.tls
    parts = [
        server.url.partition(":")[0],
        tls.ciphers or "",
        tls.min_version or "",
        server.api.value if server.api is Api.AGENT_REST_INFO else "",
        "pages" if server.page_size else "",
    ]
    return " ".join(filter(None, parts))


async def scripted(server: Server, script: Script, *, guess: bool = False) -> tuple[str, list[str]]:
    """What is found out about a server that answers by a script; the last kind asked."""
    told: list[str] = []

    async def answer(asked: Server, _vdn: Vdn) -> Inspection:
        error = script.get(kind(asked), script.get("*"))
        moment = Moment(NOW, 1.0, 1.0)
        snapshot = None if error else SUCCESS
        return Inspection(PollResult(moment, moment, snapshot, error), ())

    result = await Survey(answer, VDNS, told.append).find(server, guess_scheme=guess)
    return kind(result.server), told


NO_TLS = failed(Reason.TLS, Clue.PLAIN_HTTP)
OLD = failed(Reason.TLS, Clue.OLD_TLS)
UNKNOWN_CA = failed(Reason.TLS, Clue.UNKNOWN_CA)
USES_TLS = failed(Reason.HTTP, Clue.NEEDS_TLS)
NOT_FOUND = failed(Reason.HTTP, Clue.NO_INTERFACE)
IS_36 = failed(Reason.API, Clue.CTI_3_6)
REFUSED = failed(Reason.CONNECT)


@pytest.mark.parametrize(
    ("url", "script", "ends", "first"),
    [
        ("http://a", {"http": USES_TLS, "https": None}, "https", "the server answers with https"),
        (
            "http://a",
            {"http": USES_TLS, "https": UNKNOWN_CA},
            "https",
            "the server answers with https",
        ),
        ("http://a", {"http": USES_TLS, "https": REFUSED}, "http", None),
        (
            "http://a",
            {"http": USES_TLS, "https TLS10": None, "*": OLD},
            "https TLS10",
            "the server answers with https",
        ),
        ("http://a", {"http": REFUSED}, "http", None),
        ("?a", {"https": NO_TLS, "http": None}, "http", "the server answers with http"),
        ("?a", {"https": NO_TLS, "http": USES_TLS}, "https", None),
        ("?a", {"https": UNKNOWN_CA, "http": None}, "https", None),
        ("?a", {"https": REFUSED, "http": None}, "https", None),
        (
            "https://a",
            {"https DEFAULT:@SECLEVEL=0": None, "*": OLD},
            "https DEFAULT:@SECLEVEL=0",
            "the server supports only old TLS, and accepts ciphers: DEFAULT:@SECLEVEL=0",
        ),
        (
            "https://a",
            {"https TLS10": UNKNOWN_CA, "*": OLD},
            "https TLS10",
            "the server supports only old TLS, and accepts min_version: TLS10",
        ),
        ("https://a", {"*": OLD}, "https", None),
        ("https://a", {"*": NOT_FOUND}, "https", None),
        (
            "https://a",
            {"https": NOT_FOUND, "https agentrestinfo": None},
            "https agentrestinfo",
            "the server has no agentrestinfos (HTTP 404), but agentrestinfo",
        ),
        (
            "https://a",
            {"https": IS_36, "https pages": None},
            "https pages",
            "the server says that it is CTI 3.6",
        ),
    ],
)
async def test_what_is_tried(url: str, script: Script, ends: str, first: str | None) -> None:
    """And what is left as it is."""
    guess = url.startswith("?")
    server = Server(url.replace("?", "https://"))
    last, told = await scripted(server, script, guess=guess)
    assert last == ends
    assert told[:1] == ([first] if first else [])


async def test_the_vdn_with_the_most_agents_tells() -> None:
    """The others are asked only until one has enough, and their failures do not matter."""
    asked: list[Vdn] = []
    row = NamedRow(1, 0, int(NOW - 60) * 1000, 600, None)

    async def answer(server: Server, vdn: Vdn) -> Inspection:
        asked.append(vdn)
        rows = tuple(
            NamedRow(n, row.reason, row.begin_time, row.duration, None) for n in range(vdn[1])
        )
        moment = Moment(NOW, 1.0, 1.0)
        if vdn == (1, 2):
            return Inspection(PollResult(moment, moment, None, REFUSED), ())
        pages = 1 if server.page_size is None else -(-len(rows) // server.page_size) + 1
        snapshot = reduce(Counters(0, len(rows), 0), rows, NOW)
        return Inspection(PollResult(moment, moment, snapshot, None, pages), rows)

    vdns = [(1, 1), (1, 2), (1, 3), (1, 4)]
    result = await Survey(answer, vdns).find(Server("http://a"))
    assert asked == [(1, 1), (1, 2), (1, 3), (1, 3)]
    assert result.server == replace(
        Server("http://a"), page_size=100, begin_time_unit=BeginTimeUnit.MILLISECONDS
    )


async def explained(picky: Picky, auth: Signature | None = AUTH) -> str | None:
    """The sentence for one poll of it."""
    async with serving(picky.converse) as picky.port:
        url = f"http://127.0.0.1:{picky.port}"
        async with connected(url, auth=auth) as client:
            result = await client.poll(1, 1)
        server = Server(url, auth=auth)
        sentence = await explain_refusal(server, result, (1, 1), {}, system_clock)
    return sentence and sentence.replace(str(picky.port), "PORT")


@pytest.mark.parametrize(
    ("picky", "sentence"),
    [
        (
            Picky(query=("",)),
            "the server accepts the signature with auth.empty_query_line: true: set it",
        ),
        (
            Picky(lambda _port: "127.0.0.1"),
            'the server accepts the signature with host_header: "127.0.0.1": set it',
        ),
        (
            Picky(key="other", ping="200 OK"),
            (
                "the server accepts the signature of the vendor's ping, so the keys are right: "
                "check api, and the rights of the access key"
            ),
        ),
        (
            Picky(key="other", ping="401 Unauthorized"),
            (
                "the server refuses every variant of the signature (empty query line, Host without "
                "and with the port), and the vendor's ping returns HTTP 401: check access_key and "
                "secret_key"
            ),
        ),
    ],
    ids=["empty query line", "host without port", "rights", "keys"],
)
async def test_a_refusal_is_explained(picky: Picky, sentence: str) -> None:
    """By the variant that passes, if one does."""
    assert await explained(picky) == sentence
    assert len(picky.paths) <= 4
    assert picky.paths.count(PING) <= 1


@pytest.mark.parametrize(
    ("picky", "auth"),
    [(Picky(), AUTH), (Picky(key="other", skew=600.0), AUTH)],
    ids=["no refusal", "the clocks differ"],
)
async def test_nothing_is_tried_where_the_cause_is_known(picky: Picky, auth: Signature) -> None:
    """One request, the poll's own."""
    assert await explained(picky, auth) is None
    assert len(picky.paths) == 1


async def test_a_server_that_is_gone_meanwhile_is_told() -> None:
    """The ping gets no reply."""
    picky = Picky(key="other")
    async with serving(picky.converse) as picky.port:
        url = f"http://127.0.0.1:{picky.port}"
        async with connected(url, auth=AUTH) as client:
            result = await client.poll(1, 1)

    sentence = await explain_refusal(Server(url, auth=AUTH), result, (1, 1), {}, system_clock)

    assert sentence is not None
    assert "the vendor's ping does not answer" in sentence
