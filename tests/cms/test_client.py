"""exporter.cms.client over a mock transport: what is sent, what is sent again, what comes out."""

import asyncio
import json
import re
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine
from email.utils import formatdate
from typing import Any

import aiohttp
import httpx
import pytest

from exporter import __version__
from exporter.cms import signing
from exporter.cms.client import CmsClient
from exporter.cms.transport import StaleConnectionError
from exporter.errors import PollError, Reason
from exporter.secret import Secret
from exporter.server import Api, Auth, Server, Signature, StaticAuthorization, Tls
from exporter.store import Target, TargetKey, TargetState
from tests.support.cms_peer import CONNECTION_KEY, NAME, Failed, Reading, answer, failed, read
from tests.support.signatures import canonical_request
from tests.support.virtual_time import EPOCH, virtual_clock

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]

URL = "https://cms.example.com:28443"
OLD = Signature(Secret("AK1"), Secret("canary-old"))

Handler = (
    Callable[[httpx.Request], httpx.Response]
    | Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]
)
Reply = httpx.Response | Exception


class Script:
    """A server that gives these replies in turn, and notes what it was asked."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


def good(resting: int = 0) -> httpx.Response:
    """A reply that succeeds."""
    return httpx.Response(200, content=answer(1, resting=resting))


def refused(**headers: str) -> httpx.Response:
    """A signature that is not taken."""
    return httpx.Response(401, headers=headers)


def client(handler: Handler, **facts: Any) -> CmsClient:
    """A client of that server."""
    server = Server(**{"url": URL, **facts})
    return CmsClient(server, httpx.MockTransport(handler), virtual_clock)


async def poll(asked: CmsClient) -> Reading:
    """A poll that succeeds."""
    return read(await asked.poll(1, 1))


async def failing(asked: CmsClient) -> Failed:
    """A poll that fails."""
    return failed(await asked.poll(1, 1))


class Rotated:
    """The source of a secret that is another one each time it is read; the last one stays."""

    def __init__(self, *secrets: str | Exception) -> None:
        self.secrets = list(secrets)

    @property
    def loaded(self) -> Secret:
        """The first one."""
        return self.read()

    def read(self) -> Secret:
        """The next one."""
        secret = self.secrets.pop(0) if len(self.secrets) > 1 else self.secrets[0]
        if isinstance(secret, Exception):
            raise secret
        return Secret(secret)


def rotated(*secrets: str | Exception) -> Signature:
    """A key whose secret is rotated."""
    return Signature(Secret("AK1"), Rotated(*secrets))


# What is sent


@pytest.mark.parametrize(
    ("api", "last"),
    [(Api.AGENT_REST_INFOS, "agentrestinfos"), (Api.AGENT_REST_INFO, "agentrestinfo")],
)
async def test_a_poll_is_one_post(api: Api, last: str) -> None:
    """Path, body and headers of the vendor's page."""
    content = answer(1, approved=4)
    if api is Api.AGENT_REST_INFO:
        content = content.replace(b"resultDesc", b"resultDatas").replace(b"resultCode", b"x")
        content = re.sub(rb'"(\w+(?:Num|Details))"', lambda key: key[0].lower(), content)
    script = Script(httpx.Response(200, content=content))

    reading = read(await client(script, api=api).poll(65535, 5000))

    assert (reading.snapshot.approved, reading.requests) == (4, 1)
    (request,) = script.requests
    assert request.method == "POST"
    assert request.url == f"{URL}/rest/cmsapp/v1/openapi/agentgroup/{last}"
    assert json.loads(request.content) == {"queryParam": {"ccId": 65535, "vdn": 5000}}
    assert dict(request.headers) == {
        "host": "cms.example.com:28443",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": f"agent-rest-exporter/{__version__}",
        "content-type": "application/json; charset=UTF-8",
        "content-length": str(len(request.content)),
    }


@pytest.mark.parametrize(
    "names", [("host",), ("content-length", "content-type", "host"), ("x-tenant", "host")]
)
async def test_a_request_is_signed_as_it_is_sent(names: tuple[str, ...]) -> None:
    """Whoever checks the signature from the bytes that arrive comes to the same one."""
    script = Script(good())
    keys = Signature(Secret("AK1"), Secret("sk"), names)

    await client(script, auth=keys, headers=(("x-tenant", Secret("a b")),)).poll(1, 2)

    (request,) = script.requests
    *prefix, _ = request.headers["authorization"].split("/")
    assert prefix == ["auth-v2", "AK1", "2025-06-15T15:06:40.000Z", ";".join(sorted(names))]
    arrived = {name: request.headers[name] for name in prefix[3].split(";")}
    canonical = canonical_request("POST", request.url.raw_path.decode(), arrived, request.content)
    expected = signing.authorization("sk", "/".join(prefix), canonical)
    assert request.headers["authorization"] == expected


