"""Every path of the exporter, asked over a real connection."""

import asyncio
import zlib
from typing import Any

import pytest
from aiohttp import web

from exporter.clock import Moment
from exporter.metrics.exporter_families import ExporterCollector, own_registry
from exporter.metrics.exposition import Exposition, Format
from exporter.store import ReloadOutcome, ReloadStatus, Store, Target, TargetKey
from tests.support.example_application import example_application
from tests.support.raw_client import raw_client
from tests.support.stores import store_of

NOW = Moment(1_700_000_100.0, 1100.0, 1100.0)
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PATHS = ("/", "/api/v1/targets", "/metrics", "/-/healthy", "/-/ready")


def _store(count: int = 3) -> Store:
    return store_of(Target(TargetKey("lima", 1, vdn)) for vdn in range(1, count + 1))


def _fine() -> str | None:
    return None


def _app(store: Store | None = None, **sources: Any) -> web.Application:
    return example_application(store=store or _store(), moment=lambda: NOW, **sources)


def _expected(store: Store, form: Format) -> bytes:
    return b"".join(Exposition().slices(store.states(), NOW, form))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("accept", "form"), [(PROMETHEUS, Format.OPENMETRICS), ("*/*", Format.TEXT)]
)
async def test_metrics_in_the_format_asked_for(accept: str, form: Format) -> None:
    """Prometheus gets OpenMetrics, and everyone else the text; caches are told why they differ."""
    store = _store()
    async with raw_client(_app(store)) as client:
        reply = await client.get("/metrics", headers={"Accept": accept})
        body = await reply.read()
    assert (reply.status, body) == (200, _expected(store, form))
    assert reply.headers["Content-Type"] == form.value
    assert reply.headers["Content-Length"] == str(len(body))
    assert reply.headers["Vary"] == "Accept, Accept-Encoding"
    assert "Content-Encoding" not in reply.headers


@pytest.mark.anyio
async def test_accept_may_come_in_several_lines() -> None:
    """A list's lines are one list."""
    lines = [("Accept", "text/plain;q=0.1"), ("Accept", "application/openmetrics-text")]
    async with raw_client(_app()) as client:
        reply = await client.get("/metrics", headers=lines)
    assert reply.headers["Content-Type"] == Format.OPENMETRICS.value


@pytest.mark.anyio
async def test_metrics_of_the_exporter_follow() -> None:
    """One scrape has the targets, the exporter, its process and its interpreter."""
    store = _store()
    status = ReloadStatus(successful=True, last_success=1.0)
    registry = own_registry(ExporterCollector(store, lambda: status, lambda: NOW, version="1.2.3"))
    async with raw_client(_app(store, registry=registry)) as client:
        text = await (await client.get("/metrics")).text()
    for line in (
        'agent_rest_polls_total{cc_id="1",cms="lima",vdn="1"} 0.0',
        'agent_rest_exporter_targets{cms="lima"} 3.0',
        "# TYPE process_cpu_seconds_total counter",
        "# TYPE python_info gauge",
    ):
        assert line in text.splitlines()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("name[]=agent_rest_polls_total", {"agent_rest_polls_total"}),
        (
            "name[]=agent_rest_polls_total&name%5B%5D=agent_rest_poll_failures_total",
            {"agent_rest_polls_total", "agent_rest_poll_failures_total"},
        ),
        ("name[]=nothing", set()),
        ("name[]=", {"agent_rest_polls_total", "agent_rest_poll_failures_total"}),
        ("other=x", {"agent_rest_polls_total", "agent_rest_poll_failures_total"}),
    ],
)
async def test_metrics_by_name(query: str, names: set[str]) -> None:
    """Prometheus' `params` can ask for a few samples; an empty name is none, as in the library."""
    async with raw_client(_app()) as client:
        text = await (await client.get(f"/metrics?{query}")).text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert {line.partition("{")[0] for line in lines} == names


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/metrics", "/", "/api/v1/targets"])
async def test_compressed_on_request(path: str) -> None:
    """The same bytes, fewer of them on the wire."""
    async with raw_client(_app()) as client:
        plain = await (await client.get(path)).read()
        reply = await client.get(path, headers={"Accept-Encoding": "gzip, deflate"})
        body = await reply.read()
    assert reply.headers["Content-Encoding"] == "gzip"
    assert reply.headers["Content-Length"] == str(len(body))
    assert "Accept-Encoding" in reply.headers["Vary"]
    assert zlib.decompress(body, zlib.MAX_WBITS | 16) == plain
    assert len(body) < len(plain)


