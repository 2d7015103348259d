"""`query --raw`: the real command, for polls that succeed, fail, and are stopped."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from exporter.cli import main
from tests.support.cms_peer import Handler, Peer, Step, answer, http
from tests.support.threaded_peer import in_a_thread

RAW = ["query", "--cc-id=1", "--vdn=1", "--raw"]
REQUEST = """\
> POST /rest/cmsapp/v1/openapi/agentgroup/agentrestinfos
> host: 127.0.0.1:PORT
> accept: application/json
> accept-encoding: identity
> user-agent: ***
> content-type: application/json; charset=UTF-8
> content-length: 33
>
> {"queryParam":{"ccId":1,"vdn":1}}

"""
LEGEND = "***: masked. JSON is reformatted; values and their order are as received.\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder of its own."""
    monkeypatch.chdir(tmp_path)


def asked(handler: Handler, *flags: str) -> tuple[int, int]:
    """The exit status of the command that asks this server, and the server's port."""
    with in_a_thread(handler) as port:
        shape = {
            "name": "lima",
            "url": f"http://127.0.0.1:{port}",
            "headers": {"User-Agent": "canary"},
            "targets": [{"ccId": 1, "vdn": 1}],
        }
        Path("config.yaml").write_text(json.dumps({"cms": [shape]}), encoding="utf-8")
        return main([*RAW, *flags]), port


def test_a_poll_that_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    """What was sent, and what came back."""
    peer = Peer((Step(http(answer(7, resting=1))),))
    status, port = asked(peer.converse)
    out, err = capsys.readouterr()
    assert (status, err) == (0, "")
    head, _, shown = out.partition("\n\n")
    assert head.startswith("lima, ccId 1, vdn 1: replied in ")
    request, _, reply = shown.partition("< HTTP 200\n")
    assert request == REQUEST.replace("PORT", str(port))
    assert '      {"agentName": "***", "workNo": 7}\n' in reply
    assert reply.endswith(f"< }}\n\n{LEGEND}")


def test_names_if_they_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing else that is masked."""
    peer = Peer((Step(http(answer(7, resting=1))),))
    assert asked(peer.converse, "--show-names")[0] == 0
    out = capsys.readouterr().out
    assert '{"agentName": "Zhang San", "workNo": 7}' in out
    assert "canary" not in out


def test_a_poll_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """The exchange to stdout, what is wrong to stderr as ever; status 1."""
    peer = Peer((Step(http(b"no quota", "502 Bad Gateway")),))
    status, port = asked(peer.converse)
    assert status == 1
    out, err = capsys.readouterr()
    request = REQUEST.replace("PORT", str(port))
    assert out == (
        f"{request}< HTTP 502\n< Content-Length: 8\n<\n< no quota\n"
        f"< (not valid JSON at character 1; white space is shortened)\n\n{LEGEND}"
    )
    assert err.startswith("lima, ccId 1, vdn 1: http: HTTP 502: ")


def test_a_poll_that_is_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    """A server that hangs: what was sent is what one wants to see."""

    async def converse(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        os.kill(os.getpid(), signal.SIGINT)
        await reader.read()

    status, port = asked(converse)
    assert status == 130
    request = REQUEST.replace("PORT", str(port))
    assert capsys.readouterr() == (f"{request}< no reply\n\n{LEGEND}", "")
