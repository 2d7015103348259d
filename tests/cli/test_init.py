"""`init`: by flags and on a terminal, against the simulator in each of its versions."""

import os
import ssl
import stat
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from click.testing import CliRunner

from exporter.cli import main
from exporter.cli.init import configuration
from exporter.cli.init_answers import Answers, from_variable, parse_numbers, tidy_url
from exporter.clock import Moment
from exporter.config.load import load
from exporter.errors import PollResult
from exporter.inspection.survey import Found
from exporter.rest import Counters, reduce
from exporter.secret import Secret
from exporter.server import Api, Server, Signature, StaticAuthorization, Tls
from exporter.simulator.stand_in import Address
from tests.support.file_room import room_for
from tests.support.processes import COMMAND, clean_environment
from tests.support.simulated import simulating
from tests.support.terminal import Terminal, terminal


class Said(NamedTuple):
    """What a conversation came to."""

    status: int
    out: str
    err: str


MOMENT = Moment(1_760_000_000.0, 1.0, 1.0)
SUCCESS = PollResult(MOMENT, MOMENT, reduce(Counters(0, 0, 0), (), MOMENT.wall), None)
ANSWERED = ["--cc-id=1", "--vdn=1-3,7"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it writes; with the secret key in a file and in a variable."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sk").write_text("canary-sk\n", encoding="utf-8")
    monkeypatch.setenv("SK", "canary-sk")
    for name in [*os.environ]:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    return tmp_path


def signed(address: Address) -> list[str]:
    """The flags for a server that checks signatures."""
    url = f"--url={address.host}:{address.port}"
    return [url, "--access-key=AKEXAMPLE0001", "--secret-key-file=sk", *ANSWERED]


