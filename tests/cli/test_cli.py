"""The command: what it prints, and how it ends. Everything here is the real command."""

import json
import os
import pty
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme

from exporter import __version__
from exporter.cli import main
from exporter.cli.commands import COMMANDS
from exporter.cli.flags import Command
from exporter.config.load import Config, load
from tests.support.command_line import parsed
from tests.support.processes import COMMAND, MEASURED, clean_environment, run, started
from tests.support.terminal import read_to_end

CONFIG = """
cms:
  - name: lima
    url: https://10.22.26.181:28443
    cti_version: "3.6"
    max_requests_per_second: 1
    targets: [{ccId: 1, vdn: 1-60}]
  - name: quito
    url: https://10.22.26.182:28443
    interval: 1m
    targets: [{ccId: 1, vdn: 1}]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A valid configuration of two servers."""
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def test_version() -> None:
    """It is the package's."""
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"agent-rest-exporter {__version__}\n")


def test_check_predicts_the_load(config: Path) -> None:
    """Requests per hour, the busiest second, and a limit that is too low."""
    done = run("check", "--config.file=config.yaml", cwd=config.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "config.yaml: valid\n"
        "  lima: 60 targets every 30s: at least 7200 requests per hour, 5 in the busiest second\n"
        "  lima: warning: 2 polls per second are due, but max_requests_per_second is 1: polls will "
        "be skipped; raise it, or lengthen interval\n"
        "  quito: 1 target every 1m: 60 requests per hour, 1 in the busiest second\n"
        "  all: 61 targets: 7260 requests per hour\n"
    )


def test_check_on_a_terminal(config: Path) -> None:
    """A table instead of sentences; the warning below it."""
    main_side, other = pty.openpty()
    done = subprocess.run(
        [COMMAND, "check", str(config)],
        check=False,
        env=clean_environment({**MEASURED, "NO_COLOR": "1", "TERM": "xterm", "COLUMNS": "300"}),
        stderr=subprocess.PIPE,
        stdout=other,
    )
    seen = read_to_end(main_side, other).decode().splitlines()
    assert (done.returncode, done.stderr) == (0, b"")
    assert seen == [
        f"{config}: valid",
        "SERVER  TARGETS  INTERVAL  REQUESTS/HOUR  BUSIEST SECOND",
        "─" * 56,
        "lima         60       30s  at least 7200               5",
        "quito         1        1m             60               1",
        "all          61                     7260",
        "",
        (
            "lima: warning: 2 polls per second are due, but max_requests_per_second is 1: polls "
            "will be skipped; raise it, or lengthen interval"
        ),
    ]


def test_a_terminal_gets_wrong_usage_wrapped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At words; what goes on is indented."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["query", "--cc-id=0"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "agent-rest-exporter query: invalid value for --cc-id: '0' is",
        "  not a whole number from 1 to 65535; see",
        "  agent-rest-exporter query --help",
    ]


