"""`query --explain-signature`: the page is what is really signed, and has no secret in it."""

import hashlib
import io
import json
import re
from pathlib import Path

import pytest

from exporter.cli import main
from exporter.cli.output import console, print_lines
from exporter.cli.request_pages import explanation
from exporter.clock import Moment
from exporter.cms import signing, wire
from exporter.cms.requests import Requests
from exporter.secret import Secret
from exporter.server import Server, Signature
from exporter.store import TargetKey

MOMENT = Moment(1_750_000_000.123, 0.0, 0.0)
KEY, SECRET, TENANT = "AKCANARY0001", "canary-secret", "canary-tenant"


def page(server: Server) -> str:
    """As a pipe gets it."""
    assert isinstance(server.auth, Signature)
    stream = io.StringIO()
    target = console(stream)
    key = TargetKey("lima", 1, 7)
    print_lines(target, explanation(target, server, server.auth, key, lambda: MOMENT))
    return stream.getvalue()


def section(text: str, title: str) -> list[str]:
    """The lines of a section, as they are signed or sent."""
    found = re.search(rf"^{re.escape(title)}.*\n((?: .*\n)+)", text, re.MULTILINE)
    assert found
    return [line[3:] for line in found[1].splitlines() if not line.startswith(("   (", "    "))]


@pytest.mark.parametrize("page_size", [None, 50], ids=["3.8", "3.6"])
@pytest.mark.parametrize("empty_query_line", [False, True])
def test_whoever_follows_the_steps_gets_the_header_that_is_sent(
    page_size: int | None, *, empty_query_line: bool
) -> None:
    """From the lines of the page alone, with the keys put in."""
    auth = Signature(Secret(KEY), Secret(SECRET), empty_query_line=empty_query_line)
    server = Server("https://cms.example:28443/cc%20x", auth=auth, page_size=page_size)
    text = page(server)
    canonical = "\n".join(section(text, "2. "))
    assert canonical.count("\n\n") == empty_query_line
    (prefix,) = section(text, "3. ")
    (shown,) = section(text, "5. ")
    written = prefix.replace("***", KEY)
    authorization = signing.authorization(SECRET, written, canonical)
    question = wire.request_body(1, 7, *((0, page_size) if page_size else ()))
    sent = Requests(server, lambda: MOMENT).make(question, auth)
    assert authorization == sent.headers["authorization"]
    hidden = authorization.replace(KEY, "***").rpartition("/")[0]
    assert shown == f"Authorization: {hidden}/***"
    assert hashlib.sha256(canonical.encode()).hexdigest() in text
    signed = dict(line.split(": ", 1) for line in section(text, "1. "))
    assert signed == {name: sent.headers[name] for name in auth.signed_headers}
    assert f"body    {question.decode()}" in text
    assert f"auth.empty_query_line to {str(not empty_query_line).lower()}" in text


def test_a_header_of_the_configuration_is_masked_though_it_is_signed() -> None:
    """Then there is no digest either: it would be that of another text."""
    names = ("content-length", "content-type", "host", "x-tenant")
    server = Server(
        "https://cms.example",
        auth=Signature(Secret(KEY), Secret(SECRET), names),
        headers=(("x-tenant", Secret(TENANT)),),
    )
    text = page(server)
    assert "canary" not in text.casefold()
    assert "   x-tenant: ***\n" in text
    assert "   x-tenant:***\n" in text
    assert "   (x-tenant: masked here, signed as sent)\n" in text
    assert "SHA-256 is" not in text


def test_it_needs_no_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is sent: status 0, though nobody listens there."""
    auth = {"access_key": KEY, "secret_key": SECRET}
    shape = {"url": "http://127.0.0.1:1", "auth": auth, "targets": [{"ccId": 1, "vdn": 1}]}
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps({"cms": [shape]}), encoding="utf-8")
    asking = ["query", f"--config.file={path}", "--cc-id=1", "--vdn=7", "--explain-signature"]
    assert main(asking) == 0
    out, err = capsys.readouterr()
    assert out.startswith("127.0.0.1:1, ccId 1, vdn 7: how a request is signed; nothing is sent\n")
    assert err == ""
    assert "canary" not in out.casefold()


@pytest.mark.parametrize(
    ("auth", "carried"),
    [
        ({}, "no Authorization header"),
        ({"auth": {"authorization": "Bearer canary"}}, "the configured Authorization header"),
    ],
)
def test_there_may_be_no_signature(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], auth: dict[str, object], carried: str
) -> None:
    """Status 2, with what is sent instead."""
    shape = {"url": "http://127.0.0.1:1", "targets": [{"ccId": 1, "vdn": 1}], **auth}
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps({"cms": [shape]}), encoding="utf-8")
    asking = ["query", f"--config.file={path}", "--cc-id=1", "--vdn=7", "--explain-signature"]
    assert main(asking) == 2
    assert capsys.readouterr().err == (
        f"agent-rest-exporter query: --explain-signature: requests to 127.0.0.1:1 carry {carried}, "
        "so there is no signature to explain; see agent-rest-exporter query --help\n"
    )
