"""The configuration as users meet it: good files, and bad ones to the letter."""

import os
from pathlib import Path

import pytest

from exporter.config.load import Config, load
from exporter.config.problems import ConfigError
from exporter.server import Server, Signature, StaticAuthorization, Tls
from exporter.store import Target, TargetKey
from tests.support.paths import FIXTURES

_FIXTURES = FIXTURES / "config"
_GOOD = _FIXTURES / "good"
_BAD = _FIXTURES / "bad"
_ENVIRON = {
    "EMPTY": "",
    "TOKEN": "CANARY",
    "TWO_LINES": "CANARY\nCANARY",
    "CANARY_VALUE": "socks5://CANARY:1080",
    "ACCESS_KEY": "AKEXAMPLE0001",
    "TENANT": "abc",
}


def _good(name: str) -> Config:
    return load(_GOOD / f"{name}.yaml", _ENVIRON)


def _vdns(config: Config, cms: str) -> list[int]:
    return [target.key.vdn for target in config.targets if target.key.cms == cms]


def _complaints(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, _ENVIRON)
    return str(caught.value)


@pytest.mark.parametrize("name", sorted(path.stem for path in _BAD.glob("*.yaml")))
def test_bad(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each bad file has exactly the problems of the text beside it, and shows no secret."""
    monkeypatch.chdir(_BAD)
    complaints = _complaints(Path(f"{name}.yaml"))
    expected = (_BAD / f"{name}.txt").read_text(encoding="utf-8")
    assert complaints.replace(str(_BAD), "{folder}") + "\n" == expected
    assert "CANARY" not in complaints.replace("CANARY_VALUE", "")


def test_error_holds_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error leads to no other error, for those of the parsers hold the text itself."""
    monkeypatch.chdir(_BAD)
    for path in sorted(_BAD.glob("*.yaml")):
        with pytest.raises(ConfigError) as caught:
            load(path, _ENVIRON)
        assert caught.value.__context__ is None, path
        assert caught.value.__cause__ is None, path


def test_problem_has_parts() -> None:
    """Scripts get a problem's parts, editors its line."""
    with pytest.raises(ConfigError) as caught:
        load(_BAD / "times.yaml", {})
    problem = caught.value.problems[0]
    assert (problem.line, problem.column, problem.path) == (2, 43, "cms[0].interval")
    assert problem.message == "must be at least 1s"
    assert str(problem) == f"{_BAD}/times.yaml:2:43: cms[0].interval: must be at least 1s"


def test_smallest() -> None:
    """A url and a target are enough."""
    config = _good("smallest")
    assert config.servers == (Server(name="10.22.26.181:443", url="https://10.22.26.181"),)
    assert config.targets == (Target(TargetKey("10.22.26.181:443", 1, 1)),)
    assert list(config.seen.files) == [_GOOD / "smallest.yaml"]


def test_empty_values() -> None:
    """A key without a value is as good as none."""
    config = _good("empty-values")
    assert config.servers == (Server(name="localhost:80", url="http://localhost"),)
    assert config.targets == (Target(TargetKey("localhost:80", 1, 1)),)


def test_anchors() -> None:
    """Anchors, aliases and merges work; a mapping's own values win, then those merged first."""
    config = _good("anchors")
    lima, cusco, piura = config.servers
    assert (lima.name, lima.url) == ("lima", "https://[2001:db8::1]:28443/prefix")
    assert (cusco.name, cusco.url, cusco.interval) == ("cusco", "https://10.0.0.2", 60.0)
    assert (piura.name, piura.page_size, piura.interval) == ("piura", 100, 5.0)
    assert _vdns(config, "lima") == _vdns(config, "cusco") == _vdns(config, "piura") != []
    assert lima.auth == cusco.auth == piura.auth


@pytest.mark.parametrize(
    ("interval", "timeout", "stale_after"),
    [("1s", 0.8, 3.0), ("5s", 4.0, 15.0), ("10s", 8.0, 30.0), ("1m", 10.0, 180.0)],
)
def test_default_times(tmp_path: Path, interval: str, timeout: float, stale_after: float) -> None:
    """A short interval shortens the timeout, so that it needs none of its own."""
    path = tmp_path / "config.yaml"
    path.write_text(
        f"cms: [{{url: 'https://lima', interval: {interval}, targets: [{{ccId: 1, vdn: 1}}]}}]",
        encoding="utf-8",
    )
    config = load(path, {})
    assert config.servers[0].timeout == timeout
    assert config.targets[0].stale_after == stale_after


def test_limits(tmp_path: Path) -> None:
    """A target's own limits, else those of its server; 0 resting agents is a limit, too."""
    path = tmp_path / "config.yaml"
    path.write_text(
        "cms:\n"
        "  - url: https://lima\n"
        "    max_resting: 30\n"
        "    max_rest: 1h\n"
        "    max_wait: 20m\n"
        "    rest_bounds: [1h, 15m, 30m]\n"
        "    targets:\n"
        "      - {ccId: 1, vdn: 1}\n"
        "      - {ccId: 1, vdn: 2, max_resting: 0, max_rest: 45m, max_wait: 90s}\n"
        "  - {url: 'https://cusco', targets: [{ccId: 1, vdn: 1, max_wait: 5m}]}\n",
        encoding="utf-8",
    )
    config = load(path, {})
    limits = [
        (target.max_resting, target.max_rest, target.max_wait, target.rest_bounds)
        for target in config.targets
    ]
    assert limits == [
        (30, 3600.0, 1200.0, (900.0, 1800.0, 3600.0)),
        (0, 2700.0, 90.0, (900.0, 1800.0, 3600.0)),
        (None, None, 300.0, ()),
    ]
    assert [server.rest_bounds for server in config.servers] == [(900.0, 1800.0, 3600.0), ()]


def test_options_for_old_servers(tmp_path: Path) -> None:
    """What is sent as Host is as it is written; a name for TLS is as TLS sends it."""
    path = tmp_path / "config.yaml"
    path.write_text(
        "cms:\n"
        "  - url: https://10.22.26.181:28443\n"
        "    auth: {access_key: AK, secret_key: SK, empty_query_line: true}\n"
        "    host_header: LIMA.example:443\n"
        "    tls: {min_version: TLS10, ciphers: 'AES128-SHA:@SECLEVEL=0', server_name: Limá.pe.}\n"
        "    targets: [{ccId: 1, vdn: 1}]\n"
        "  - url: https://[::1]\n"
        "    tls: {server_name: '::1'}\n"
        "    targets: [{ccId: 1, vdn: 1}]\n",
        encoding="utf-8",
    )
    old, other = load(path, {}).servers
    assert isinstance(old.auth, Signature)
    assert old.auth.empty_query_line
    assert old.host == "LIMA.example:443"
    assert old.tls == Tls(
        server_name="xn--lim-gla.pe", min_version="TLS10", ciphers="AES128-SHA:@SECLEVEL=0"
    )
    assert (other.host, other.tls) == (None, Tls(server_name="::1"))


def test_words() -> None:
    """Plain words are what they look like, not what YAML 1.1 made of them."""
    config = _good("words")
    assert config.servers[0].name == "no"
    assert config.targets[0].name == "off"
    assert dict(config.targets[0].labels) == {
        "zone": "010",
        "hour": "12:30",
        "since": "2024-01-01",
        "y": "yes",
        "kind": "5",
    }


def test_target_files() -> None:
    """Files come after the block's own targets, sorted, each once; two servers may share one."""
    config = _good("target-files")
    lima, cusco = (server.name for server in config.servers)

    def sales(cms: str) -> list[Target]:
        labels = (("area", "south"), ("site", "lima"))
        return [Target(TargetKey(cms, 2, vdn), "sales", labels, 3) for vdn in (1, 2)]

    assert config.targets == (
        *sales(lima),
        Target(TargetKey(lima, 1, 1)),
        *(Target(TargetKey(cusco, 9, vdn)) for vdn in (7, 1, 2)),
        *sales(cusco),
    )
    assert list(config.seen.files) == [
        _GOOD / name for name in ("target-files.yaml", "targets/lima.yaml", "targets/arequipa.yaml")
    ]


def test_order_is_that_of_the_file(tmp_path: Path) -> None:
    """Neither servers nor targets are sorted: people put the important ones first."""
    path = tmp_path / "config.yaml"
    path.write_text(
        "cms:\n"
        "  - {name: zulu, url: 'https://z', targets: [{ccId: 2, vdn: 9}, {ccId: 1, vdn: [3, 1]}]}\n"
        "  - {name: alpha, url: 'https://a', targets: [{ccId: 1, vdn: 1}]}\n"
        "  - {name: mike, url: 'https://m', targets: [{ccId: 1, vdn: 1}]}\n",
        encoding="utf-8",
    )
    config = load(path, {})
    assert [server.name for server in config.servers] == ["zulu", "alpha", "mike"]
    assert [target.key for target in config.targets] == [
        ("zulu", 2, 9),
        ("zulu", 1, 3),
        ("zulu", 1, 1),
        ("alpha", 1, 1),
        ("mike", 1, 1),
    ]


def test_secrets() -> None:
    """Secrets come from values, files and the environment, and none is in a repr."""
    config = _good("secrets")
    signed, static = config.servers
    assert isinstance(signed.auth, Signature)
    assert signed.auth.access_key.read().reveal() == "AKEXAMPLE0001"
    assert signed.auth.secret_key.read().reveal() == "sk-from-file"
    assert signed.auth.signed_headers == ("host", "x-tenant")
    assert [(name, source.read().reveal()) for name, source in signed.headers] == [
        ("x-tenant", "abc"),
        ("x-plain", "plain"),
    ]
    assert signed.proxy_url is not None
    assert signed.proxy_url.read().reveal() == "http://user:password@proxy.example:3128/"
    assert isinstance(static.auth, StaticAuthorization)
    assert static.auth.value.read().reveal() == "Bearer from-file"
    assert _GOOD / "secrets/secret-key" in config.seen.files
    for secret in ("AKEXAMPLE0001", "sk-from-file", "abc", "password", "Bearer"):
        assert secret not in repr(config)


def test_digest_follows_contents(tmp_path: Path) -> None:
    """The digest changes with the configuration and its target files, not with a secret's file."""
    (tmp_path / "targets.yaml").write_text("- {ccId: 1, vdn: 1}", encoding="utf-8")
    (tmp_path / "key").write_text("old", encoding="utf-8")
    path = tmp_path / "config.yaml"
    path.write_text(
        "cms: [{url: 'https://lima', auth: {authorization_file: key}, target_files: [t*.yaml]}]",
        encoding="utf-8",
    )
    first = load(path, {}).digest
    (tmp_path / "key").write_text("new", encoding="utf-8")
    assert load(path, {}).digest == first
    (tmp_path / "targets.yaml").write_text("- {ccId: 1, vdn: 2}", encoding="utf-8")
    assert load(path, {}).digest != first


def test_missing_file(tmp_path: Path) -> None:
    """A missing file is one line."""
    path = tmp_path / "config.yaml"
    assert _complaints(path) == (
        f"{path}:1:1: cannot be read: no such file: name the configuration with --config.file, or "
        "write one with `agent-rest-exporter init`"
    )


def test_directory(tmp_path: Path) -> None:
    """So is a directory."""
    assert _complaints(tmp_path) == f"{tmp_path}:1:1: cannot be read: is a directory"


def test_not_utf8(tmp_path: Path) -> None:
    """So is a text in another encoding, with the line where it shows."""
    path = tmp_path / "config.yaml"
    path.write_bytes("cms:\n  - name: Perú\n".encode("latin-1"))
    assert _complaints(path) == f"{path}:1:1: cannot be read: not UTF-8 text (line 2)"


def test_byte_order_mark(tmp_path: Path) -> None:
    """A byte order mark, as Windows' editors write it, is no text."""
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + (_GOOD / "smallest.yaml").read_bytes())
    assert load(path, {}).servers == _good("smallest").servers


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(), f"permission denied to user {os.geteuid()}"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (OSError(), "OSError"),
    ],
)
def test_unreadable(monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str) -> None:
    """What the system says of a file is passed on."""

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(Path, "open", refuse)
    assert _complaints(Path("config.yaml")) == f"config.yaml:1:1: cannot be read: {reason}"