def test_check_reads_a_secret_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it then needs it has: a file that vanishes meanwhile was right when it was read."""
    (tmp_path / "sk").write_text("canary", encoding="utf-8")
    (tmp_path / "config.yaml").write_text(
        "cms:\n- {name: lima, url: 'https://10.22.26.181', targets: [{ccId: 1, vdn: 1}],"
        " auth: {access_key: AK, secret_key_file: sk}}\n",
        encoding="utf-8",
    )

    def load_in_bad_time(path: Path, environ: Mapping[str, str]) -> Config:
        config = load(path, environ)
        (tmp_path / "sk").unlink()
        return config

    monkeypatch.setattr("exporter.cli.check.load", load_in_bad_time)
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("config.yaml: valid\n")
    assert captured.err == ""


@pytest.mark.parametrize("json_too", [False, True])
def test_check_says_why_a_shard_has_no_targets(
    config: Path, capsys: pytest.CaptureFixture[str], *, json_too: bool
) -> None:
    """Too few for so many shards; a pattern that matches no file is another cause."""
    files = "\n    target_files: [more/*.yaml]\n"
    target = "targets: [{ccId: 1, vdn: 1}]"
    config.write_text(f"cms:\n  - name: lima\n    url: http://a\n    {target}{files}", "utf-8")
    for shard, expected in {
        "0/2": ["shard 0/2: polls 1 of 1 target"],
        "1/2": [
            "shard 1/2: polls 0 of 1 target",
            "shard 1/2: warning: too few targets for 2 shards: lower TOTAL, or add targets",
        ],
    }.items():
        assert main(["check", str(config), f"--shard={shard}", *(["--json"] * json_too)]) == 0
        printed = capsys.readouterr().out
        if json_too:
            found = json.loads(printed)
            assert found["warnings"] == ["target_files: more/*.yaml matches no file"]
            assert (found["shard"]["targets"], found["shard"]["of"]) == (2 - len(expected), 1)
            continue
        _, missing, *_, _all = printed.splitlines()[: -len(expected)]
        assert missing == f"{config}: warning: target_files: more/*.yaml matches no file"
        assert [line.strip() for line in printed.splitlines()[-len(expected) :]] == expected


def test_check_speaks_json(config: Path) -> None:
    """The same for scripts."""
    done = run("check", "--json", f"--config.file={config}")
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert (found["valid"], found["problems"]) == (True, [])
    assert found["servers"][1] == {
        "cms": "quito",
        "targets": 1,
        "interval": "1m",
        "requests_per_hour": 60,
        "peak_per_second": 1,
        "paged": False,
        "proxy": None,
        "warning": None,
    }


def test_check_names_the_proxy_of_each_server(config: Path) -> None:
    """And where it comes from: a variable is easily forgotten. Its password is not shown."""
    text = CONFIG.replace("    interval: 1m", "    proxy_url: HTTP://u:canary@Own.example:3128/")
    config.write_text(text, encoding="utf-8")
    environ = {"https_proxy": "http://u:canary@proxy.example:8080"}
    done = run("check", "config.yaml", cwd=config.parent, environ=environ)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line for line in done.stdout.splitlines() if "proxy" in line]
    assert lines == [
        "  lima: proxy: http://proxy.example:8080 (from https_proxy in the environment)",
        "  quito: proxy: http://own.example:3128 (from proxy_url)",
    ]
    found = json.loads(run("check", "--json", str(config), environ=environ).stdout)
    assert [server["proxy"] for server in found["servers"]] == [
        "http://proxy.example:8080 (from https_proxy in the environment)",
        "http://own.example:3128 (from proxy_url)",
    ]
    assert "canary" not in f"{done.stdout}{found}"


def test_check_refuses_a_proxy_of_the_environment_that_cannot_be_used(config: Path) -> None:
    """By its variable, before anything is asked through it."""
    environ = {"HTTPS_PROXY": "10.22.26.281:3128", "NO_PROXY": "10.22.26.182"}
    done = run("check", "config.yaml", cwd=config.parent, environ=environ)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "config.yaml:1:1: cms lima: HTTPS_PROXY contains a host that ends in a number but is not "
        "an IPv4 address: write four numbers from 0 to 255, without zeros in front, such as "
        "10.22.26.181\n"
    )


BAD = """
cms:
  - url: https://10.22.26.181:28443
    intervall: 30s
    targets:
      - {ccId: 1, vdn: 1-10}
      - {ccId: 1, vdn: 5001}
      - {ccId: 1, vdn: [3, 12]}
