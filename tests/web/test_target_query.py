"""What a reader can ask: from a URL's parameters and back, and each refusal to the letter."""

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.rest import Doubt
from exporter.web.target_query import Query, Sort, TargetStatus

SORTS = "trouble, target, resting, waiting, approved, longest_rest, last_success, next_poll"
texts = st.text(max_size=20).map(str.strip)
queries = st.builds(
    Query,
    search=texts,
    cms=texts,
    states=st.frozensets(st.sampled_from(TargetStatus)),
    sort=st.sampled_from(Sort),
    descending=st.booleans(),
    page=st.integers(1, 10**9 - 1),
    limit=st.none() | st.integers(1, 1000),
)


def test_nothing_asked_is_everything() -> None:
    """Trouble first; and the link to it has no parameters."""
    assert Query.parse([]) == Query()
    assert Query().url() == "?"


def test_everything_asked() -> None:
    """Each parameter by its name."""
    query = Query.parse(
        parse_qsl(
            "q=a+b&cms=lima&state=down&state=stale"
            "&doubt=cut_off&doubt=unlisted&sort=-longest_rest&page=2&limit=1000"
        )
    )
    assert query == Query(
        "a b",
        "lima",
        frozenset({TargetStatus.DOWN, TargetStatus.STALE}),
        frozenset({Doubt.CUT_OFF, Doubt.UNLISTED}),
        Sort.LONGEST_REST,
        descending=True,
        page=2,
        limit=1000,
    )


def test_a_form_left_empty_asks_nothing() -> None:
    """Browsers send empty fields; unknown ones mean nothing; of a repeated one the last counts."""
    given = "q=&cms=+&state=&doubt=&sort=&page=&limit=&utm_source=mail&cms=lima&cms=quito"
    assert Query.parse(parse_qsl(given, keep_blank_values=True)) == Query(cms="quito")


@given(queries)
def test_a_link_asks_what_it_was_made_from(query: Query) -> None:
    """Whatever stands in a search or in a server's name."""
    assert Query.parse(parse_qsl(query.url().removeprefix("?"))) == query


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ("state=bad", "state must be one of down, stale, doubtful, waiting, up"),
        (
            "doubt=bad",
            "doubt must be one of cut_off, wrong_unit, unlisted, unusable_begin_times",
        ),
        (
            "sort=name",
            f"sort must be one of {SORTS}",
        ),
        ("sort=--resting", f"sort must be one of {SORTS}"),
        ("page=0", "page must be a whole number from 1 to 999999999"),
        ("page=-1", "page must be a whole number from 1 to 999999999"),
        ("page=1.0", "page must be a whole number from 1 to 999999999"),
        ("page=%C2%B2", "page must be a whole number from 1 to 999999999"),
        ("page=1000000000", "page must be a whole number from 1 to 999999999"),
        ("limit=0", "limit must be a whole number from 1 to 1000"),
        ("limit=1001", "limit must be a whole number from 1 to 1000"),
        ("limit=all", "limit must be a whole number from 1 to 1000"),
        ("q=" + "x" * 201, "q must not be longer than 200 characters"),
    ],
)
def test_what_cannot_be_had(parameters: str, sentence: str) -> None:
    """A typing error in a script is told, instead of answered by all targets; none is repeated."""
    with pytest.raises(ValueError, match="must") as refusal:
        Query.parse(parse_qsl(parameters))
    assert str(refusal.value) == sentence


def test_the_longest_search() -> None:
    """Two hundred characters are one that can be asked."""
    assert Query.parse([("q", "x" * 200)]).search == "x" * 200