@pytest.mark.parametrize(
    ("scenarios", "cti_version", "api", "page_size", "unit"),
    [
        ([], "3.8", Api.AGENT_REST_INFOS, None, "ms"),
        ([], "3.6", Api.AGENT_REST_INFOS, 100, "ms"),
        (["legacy-only"], "3.8", Api.AGENT_REST_INFO, None, "ms"),
        (["seconds"], "3.6", Api.AGENT_REST_INFOS, 100, "s"),
    ],
    ids=["3.8", "3.6", "legacy", "seconds"],
)
def test_each_version_by_flags(  # noqa: PLR0917  # a fact each
    scenarios: list[str],
    cti_version: str,
    api: Api,
    page_size: int | None,
    unit: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The file passes `check --live`, which is run on it, and no secret is in it or shown."""
    with simulating("approver-absent", *scenarios, cti_version=cti_version) as address:
        assert main(["init", *signed(address)]) == 0
        shown = capsys.readouterr()
        assert main(["check", "--live"]) == 0
    (server,) = load(folder / "config.yaml", {}).servers
    assert (server.api, server.page_size, server.begin_time_unit) == (api, page_size, unit)
    assert shown.err == ""
    assert "4 of 4 targets answered" in shown.out
    assert shown.out.endswith(
        "written: config.yaml\nstart the exporter with: agent-rest-exporter serve config.yaml\n"
    )
    assert "canary" not in shown.out + (folder / "config.yaml").read_text(encoding="utf-8")


def test_the_file_to_the_letter(folder: Path) -> None:
    """Commented: what was found out and how, and what to set next."""
    with simulating("approver-absent", cti_version="3.6") as address:
        assert main(["init", "--name=lima", *signed(address), "new.yaml"]) == 0
    assert (
        (folder / "new.yaml").read_text(encoding="utf-8")
        == f"""\
# Written by `agent-rest-exporter init`: the comments say what it found. All keys are explained in
# config.example.yaml. `agent-rest-exporter check` validates this file, and with --live it polls the
# server.

cms:
  - name: lima
    # The server answers with http.
    url: {address.url}
    auth:
      access_key: AKEXAMPLE0001
      secret_key_file: sk
    api: agentrestinfos
    # The server sends pages, as CTI 3.6 does.
    cti_version: "3.6"
    # The server sends beginTime in milliseconds.
    begin_time_unit: ms
    # How often each VDN is polled.
    interval: 30s
    # Limits for the alert rules: how many agents of a VDN may rest, and how long a rest and the
    # wait for one may last.
    #max_resting: 20
    #max_rest: 45m
    #max_wait: 15m
    targets:
      - {{ccId: 1, vdn: [1-3, 7]}}
"""
    )


@pytest.mark.parametrize(
    ("flags", "auth"),
    [
        ([], type(None)),
        (["--access-key=AKEXAMPLE0001", "--secret-key-variable=SK"], Signature),
        (["--authorization-variable=SK"], StaticAuthorization),
        (["--authorization-file=sk"], StaticAuthorization),
    ],
)
def test_every_way_to_authorize(flags: list[str], auth: type, folder: Path) -> None:
    """The configuration names the file or the variable."""
    with simulating(keys=False) as address:
        assert main(["init", f"--url={address.url}", "--cc-id=1", "--vdn=1", *flags]) == 0
    (server,) = load(folder / "config.yaml", {"SK": "canary-sk"}).servers
    assert isinstance(server.auth, auth)
    assert "canary" not in (folder / "config.yaml").read_text(encoding="utf-8")


def test_a_server_that_cannot_be_reached(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The words are those of `check --live`; with a flag the file is written in any case."""
    with simulating() as address:
        pass
    url = f"--url={address.url}"
    assert main(["init", url, "--cc-id=1", "--vdn=1"]) == 1
    complaint = (
        f"127.0.0.1:{address.port}: ccId 1, vdn 1: connect: 127.0.0.1:{address.port} refused the "
        "connection: check the port in url, and that CC-CMS is running\n"
    )
    shown = capsys.readouterr()
    assert (
        shown.err == f"{complaint}nothing was written: fix the cause above, or use --write-anyway\n"
    )
    assert not (folder / "config.yaml").exists()

    assert main(["init", url, "--cc-id=1", "--vdn=1", "--write-anyway"]) == 0
    assert capsys.readouterr().err == complaint
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    assert "# The server could not be polled when this was written, so api" in text
    assert main(["check"]) == 0


def test_a_refused_signature_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """As `check --live` does: what was tried, and what to check."""
    with simulating() as address:
        url = f"--url={address.url}"
        flags = ["--access-key=AKEXAMPLE0001", "--authorization-variable=none"]
        assert main(["init", url, *ANSWERED, *flags]) == 2
        (Path("sk")).write_text("canary-wrong\n", encoding="utf-8")
        capsys.readouterr()
        assert main(["init", *signed(address)]) == 1
    first, hint, _ = capsys.readouterr().err.splitlines()
    assert ": auth: HTTP 401: the server rejected the signature" in first
    assert "the server refuses every variant of the signature" in hint


def test_a_vdn_that_fails_leaves_no_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A configuration that does not pass is not kept."""
    with simulating("unknown-vdn@1/7") as address:
        assert main(["init", *signed(address)]) == 1
    shown = capsys.readouterr()
    assert "vdn 7: api: the server returned result code 0100002" in shown.err
    assert sorted(path.name for path in folder.iterdir()) == ["sk"]


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ([], "--url, --cc-id, --vdn: required, because there is no terminal to ask for them"),
        (["--url=a"], "--cc-id, --vdn: required, because there is no terminal to ask for them"),
        (["--url=ftp://a", *ANSWERED], "--url: must start with https:// or http://"),
        (
            ["--vdn=1,x"],
            (
                "invalid value for --vdn: '1,x': must be a whole number from 1 to 5000, a range "
                "such as 1-40, or a list of these"
            ),
        ),
        (["--vdn=1-4,3"], "invalid value for --vdn: '1-4,3' names a VDN twice"),
        (
            ["--access-key=AK"],
            "--access-key: --secret-key-file or --secret-key-variable is required with it",
        ),
        (["--secret-key-file=sk"], "--secret-key-file: --access-key is required with it"),
        (
            ["--access-key=AK", "--authorization-file=sk"],
            "--authorization-file cannot be combined with --access-key",
        ),
        (
            ["--secret-key-file=sk", "--secret-key-variable=SK"],
            "--secret-key-file and --secret-key-variable are both given: use one of them",
        ),
        (
            ["--access-key=AK", "--secret-key-variable=NONE"],
            "--secret-key-variable: the environment variable NONE is not set",
        ),
        *(
            (
                [f"--access-key={key}", "--secret-key-file=sk", "--url=a", *ANSWERED],
                f"--access-key: must {problem}",
            )
            for key, problem in {
                "a/b": 'not contain "/" or spaces: they separate the parts of the Authorization '
                "header",
                "a b": 'not contain "/" or spaces: they separate the parts of the Authorization '
                "header",
                "ñ": "be plain ASCII without line breaks or control characters",
                "${AK}": "not contain ${: in the configuration, it begins a variable",
            }.items()
        ),
        (
            ["--access-key=AK", "--secret-key-variable=a-b"],
            "--secret-key-variable: 'a-b' is not a valid name of an environment variable",
        ),
        (
            ["--authorization-variable=1A"],
            "--authorization-variable: '1A' is not a valid name of an environment variable",
        ),
        *(
            (
                [f"--tls.{which}-file=none", *more],
                f"--tls.{which}-file: none cannot be read: no such file",
            )
            for which, more in (("ca", ()), ("cert", ()), ("key", ("--tls.cert-file=sk",)))
        ),
        (
            ["--tls.ca-file=sk"],
            "--tls.ca-file: sk: not a CA certificate in PEM: no certificate or crl found",
        ),
        (
            ["--tls.cert-file=sk"],
            (
                "--tls.cert-file: sk: not a PEM client certificate with its matching key: a part "
                "is missing"
            ),
        ),
        (["--tls.key-file=sk"], "--tls.key-file requires --tls.cert-file"),
        (["sk"], "sk exists, and is not overwritten: choose another name"),
        (["none/config.yaml"], "none/config.yaml cannot be written: none is not a directory"),
    ],
)
def test_wrong_flags(
    flags: list[str], problem: str, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    """One line, before anything is asked or written; status 2."""
    assert main(["init", *flags]) == 2
    see = "; see agent-rest-exporter init --help"
    assert capsys.readouterr().err == f"agent-rest-exporter init: {problem}{see}\n"
    assert [path.name for path in folder.iterdir()] == ["sk"]


def test_a_proxy_that_cannot_be_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the words of `check`: nothing can be polled, and nothing is written."""
    monkeypatch.setenv("HTTPS_PROXY", "ftp://proxy")
    assert main(["init", "--url=https://cms.example", "--name=lima", *ANSWERED]) == 1
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("cms lima: HTTPS_PROXY ")
    assert last == "nothing was written: fix the cause above, or use --write-anyway"
    assert [path.name for path in folder.iterdir()] == ["sk"]


@pytest.mark.parametrize(
    ("text", "url", "guess"),
    [
        ("10.22.26.181:28443", "https://10.22.26.181:28443", True),
        ("http://a/", "http://a", False),
        (" https://a/b%20c/rest/cmsapp/v1/openapi/agentgroup/x ", "https://a/b%20c", False),
        ("https://a/gw x/ü", "https://a/gw%20x/%C3%BC", False),
        ("[::1]:1/rest/cmsapp", "https://[::1]:1", True),
    ],
)
def test_addresses_as_people_paste_them(text: str, url: str, *, guess: bool) -> None:
    """The interface's own path goes, and what cannot be in a path is encoded."""
    assert tidy_url(text) == (url, guess)


@pytest.mark.parametrize(
    ("typed", "numbers", "written"),
    [
        ("7", (7,), "7"),
        ("0007", (7,), "7"),
        ("9,01-2, 3", (9, 1, 2, 3), "[9, 1-3]"),
        ("1-40", tuple(range(1, 41)), "1-40"),
        ("1, 5,9-12", (1, 5, 9, 10, 11, 12), "[1, 5, 9-12]"),
    ],
)
def test_numbers(typed: str, numbers: tuple[int, ...], written: str, folder: Path) -> None:
    """As the configuration writes them, in the order in which they were named."""
    assert parse_numbers(typed) == numbers
    answers = Answers("https://a", cc_id=1, vdns=numbers)
    text = configuration(answers, Found(answers.server, SUCCESS, {}), folder)
    assert f"- {{ccId: 1, vdn: {written}}}\n" in text


def test_what_has_no_default() -> None:
    """Is asked for, or required."""
    assert Answers(url="https://a").missing == ["--cc-id", "--vdn"]


def test_numbers_as_people_type_them(folder: Path) -> None:
    """The file has the numbers: with zeros in front it would not be valid."""
    with simulating(keys=False) as address:
        command = ["init", f"--url={address.url}", "--name= lima ", "--cc-id=01", "--vdn=01, 2"]
        assert main(command) == 0
    assert "{ccId: 1, vdn: 1-2}" in (folder / "config.yaml").read_text(encoding="utf-8")
    (server,) = load(folder / "config.yaml", {}).servers
    assert server.name == "lima"


def test_what_differs_is_in_the_file(folder: Path) -> None:
    """Each option that was found out, with its reason."""
    auth = Signature(Secret("AK"), Secret("canary"), empty_query_line=True)
    tls = Tls(ca_file=folder / "a" / "ca.pem", min_version="TLS10", ciphers="DEFAULT")
    server = Server("https://a", name="a", auth=auth, tls=tls, host="a:1")
    secret = from_variable("secret_key", "SK")
    answers = Answers("https://a", access_key="AK", secret=secret, cc_id=1, vdns=parse_numbers("1"))
    reasons = {"host_header": "because", "empty_query_line": "since", "tls": "as"}
    text = configuration(answers, Found(server, SUCCESS, reasons), folder)
    for lines in (
        "      # Since.\n      empty_query_line: true\n",
        "    # As.\n    tls:\n      ca_file: a/ca.pem\n      min_version: TLS10\n",
        "      ciphers: DEFAULT\n    # Because.\n    host_header: a:1\n",
    ):
        assert lines in text
    assert "canary" not in text


# --- On a terminal


async def answer(found: Terminal, *steps: tuple[str, str]) -> None:
    """Wait for each question, and type the answer."""
    for question, typed in steps:
        await found.wait_for(question)
        found.type(f"{typed}\n")


@pytest.mark.anyio
@pytest.mark.real
async def test_a_conversation(folder: Path) -> None:
    """Wrong answers are asked again; the secret is not shown, and goes to a file of its owner."""
    (folder / "sk").unlink()
    environ = clean_environment()
    with simulating("approver-absent", cti_version="3.6") as address:
        async with terminal(COMMAND, "init", cwd=folder, environ=environ) as found:
            await found.wait_for("Asks a CC-CMS how it wants to be polled, and writes config.yaml")
            await answer(
                found,
                (r"URL.*: ", "ftp://a"),
                (
                    r"Error: must start with https:// or http://\s+URL.*: ",
                    f"127.0.0.1:{address.port}",
                ),
                (r"Name.*\[127\.0\.0\.1\]: ", "lima"),
                (r"authorized.*\[keys\]: ", ""),
                (r"Access key: ", "a/b"),
                (r"Error: must not contain.*\s+Access key: ", "AKEXAMPLE0001"),
                (r"Secret key \(not shown; it goes to secrets/lima-sk\): ", "canary-wrong"),
                (r"ccId\) \[1\]: ", ""),
                (r"VDNs.*: ", "1,3-4"),
                (r"lima: ccId 1, vdn 1: auth: HTTP 401[\s\S]*quit.*\[again\]: ", ""),
                (rf"URL.*\[http://127\.0\.0\.1:{address.port}\]: ", ""),
                (r"Name.*\[lima\]: ", ""),
                (r"authorized.*\[keys\]: ", ""),
                (r"Access key \[AKEXAMPLE0001\]: ", ""),
                (r"Keep the secret key \[Y/n\]: ", "n"),
                (r"Secret key.*: ", "canary-sk"),
                (r"ccId\) \[1\]: ", ""),
                (r"VDNs.* \[1,3-4\]: ", ""),
            )
            shown = await found.wait_for(r"[\s\S]*start the exporter with: .* serve config\.yaml")
            assert await found.end() == 0
    assert "canary" not in shown
    secret = folder / "secrets" / "lima-sk"
    assert secret.read_text(encoding="utf-8") == "canary-sk\n"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700
    (server,) = load(folder / "config.yaml", {}).servers
    assert (server.name, server.page_size) == ("lima", 100)


# --- The same without one, which is quicker: answers come from a file


def conversation(monkeypatch: pytest.MonkeyPatch, *arguments: str, answers: list[str]) -> Said:
    """What `init` says to somebody who types these answers."""
    typed = "".join(f"{text}\n" for text in answers)
    with CliRunner().isolation(input=typed) as (out, err, _):
        for stream in (sys.stdin, sys.stdout):
            monkeypatch.setattr(stream, "isatty", lambda: True)
        status = main(["init", *arguments])
        sys.stderr.flush()
        left = sys.stdin.read()
    assert left == ""
    return Said(status, out.getvalue().decode(), err.getvalue().decode())


def test_flags_are_the_defaults_of_questions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is asked; a file with the secret is used; a file is written if one likes."""
    (folder / "secrets").mkdir()
    (folder / "secrets" / "lima-sk").write_text("canary-sk\n", encoding="utf-8")
    said = conversation(
        monkeypatch,
        *("--name=lima", "--cc-id=1", "--vdn=1"),
        answers=["http://127.0.0.1:1", "", "keys", "AKEXAMPLE0001", "", "", "write"],
    )
    assert said.status == 0
    assert "The secret key is taken from secrets/lima-sk, which exists." in said.out
    for default in ("label cms [lima]: ", "(ccId) [1]: ", "1,5,9-12 [1]: "):
        assert default in said.out
    (server,) = load(folder / "config.yaml", {}).servers
    assert (server.name, server.url) == ("lima", "http://127.0.0.1:1")


# uvloop leaves the transport of a failed handshake to the end of the loop
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_certificate_that_is_not_trusted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CA is asked for, the name if it is another one, and a secret that is missing."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("cms.example").configure_cert(tls)
    with simulating(tls=tls) as address:
        said = conversation(
            monkeypatch,
            *(f"--url={address.url}", "--access-key=AKEXAMPLE0001", "--cc-id=1", "--vdn=1"),
            answers=["canary-sk", "again", "none.pem", "sk", "ca.pem", "again", "cms.example"],
        )
    assert said.status == 0
    assert "Error: none.pem is not a file" in said.out
    assert "Error: sk: not a CA certificate in PEM: no certificate or crl found" in said.out
    assert "canary" not in said.out + said.err
    (server,) = load(folder / "config.yaml", {}).servers
    assert server.tls == Tls(ca_file=folder / "ca.pem", server_name="cms.example")


def test_a_file_that_is_written_anyway(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside other secrets, with what to check; nothing says that the exporter can be started."""
    (folder / "secrets").mkdir()
    with simulating("unauthorized") as address:
        flags = [f"--url={address.url}", "--name=lima", "--access-key=AKEXAMPLE0001"]
        answers = ["canary-sk", "write"]
        said = conversation(monkeypatch, *flags, "--cc-id=1", "--vdn=1", answers=answers)
    assert said.status == 0
    assert "lima: the server refuses every variant of the signature" in said.err
    assert said.out.endswith("written: secrets/lima-sk\nwritten: config.yaml\n")
    assert "canary" not in said.out + said.err


@pytest.mark.parametrize(
    ("is_file", "complaint"),
    [
        ("secrets", "secrets/lima-sk cannot be written: Not a directory"),
        ("secrets/lima-sk", "{folder}/secrets/lima-sk must not be empty"),
    ],
)
def test_a_place_for_the_secret_that_cannot_be_used(
    is_file: str, complaint: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told, and nothing is left behind."""
    (folder / is_file).parent.mkdir(exist_ok=True)
    (folder / is_file).write_text("", encoding="utf-8")
    with simulating() as address:
        flags = [f"--url={address.url}", "--name=lima", "--access-key=AKEXAMPLE0001"]
        answers = ["canary-sk"] if is_file == "secrets" else []
        said = conversation(monkeypatch, *flags, "--cc-id=1", "--vdn=1", answers=answers)
    shown = complaint.format(folder=folder)
    assert said.err == f"agent-rest-exporter init: {shown}; see agent-rest-exporter init --help\n"
    assert said.status == 2
    assert not (folder / "config.yaml").exists()


def test_a_folder_for_the_secret_that_cannot_be_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name is told, and nothing is left behind."""
    (folder / "secrets").symlink_to("none")
    with simulating() as address:
        flags = [f"--url={address.url}", "--name=lima", "--access-key=AKEXAMPLE0001"]
        answers = ["canary-sk"]
        said = conversation(monkeypatch, *flags, "--cc-id=1", "--vdn=1", answers=answers)
    assert said.status == 2
    assert said.err == (
        "agent-rest-exporter init: secrets cannot be written: File exists; see agent-rest-exporter "
        "init --help\n"
    )
    assert sorted(path.name for path in folder.iterdir()) == ["secrets", "sk"]


def test_a_secret_without_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a part of it nor its folder stays: the next run would take it for the secret."""
    with simulating() as address, room_for(4):
        flags = [f"--url={address.url}", "--name=lima", "--access-key=AKEXAMPLE0001"]
        answers = ["canary-sk"]
        said = conversation(monkeypatch, *flags, "--cc-id=1", "--vdn=1", answers=answers)
    assert said.status == 2
    assert said.err == (
        "agent-rest-exporter init: secrets/lima-sk cannot be written: File too large; see "
        "agent-rest-exporter init --help\n"
    )
    assert [path.name for path in folder.iterdir()] == ["sk"]


def test_one_who_gives_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header is kept for another try; nothing is written, not even the secret."""
    with simulating("unauthorized") as address:
        answers = [address.url, "../a b", "header", "canary", "", "1", "again"]
        answers += ["", "", "", "", "", "", "quit"]
        said = conversation(monkeypatch, answers=answers)
    assert said.status == 1
    assert "(not shown; it goes to secrets/-a-b-authorization)" in said.out
    assert "Keep the Authorization header [Y/n]: " in said.out
    assert said.err.endswith("nothing was written\n")
    assert "canary" not in said.out + said.err
    assert [path.name for path in folder.iterdir()] == ["sk"]


def test_the_end_of_the_input(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-D ends it, as Ctrl-C does."""
    said = conversation(monkeypatch, answers=["http://127.0.0.1:1", "", "none"])
    assert (said.status, said.err) == (130, "\n")
    assert [path.name for path in folder.iterdir()] == ["sk"]
