"""Which targets are found, in which order, and that polls can go on meanwhile."""

from collections import Counter
from collections.abc import Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from exporter.errors import Reason
from exporter.store import Store
from exporter.web.target_query import Query, Sort, TargetStatus
from exporter.web.target_search import Listing, NextPoll, entry, find
from tests.support.status_targets import BUSY, NOW, QUIET, ago, fail, succeed, target
from tests.support.stores import store_of


def _find(store: Store, query: Query, next_poll: NextPoll = lambda _: None) -> Listing:
    return _end(find(store.states(), dict(store.servers()), NOW, query, next_poll))


def _end(finding: Generator[bytes, None, Listing]) -> Listing:
    while True:
        try:
            assert next(finding) == b""
        except StopIteration as stop:
            listing = stop.value
            assert isinstance(listing, Listing)
            return listing


def _vdns(store: Store, query: Query, next_poll: NextPoll = lambda _: None) -> list[int]:
    return [each.state.target.key.vdn for each in _find(store, query, next_poll).entries]


def _floor() -> Store:
    up, waiting, stale, down, full, down_too = (
        target(1),
        target(2),
        target(3, stale_after=60),
        target(4),
        target(5, max_resting=2),
        target(6),
    )
    store = store_of([up, waiting, stale, down, full, down_too])
    succeed(store, up, QUIET)
    succeed(store, full)
    succeed(store, stale, when=ago(61))
    fail(store, down)
    fail(store, down_too)
    return store


def test_trouble_comes_first_then_the_order_of_the_configuration() -> None:
    """What is wrong is at the top; a VDN above its limit leads those that are up."""
    store = _floor()
    assert _vdns(store, Query()) == [4, 6, 3, 2, 5, 1]
    assert _vdns(store, Query(descending=True)) == [1, 5, 2, 3, 4, 6]


def test_a_target_that_fails_and_is_stale_is_down() -> None:
    """Down says more than stale: it comes with a reason."""
    each = target(1, stale_after=10)
    store = store_of([each])
    succeed(store, each)
    fail(store, each)
    assert entry(store.state(each.key), NOW).status is TargetStatus.DOWN


def test_numbers_order_targets_and_those_without_come_last() -> None:
    """Whichever way the order is: what is not known is neither many nor few."""
    targets = [target(vdn) for vdn in range(1, 6)]
    store = store_of(targets)
    for each, resting in zip(targets, (3, 9, 0, 5), strict=False):
        start = NOW.wall - 100 * resting if resting != 9 else None
        succeed(
            store,
            each,
            replace(
                BUSY,
                resting=resting,
                waiting=10 - resting,
                approved=resting % 5,
                longest_rest_start=start,
            ),
            when=ago(resting),
        )
    assert _vdns(store, Query(sort=Sort.RESTING, descending=True)) == [2, 4, 1, 3, 5]
    assert _vdns(store, Query(sort=Sort.RESTING)) == [3, 1, 4, 2, 5]
    assert _vdns(store, Query(sort=Sort.WAITING)) == [2, 4, 1, 3, 5]
    assert _vdns(store, Query(sort=Sort.APPROVED)) == [3, 4, 1, 2, 5]
    assert _vdns(store, Query(sort=Sort.LONGEST_REST, descending=True)) == [4, 1, 3, 2, 5]
    assert _vdns(store, Query(sort=Sort.LAST_SUCCESS)) == [2, 4, 1, 3, 5]


def test_the_order_of_next_polls() -> None:
    """As the schedule says; a target that it does not know comes last."""
    store = store_of(map(target, range(1, 4)))
    due = {1: 1130.0, 3: 1105.0}
    assert _vdns(store, Query(sort=Sort.NEXT_POLL), lambda key: due.get(key.vdn)) == [3, 1, 2]