@pytest.mark.anyio
@pytest.mark.parametrize("refusal", ["gzip;q=0", "*;q=0", "identity"])
async def test_not_compressed_when_refused(refusal: str) -> None:
    """A client that cannot decompress gets what it can read."""
    store = _store()
    async with raw_client(_app(store)) as client:
        reply = await client.get("/metrics", headers={"Accept-Encoding": refusal})
        assert await reply.read() == _expected(store, Format.TEXT)
    assert "Content-Encoding" not in reply.headers


@pytest.mark.anyio
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_head_is_get_without_its_body(path: str, encoding: str) -> None:
    """The same status and headers, on a connection that stays usable."""
    async with raw_client(_app()) as client:
        got = await client.get(path, headers={"Accept-Encoding": encoding})
        body = await got.read()
        head = await client.head(path, headers={"Accept-Encoding": encoding})
        assert await head.read() == b""
        assert (await client.get("/-/healthy")).status == 200
    assert head.status == got.status == 200
    assert head.headers["Content-Length"] == got.headers["Content-Length"] == str(len(body))
    assert {name: value for name, value in head.headers.items() if name != "Date"} == {
        name: value for name, value in got.headers.items() if name != "Date"
    }


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["healthy", "ready"])
async def test_checks(name: str) -> None:
    """200 and a sentence while all is well, 503 and the sentence of what is not."""
    problems = [None, "the scheduler has made no progress for 63 s"]
    app = _app(**{f"un{name}": lambda: problems.pop(0)})  # type: ignore[arg-type]  # one of two names
    async with raw_client(app) as client:
        fine = await client.get(f"/-/{name}")
        assert (fine.status, await fine.text()) == (200, f"agent-rest-exporter is {name}.\n")
        ill = await client.get(f"/-/{name}")
        assert ill.status == 503
        assert await ill.text() == "the scheduler has made no progress for 63 s\n"


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_reload(method: str) -> None:
    """200 with what changed, 500 with each problem; a GET, as a link makes it, reloads nothing."""
    outcomes = [
        ReloadOutcome(successful=True, report="1 added"),
        ReloadOutcome(successful=False, report="a: bad\nb: bad"),
    ]

    async def reload() -> ReloadOutcome:
        return outcomes.pop(0)

    async with raw_client(_app(reload=reload)) as client:
        assert (await client.get("/-/reload")).status == 405
        for expected in ((200, "1 added\n"), (500, "a: bad\nb: bad\n")):
            reply = await client.request(method, "/-/reload")
            assert (reply.status, await reply.text()) == expected
        assert "/-/reload" in await (await client.get("/nothing")).text()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://exporter:10072"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://behind.a.proxy"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "http://exporter:10072"}, 200),
        ({}, 200),
    ],
)
async def test_a_page_of_another_site_reloads_nothing(headers: dict[str, str], status: int) -> None:
    """A browser sends a POST for any page, with the password that it knows."""
    reloads = []

    async def reload() -> ReloadOutcome:
        reloads.append(1)
        return ReloadOutcome(successful=True, report="1 added")

    async with raw_client(_app(reload=reload)) as client:
        headers = {"Host": "exporter:10072", **headers}
        reply = await client.post("/-/reload", headers=headers)
        text = await reply.text()
    assert reply.status == status
    assert len(reloads) == (status == 200)
    if status == 403:
        assert text == "403: a page of another site must not reload the configuration.\n"


@pytest.mark.anyio
async def test_status_page() -> None:
    """HTML with a policy of its own, which leads to the metrics where they are."""
    async with raw_client(_app(telemetry_path="/telemetry")) as client:
        reply = await client.get("/")
        text = await reply.text()
        assert (await client.get("/telemetry")).status == 200
        assert (await client.get("/metrics")).status == 404
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src ")
    assert reply.headers["Referrer-Policy"] == "no-referrer"
    assert 'href="./telemetry"' in text
    assert text.count('<tr data-key="lima/1/') == 3


