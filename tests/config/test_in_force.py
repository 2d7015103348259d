"""`/config`: what it shows is a valid configuration, and shows no secret."""

import json
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config.in_force import MASK
from exporter.config.load import Config, load
from exporter.config.shard import Shard, part
from exporter.config.yaml_document import parse
from exporter.secret import Secret
from exporter.server import Server, Signature
from exporter.store import Target, TargetKey
from tests.support.paths import ROOT

CANARY = "canary-secret"

CONFIG = f"""
x-anchors: {{token: "{CANARY}"}}
cms:
  - name: lima
    url: https://10.22.26.181:28443/gateway
    auth: {{access_key: {CANARY}-ak, secret_key_file: sk, signed_headers: [host, x-tenant]}}
    cti_version: "3.6"
    page_size: 50
    interval: 1m30s
    max_requests_per_second: 2.5
    rest_bounds: [15m, 1h]
    max_resting: 30
    tls: {{server_name: cms.example, ciphers: "DEFAULT:@SECLEVEL=0", min_version: TLS10}}
    proxy_url: http://user:{CANARY}-proxy@proxy:3128
    headers: {{X-Tenant: "{CANARY}-tenant"}}
    host_header: 10.22.26.181
    targets:
      - {{ccId: 1, vdn: 1}}
      - {{ccId: 1, vdn: 2-9, name: "true", labels: {{note: 'a: "b" #c', site: lima}}}}
      - {{ccId: 1, vdn: [11, 13-14], max_rest: 45m, max_wait: 500ms, name: ñandú}}
      - {{ccId: 2, vdn: 15}}
  - url: http://localhost:8080
    auth: {{authorization: "Bearer {CANARY}"}}
    api: agentrestinfo
    target_files: [more.yaml]
  - {{url: "http://[::1]:1", proxy_url_file: proxy, targets: [{{ccId: 1, vdn: 1}}]}}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The configuration, with the files that it names."""
    (tmp_path / "sk").write_text(f"{CANARY}-sk", encoding="utf-8")
    (tmp_path / "proxy").write_text(f"http://u:{CANARY}@proxy:1", encoding="utf-8")
    (tmp_path / "more.yaml").write_text("- {ccId: 3, vdn: 1-3}\n- {ccId: 3, vdn: 4, name: x}\n")
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def shown(path: Path) -> str:
    """What is in force after this file was loaded."""
    return b"".join(load(path, {}).shown()).decode()


def test_it_is_written_as_a_person_would(path: Path) -> None:
    """Each server with its keys in the order of the documents, targets in ranges."""
    text = shown(path)
    folder = path.parent
    assert text.splitlines()[5:33] == [
        "  - name: lima",
        "    url: https://10.22.26.181:28443/gateway",
        "    auth:",
        "      access_key: <secret>",
        f"      secret_key_file: {folder}/sk",
        "      signed_headers: [host, x-tenant]",
        "      empty_query_line: false",
        "    api: agentrestinfos",
        '    cti_version: "3.6"',
        "    page_size: 50",
        "    interval: 1m30s",
        "    timeout: 10s",
        "    stale_after: 4m30s",
        "    max_concurrency: 8",
        "    max_requests_per_second: 2.5",
        "    begin_time_unit: auto",
        "    rest_bounds: [15m, 1h]",
        "    tls:",
        "      server_name: cms.example",
        "      insecure_skip_verify: false",
        "      min_version: TLS10",
        '      ciphers: "DEFAULT:@SECLEVEL=0"',
        "    proxy_url: <secret>",
        "    headers:",
        "      x-tenant: <secret>",
        "    host_header: 10.22.26.181",
        "    targets:",
        "      - {ccId: 1, vdn: 1, max_resting: 30}",
    ]
    assert (
        '      - {ccId: 1, vdn: 2-9, name: "true", labels: {note: "a: \\"b\\" #c", site: lima}, '
        "max_resting: 30}"
    ) in text
    assert '      - {ccId: 1, vdn: 13-14, name: "ñandú", max_resting: 30, max_rest: 45m,' in text
    assert "      - {ccId: 3, vdn: 1-3}\n      - {ccId: 3, vdn: 4, name: x}\n" in text
    assert f"    proxy_url_file: {folder}/proxy\n" in text