def test_the_order_of_targets() -> None:
    """By name as a person reads it, else by place, and numbers as numbers."""
    store = store_of(
        [
            target(1, "Zoo"),
            target(10),
            target(2),
            target(3, "alpha"),
            target(4, "Alpha"),
            target(5, cms="aaa"),
        ]
    )
    assert _vdns(store, Query(sort=Sort.TARGET)) == [5, 3, 4, 2, 10, 1]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", [1, 2, 12, 120]),
        ("sales", [1]),
        ("SALES", [1]),
        ("ale lima", [1]),
        ("sales quito", []),
        ("12", [12, 120]),
        ("vdn=12", [12]),
        ("cc_id=1 vdn=2", [2]),
        ("cms=quito", [120]),
        ("site=li", []),
        ("site=lima", [1]),
        ("name=back office", [2]),
        ("name=back", [2]),
        ("name=office", []),
        ("reason=timeout", [12]),
        ("firewall", [12]),
        ("straße", [120]),
        ("STRASSE", [120]),
    ],
)
def test_search(search: str, found: list[int]) -> None:
    """Every word anywhere; `label=value` as a whole, so that VDN 12 is not VDN 120."""
    targets = [
        target(1, "sales", (("site", "lima"),)),
        target(2, "back office"),
        target(12),
        target(120, labels=(("at", "Straße"),), cms="quito"),
    ]
    store = store_of(targets)
    fail(store, targets[2], "no reply: a firewall drops packets")
    assert _vdns(store, Query(search=search)) in (
        found,
        found[::-1],
        sorted(found, key=_down_first),
    )


def _down_first(vdn: int) -> tuple[bool, int]:
    return vdn != 12, vdn


def test_filters() -> None:
    """By server and by states; counts beside the states ignore which ones are chosen."""
    store = _floor()
    chosen = Query(states=frozenset({TargetStatus.STALE, TargetStatus.UP}))
    assert _vdns(store, chosen) == [3, 5, 1]
    listing = _find(store, chosen)
    assert (
        listing.facets == listing.servers["lima"] == {"down": 2, "stale": 1, "waiting": 1, "up": 2}
    )
    assert _vdns(store, Query(cms="lima")) == [4, 6, 3, 2, 5, 1]
    nowhere = _find(store, Query(cms="gone"))
    assert (nowhere.entries, nowhere.facets.total(), nowhere.servers["lima"].total()) == ([], 0, 6)


@given(count=st.integers(0, 60), limit=st.integers(1, 20), picked=st.sampled_from(Sort))
def test_pages_hold_every_target_once(count: int, limit: int, picked: Sort) -> None:
    """In order, whatever the size of a page."""
    store = store_of(map(target, range(1, count + 1)))
    listing = _find(store, Query(sort=picked))
    pages = [listing.page(number, limit) for number in range(1, listing.pages(limit) + 1)]
    assert [each for page in pages for each in page] == listing.entries
    assert all(len(page) == limit for page in pages[:-1])
    assert listing.page(len(pages) + 1, limit) == []


def test_many_targets_are_looked_at_in_slices() -> None:
    """The loop that polls run in is given back after every five hundred."""
    store = store_of(map(target, range(1, 2001)))
    assert sum(1 for _ in find(store.states(), ["lima"], NOW, Query(), lambda _: None)) == 4


def test_a_reload_meanwhile_changes_nothing() -> None:
    """The targets are taken at once: those of the moment are shown."""
    targets = [target(vdn) for vdn in range(1, 1001)]
    store = store_of(targets)
    finding = find(store.states(), ["lima"], NOW, Query(), lambda _: None)
    next(finding)
    fail(store, targets[-1])
    assert _end(finding).facets == {TargetStatus.WAITING: 1000}


@given(
    failures=st.lists(
        st.tuples(
            st.sampled_from(["lima", "quito"]),
            st.sampled_from([Reason.HTTP, Reason.TIMEOUT]),
            st.sampled_from(["no reply within 9 s", "no reply within 9.5 s", "refused"]),
        ),
        max_size=12,
    )
)
def test_every_failure_is_part_of_one_trouble(
    failures: list[tuple[str, Reason, str]],
) -> None:
    """By server, reason and message; the seconds in a message make no difference."""
    targets = [target(vdn, cms=cms) for vdn, (cms, _, _) in enumerate(failures, 1)]
    store = store_of(targets, ["lima", "quito"])
    for each, (_, reason, message) in zip(targets, failures, strict=True):
        fail(store, each, message, reason)
    listing = _find(store, Query())
    alike = Counter(
        (cms, reason.value, message.replace("9.5", "9")) for cms, reason, message in failures
    )
    troubles = set(listing.troubles.values())
    assert sorted(each.targets for each in troubles) == sorted(alike.values())
    for found in listing.entries:
        trouble = listing.failure(found)
        assert trouble is not None
        assert trouble.cms == found.state.target.key.cms
        alike_found = _find(store, trouble.query).entries
        assert found.state.target in [other.state.target for other in alike_found]