async def test_a_static_authorization_is_sent_as_it_is() -> None:
    """A token, or what a signing proxy gave out."""
    script = Script(good())

    await client(script, auth=StaticAuthorization(Secret("Bearer t0ken"))).poll(1, 1)

    assert script.requests[0].headers["authorization"] == "Bearer t0ken"


@pytest.mark.parametrize(
    ("url", "host", "address"),
    [
        ("https://cms.example.com", "cms.example.com", "cms.example.com:443"),
        ("http://10.22.26.181", "10.22.26.181", "10.22.26.181:80"),
        ("https://[2001:db8::1]:28443", "[2001:db8::1]:28443", "[2001:db8::1]:28443"),
        ("https://gw.example.com/cms%20a", "gw.example.com", "gw.example.com:443"),
    ],
)
async def test_the_host_header_leaves_the_default_port_off(
    url: str, host: str, address: str
) -> None:
    """It is signed, so it must be spelled as the server sees it; sentences name every port."""
    script = Script(good())
    asked = client(script, url=url)

    await asked.poll(1, 1)

    assert script.requests[0].headers["host"] == host
    assert asked.server.address == address
    path = url.removeprefix("https://gw.example.com") if "gw." in url else ""
    assert script.requests[0].url.raw_path.decode().startswith(f"{path}/rest/cmsapp/")


@pytest.mark.parametrize(("name", "handed"), [(None, None), ("cms.local", "cms.local")])
async def test_a_server_name_is_handed_to_the_transport(
    name: str | None, handed: str | None
) -> None:
    """As httpx calls it."""
    script = Script(good())

    await client(script, tls=Tls(server_name=name)).poll(1, 1)

    assert script.requests[0].extensions.get("sni_hostname") == handed


# The server's clock


async def test_a_date_gives_the_servers_time() -> None:
    """Ages are computed by it, and half a second more, for it is cut to whole seconds."""
    script = Script(
        httpx.Response(
            200, content=answer(1), headers={"Date": formatdate(EPOCH + 90, usegmt=True)}
        )
    )

    reading = await poll(client(script))

    assert reading.clock_skew == 90.5
    assert reading.snapshot.server_time == EPOCH + 90.5


async def test_ages_count_from_the_date_and_not_from_the_end_of_the_reply() -> None:
    """The rest of a large reply, and decoding it, take time that an agent rests as well."""

    async def slowly() -> AsyncIterator[bytes]:
        await asyncio.sleep(3)
        yield answer(1, resting=1)

    def serve(_request: httpx.Request) -> httpx.Response:
        headers = {"Date": formatdate(EPOCH + 90, usegmt=True)}
        return httpx.Response(200, content=slowly(), headers=headers)

    result = await client(serve).poll(1, 1)
    state = TargetState(Target(TargetKey("lima", 1, 1))).after(result)
    await asyncio.sleep(7)

    numbers = state.numbers(virtual_clock())
    assert numbers is not None
    assert numbers[1] == EPOCH + 90.5 + 10


@pytest.mark.parametrize("date", ["", "yesterday", "Sun, 99 Foo 1994 08:49:37 GMT"])
async def test_without_a_date_the_local_clock_stands_in(date: str) -> None:
    """And nothing is said about the skew."""
    script = Script(httpx.Response(200, content=answer(1), headers={"Date": date}))

    reading = await poll(client(script))

    assert reading.clock_skew is None
    assert reading.snapshot.server_time == EPOCH


# Refused, renewed


async def test_a_changed_secret_is_tried_at_once() -> None:
    """A rotated key costs no poll."""
    script = Script(refused(), good(resting=1))

    reading = await poll(client(script, auth=rotated("old", "new")))

    assert (reading.snapshot.resting, reading.requests) == (1, 2)
    first, second = (request.headers["authorization"] for request in script.requests)
    assert first != second


async def test_a_renewed_secret_stays() -> None:
    """The next poll starts with it."""
    script = Script(refused(), good(), good())
    asked = client(script, auth=rotated("old", "new"))
    await asked.poll(1, 1)

    assert (await asked.poll(1, 1)).requests == 1
    authorizations = [request.headers["authorization"] for request in script.requests]
    assert authorizations[1] == authorizations[2]


async def test_an_unchanged_secret_is_not_tried_again() -> None:
    """It would only be refused twice."""
    error = await failing(client(Script(refused()), auth=OLD))

    assert (error.reason, error.requests) == (Reason.AUTH, 1)