"""
BAD_LINES = [
    'bad.yaml:4:5: cms[0].intervall: unknown key; did you mean "interval"?',
    (
        "bad.yaml:7:24: cms[0].targets[1].vdn: must be a whole number from 1 to 5000, a range "
        "such as 1-40, or a list of these"
    ),
    (
        "bad.yaml:8:25: cms[0].targets[2].vdn[0]: duplicate target: ccId 1, vdn 3 is already listed"
        " at bad.yaml:6"
    ),
]


@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_bad_configuration_is_told_whole(tmp_path: Path, command: str) -> None:
    """Every problem at once, a line each, to stderr, with status 2."""
    (tmp_path / "bad.yaml").write_text(BAD, encoding="utf-8")
    done = run(command, "--config.file=bad.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == BAD_LINES


def test_bad_configurations_in_json(tmp_path: Path) -> None:
    """With place, path and message apart; still status 2."""
    (tmp_path / "bad.yaml").write_text(BAD, encoding="utf-8")
    done = run("check", "--json", "--config.file=bad.yaml", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert (done.returncode, done.stderr, found["valid"]) == (2, "", False)
    assert found["problems"][0] == {
        "file": "bad.yaml",
        "line": 4,
        "column": 5,
        "path": "cms[0].intervall",
        "message": 'unknown key; did you mean "interval"?',
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("cms: [", "config.yaml:1:7: "),
        ("cms:\n\t- url: x\n", "config.yaml:2:1: tab in the indentation: YAML allows only spaces"),
        ("- url: x\n", 'config.yaml:1:1: must be a mapping with the key "cms"'),
    ],
)
def test_what_is_no_configuration_at_all(tmp_path: Path, text: str, line: str) -> None:
    """Malformed YAML, a tab, a list at the top: one line, and no traceback."""
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    done = run("serve", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(line)
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_configuration(tmp_path: Path) -> None:
    """The default name is said, so that a newcomer knows what to write."""
    done = run("serve", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "config.yaml:1:1: cannot be read: no such file: name the configuration with --config.file, "
        "or write one with `agent-rest-exporter init`\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["serve", "--web.listen-address=10072"],
            (
                "agent-rest-exporter serve: invalid value for --web.listen-address: the listen "
                "address '10072' is not [HOST]:PORT: write it like :10072, 127.0.0.1:10072 or "
                "[::1]:10072"
            ),
        ),
        (
            ["serve", "--log.level=loud"],
            (
                "agent-rest-exporter serve: invalid value for --log.level: 'loud' is not one of "
                "'debug', 'info', 'warning', 'error'"
            ),
        ),
        (
            ["simulate", "--scenario=hung"],
            (
                "agent-rest-exporter simulate: invalid value for --scenario: scenario 'hung': "
                "there is no scenario 'hung'; did you mean 'hang'?"
            ),
        ),
        (
            ["simulate", "--speed=fast"],
            (
                "agent-rest-exporter simulate: invalid value for --speed: 'fast' is not a number "
                "above 0, and at most 3600"
            ),
        ),
        (
            ["simulate", "--speed=0"],
            (
                "agent-rest-exporter simulate: invalid value for --speed: '0' is not a number "
                "above 0, and at most 3600"
            ),
        ),
        (
            ["simulate", "--speed=1e12"],
            (
                "agent-rest-exporter simulate: invalid value for --speed: '1e12' is not a number "
                "above 0, and at most 3600"
            ),
        ),
        (
            ["query", "--cc-id=1", "--vdn=1", "--record="],
            (
                "agent-rest-exporter query: invalid value for --record: the value is empty: name a "
                "file"
            ),
        ),
        (
            ["simulate", "--request-log="],
            (
                "agent-rest-exporter simulate: invalid value for --request-log: the value is "
                "empty: name a file"
            ),
        ),
        (
            ["simulate", "--seed=1.5"],
            "agent-rest-exporter simulate: invalid value for --seed: '1.5' is not a whole number",
        ),
        (
            ["serve", "--config=x"],
            (
                "agent-rest-exporter serve: no such option '--config'. (Did you mean one of: "
                "'--config.file', '--web.config.file'?)"
            ),
        ),
        (
            ["simulate", "--tls.cert-fil=x"],
            (
                "agent-rest-exporter simulate: no such option '--tls.cert-fil'. (Did you mean one "
                "of: '--tls.cert-file', '--tls.key-file'?)"
            ),
        ),
        (
            ["demo", "--sped=2"],
            "agent-rest-exporter demo: no such option '--sped'. Did you mean '--seed'?",
        ),
        (["chek"], "agent-rest-exporter: no such command 'chek'. Did you mean 'check'?"),
        (["help", "chek"], "agent-rest-exporter: no such command 'chek'. Did you mean 'check'?"),
        (["--log.level=info", "serve"], "agent-rest-exporter: no such option '--log.level'"),
        (["--"], "agent-rest-exporter: missing command"),
        (["check", "--json=1"], "agent-rest-exporter check: option '--json' does not take a value"),
        (["check", "a", "b"], "agent-rest-exporter check: got unexpected extra argument (b)"),
        (
            ["check", "a", "--config.file=b"],
            "agent-rest-exporter check: --config.file and FILE are both given: use one of them",
        ),
    ],
)
def test_wrong_usage_is_one_line(arguments: list[str], message: str) -> None:
    """What is wrong, and where the help is; status 2."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    see = " See" if message.endswith(("?", "?)")) else "; see"
    assert done.stderr.startswith(f"{message}{see} agent-rest-exporter")
    assert done.stderr.endswith(" --help\n")
    assert len(done.stderr.splitlines()) == 1


