"""exporter.cms.paging: when a listing in pages has ended."""

import pytest

from exporter.cms.paging import Listing
from exporter.cms.wire import Reply
from exporter.rest import Counters, Row


def page(*work_nos: int | str | None) -> Reply:
    """A reply with these agents."""
    return Reply(Counters(0, 0, 0), [Row(work_no=number) for number in work_nos])


def test_a_short_page_is_the_last() -> None:
    """The reply has no total: a page with fewer rows than asked for ends the listing."""
    listing = Listing(3)

    assert listing.offset == 0
    assert not listing.add(page(1, 2, 3))
    assert listing.offset == 3
    assert listing.add(page(4, 5))
    assert [row.work_no for row in listing.rows] == [1, 2, 3, 4, 5]
    assert listing.pages == 2


def test_an_empty_page_ends_a_listing_of_whole_pages() -> None:
    """Nothing else tells that the page before it was the last."""
    listing = Listing(2)

    assert not listing.add(page(1, 2))
    assert listing.add(page())
    assert len(listing.rows) == 2


def test_a_server_that_ignores_offset_is_asked_twice() -> None:
    """The same page again brings nobody new, so that no further one will."""
    listing = Listing(2)

    assert not listing.add(page(1, 2))
    assert listing.add(page(1, 2))


def test_a_page_that_overlaps_in_part_is_not_the_last() -> None:
    """Rows move between pages while they are read."""
    listing = Listing(2)

    assert not listing.add(page(1, 2))
    assert not listing.add(page(2, 3))
    assert listing.add(page(4))


@pytest.mark.parametrize("work_no", [None, "", 0])
def test_rows_without_a_number_are_told_apart_by_what_they_say(work_no: int | str | None) -> None:
    """A whole page of them is not the end; one that says nothing new is, and counts only once."""

    def unnumbered(*begin_times: int | None) -> Reply:
        rows = [Row(work_no=work_no, reason=0, begin_time=time) for time in begin_times]
        return Reply(Counters(0, 0, 0), rows)

    listing = Listing(2)

    assert not listing.add(unnumbered(10**400, None))
    assert not listing.add(unnumbered(1, 2))
    assert listing.add(unnumbered(2, 1))
    assert [row.begin_time for row in listing.rows] == [10**400, None, 1, 2]


def test_a_repeated_page_brings_later_rows_of_the_same_agents() -> None:
    """They are what counts of an agent who is listed twice; a row without a number is not."""
    listing = Listing(2)

    assert not listing.add(page(1, None))
    assert listing.add(page(1, None))
    assert [row.work_no for row in listing.rows] == [1, None, 1]


def test_counters_that_change_between_pages_tell_that_the_listing_moved() -> None:
    """CTI 3.6 counts anew for each page."""
    listing = Listing(1)
    listing.add(Reply(Counters(0, 1, 0), [Row(work_no=1)]))
    assert not listing.moved
    listing.add(Reply(Counters(0, 2, 0), [Row(work_no=2)]))
    assert listing.moved
