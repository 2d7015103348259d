"""A server that repeats everything it was sent: none of it is seen anywhere.

It repeats the whole request, in several forms, in every place of a reply that a server can fill.
Where a proxy is configured, it is the proxy as well.
"""

import asyncio
import base64
import html
import itertools
import json
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from exporter.secret import Secret
from exporter.server import Signature, StaticAuthorization
from tests.support.cms_peer import connected, serving
from tests.support.processes import run, serving_exporter, until

ACCESS_KEY = "AKCANARY0001"
SECRET_KEY = "canary-secret-key"  # for a test
TOKEN = "canary-token-0123456789"  # for a test
TENANT = "canary/tenant=42"
PASSWORD = "canary:proxy pass"  # for a test
NAME = "Canary Oropendola"
CANARIES = (ACCESS_KEY, SECRET_KEY, TOKEN, TENANT, PASSWORD, quote(PASSWORD), NAME, "Oropendola")

FORMS: tuple[Callable[[str], str], ...] = (
    str,
    lambda text: quote(text, safe=""),
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: json.dumps(text)[1:-1].replace("/", r"\/"),
    html.escape,
    str.swapcase,
)


def _result(code: str, description: str) -> bytes:
    rows = [{"agentName": NAME, "workNo": 1}]
    return json.dumps(
        {"resultCode": code, "resultDesc": description, "resultDatas": {"agentsRestDetails": rows}}
    ).encode()


def _http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def _listing(text: str) -> bytes:
    rows = [{"workNo": text, "agentName": text, "beginTime": text, "cantRestReason": text}]
    detail = {"allowRestNum": text, "agentsRestDetails": rows, text: text}
    return json.dumps({"resultCode": "0100000", "resultDesc": detail, text: text}).encode()


PLACES: dict[str, Callable[[str], bytes]] = {
    "resultDesc": lambda text: _http(_result("0100001", f"refused: {text}")),
    "a name in resultDesc": lambda text: _http(_result("0100001", f"no agent {NAME} {text[:30]}")),
    "resultCode": lambda text: _http(_result(text[:32], "refused")),
    "a whole resultCode": lambda text: _http(_result(text, text)),
    "a listing": lambda text: _http(_listing(text)),
    "a title": lambda text: _http(
        f"<html><title>{text}</title></html>".encode(), "Content-Type: text/html"
    ),
    "a media type": lambda text: _http(b"<p>", f"Content-Type: text/html+{text}"),
    "a redirect's host": lambda text: _http(b"", f"Location: http://{text}/", status="302 Found"),
    "a redirect's path": lambda text: _http(
        b"", f"Location: http://cms.example/login/{text}", status="302 Found"
    ),
    "a redirect's scheme": lambda text: _http(b"", f"Location: {text}://a/b", status="302 Found"),
    "a reason phrase": lambda text: _http(b"", status=f"500 {text}"),
    "a refusal": lambda text: _http(
        text.encode(), f'WWW-Authenticate: Basic realm="{text}"', status="401 Unauthorized"
    ),
    "a proxy's refusal": lambda text: _http(text.encode(), status="407 Authenticate"),
    "a pause": lambda text: _http(b"", f"Retry-After: 0 {text}", status="503 Unavailable"),
    "cookies": lambda text: _http(b"{}", f"Set-Cookie: {text}={text}; \x01", f"Date: {text}"),
    "a coding": lambda text: _http(b"x", f"Content-Encoding: {text}"),
    "an interim reply": lambda text: f"HTTP/1.1 102 {text}\r\n\r\n".encode() + _http(b"{}"),
    "a status line": lambda text: f"{text}\r\n\r\n".encode(),
    "a bad header": lambda text: _http(b"", f"Content-Length: {text}"),
    "a chunk": lambda text: (
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;{text}\r\nx\r\n{text}".encode()
    ),
    "JSON that is none": lambda text: _http(f'{{"resultCode": {text}'.encode()),
    "too many replies": lambda text: _http(b"{}") + _http(text.encode()),
}
CASES = list(itertools.product(PLACES.values(), FORMS))


def _said(head: bytes) -> list[str]:
    """What a request has told: each header's value, what is in it, and the whole."""
    lines = head.decode().split("\r\n")[1:]
    values = [line.partition(": ")[2] for line in lines if ": " in line]
    logins = [base64.b64decode(value[6:]).decode() for value in values if value[:6] == "Basic "]
    sent = [
        value
        for value in values
        if any(canary.lower() in value.lower() for canary in ("canary", *logins))
    ]
    return [*sent, *logins, " ".join(values)]