def test_flags_come_from_the_environment(config: Path) -> None:
    """And a flag on the command line takes precedence, as does FILE."""
    environ = {"AGENT_REST_EXPORTER_CONFIG_FILE": str(config), "AGENT_REST_EXPORTER_JSON": "true"}
    done = run("check", environ=environ)
    assert json.loads(done.stdout)["valid"] is True
    for argument in ("--config.file=none.yaml", "none.yaml"):
        other = run("check", argument, environ=environ)
        assert json.loads(other.stdout)["problems"][0]["file"] == "none.yaml"


@pytest.mark.parametrize(
    ("value", "enabled"),
    [("", False), ("0", False), ("false", False), ("False", False), ("1", True), ("no", True)],
)
def test_a_variable_enables_a_flag(config: Path, value: str, *, enabled: bool) -> None:
    """Any value except empty, 0 or false."""
    done = run("check", str(config), environ={"AGENT_REST_EXPORTER_JSON": value})
    assert done.stdout.startswith("{" if enabled else str(config))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_an_empty_variable_counts_as_unset(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For every flag."""
    given = ["--cc-id=1", "--vdn=1"] if command.name == "query" else []
    arguments = [str(command.name), *given, *(["bash"] if command.name == "completion" else [])]
    unset = parsed(arguments)
    for flag in command.flags:
        monkeypatch.setenv(flag.envvar, "")
    assert parsed(arguments) == unset


def test_repeatable_flags() -> None:
    """Several times. A comma belongs to the value: the name of a server may have one."""
    addresses = [("", 1), ("::1", 2)]
    flag = "--web.listen-address"
    options = parsed(["demo", f"{flag}=:1", f"{flag}=[::1]:2"])
    assert [(each.host, each.port) for each in options.web_listen_address] == addresses
    options = parsed(["check", "--cms=Lima, Peru", "--cms", "Quito"])
    assert options.cms == ("Lima, Peru", "Quito")
    assert parsed(["simulate", "--replay=a,b.json"]).replay == ("a,b.json",)


def test_a_server_with_a_comma_in_its_name_can_be_chosen(tmp_path: Path) -> None:
    """On the command line."""
    text = CONFIG.replace("name: lima", "name: 'Lima, Peru'")
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    done = run("check", "--cms", "Lima, Peru", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_repeatable_flags_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """With commas, and spaces around them as people write lists."""
    monkeypatch.setenv("AGENT_REST_EXPORTER_SCENARIO", "hang@1/2, slow=1s")
    assert [str(each.kind) for each in parsed(["demo"]).scenario] == ["hang", "slow"]
    monkeypatch.setenv("AGENT_REST_EXPORTER_CMS", " Lima ,Quito")
    assert parsed(["check"]).cms == ("Lima", "Quito")


def test_a_level_has_the_name_that_prometheus_gives_it() -> None:
    """`warn`, beside Python's `warning`."""
    assert parsed(["serve", "--log.level=warn"]).log_level == "warning"


def test_a_file_is_the_same_as_the_flag(config: Path) -> None:
    """What most people type first."""
    assert run("check", "config.yaml", cwd=config.parent).returncode == 0
    assert parsed(["serve", "some.yaml"]).config_file == "some.yaml"


def test_a_wrong_value_names_the_variable_that_holds_it(tmp_path: Path) -> None:
    """Only for the command that has the flag: another one is not disturbed."""
    environ = {"AGENT_REST_EXPORTER_LOG_FORMAT": "xml"}
    done = run("serve", environ=environ, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "agent-rest-exporter serve: invalid value for AGENT_REST_EXPORTER_LOG_FORMAT: 'xml' is not "
        "one of 'logfmt', 'json'; see agent-rest-exporter serve --help\n"
    )
    assert run("check", environ=environ, cwd=tmp_path).stderr.startswith("config.yaml:1:1: ")


def test_a_port_in_use(config: Path) -> None:
    """Status 1: a failure of the moment, not of the configuration."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"port {port} is already in use on 127.0.0.1: stop the other process or choose another "
        "address with --web.listen-address\n"
    )


def test_an_address_that_is_not_of_this_host(config: Path) -> None:
    """Status 2: it will not get better by itself."""
    done = run("serve", f"--config.file={config}", "--web.listen-address=192.0.2.1:10072")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "192.0.2.1 is not an address of this host: choose another address with "
        "--web.listen-address\n"
    )


def test_a_telemetry_path_that_is_taken(config: Path) -> None:
    """Status 2, with the flag that mends it."""
    done = run("serve", f"--config.file={config}", "--web.telemetry-path=/-/ready")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "the telemetry path '/-/ready' is already used by another page of the exporter: choose "
        "another one with --web.telemetry-path, such as /metrics\n"
    )


def test_the_simulator_says_why_it_cannot_listen() -> None:
    """A port in use is status 1: it may be free later."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("simulate", f"--listen-address=127.0.0.1:{port}")
    assert done.returncode == 1
    assert done.stderr == (
        f"port {port} is already in use on 127.0.0.1: stop the other process or choose another "
        "address with --listen-address\n"
    )


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        (
            "192.0.2.1:28443",
            (
                "192.0.2.1 is not an address of this host: choose another address with "
                "--listen-address"
            ),
        ),
        (
            "nohost.invalid:28443",
            (
                "the host name 'nohost.invalid' cannot be resolved to listen on it: check its "
                "spelling in --listen-address, or give an IP address"
            ),
        ),
    ],
)
def test_addresses_that_the_simulator_cannot_have(address: str, sentence: str) -> None:
    """Status 2, in the words of `serve`, with the simulator's flag."""
    done = run("simulate", f"--listen-address={address}")
    assert (done.returncode, done.stderr) == (2, f"{sentence}\n")