async def test_a_changed_secret_is_tried_only_once() -> None:
    """The new one is refused as well."""
    keys = rotated("old", "new", "newer")
    error = await failing(client(Script(refused(), refused()), auth=keys))

    assert (error.reason, error.requests) == (Reason.AUTH, 2)


async def test_polls_side_by_side_all_get_the_new_secret() -> None:
    """The second to be refused finds it renewed already: it was not sent with it."""
    both_are_out = asyncio.Barrier(2)
    seen: list[str] = []

    async def serve(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        if len(seen) <= 2:
            await both_are_out.wait()
            return refused()
        return good()

    asked = client(serve, auth=rotated("old", "new"))
    readings = await asyncio.gather(asked.poll(1, 1), asked.poll(1, 2))

    assert [reading.requests for reading in readings] == [2, 2]


@pytest.mark.parametrize("trouble", [FileNotFoundError("gone"), LookupError("unset")], ids=repr)
async def test_a_secret_that_cannot_be_read_does_not_hide_the_refusal(trouble: Exception) -> None:
    """What the server said is what the operator must hear."""
    error = await failing(client(Script(refused()), auth=rotated("old", trouble)))

    assert (error.reason, error.requests) == (Reason.AUTH, 1)


@pytest.mark.parametrize(
    ("auth", "sentence"),
    [
        (None, "HTTP 401: the server requires a signature: configure auth"),
        (
            StaticAuthorization(Secret("canary")),
            "HTTP 401: the server rejected the Authorization header: renew auth.authorization",
        ),
    ],
)
async def test_a_refusal_without_a_signature(auth: Auth, sentence: str) -> None:
    """The remedy depends on what was sent."""
    error = await failing(client(Script(refused()), auth=auth))

    assert (error.reason, error.message) == (Reason.AUTH, sentence)


# Sent again


async def test_a_stale_connection_costs_one_more_request() -> None:
    """It is sent again at once, signed anew."""
    script = Script(StaleConnectionError("closed"), good(resting=1))

    reading = await poll(client(script, auth=OLD))

    assert (reading.snapshot.resting, reading.requests) == (1, 2)


async def test_a_second_stale_connection_fails_the_poll() -> None:
    """Once, and only once."""
    script = Script(StaleConnectionError("closed"), StaleConnectionError("closed"))

    error = await failing(client(script))

    assert (error.reason, error.requests) == (Reason.DISCONNECTED, 2)


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
async def test_nothing_else_is_sent_again(status: int) -> None:
    """The next interval is the retry."""
    script = Script(httpx.Response(status))

    error = await failing(client(script, auth=OLD))

    assert error.requests == len(script.requests) == 1


# Failures that no real server is needed for


PATH = "/rest/cmsapp/v1/openapi/agentgroup/agentrestinfos"
LOGIN = "check host, port and path of url, and gateways that require a login"
OTHER = "check host, port and path of url, and gateways in between"
SAME = "and redirects are not followed: if this is CC-CMS, set url to it"


@pytest.mark.parametrize(
    ("location", "sentence"),
    [
        (
            "https://login.example.com/x?next=canary",
            f"a login page (https://login.example.com/x) answers instead of CC-CMS: {LOGIN}",
        ),
        (
            "/portal/Sign-In.jsp;jsessionid=canary?t=canary#canary",
            (
                "a login page (https://cms.example.com:28443/portal/Sign-In.jsp) answers instead "
                f"of CC-CMS: {LOGIN}"
            ),
        ),
        (
            "login?next=canary",
            (
                "a login page (https://cms.example.com:28443/rest/cmsapp/v1/openapi/agentgroup/"
                f"login) answers instead of CC-CMS: {LOGIN}"
            ),
        ),
        (
            "//ann:canary@portal.example.com/\x07start?next=canary",
            f"another page (https://portal.example.com/ start) answers instead of CC-CMS: {OTHER}",
        ),
        (
            "http://[2001:db8::1]:8080/" + "x" * 200,
            (
                f"another page (http://[2001:db8::1]:8080/{'x' * 98}…) answers instead of CC-CMS: "
                f"{OTHER}"
            ),
        ),
        (
            f"https://two.example.com/cms{PATH}?canary",
            f"the server redirects to the same interface at https://two.example.com/cms, {SAME}",
        ),
        (
            PATH,
            (
                "the server redirects to the requested address itself: look for a gateway that "
                "requires a cookie"
            ),
        ),
        ("http://[malformed", None),
        ("https://two.example.com:port/", None),
        ("", None),
        (None, None),
    ],
)
async def test_a_redirect_says_what_it_leads_to(location: str | None, sentence: str | None) -> None:
    """And no more of the address than says so: the rest may be a session or a token."""
    headers = {} if location is None else {"Location": location}

    error = await failing(client(Script(httpx.Response(307, headers=headers))))

    no_address = "the server redirects to an invalid address: check host, port and path of url"
    assert error.message == f"HTTP 307: {sentence or no_address}"


async def test_a_fault_of_the_exporter_is_one_polls_and_quotes_nothing() -> None:
    """A KeyError holds the key, which could be a name."""
    error = await failing(client(Script(KeyError(NAME))))

    assert error.reason is Reason.INTERNAL
    assert re.sub(r"\d+", "N", error.message) == (
        "internal error in the exporter (KeyError at client.py:N): please report it"
    )


async def test_an_address_of_many_that_all_fail_in_their_own_way() -> None:
    """Asyncio then has one text for all of them and no number, and the text is not for people."""
    error = httpx.ConnectError("")
    error.__cause__ = aiohttp.ClientConnectorError(
        CONNECTION_KEY, OSError("Multiple exceptions: [...]")
    )

    assert (await failing(client(Script(error)))).message == (
        "cms.example.com:28443 cannot be reached: no connection; check the address in url, routes "
        "and firewalls"
    )


async def test_a_stream_is_closed_whatever_happens() -> None:
    """Else its connection would be lost to the pool."""

    class Stream(httpx.AsyncByteStream):
        closed = False

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"not JSON"
            raise KeyError(NAME)

        async def aclose(self) -> None:
            self.closed = True

    streams = [Stream(), Stream()]
    script = Script(httpx.Response(200, stream=streams[0]), httpx.Response(500, stream=streams[1]))
    asked = client(script)

    assert (await failing(asked)).reason is Reason.INTERNAL
    assert (await failing(asked)).reason is Reason.HTTP
    assert [stream.closed for stream in streams] == [True, True]


async def test_a_cancelled_poll_is_cancelled_and_no_failure() -> None:
    """A reload or a shutdown is nobody's fault."""

    async def hang(_request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(3600)
        raise AssertionError

    hanging = asyncio.create_task(client(hang, timeout=60.0).poll(1, 1))
    await asyncio.sleep(1)
    hanging.cancel()

    with pytest.raises(asyncio.CancelledError):
        await hanging


# Nothing leaks


def _leaks(error: PollError | None) -> list[str]:
    assert error is not None
    texts: list[str] = []
    link: BaseException | None = error
    while link is not None:
        texts += [str(link), repr(link), *traceback.format_exception(link)]
        link = link.__cause__ or link.__context__
    canaries = (NAME, "canary-old", "canary-new", "canary-header")
    # a traceback quotes lines of this very file, so look at the messages in it alone
    said = [line for text in texts for line in text.splitlines() if not line.startswith("    ")]
    return [line for line in said if any(canary in line for canary in canaries)]


@pytest.mark.parametrize(
    ("status", "content", "coding"),
    [
        (401, answer(1), ""),
        (500, answer(1), ""),
        (200, answer(1, code="7"), ""),
        (200, answer(1)[:-3], ""),
        (200, answer(1).replace(b'"workNo": 1', b'"workNo": ["%s"]' % NAME.encode()), ""),
        (200, answer(1).replace(b"workNo", b"beginTime").replace(b"1}", b'"Zhang San"}'), ""),
        (200, answer(1).replace(b'"onRestNum": 0', b'"onRestNum": "Zhang San"'), ""),
        (200, b"\x1f\x8b" + answer(1), "gzip"),
        (200, answer(1).replace(b"{", b"{,", 1), ""),
        (200, b"\x0b" + answer(1), NAME),
    ],
)
async def test_no_reply_gets_a_name_or_a_secret_into_an_error(
    status: int, content: bytes, coding: str
) -> None:
    """Neither into its sentence nor its traceback, nor into what it came from."""

    def serve(_request: httpx.Request) -> httpx.Response:
        headers = {"content-encoding": coding}
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(content))

    asked = client(
        serve,
        auth=rotated("canary-old", "canary-new"),
        headers=(("x-tenant", Secret("canary-header")),),
    )

    assert _leaks((await asked.poll(1, 1)).error) == []


@pytest.mark.parametrize(
    "trouble",
    [
        StaleConnectionError(f"{NAME} canary-old"),
        httpx.ReadError(f"{NAME} canary-old"),
        KeyError(NAME, "canary-old"),
    ],
    ids=repr,
)
async def test_no_exception_gets_a_name_or_a_secret_into_an_error(trouble: Exception) -> None:
    """Whatever a library writes into its own."""
    assert _leaks((await client(Script(trouble, trouble), auth=OLD).poll(1, 1)).error) == []
