"""Whatever a file holds, a load ends with a configuration or with a ConfigError."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config.fields import HIGHEST_VDN, LOWEST_VDN, parse_vdns
from exporter.config.load import Config, load
from exporter.config.problems import ConfigError
from tests.support.config_keys import keys


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where each example is written."""
    return tmp_path_factory.mktemp("config") / "config.yaml"


def _load(path: Path, text: str) -> Config | ConfigError:
    path.write_bytes(text.encode("utf-8"))
    try:
        return load(path, {})
    except ConfigError as error:
        for line in str(error).split("\n"):
            assert line.startswith(f"{path.parent}/")
        return error


_KEYS = st.sampled_from(sorted({key.rpartition(".")[2] for key in keys()})) | st.text(max_size=3)
_WORDS = st.sampled_from(
    ["https://a", "http://[::1]:1", "${A}", "30s", "1s", "0", "1-4", "4-1", "3.6", "host", "a.yaml"]
)
# No text of slashes and stars: a glob over a whole disk is slow, and somebody else's business.
_TEXTS = st.text(st.characters(exclude_characters="/*", codec="utf-8"), max_size=6)
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS | _WORDS
_NESTED = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)
_BLOCKS = st.dictionaries(_KEYS, _NESTED, max_size=6)


@settings(deadline=None)  # files are written, on a machine that may be busy
@given(text=st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text(path: Path, text: str) -> None:
    """No text makes a load fail in another way."""
    assert isinstance(_load(path, text), ConfigError)


@settings(deadline=None)  # files are written, on a machine that may be busy
@given(text=st.text(alphabet="a: -[]{}&*!|>'\"%@`,?#\n\t~1<", max_size=40))
def test_any_yaml(path: Path, text: str) -> None:
    """Nor does one of the letters that mean something to YAML."""
    assert isinstance(_load(path, f"cms:\n- url: https://a\n  {text}"), ConfigError)


@settings(deadline=None)
@given(data=_NESTED | st.fixed_dictionaries({"cms": st.lists(_BLOCKS, max_size=3)}))
def test_any_data(path: Path, data: object) -> None:
    """Nor do the right keys in the wrong places."""
    _load(path, yaml.safe_dump(data, allow_unicode=True))


_SPANS = st.tuples(st.integers(LOWEST_VDN, HIGHEST_VDN), st.integers(LOWEST_VDN, HIGHEST_VDN)).map(
    sorted
)


@settings(max_examples=50, deadline=None)
@given(spans=st.lists(_SPANS, min_size=1, max_size=3), first=st.booleans())
def test_targets_are_what_the_spec_says(path: Path, spans: list[list[int]], first: bool) -> None:  # noqa: FBT001 -- from hypothesis
    """Ranges and numbers come out as their VDNs in order; a VDN that comes twice is refused."""
    items = [low if low == high and first else f"{low}-{high}" for low, high in spans]
    wanted = [vdn for low, high in spans for vdn in range(low, high + 1)]
    spec = items if len(items) > 1 or first else items[0]
    data = {"cms": [{"url": "https://a", "targets": [{"ccId": 1, "vdn": spec}]}]}
    result = _load(path, yaml.safe_dump(data))
    if len(set(wanted)) == len(wanted):
        assert isinstance(result, Config)
        assert [target.key.vdn for target in result.targets] == wanted
    else:
        assert isinstance(result, ConfigError)
        assert all("is already listed at" in problem.message for problem in result.problems)


@given(st.integers() | st.tuples(st.integers(0, 9999), st.integers(0, 9999)))
def test_vdn_bounds(item: int | tuple[int, int]) -> None:
    """An item is a range of VDNs exactly if both of its ends are VDNs, in this order."""
    low, high = (item, item) if isinstance(item, int) else item
    text = item if isinstance(item, int) else f"{low}-{high}"
    if LOWEST_VDN <= low <= high <= HIGHEST_VDN:
        assert list(parse_vdns(text)) == list(range(low, high + 1))
    else:
        with pytest.raises(
            ValueError, match=r"^(must be a whole number from|ranges are ascending)"
        ):
            parse_vdns(text)