def test_the_simulator_says_why_it_cannot_speak_tls(tmp_path: Path) -> None:
    """A file that is no certificate."""
    (tmp_path / "cert.pem").write_text("hello", encoding="utf-8")
    done = run("simulate", "--tls.cert-file=cert.pem", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "agent-rest-exporter simulate: --tls.cert-file: cert.pem has no certificate with its "
        "private key: "
    )


@pytest.mark.anyio
async def test_the_simulator_serves_until_it_is_stopped(tmp_path: Path) -> None:
    """Over TLS, with a signature that the check of its own refuses; Ctrl-C ends it with 0."""
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "cert.pem"
    )
    command = [COMMAND, "simulate", "--listen-address=127.0.0.1:0", "--tls.cert-file=cert.pem"]
    async with started(*command, "--speed=60", cwd=tmp_path, environ=MEASURED) as process:
        await process.wait_for(
            r"^A simulated CC-CMS answers at https://127\.0\.0\.1:\d+; Ctrl-C stops it\.$"
        )
        assert await process.stop() == 0


@pytest.mark.anyio
async def test_the_demo_shows_real_metrics_without_configuration(tmp_path: Path) -> None:
    """Samples of the simulated call center, an address to open, and queries to try."""
    command = [COMMAND, "demo", "--web.listen-address=:0"]
    async with started(*command, cwd=tmp_path, environ=MEASURED) as process:
        await process.wait_for(r"^Ctrl-C stops it\.$")
        text = "\n".join(process.lines)
        assert await process.stop() == 0
    samples = re.findall(r"^    agent_rest_resting_agents\{.*\} \d+\.0$", text, re.MULTILINE)
    assert len(samples) == 5
    assert re.search(r"^Open http://127\.0\.0\.1:[1-9]\d*/ for the status page", text, re.MULTILINE)
    assert "    topk(3, agent_rest_longest_rest_seconds)\n" in text
    assert 'msg="poll failed" cms=lima cc_id=3 vdn=9 reason=api' in text
    assert not list(tmp_path.iterdir()), "the demo leaves nothing behind"


def test_a_defect_is_one_line_without_its_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], config: Path
) -> None:
    """Whatever breaks: status 1 and the place, since the message may quote a reply."""

    def broken(*_: object) -> None:
        raise KeyError("Zhang San")

    monkeypatch.setattr("exporter.cli.check.load", broken)
    assert main(["check", f"--config.file={config}"]) == 1
    error = capsys.readouterr().err
    assert re.fullmatch(
        r"internal error in the exporter \(KeyError at check\.py:\d+\): please report it\n", error
    )


def test_every_flag_has_a_name_of_its_own_and_help() -> None:
    """The environment's variables would clash otherwise."""
    for command in COMMANDS:
        names = [flag.name for flag in command.flags]
        assert len(names) == len(set(names))
        for flag in command.flags:
            assert re.fullmatch(r"[A-Z].*\.", flag.help or "")


@pytest.mark.parametrize("flags", [[], ["--json"]], ids=["sentences", "json"])
def test_a_reader_that_goes_away(config: Path, flags: list[str]) -> None:
    """As `head` does: no traceback, and no complaint."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [COMMAND, "check", str(config), *flags],
        check=False,
        env=clean_environment(MEASURED),
        stderr=subprocess.PIPE,
        stdout=writer,
        text=True,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")
