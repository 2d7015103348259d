"""No name, key, secret or signature in anything that `check` and `query` print.

The server repeats all that it was sent, in every encoding, wherever it can.
"""

import asyncio
import base64
import json
import os
import signal
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

import pytest

from exporter.cli import main
from tests.support.cms_peer import http
from tests.support.threaded_peer import in_a_thread

NAMES = ("Canary Oropendola", "金丝雀小姐")
KEY, SECRET, TENANT, AGENT = "AKCANARY0001", "Canary/secret+key", "Canary tenant", "Canary agent"
EVERYTHING = (*NAMES, KEY, SECRET, TENANT, AGENT)


def forms(text: str) -> set[str]:
    """A text as it is, percent-encoded, in base64, and escaped for JSON and HTML."""
    data = text.encode()
    return {
        text,
        quote(text),
        quote(text, safe=""),
        base64.b64encode(data).decode(),
        base64.urlsafe_b64encode(data).decode(),
        json.dumps(text)[1:-1],
        "".join(f"\\u{ord(letter):04x}" for letter in text),
        "".join(f"&#{ord(letter)};" for letter in text),
        data.hex(),
    }


def listing(authorization: str) -> bytes:
    """A success that has what must not be seen in every place that a reply has."""
    row = {"agentName": NAMES[0], "workNo": 1, "alias": NAMES[1], "beginTime": 1_750_000_000}
    rows = [row, {"agentName": NAMES[1], "workNo": "A-2", "key": SECRET, NAMES[0]: NAMES[1]}]
    detail = {"onRestNum": 1, "allowRestNum": 0, "waitRestNum": 1, "agentsRestDetails": rows}
    echoed = {"request": [authorization, TENANT, *forms(SECRET)], "user": NAMES[0]}
    return json.dumps({"resultCode": "0100000", "resultDesc": detail, **echoed}).encode()


def failure(authorization: str) -> bytes:
    """The server says that the query failed, and repeats what it was sent."""
    told = " ".join((authorization, *forms(SECRET), *forms(KEY)))
    detail = {"agentName": NAMES[0], "message": f"{NAMES[0]}: {told}"}
    return json.dumps({"resultCode": "0101003", "resultDesc": told, "detail": detail}).encode()


def page(authorization: str) -> bytes:
    """A web page that repeats what it was sent."""
    told = " ".join((authorization, *forms(TENANT), *forms(KEY)))
    return f"<html><title>{told}</title><p>{told}</p></html>".encode()


def half(authorization: str) -> bytes:
    """A listing that is cut off."""
    return listing(authorization)[:-40]


ANSWERS: dict[str, tuple[str, Callable[[str], bytes]]] = {
    "listing": ("200 OK", listing),
    "failure": ("200 OK", failure),
    "page": ("200 OK", page),
    "half": ("200 OK", half),
    "refusal": ("401 Unauthorized", page),
    "gateway": ("502 Bad Gateway", failure),
}


class Echo:
    """A server that always replies like that, and repeats what it was sent in headers too."""

    def __init__(self, status: str, body: Callable[[str], bytes]) -> None:
        self.status, self.body = status, body
        self.signatures: set[str] = set()
        self.stop_at = -1
        """The request at which this process gets a SIGINT."""
        self.requests = 0

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = [line.split(": ", 1) for line in head.strip().split("\r\n")[1:]]
            headers = {name.lower(): value for name, value in lines}
            await reader.readexactly(int(headers["content-length"]))
            self.requests += 1
            if self.requests == self.stop_at:
                os.kill(os.getpid(), signal.SIGINT)
            authorization = headers["authorization"]
            self.signatures.add(authorization.rpartition("/")[2])
            echoed = {
                "X_Echo": quote(authorization),
                "Via": f"1.1 {authorization}",
                "Location": f"/{quote(SECRET, safe='')}?{headers['x-tenant']}",
                "X_Agent": quote(NAMES[1]),
                "Date": formatdate(usegmt=True),
            }
            writer.write(http(self.body(authorization), self.status, **echoed))


COMMANDS = {
    "check": ("check", "--live"),
    "check json": ("check", "--live", "--json"),
    "query": ("query",),
    "query json": ("query", "--json"),
    "raw": ("query", "--raw"),
    "explain": ("query", "--explain-signature"),
    "watch": ("query", "--watch=1s"),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_nothing_personal_or_secret_is_printed(
    tmp_path: Path,
    answer: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By any of the commands, to stdout or stderr."""
    server = Echo(*ANSWERS[answer])
    printed = {}
    monkeypatch.chdir(tmp_path)
    with in_a_thread(server.converse) as port:
        shape = {
            "name": "lima",
            "url": f"http://127.0.0.1:{port}",
            "auth": {"access_key": KEY, "secret_key": SECRET},
            "headers": {"X-Tenant": TENANT, "User-Agent": AGENT},
            "targets": [{"ccId": 1, "vdn": "1-2"}],
        }
        Path("config.yaml").write_text(json.dumps({"cms": [shape]}), encoding="utf-8")
        for name, (command, *flags) in COMMANDS.items():
            target = ["--cc-id=1", "--vdn=1"] if command == "query" else []
            if name == "watch":
                server.stop_at = server.requests + 2
            assert main([command, *target, *flags]) in {0, 1}
            printed[name] = "".join(capsys.readouterr())
    assert server.signatures
    hidden = [form for text in (*EVERYTHING, *server.signatures) for form in forms(text)]
    assert "> authorization: auth-v2/***/" in printed["raw"]
    assert "   Authorization: auth-v2/***/" in printed["explain"]
    for name, text in printed.items():
        assert text.strip(), name
        assert "internal error" not in text
        assert (name, [form for form in hidden if form in text]) == (name, [])
        assert "ropendola" not in text
        assert "丝" not in text
