"""The model, its JSON Schema and the example: none may know a key that the others do not."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import trustme
import yaml

from exporter.config.load import Config, load
from exporter.config.model import File, Shape, shapes_by_key
from exporter.config.yaml_document import parse
from exporter.server import PAGE_SIZE, Signature
from tests.support.config_keys import SCHEMA, keys
from tests.support.paths import FIXTURES, ROOT

_ROOT = ROOT
_FIXTURES = FIXTURES / "config"
_EXAMPLE = _ROOT / "config.example.yaml"


def _check(data: object) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    validator.validate(data)


def _keys_in(data: Any, shape: type[Shape], prefix: str = "") -> set[str]:
    """The keys of a document, as `keys()` writes them."""
    blocks = data if isinstance(data, list) else [data]
    found = set()
    for key, below in shapes_by_key(shape).items():
        values = [block[key] for block in blocks if key in block]
        if values:
            found.add(prefix + key)
        for value in values:
            found |= _keys_in(value, below, f"{prefix}{key}.") if below else set()
    return found


def _whole_example() -> str:
    """The example with the keys that it leaves out, because they name what only users have."""
    return re.sub(r"^( *)#(?=( *[a-z_]+:))", r"\1", _EXAMPLE.read_text("utf-8"), flags=re.MULTILINE)


def _example(folder: Path) -> Config:
    """Load the whole example beside the files that it names."""
    whole = _whole_example()
    (folder / "config.yaml").write_text(whole, encoding="utf-8")
    for name in ("cusco-ak", "cusco-sk", "piura-authorization"):
        (folder / "secrets").mkdir(exist_ok=True)
        (folder / "secrets" / name).write_text(f"{name}\n", encoding="utf-8")
    (folder / "secrets" / "cusco-proxy").write_text("http://proxy:3128\n", encoding="utf-8")
    (folder / "tls").mkdir()
    ca = trustme.CA()
    leaf = ca.issue_cert("exporter.example")
    ca.cert_pem.write_to_path(folder / "tls" / "ca.pem")
    leaf.cert_chain_pems[0].write_to_path(folder / "tls" / "client.pem")
    leaf.private_key_pem.write_to_path(folder / "tls" / "client-key.pem")
    (folder / "targets").mkdir()
    (folder / "targets" / "a.yaml").write_text("- {ccId: 9, vdn: 1}\n", encoding="utf-8")
    environ = {
        "LIMA_PROXY_URL": "http://user:password@proxy:3128",
    }
    return load(folder / "config.yaml", environ)


def test_committed_schema_is_current() -> None:
    """`make schema` has been run since the model changed."""
    printed = subprocess.run(
        [sys.executable, _ROOT / "deploy" / "schema.py"], check=True, capture_output=True
    ).stdout
    assert printed == (_ROOT / "deploy" / "config.schema.json").read_bytes()


def test_schema_is_a_schema() -> None:
    """It is valid by draft 2020-12, and says so."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_every_key_is_described() -> None:
    """Editors show a sentence for each key and each mapping."""

    def properties(part: dict[str, Any]) -> None:
        assert part["description"]
        for key, value in part["properties"].items():
            assert value.get("description", "").endswith("."), key

    for part in (SCHEMA, *SCHEMA["$defs"].values()):
        properties(part)


@pytest.mark.parametrize(
    "path",
    [
        _EXAMPLE,
        *(path for path in sorted((_FIXTURES / "good").glob("*.yaml")) if "empty" not in path.name),
    ],
)
def test_schema_takes_good_files(path: Path) -> None:
    """What loads is valid by the schema too; empty values, which templates leave, apart."""
    _check(parse(path.name, path.read_text(encoding="utf-8")).data)


@pytest.mark.parametrize(
    "block",
    [
        {},
        {"url": "https://lima"},
        {"url": 5, "targets": []},
        {"url": "https://lima", "targets": [{"ccId": 1}]},
        {"url": "https://lima", "targets": [{"ccId": 0, "vdn": 1}]},
        {"url": "https://lima", "targets": [{"ccId": 1, "vdn": 5001}]},
        {"url": "https://lima", "targets": [{"ccId": 1, "vdn": ["1-"]}]},
        {"url": "https://lima", "targets": [{"ccId": 1, "vdn": 1, "labels": {"__a": "b"}}]},
        {"url": "https://lima", "targets": [{"ccId": 1, "vdn": 1, "labels": {"a": 1}}]},
        {"url": "https://lima", "targets": [{"ccId": 1, "vdn": 1, "labels": {"a": "b\n"}}]},
        {"url": "https://lima", "targets": [{"ccId": 1, "vdn": 1, "name": "a\u2028b"}]},
        {"url": "https://lima", "targets": [], "name": "lima\n"},
        {"url": "https://lima", "targets": [], "name": " lima"},
        {"url": "https://lima", "targets": [], "name": "li\x7fma"},
        {"url": "https://lima", "targets": [], "intervall": "30s"},
        {"url": "https://lima", "targets": [], "interval": "30"},
        {"url": "https://lima", "targets": [], "cti_version": "3.7"},
        {"url": "https://lima", "targets": [], "auth": {"accesskey": "a"}},
        {"url": "https://lima", "targets": [], "page_size": 101},
    ],
)
def test_schema_refuses(block: dict[str, Any]) -> None:
    """An editor marks what one key alone can get wrong."""
    with pytest.raises(jsonschema.ValidationError):
        _check({"cms": [block]})


def test_example_names_its_schema() -> None:
    """Editors find the schema from the example's first line."""
    first = _EXAMPLE.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=deploy/config.schema.json"


def test_example_shows_every_key() -> None:
    """The example is the reference: it has each key of the model."""
    data = yaml.safe_load(_whole_example())
    assert _keys_in(data, File) == set(keys())


def test_keys() -> None:
    """Keys are written as paths, in the model's order."""
    assert keys()[:4] == ("cms", "cms.name", "cms.url", "cms.auth")
    assert {"cms.auth.secret_key_file", "cms.tls.ca_file", "cms.targets.ccId"} < set(keys())


def test_example_is_valid_as_it_stands() -> None:
    """A newcomer who checks it before changing anything meets no error."""
    config = load(_EXAMPLE, {})
    assert [server.name for server in config.servers] == ["lima", "cusco", "arequipa", "piura"]


def test_whole_example_loads(tmp_path: Path) -> None:
    """The example works with every key, once its files exist."""
    config = _example(tmp_path)
    assert [server.name for server in config.servers] == ["lima", "cusco", "arequipa", "piura"]
    lima, cusco, *_ = config.servers
    targets = [target for target in config.targets if target.key.cms == lima.name]
    assert len(targets) == 2 + 40 + 6 + 1
    assert targets[1].labels == (("floor", "3"), ("site", "lima"))
    assert (lima.page_size, cusco.page_size) == (None, 100)


def test_example_names_the_defaults(tmp_path: Path) -> None:
    """Where the example says "The default", it shows it."""
    config = _example(tmp_path)
    lima, cusco, *_ = config.servers
    smallest_config = load(_FIXTURES / "good" / "smallest.yaml", {})
    (smallest,) = smallest_config.servers
    for key in (
        "api",
        "page_size",
        "interval",
        "timeout",
        "max_concurrency",
        "begin_time_unit",
    ):
        assert getattr(lima, key) == getattr(smallest, key), key
    assert config.targets[0].stale_after == smallest_config.targets[0].stale_after
    assert cusco.page_size == PAGE_SIZE
    assert isinstance(lima.auth, Signature)
    assert isinstance(cusco.auth, Signature)
    assert lima.auth.signed_headers == cusco.auth.signed_headers