class Echo:
    """The server. Which place and form it uses, the VDN says."""

    def __init__(self) -> None:
        self.signatures: set[str] = set()
        self.asked: set[int] = set()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and hang up."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *([0-9]+)", head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        self.signatures |= set(re.findall(r"[0-9a-f]{64}", head.decode()))
        # `check --live` also sends the vendor's ping, which has no VDN
        number = int(json.loads(body).get("queryParam", {"vdn": 1})["vdn"])
        self.asked.add(number)
        place, form = CASES[number % len(CASES)]
        said = _said(head)
        writer.write(place(form(said[number // len(CASES) % len(said)])))
        await writer.drain()


VDNS = len(CASES) * 3
"""Each case with a secret, what else there is, and the whole request."""


def configuration(folder: Path, url: str) -> Path:
    """Every kind of secret, at one server: each kind is another one for the exporter."""
    login = f"monitor:{quote(PASSWORD, safe='')}@"
    common: dict[str, object] = {
        "url": url,
        "interval": "2s",
        "timeout": "1s",
        "max_concurrency": 20,
        "headers": {"X-Tenant": TENANT},
        "targets": [{"ccId": 1, "vdn": f"1-{VDNS}"}],
    }
    signed = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
    servers: list[dict[str, object]] = [
        {"name": "signed", "auth": signed},
        {"name": "static", "auth": {"authorization": f"Bearer {TOKEN}"}},
        {"name": "proxied", "auth": signed, "proxy_url": url.replace("://", f"://{login}")},
    ]
    path = folder / "config.yaml"
    path.write_text(json.dumps({"cms": [common | server for server in servers]}), "utf-8")
    return path


def leaks(text: str, signatures: set[str]) -> set[str]:
    """The canaries that are in a text, in any form."""
    shown = text.casefold()
    # most forms of a signature are the same: there are a thousand, and the log is long
    looks = {
        secret: {form(secret).casefold().rstrip("=") for form in FORMS}
        for secret in (*CANARIES, *signatures)
    }
    return {secret for secret, forms in looks.items() if any(form in shown for form in forms)}


@pytest.mark.anyio
async def test_nothing_that_was_sent_is_seen(tmp_path: Path) -> None:
    """In the log at debug, on pages, in the API, in metrics, and in what `check --live` says."""
    echo = Echo()
    async with serving(echo.converse) as port:
        path = configuration(tmp_path, f"http://127.0.0.1:{port}")
        seen = ""
        async with (
            serving_exporter(path, "--log.level=debug") as exporter,
            httpx.AsyncClient(
                base_url=f"http://{exporter.address}", trust_env=False, timeout=60
            ) as client,
        ):

            async def ready() -> bool:
                return (await client.get("/-/ready")).status_code == httpx.codes.OK

            await until(ready)
            pages = [f"/?page={page}" for page in range(1, 5)]
            probes = [f"/probe?cms=signed&cc_id=1&vdn={vdn}" for vdn in range(1, VDNS + 1, 29)]
            for page in ("/", "/metrics", "/api/v1/targets", "/sd", *pages, *probes):
                seen += (await client.get(page)).text
            await exporter.stop()
        seen += "\n".join(exporter.lines)
        done = await asyncio.to_thread(run, "check", "--live", f"--config.file={path}")
        seen += done.stdout + done.stderr
    assert echo.asked == set(range(1, VDNS + 1))
    assert len(echo.signatures) > VDNS
    assert leaks(seen, echo.signatures) == set()
    # there is something left to read, and every place was reached
    for said in (
        "the server returned result code 0100001, the call failed (refused: ***)",
        "a result code that CC-CMS does not have",
        "the reply is a web page",
        "page (http://cms.example",
        "is not valid HTTP",
        "HTTP 407",
    ):
        assert said in seen.replace('\\"', '"'), said


@pytest.mark.anyio
async def test_no_traceback_shows_what_was_sent() -> None:
    """Whoever catches an error of a poll and prints it."""
    echo = Echo()
    signed = Signature(Secret(ACCESS_KEY), Secret(SECRET_KEY))
    printed = ""
    async with serving(echo.converse) as port:
        for auth in (signed, StaticAuthorization(Secret(f"Bearer {TOKEN}"))):
            async with connected(
                f"http://127.0.0.1:{port}", auth=auth, headers=(("x-tenant", Secret(TENANT)),)
            ) as client:
                for vdn in range(1, VDNS + 1):
                    result = await client.poll(1, vdn)
                    printed += repr(result)
                    if result.error is not None:
                        printed += "".join(traceback.format_exception(result.error))
    assert leaks(printed, echo.signatures) == set()
    assert "result code" in printed
