"""YAML: two ways to read it that must agree, and the way back to a line."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.config import yaml_document
from exporter.config.draft import scalar
from exporter.config.load import load
from exporter.config.problems import ConfigError, did_you_mean, dotted
from exporter.config.yaml_document import Document, Place, parse
from exporter.config.yaml_events import Composer, NotPlainError, read_plain, resolve
from tests.support.paths import FIXTURES

_FIXTURES = FIXTURES / "config"


def _by_nodes(text: str) -> object:
    composer = Composer("file")
    for event in yaml.parse(text):
        composer.feed(event)
    return composer.root.data if composer.root else None


_KEYS = st.text("abc", min_size=1, max_size=2)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)  # nothing here is about time
@given(_VALUES, st.booleans())
def test_both_ways_agree(value: object, flow: bool) -> None:  # noqa: FBT001 -- from hypothesis
    """The fast way gives what the way over nodes gives."""
    text = yaml.dump(value, Dumper=_NoAliases, default_flow_style=flow)
    assert read_plain(yaml.SafeLoader(text).get_event) == _by_nodes(text)


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, _: object) -> bool:
        return True


@pytest.mark.parametrize(
    "text",
    [
        "&a 1",
        "&a [1]",
        "!!str 1",
        "!!map {}",
        "[*a]",
        "{[1]: 2}",
        "{a: 1, a: 2}",
        "{<<: {a: 1}}",
        "[" * 50 + "]" * 50,
        "1\n---\n2",
    ],
)
def test_not_plain(text: str) -> None:
    """The fast way leaves to the other what it does not know."""
    with pytest.raises(NotPlainError):
        read_plain(yaml.SafeLoader(text).get_event)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("FALSE", False),
        ("0", 0),
        ("-12", -12),
        ("+3", 3),
        ("3.8", 3.8),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1e999", math.inf),
        ("010", "010"),
        ("0x10", "0x10"),
        ("1:30", "1:30"),
        ("1-40", "1-40"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        ("-", "-"),
        ("yes", "yes"),
        ("2024-01-01", "2024-01-01"),
        ("9" * 19, "9" * 19),
    ],
)
def test_scalars(text: str, value: object) -> None:
    """Numbers and booleans are those that nobody could take for text."""
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


_TRICKY = st.text(" \n\t\r:#-{}[],&*!|>'\"%@`?~\\ab1.0e+/$_\x7f\x85\u2028\ufeff\u00a0\U0001f600")


@settings(deadline=None, max_examples=300)
@given(st.text(st.characters(codec="utf-8")) | _TRICKY)
@example("a\x7fb")
@example("a\x85b")
@example("true")
@example("3.8")
@example("${NAME}")
@example("a: b")
@example("\U0001f600\\ud83d\\ude00")
def test_any_text_is_read_as_it_was_written(text: str) -> None:
    """In a block and in a flow, as a value and as a key."""
    flow = scalar(text, in_flow=True)
    written = (
        f"block: {scalar(text)}\nlist:\n  - {scalar(text)}\nflow: {{a: {flow}, b: [{flow}]}}\n"
    )
    written += f"key:\n  {flow}: 1\n"
    if len(flow) < 100:  # longer ones need a "?" before them
        assert parse("f.yaml", written).data == {
            "block": text,
            "list": [text],
            "flow": {"a": text, "b": [text]},
            "key": {text: 1},
        }


@pytest.mark.parametrize(
    ("text", "block", "flow"),
    [
        ("lima", "lima", "lima"),
        ("https://10.22.26.181:28443", "https://10.22.26.181:28443", "https://10.22.26.181:28443"),
        ("${NAME}", "${NAME}", '"${NAME}"'),
        ("floor 3", "floor 3", "floor 3"),
        ("3.6", '"3.6"', '"3.6"'),
        ("null", '"null"', '"null"'),
        ("", '""', '""'),
        ("a, b", '"a, b"', '"a, b"'),
        ("ñandú 密", '"ñandú 密"', '"ñandú 密"'),
        ('"\\', '"\\"\\\\"', '"\\"\\\\"'),
        ("a\x7f\n", '"a\\U0000007f\\n"', '"a\\U0000007f\\n"'),
    ],
)
def test_quotes_where_they_matter(text: str, block: str, flow: str) -> None:
    """A person would write it so."""
    assert (scalar(text), scalar(text, in_flow=True)) == (block, flow)


def test_locate() -> None:
    """A path leads to its value or key; what is missing stands at its parent."""
    top = Place(parse("f.yaml", "a:\n  - b: 1\n    c: [2, 3]\n"))
    entry = top / "a" / 0
    assert str(entry) == "f.yaml:2"
    assert str((entry / "b").problem("x")) == "f.yaml:2:8: a[0].b: x"
    assert str((entry / "b").problem("x", on_key=True)) == "f.yaml:2:5: a[0].b: x"
    assert str((entry / "c" / 1).problem("x")) == "f.yaml:3:12: a[0].c[1]: x"
    assert str((entry / "b" / 0).problem("x")) == "f.yaml:2:8: a[0].b: x"
    assert str((entry / "d").problem("x")) == "f.yaml:2:5: a[0].d: x"
    assert str((entry / "d" / "e").problem("x")) == "f.yaml:2:5: a[0].d.e: x"


def test_items_that_are_left_of_a_list() -> None:
    """They keep the places that they have in the file."""
    items = replace(Place(parse("f.yaml", "a: [1, 2, 3, 4, 5]\n")) / "a", gone=(0, 1, 3))
    assert [str((items / index).problem("x")) for index in (0, 1)] == [
        "f.yaml:1:11: a[2]: x",
        "f.yaml:1:17: a[4]: x",
    ]


def test_merged_value_stands_at_its_anchor() -> None:
    """What a merge brings is mended where it is written."""
    top = Place(parse("f.yaml", "a: &a {b: 1}\nc:\n  <<: *a\n"))
    assert str((top / "c" / "b").problem("x")) == "f.yaml:1:11: c.b: x"


def test_problem_is_one_line() -> None:
    """Neither a key nor a message can break a line."""
    top = Place(parse("f.yaml", '"a\\nb c": 1\n'))
    assert str((top / "a\nb c").problem("x\ny\x85")) == 'f.yaml:1:11: ["a\\nb c"]: x\\ny\\x85'


def test_path_ends_at_secret() -> None:
    """What is written below a secret is part of it."""
    assert dotted(("cms", 0, "auth", "secret_key", "CANARY", 1)) == "cms[0].auth.secret_key"
    assert dotted(("cms", 0, "headers", "X-A", "CANARY")) == "cms[0].headers.X-A"
    assert dotted(("cms", 0, "headers")) == "cms[0].headers"


def test_did_you_mean() -> None:
    """Case counts little, and a far word is no suggestion."""
    assert did_you_mean("CCID", ["ccId", "vdn"]) == '; did you mean "ccId"?'
    assert did_you_mean("colour", ["ccId", "vdn"]) == ""


@pytest.mark.parametrize("text", ["[" * 200_000, "{a: " * 200_000, "- " * 200_000])
def test_deep_nesting(text: str) -> None:
    """No nesting exhausts the stack."""
    with pytest.raises(ConfigError, match="nested more than 40 levels deep"):
        parse("f.yaml", text)


@pytest.mark.parametrize(
    ("character", "name"),
    [
        ("\t", "tab"),
        ("\u00a0", "invisible character (no-break space)"),
        ("\u202f", "invisible character (narrow no-break space)"),
        ("\u3000", "invisible character (ideographic space)"),
        ("\u200b", "invisible character (zero width space)"),
    ],
)
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a:\n  b: 1\n ? c: 2\n", "3:2"),
        ("a:\n  b:\n  ?   c: 1\n      d: 2\n", "3:3"),
        ("a:\n  - b: 1\n??d: 1\n\n    c: 2\n", "3:1"),
    ],
    ids=["at once", "one level deeper", "seen on the line below"],
)
@pytest.mark.parametrize("parser", ["CSafeLoader", "SafeLoader"])
def test_what_looks_like_a_space_in_the_indentation(  # noqa: PLR0917  # each way
    monkeypatch: pytest.MonkeyPatch,
    parser: str,
    text: str,
    place: str,
    character: str,
    name: str,
) -> None:
    """It is named, where it is, because nobody can see it."""
    monkeypatch.setattr(yaml_document, "_Parser", getattr(yaml, parser))
    with pytest.raises(ConfigError) as caught:
        parse("f.yaml", text.replace("?", character))
    assert (
        str(caught.value) == f"f.yaml:{place}: {name} in the indentation: YAML allows only spaces"
    )


def test_other_lines_are_not_blamed() -> None:
    """An odd space further above can be meant, as can one within a line."""
    text = "a: |\n  \u00a0b\nc: 1\nd: \u00a0g\ne: f: 2\n"
    with pytest.raises(ConfigError) as caught:
        parse("f.yaml", text)
    assert str(caught.value) == (
        'f.yaml:5:5: unexpected ":": wrong indentation above, or text that must be quoted'
    )


def test_repr_shows_no_text() -> None:
    """A document in a log shows nothing of what is in it."""
    assert "CANARY" not in repr(Document("f.yaml", "CANARY"))
    assert "CANARY" not in repr(Place(Document("f.yaml", "CANARY")))


def test_slow_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without libyaml the configuration is the same, and so is the sentence for each fault."""
    good = [load(path, {"ACCESS_KEY": "a", "TENANT": "t"}) for path in _good()]
    monkeypatch.setattr(yaml_document, "_Parser", yaml.SafeLoader)
    assert [load(path, {"ACCESS_KEY": "a", "TENANT": "t"}) for path in _good()] == good
    for path in sorted((_FIXTURES / "bad").glob("not-yaml-*.yaml")):
        with pytest.raises(ConfigError) as caught:
            load(path, {})
        # An unknown directive is no fault for one of the two, and an escape has two places.
        if path.stem not in {"not-yaml-directive", "not-yaml-escape"}:
            expected = path.with_suffix(".txt").read_text(encoding="utf-8")
            assert f"{caught.value}\n" == f"{path.parent}/{expected}"


def _good() -> list[Path]:
    return sorted((_FIXTURES / "good").glob("*.yaml"))