def test_endless_file() -> None:
    """A file without an end is not read to its end."""
    assert _complaints(Path("/dev/zero")) == "/dev/zero:1:1: cannot be read: larger than 64 MiB"


def test_broken_target_file_is_named_once(tmp_path: Path) -> None:
    """A target file that two servers share is complained of once, and not as a lack of targets."""
    (tmp_path / "targets.yaml").write_text("", encoding="utf-8")
    path = tmp_path / "config.yaml"
    path.write_text(
        "cms:\n"
        "  - {name: a, url: 'https://a', target_files: [targets.yaml]}\n"
        "  - {name: b, url: 'https://b', target_files: [targets.yaml]}\n",
        encoding="utf-8",
    )
    assert _complaints(path) == f"{tmp_path}/targets.yaml:1:1: the file is empty"


def test_many_targets(tmp_path: Path) -> None:
    """Ten thousand targets load, in files of a hundred and as ranges in one block."""
    (tmp_path / "targets").mkdir()
    for cc_id in range(1, 101):
        lines = (f"- {{ccId: {cc_id}, vdn: {vdn}}}\n" for vdn in range(1, 101))
        (tmp_path / "targets" / f"{cc_id}.yaml").write_text("".join(lines), encoding="utf-8")
    path = tmp_path / "config.yaml"
    path.write_text(
        "cms:\n"
        "  - {name: a, url: 'https://a', target_files: ['targets/*.yaml']}\n"
        "  - {name: b, url: 'https://b', targets: [{ccId: 1, vdn: 1-5000}, {ccId: 2, vdn:"
        " [1-4000, 4001-5000]}]}\n",
        encoding="utf-8",
    )
    assert {target.key for target in load(path, {}).targets} == {
        *(TargetKey("a", cc_id, vdn) for cc_id in range(1, 101) for vdn in range(1, 101)),
        *(TargetKey("b", cc_id, vdn) for cc_id in (1, 2) for vdn in range(1, 5001)),
    }
