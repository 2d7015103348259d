"""The page of one target: what it says, and what it links to."""

import re

import pytest

from exporter.errors import Reason
from exporter.history import RestHistory
from exporter.store import Store, Target
from exporter.web.html_pages import HtmlPages
from tests.support.page_scenes import one_target
from tests.support.status_targets import BUSY, NOW, TIMEOUT, ago, fail, succeed, target
from tests.support.stores import store_of

PAGES = HtmlPages(version="1.2.3", telemetry_path="/metrics")


def _html(store: Store, target: Target) -> str:
    found = PAGES.target_page(store, NOW, target, lambda _: NOW.monotonic + 7)
    return b"".join(found).decode()


def _text(html: str) -> str:
    body = re.sub(r"<(style|script)>.*?</\1>", "", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def test_a_healthy_target() -> None:
    """Its name, its numbers with the limits, and when it was and will be polled."""
    each = Target(target(2).key, "sales", (("site", "lima"),), 20, 90.0, 2700.0, 900.0)
    store = store_of([each])
    succeed(store, each)
    store.sample(NOW)
    html = _html(store, each)
    text = _text(html)
    for part in (
        "up: sales \N{EN DASH} agent-rest-exporter",
        "sales lima , call center 1, VDN 2 site=lima",
        "Resting 3 of 20 Waiting 7",
        "Longest rest 1 h 12 min Last success 20 s ago Next poll in 7 s",
        "Last poll took 0.25 s",
        "Longest rest allowed 45 min Longest wait allowed 15 min",
        "In the last hour: 3 resting, 7 waiting.",
        "No poll has failed since the exporter started.",
    ):
        assert part in text
    assert '<a href="./api/v1/targets?q=cc_id%3D1+vdn%3D2&amp;cms=lima">' in html
    assert '<a href="./">All targets</a>' in html


def test_failures_that_are_no_longer_kept() -> None:
    """The oldest of all targets are dropped: that none was kept does not say that none was."""
    each = target(2)
    store = store_of([each])
    fail(store, each)
    store.failures.keep(())
    text = _text(_html(store, each))
    assert "The failures of this target are no longer kept." in text
    assert "No poll has failed" not in text


def test_poll_now_is_a_form_that_leads_to_the_probe() -> None:
    """Without JavaScript, too; where nothing can be polled there is none."""
    each = target(2, cms="a&b")
    store = store_of([each])
    html = _html(store, each)
    form = html[html.index('<form class="probe"') : html.index("</form>")]
    assert 'action="./probe"' in form
    assert dict(re.findall(r'name="(\w+)" value="([^"]*)"', form)) == {
        "cms": "a&amp;b",
        "cc_id": "1",
        "vdn": "2",
        "debug": "true",
    }


def test_failures_with_their_sentences_and_durations() -> None:
    """The latest first; one that goes on says so."""
    each = target(1)
    store = store_of([each])
    store.failures.failed(each.key, Reason.CONNECT, "refused", NOW.wall - 7200)
    store.failures.failed(each.key, Reason.CONNECT, "refused", NOW.wall - 7000)
    store.failures.ended(each.key, NOW.wall - 3000)
    fail(store, each)
    text = _text(_html(store, each))
    assert f"timeout for 12 min: {TIMEOUT}" in text
    last = text[text.index("Last failures") :]
    assert (
        f"2023-11-14 22:02:30 UTC 1 failed poll in 12 min, still failing timeout : {TIMEOUT}"
        in (last)
    )
    assert "2023-11-14 20:15:00 UTC 2 failed polls in 1 h 10 min connect : refused" in last
    assert last.index("timeout") < last.index("connect")
    assert "Numbers none the last success is older than 1 min, or there was none" in text


@pytest.mark.parametrize(
    ("kept", "sentence"),
    [
        (True, "There are no numbers yet."),
        (False, "No numbers are kept, because there are too many targets: Prometheus has them."),
    ],
)
def test_no_numbers_of_the_last_hour(*, kept: bool, sentence: str) -> None:
    """The page says why."""
    each = target(1)
    store = store_of([each])
    if not kept:
        store.rests = RestHistory(most=0)
    succeed(store, each, BUSY, ago(500))
    assert sentence in _text(_html(store, each))


def test_nothing_is_markup_that_came_from_elsewhere() -> None:
    """Names, labels and sentences are text."""
    text = "<script>alert(1)</script>"
    each = Target(target(1, cms=text).key, text, (("note", text),))
    store = store_of([each])
    fail(store, each, text)
    html = _html(store, each)
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 5


def test_it_stays_within_the_policy() -> None:
    """No attribute that the policy forbids, and nothing from elsewhere."""
    scene = one_target()
    html = _html(scene.store, next(iter(scene.store.states())).target)
    assert not re.search(r"\bstyle=|\bon[a-z]+=|https?://(?!www\.w3\.org)", html)


def test_a_target_that_a_reload_has_just_removed() -> None:
    """The page was asked for before, and is made after: it shows a target without a poll."""
    assert "waiting for first poll" in _text(_html(store_of([target(2)]), target(1)))