@pytest.mark.anyio
@pytest.mark.parametrize("path", [*PATHS, "/nothing"])
async def test_headers_of_every_reply(path: str) -> None:
    """Nothing is sniffed, kept, or told of the server's parts."""
    async with raw_client(_app()) as client:
        headers = (await client.get(path)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Server"] == "agent-rest-exporter"


@pytest.mark.anyio
async def test_the_configuration_is_text_in_a_browser() -> None:
    """YAML would be saved to a file; the page links to it."""
    async with raw_client(_app(configuration=lambda: [b"cms:\n", b"  - name: lima\n"])) as client:
        reply = await client.get("/config")
        assert await reply.text() == "cms:\n  - name: lima\n"
        assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert '<a href="./config">Configuration</a>' in await (await client.get("/")).text()


@pytest.mark.anyio
async def test_a_target_has_a_page_of_its_own() -> None:
    """It is asked for like a probe, and told like one what is wrong."""
    async with raw_client(_app()) as client:
        reply = await client.get("/target?cms=lima&cc_id=1&vdn=2")
        assert reply.status == 200
        assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
        assert "call center 1, VDN 2" in await reply.text()
        for query, sentence in (
            ("cms=lima&cc_id=1&vdn=9", "no target is configured with cms 'lima', cc_id 1 and vdn"),
            ("cms=lima", "missing: write it like /target?cms=lima&cc_id=1&vdn=2"),
        ):
            reply = await client.get(f"/target?{query}")
            assert reply.status == 400
            assert sentence in await reply.text()


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "/%2e%2e/etc/passwd", "/<script>"])
async def test_unknown_paths_are_told_the_known_ones(path: str) -> None:
    """Plain text, which repeats nothing of what was asked."""
    async with raw_client(_app()) as client:
        reply = await client.get(path)
        assert reply.status == 404
        assert await reply.text() == (
            "404: not found. The paths are /, /-/healthy, /-/ready, /-/reload, /api/v1/targets, "
            "/config, /metrics, /probe, /sd, /target.\n"
        )
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.anyio
@pytest.mark.parametrize("path", PATHS)
async def test_other_methods_are_refused(path: str) -> None:
    """With the methods that are not."""
    async with raw_client(_app()) as client:
        reply = await client.post(path, data=b"x")
        assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD")
        assert await reply.text() == "405: POST is not allowed here; use GET, HEAD.\n"


REMEDY = "choose another one with --web.telemetry-path, such as /metrics"


@pytest.mark.parametrize("path", ["/", "/-/healthy", "/-/ready", "/api/v1/targets"])
def test_telemetry_path_that_is_taken(path: str) -> None:
    """Metrics cannot stand where another page does."""
    with pytest.raises(ValueError, match="already used") as refusal:
        _app(telemetry_path=path)
    assert str(refusal.value) == (
        f"the telemetry path '{path}' is already used by another page of the exporter: {REMEDY}"
    )


@pytest.mark.parametrize("path", ["", "metrics", "/a b", "/{name}", "/metrics?x", "/métrics"])
def test_telemetry_path_that_is_none(path: str) -> None:
    """Nor can they stand where no request can come, or every one does."""
    with pytest.raises(ValueError, match="must be a slash") as refusal:
        _app(telemetry_path=path)
    assert str(refusal.value) == (
        f"the telemetry path '{path}' must be a slash followed only by letters, digits or any of "
        f". _ ~ / -: {REMEDY}"
    )


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/metrics", "/", "/api/v1/targets"])
async def test_polls_go_on_during_a_scrape(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many targets there are, the loop is given back between slices that take time."""
    monkeypatch.setattr("exporter.web.renderings._TURN", 0.0)
    turns = 0

    async def poll() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    # The reply to this has a few turns of its own: the difference is what 4,000 targets add.
    async with raw_client(_app(_store(4000))) as client:
        polling = asyncio.create_task(poll())
        await (await client.get("/-/healthy")).read()
        idle, turns = turns, 0
        await (await client.get(path)).read()
        busy = turns
        polling.cancel()
    least = sum(1 for _ in Exposition().slices(_store(4000).states(), NOW, Format.TEXT))
    assert busy - idle >= (least if path == "/metrics" else 4000 // 500) // 2