@pytest.mark.parametrize("source", [None, ROOT / "config.example.yaml"])
def test_with_its_secrets_put_in_it_is_the_same_configuration(
    path: Path, tmp_path: Path, source: Path | None
) -> None:
    """Nothing is left out, and nothing is said otherwise."""
    origin = source or path
    before = load(origin, {})
    again = tmp_path / "again.yaml"
    # a value that each kind of secret may have
    again.write_text(shown(origin).replace(MASK, "http://secret"), encoding="utf-8")
    again.write_text(
        again.read_text(encoding="utf-8").replace("access_key: http://secret", "access_key: ak"),
        encoding="utf-8",
    )
    after = load(again, {})
    assert after.targets == before.targets
    for old, new in zip(before.servers, after.servers, strict=True):
        for field in (
            *("name", "url", "api", "page_size", "interval", "timeout", "max_concurrency"),
            *("max_requests_per_second", "begin_time_unit", "rest_bounds", "tls", "host"),
        ):
            assert getattr(new, field) == getattr(old, field), field
        assert [name for name, _ in new.headers] == [name for name, _ in old.headers]
        assert type(new.auth) is type(old.auth)
        assert (new.proxy_url is None) == (old.proxy_url is None)


def test_no_secret_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is masked by construction: the text is written without a look at any secret."""
    config = load(path, {})

    def refuse(_: object) -> NoReturn:
        raise AssertionError("a secret was looked at")

    for name in ("reveal", "read", "__str__", "__repr__", "__format__", "loaded"):
        monkeypatch.setattr(Secret, name, property(refuse) if name == "loaded" else refuse)
    monkeypatch.setattr(Path, "open", refuse)
    text = b"".join(config.shown()).decode()
    assert CANARY not in text
    assert text.count(MASK) == 4


def test_the_digest_is_that_of_the_whole_configuration(path: Path) -> None:
    """Of what it says, however it is written; every shard shows the same."""
    config = load(path, {})
    assert f"\n# {config.digest}\ncms:\n" in shown(path)
    path.write_text(f"# another comment\n{path.read_text('utf-8')}", encoding="utf-8")
    assert load(path, {}).digest == config.digest
    own = part(config, Shard(0, 2))
    assert own.targets != config.targets
    assert f"\n# {config.digest}\ncms:\n" in b"".join(own.shown()).decode()


def test_no_secret_can_be_guessed_by_the_digest(path: Path) -> None:
    """The page needs no password by default, and a weak secret is found by trying them all."""
    before = load(path, {}).digest
    text = path.read_text(encoding="utf-8")
    assert text.count(CANARY) == 5
    path.write_text(text.replace(CANARY, "canary-other"), encoding="utf-8")
    assert load(path, {}).digest == before
    path.write_text(text.replace("vdn: 2-9", "vdn: 2-8"), encoding="utf-8")
    assert load(path, {}).digest != before


@pytest.mark.parametrize("name", ["*x", "!x", "&x", "%x", "|", "#x", "`x", "'x", "-", "x"])
def test_a_header_of_any_name(tmp_path: Path, name: str) -> None:
    """HTTP allows characters in front that mean something to YAML."""
    path = tmp_path / "config.yaml"
    quoted = json.dumps(name)
    path.write_text(
        f"cms: [{{url: 'http://a', headers: {{{quoted}: a}}, targets: [{{ccId: 1, vdn: 1}}],"
        f" auth: {{access_key: a, secret_key: b, signed_headers: [host, {quoted}]}}}}]"
    )
    before = load(path, {}).servers
    path.write_text(shown(path).replace(MASK, "a"))
    after = load(path, {}).servers
    assert after[0].headers == before[0].headers
    assert isinstance(before[0].auth, Signature)
    assert isinstance(after[0].auth, Signature)
    assert after[0].auth.signed_headers == before[0].auth.signed_headers


@settings(deadline=None)  # files are written, on a machine that may be busy
@given(
    name=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1),
    value=st.text("{}[],:#&*!|>'\"%@`? -ab1.~\u00a0\u200b\U0001f600", min_size=1),
)
def test_any_name_and_label(name: str, value: str) -> None:
    """What is shown is what was loaded, whatever its letters mean to YAML."""
    targets = (
        Target(TargetKey("lima", 1, 1), name, (("site", value),)),
        Target(TargetKey("lima", 1, 3), value, (("_site", name),)),
    )
    config = Config((Server("http://lima", name="lima"),), targets)
    text = b"".join(config.shown()).decode()
    (block,) = cast("Any", parse("config.yaml", text).data)["cms"]
    assert [entry["name"] for entry in block["targets"]] == [name, value]
    assert [entry["labels"] for entry in block["targets"]] == [{"site": value}, {"_site": name}]


def test_ten_thousand_targets_come_in_slices(tmp_path: Path) -> None:
    """Polls run between them."""
    path = tmp_path / "config.yaml"
    targets = "".join(f"      - {{ccId: 1, vdn: {n}, name: n{n}}}\n" for n in range(1, 2001))
    path.write_text(f"cms:\n  - url: http://lima\n    targets:\n{targets}", encoding="utf-8")
    slices = list(load(path, {}).shown())
    assert len(slices) >= 10
    assert max(map(len, slices)) < 20_000
    assert b"".join(slices).decode().endswith(targets)
