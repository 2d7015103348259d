"""`simulate` as a tool: its list, its configuration, its log, its certificates."""

import asyncio
import shutil
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.cli import main
from exporter.cli.make_ca import CertificateError, make_ca
from exporter.cli.simulate import hosts
from exporter.config.load import load
from exporter.simulator.scenarios import KINDS
from exporter.web.listening.addresses import Address
from tests.support.processes import COMMAND, MEASURED, program, run, started

SIMULATE = [COMMAND, "simulate", "--listen-address=127.0.0.1:0"]


def test_the_list_has_every_scenario_and_fits_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With its default value and what it does, in 80 columns."""
    assert main(["simulate", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for kind in KINDS.values():
        (line,) = [
            each for each in lines if each.split()[:1] and each.split()[0].split("=")[0] == kind
        ]
        assert line.endswith(f"  {kind.description}")
    assert "  slow=5s            answers after a delay" in lines
    assert max(map(len, lines)) <= 80


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """A configuration for a simulator with these options."""
    assert main(["simulate", "--print-config", *arguments]) == 0
    return capsys.readouterr().out


def test_the_configuration_to_the_letter(capsys: pytest.CaptureFixture[str]) -> None:
    """Without options: short, commented, and with limits for the alert rules."""
    assert (
        printed(capsys)
        == """\
# For the simulated CC-CMS, printed by `agent-rest-exporter simulate --print-config`: run `simulate`
# with the same options, and `serve` with this file.

cms:
  - name: simulator
    url: http://127.0.0.1:28443
    auth:
      access_key: AKEXAMPLE0001
      secret_key: not-a-real-secret
    # Shorter than for a real server, so that changes show soon.
    interval: 10s
    # Limits for the alert rules.
    max_resting: 10
    max_rest: 45m
    max_wait: 15m
    targets:
      - {ccId: 1, vdn: 1-4}
"""
    )


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["--cti-version=3.6"], ['cti_version: "3.6"']),
        (["--listen-address=:9000"], ["url: http://127.0.0.1:9000"]),
        (["--listen-address=[::1]:9000"], ['url: "http://[::1]:9000"']),
        (["--access-key="], []),
        (
            ["--scenario=hang@1/7", "--scenario=error@1/8", "--scenario=slow@3/9"],
            ["- {ccId: 1, vdn: 7-8}", "- {ccId: 3, vdn: 9}"],
        ),
        (["--scenario=legacy-only", "--cti-version=3.6"], ["api: agentrestinfo"]),
        (["--tls.cert-file=none.pem"], ["insecure_skip_verify: true"]),
    ],
)
def test_the_configuration_agrees_with_the_options(
    arguments: list[str], lines: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """And is valid."""
    text = printed(capsys, *arguments)
    found = [line.strip() for line in text.splitlines()]
    assert set(lines) <= set(found)
    assert ("auth:" in found) == ("--access-key=" not in arguments)
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    (server,) = load(tmp_path / "config.yaml", {}).servers
    assert server.page_size == (100 if 'cti_version: "3.6"' in found else None)


def test_keys_of_ones_own_are_not_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The configuration refers to the variables that the simulator takes them from."""
    text = printed(capsys, "--access-key=canary-ak", "--secret-key=canary-sk")
    assert "canary" not in text
    environ = {
        "AGENT_REST_EXPORTER_ACCESS_KEY": "canary-ak",
        "AGENT_REST_EXPORTER_SECRET_KEY": "canary-sk",
    }
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    assert load(tmp_path / "config.yaml", environ).servers


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["--print-config", "--listen-address=:0"],
            "--print-config: the configuration needs a port: set --listen-address",
        ),
        (
            ["--tls.make-ca=ca.pem", "--tls.cert-file=cert.pem"],
            "--tls.make-ca and --tls.cert-file are both given: use one of them",
        ),
        (["--tls.key-file=none"], "--tls.key-file requires --tls.cert-file"),
        (
            ["--tls.key-file=none", "--tls.make-ca=ca.pem"],
            "--tls.key-file requires --tls.cert-file",
        ),
        (["--print-config", "--tls.key-file=none"], "--tls.key-file requires --tls.cert-file"),
        (["--tls.days=0"], "--tls.days requires --tls.make-ca"),
        (["--tls.days=365", "--tls.cert-file=none"], "--tls.days requires --tls.make-ca"),
        (
            ["--tls.make-ca=mine.pem"],
            "--tls.make-ca: mine.pem exists, and is not a CA of the simulator: choose another name",
        ),
        (
            ["--tls.make-ca=none/ca.pem"],
            "--tls.make-ca: none/ca.pem cannot be written: No such file or directory",
        ),
        (
            ["--tls.make-ca=mine.pem/ca.pem"],
            "--tls.make-ca: mine.pem/ca.pem cannot be written: Not a directory",
        ),
        (
            ["--request-log=none/log"],
            "--request-log: none/log cannot be written: No such file or directory",
        ),
        (["--replay=none"], "--replay: none cannot be read: no such file"),
        (
            ["--replay=mine.pem"],
            "--replay: mine.pem is not a recording: make one with query --record",
        ),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str],
    problem: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a line, with the flag; status 2."""
    (tmp_path / "mine.pem").write_text("precious\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    program("openssl", "openssl")
    assert main(["simulate", *arguments]) == 2
    see = "; see agent-rest-exporter simulate --help"
    assert capsys.readouterr().err == f"agent-rest-exporter simulate: {problem}{see}\n"
    assert (tmp_path / "mine.pem").read_text(encoding="utf-8") == "precious\n"


def test_without_openssl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy is named."""
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(CertificateError) as caught:
        make_ca(tmp_path / "ca.pem", ["localhost"], 1)
    assert str(caught.value) == (
        "the program openssl is needed to make a certificate: install it, or give one with "
        "--tls.cert-file"
    )


def test_an_openssl_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own last words."""
    fake = tmp_path / "openssl"
    fake.write_text("#!/bin/sh\necho first >&2\necho 'last words' >&2\nexit 1\n", encoding="utf-8")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(CertificateError, match=r"^openssl req has failed: last words$"):
        make_ca(tmp_path / "ca.pem", ["localhost"], 1)
    assert not (tmp_path / "ca.pem").exists()


@pytest.mark.anyio
async def test_a_ca_made_on_the_spot_is_all_that_the_exporter_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And each request has its line in the log."""
    program("openssl", "openssl")
    log = tmp_path / "log"
    options = [f"--tls.make-ca={tmp_path / 'ca.pem'}", "--tls.days=10"]
    async with started(*SIMULATE, *options, f"--request-log={log}", environ=MEASURED) as process:
        address = (await process.wait_for(r"answers at https://(\S+);"))[1]
        text = printed(capsys, *options, f"--listen-address={address}")
        (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
        done = run("check", "--live", cwd=tmp_path)
    assert done.returncode == 0
    # ten days are few enough for a warning
    assert done.stderr.startswith("simulator: a certificate that the server presents expires in ")
    assert done.stderr.count("\n") == 1
    lines = log.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 4
    assert all(" status=200 " in line for line in lines)


def test_another_ca_takes_the_place_of_the_last_one(tmp_path: Path) -> None:
    """A simulator that is started again has a new one: the key of the last is gone."""
    program("openssl", "openssl")
    ca = tmp_path / "ca.pem"
    make_ca(ca, ["localhost"], 1)
    before = ca.read_bytes()
    make_ca(ca, ["localhost"], 1)
    assert ca.read_bytes() != before


def test_the_certificate_is_for_the_address_and_for_so_long(tmp_path: Path) -> None:
    """A CA verifies it as strictly as Python 3.13 does."""
    program("openssl", "openssl")
    context = make_ca(tmp_path / "ca.pem", hosts(Address("cms.example", 1)), 10)
    client = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    ends = 0.0
    for name in ("cms.example", "127.0.0.1", "::1", "localhost"):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = context.wrap_bio(outgoing, incoming, server_side=True)
        peer = client.wrap_bio(incoming, outgoing, server_hostname=name)
        for side in (peer, server, peer, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
        certificate = peer.getpeercert() or {}
        ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    assert 9 <= (datetime.fromtimestamp(ends, UTC) - datetime.now(UTC)).days <= 10


@pytest.mark.anyio
async def test_requests_that_are_not_valid_http(tmp_path: Path) -> None:
    """A line on stderr for all of them, without a traceback; and the simulator goes on."""
    async with started(*SIMULATE, "--access-key=", cwd=tmp_path, environ=MEASURED) as process:
        port = int((await process.wait_for(r"answers at http://127\.0\.0\.1:(\d+);"))[1])
        for request in (
            b"POST / HTTP/1.1\r\nHost: a\r\nX-A: \0\1\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"GET http://[::1 HTTP/1.1\r\nHost: a\r\n\r\n",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            assert (await reader.readline()).startswith(b"HTTP/1.0 400 ")
            writer.close()
        assert await process.stop() == 0
    said = process.lines[1:]
    assert len(said) == 1
    assert ' msg="a library reported a problem" library=aiohttp ' in said[0]


@pytest.mark.anyio
async def test_a_request_log_without_room(tmp_path: Path) -> None:
    """It is said once, and requests are answered as ever."""
    async with started(
        *SIMULATE, "--request-log=/dev/full", cwd=tmp_path, environ=MEASURED
    ) as process:
        url = (await process.wait_for(r"answers at (\S+);"))[1]
        (tmp_path / "config.yaml").write_text(
            f"cms: [{{url: '{url}', auth: {{access_key: AKEXAMPLE0001, secret_key: "
            "not-a-real-secret}, targets: [{ccId: 1, vdn: 1-3}]}]",
            encoding="utf-8",
        )
        done = await asyncio.to_thread(run, "check", "--live", cwd=tmp_path)
        assert await process.stop() == 0
    assert (done.returncode, done.stderr) == (0, "")
    complaint = "--request-log: /dev/full cannot be written: No space left on device: lines are"
    assert process.lines[1:] == [f"{complaint} missing from it"]
