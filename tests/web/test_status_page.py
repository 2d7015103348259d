"""The status page: what it says of each target and server, and what it never lets through."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from exporter.errors import Reason
from exporter.history import RestHistory
from exporter.rest import Doubt, Snapshot
from exporter.store import ReloadStatus, Store, Target, TargetKey
from exporter.web.html_pages import HEADERS, HtmlPages
from exporter.web.presentation import NONE
from exporter.web.target_query import Query, Sort, TargetStatus
from exporter.web.target_search import NextPoll
from tests.support.status_targets import BUSY, NOW, QUIET, TIMEOUT, ago, fail, succeed, target
from tests.support.stores import store_of

VOID = {"meta", "link", "input"}
PAGES = HtmlPages(version="1.2.3", telemetry_path="/metrics")
LOADED = ReloadStatus(successful=True, last_success=NOW.wall)


def _one_line(text: str) -> str:
    return " ".join(text.split())


class _Page(HTMLParser):
    """A page as a reader has it: its tags, its text, and the cells of each row."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.by_id: dict[str, str] = {}
        self.text = ""
        self._ids: list[str | None] = []
        self.feed(page)
        self.close()
        assert not self.open
        # as a browser shows them: any white space is one space
        self.rows = [[_one_line(cell) for cell in row] for row in self.rows]
        self.by_id = {name: _one_line(text) for name, text in self.by_id.items()}
        self.text = _one_line(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self._ids.append(dict(attrs).get("id"))
        if tag == "tr":
            self.rows.append([])
        if tag in {"th", "td"}:
            self.rows[-1].append("")
        if tag in {"small", "p", "li"}:
            self.handle_data(" | ")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self._ids.pop()

    def handle_data(self, data: str) -> None:
        if {"style", "script"} & set(self.open):
            return
        self.text += data
        if {"th", "td"} & set(self.open):
            self.rows[-1][-1] += data
        for name in filter(None, self._ids):
            self.by_id[name] = self.by_id.get(name, "") + data


def _html(
    store: Store,
    query: Query | None = None,
    *,
    pages: HtmlPages = PAGES,
    next_poll: NextPoll = lambda _: None,
    reload: ReloadStatus = LOADED,
) -> str:
    found = pages.status_page(store, NOW, query or Query(), next_poll, reload)
    return b"".join(found).decode()


def _page(store: Store, query: Query | None = None, next_poll: NextPoll = lambda _: None) -> _Page:
    return _Page(_html(store, query, next_poll=next_poll))


def _row(store: Store) -> list[str]:
    return _page(store).rows[1]


def test_a_healthy_target() -> None:
    """Its numbers, reasons and limit, and the longest rest as a person would say it."""
    each = target(2, "sales", (("site", "lima"), ("zone", "a")), max_resting=20)
    store = store_of([each])
    succeed(store, each)
    page = _page(store, next_poll=lambda key: NOW.monotonic + 12.5 if key == each.key else None)
    assert page.rows[1] == [
        "sales | lima, call center 1, VDN 2 | site=lima zone=a",
        "up",
        "3 of 20",
        "7 | 1 awaiting approval | 2 busy | 4 unknown reason | longest 18 min",
        "101",
        "1 h 12 min",
        NONE,
        "20 s ago",
        "in 12 s",
    ]


def test_doubtful_numbers_are_not_simply_up() -> None:
    """A state of its own, and each doubt with the sentence that logs and commands have."""
    sure, doubtful = target(1), target(2)
    store = store_of([sure, doubtful])
    succeed(store, sure)
    succeed(store, doubtful, replace(BUSY, doubts=(Doubt.CUT_OFF, Doubt.UNLISTED)))
    page = _page(store)
    assert page.rows[1][1].startswith("doubtful")
    for doubt in (Doubt.CUT_OFF, Doubt.UNLISTED):
        assert f"{doubt.value}: {doubt.sentence}" in page.rows[1][1].replace(" | ", " ")
    assert page.rows[2][1] == "up"
    assert "1 doubtful, 1 up" in page.by_id["summary"]
    (found,) = _page(store, Query(doubts=frozenset({Doubt.CUT_OFF}))).rows[1:]
    assert "VDN 2" in found[0]
    assert len(_page(store, Query(doubts=frozenset({Doubt.WRONG_UNIT}))).rows) == 0


def test_forty_equal_errors_are_one_line() -> None:
    """With their number and a link, which finds their rows; these say only that they are alike."""
    targets = [target(vdn) for vdn in range(1, 41)]
    alone = target(41)
    store = store_of([*targets, alone, target(42, cms="quito")])
    for number, each in enumerate(targets):
        fail(store, each, f"no reply within {10 - number / 100:.2f} s")
    fail(store, alone, "HTTP 500", Reason.HTTP)
    html = _html(store)
    page = _Page(html)
    assert page.by_id["trouble"] == (
        "Common causes | | down 40 targets of lima, for up to 12 min | "
        "timeout: no reply within 10.00 s"
    )
    assert '<a href="?q=reason%3Dtimeout&amp;cms=lima&amp;state=down">40 targets</a>' in html
    assert '<li id="trouble-1" class="down">' in html
    assert [row[:2] for row in page.rows[1:]] == [
        ["lima, call center 1, VDN 41", "down | http for 12 min: HTTP 500"],
        ["quito, call center 1, VDN 42", "waiting for first poll"],
    ]
    assert page.by_id["found"] == (
        "| 1\N{EN DASH}2 of 2 targets, out of 42. The other targets are down for the causes above: "
        "show each"
    )
    assert '<a href="?state=down">show each</a>' in html


@pytest.mark.parametrize(
    "query",
    [
        Query.parse([("q", "reason=timeout"), ("cms", "lima"), ("state", "down")]),
        Query(sort=Sort.TARGET),
        Query(descending=True),
        Query(cms="lima"),
    ],
)
def test_targets_that_are_asked_for_have_rows(query: Query) -> None:
    """Also if they fail alike."""
    targets = [target(vdn) for vdn in range(1, 41)]
    store = store_of(targets)
    for each in targets:
        fail(store, each)
    page = _page(store, query)
    assert len(page.rows[1:]) == 40
    assert {row[1] for row in page.rows[1:]} == {"down | timeout for 12 min, like 39 other targets"}
    page = _page(store)
    assert page.rows == []
    assert page.by_id["found"] == "| All targets are down for the causes above: show each"


def test_doubts_that_targets_share_are_one_line() -> None:
    """Two are told with their rows; three are told once, and found by a link."""
    targets = [target(vdn) for vdn in range(1, 4)]
    store = store_of(targets)
    for each in targets[:2]:
        succeed(store, each, replace(BUSY, doubts=(Doubt.CUT_OFF,)))
    assert _page(store).by_id.get("trouble", "") == ""
    succeed(store, targets[2], replace(BUSY, doubts=(Doubt.CUT_OFF, Doubt.UNLISTED)))
    html = _html(store)
    page = _Page(html)
    assert page.by_id["trouble"] == (
        f"Common causes | | doubtful 3 targets of lima | cut_off: {Doubt.CUT_OFF.sentence}"
    )
    assert '<a href="?cms=lima&amp;doubt=cut_off">3 targets</a>' in html
    assert page.rows[1][1] == "doubtful | cut_off, like 2 other targets"
    assert page.rows[3][1] == (
        f"doubtful | cut_off, like 2 other targets | unlisted: {Doubt.UNLISTED.sentence}"
    )


def test_many_common_causes() -> None:
    """The page stays short: the rows have the rest."""
    names = [f"server-{number}" for number in range(10)]
    targets = [target(vdn, cms=name) for name in names for vdn in range(1, 4)]
    store = store_of(targets)
    for each in targets:
        fail(store, each)
    page = _page(store, Query(limit=30))
    assert page.by_id["trouble"].count("3 targets of server-") == 8
    assert "2 more causes are shared by fewer targets: see below." in page.by_id["trouble"]
    assert sum(TIMEOUT in row[1] for row in page.rows[1:]) == 6


def test_a_failed_reload_is_told_with_its_problems() -> None:
    """First of all, and in the title: the numbers below are those of the old configuration."""
    problems = tuple(f"config.yaml:{line}:1: <wrong>" for line in range(1, 24))
    reload = ReloadStatus(
        successful=False,
        last_success=NOW.wall - 3600,
        last_failure=NOW.wall - 60,
        problems=problems,
    )
    html = _html(store_of([target(1)]), reload=reload)
    page = _Page(html)
    assert page.by_id["trouble"].startswith(
        "The configuration was not reloaded | The attempt at 2023-11-14 22:14:00 UTC failed. The "
        "configuration of 2023-11-14 21:15:00 UTC stays in use. Problems: | "
        "config.yaml:1:1: <wrong> | config.yaml:2:1: <wrong> |"
    )
    assert page.by_id["trouble"].endswith(
        "config.yaml:20:1: <wrong> | And 3 more problems: agent-rest-exporter check lists them all."
    )
    assert f"<title>reload failed {NONE} agent-rest-exporter</title>" in html
    assert _page(store_of([target(1)])).by_id.get("trouble", "") == ""


def test_the_last_hour_is_a_picture() -> None:
    """With words for those who do not see it; there is no column where no numbers are kept."""
    each = target(1)
    store = store_of([each])
    succeed(store, each)
    store.sample(NOW)
    html = _html(store)
    assert 'role="img" aria-label="last hour: 3 resting, 7 waiting">' in html
    assert "resting agents and waiting agents, each row by its own scale." in _Page(html).text
    store.rests = RestHistory(most=0)
    html = _html(store)
    assert "Last hour" not in _Page(html).text
    assert "own scale" not in html


@pytest.mark.parametrize(
    ("days", "sentence"),
    [
        (15, ""),
        (13.5, "its certificate expires in 13 d 12 h: renew it"),
        (-2, "its certificate expired 2 d 0 h ago: renew it"),
    ],
)
def test_a_certificate_that_expires_soon(days: float, sentence: str) -> None:
    """The server comes first, even if all of its targets are well."""
    targets = [target(1), target(1, cms="quito")]
    store = store_of(targets)
    for each in targets:
        succeed(store, each)
    store.server("quito").condition.certificate_expiry = NOW.wall + days * 86_400
    assert ("certificate" in _page(store).by_id["servers"]) == bool(sentence)
    assert sentence in _page(store).by_id["servers"]
    assert _servers(_page(store))[0].startswith("quito" if sentence else "lima")


def test_a_server_that_asked_for_a_pause_says_so() -> None:
    """With the time until it is polled again."""
    store = store_of([target(1)])
    assert "pause" not in _page(store).by_id["servers"]
    store.server("lima").condition.paused_until = NOW.boot + 75
    assert "asked for a pause: polled again in 1 min" in _page(store).by_id["servers"]


def test_a_server_that_sends_replies_unasked_says_so() -> None:
    """With what the exporter does about it."""
    store = store_of([target(1)])
    sentence = "sent unexpected replies: each poll uses a new connection for an hour"
    assert sentence not in _page(store).by_id["servers"]
    store.server("lima").condition.single_use_until = NOW.boot + 3600
    assert sentence in _page(store).by_id["servers"]


def test_more_agents_rest_than_may() -> None:
    """The page says so in words, not by a colour alone."""
    each = target(1, max_resting=2)
    store = store_of([each])
    succeed(store, each)
    assert _row(store)[2] == "3 of 2 | above the limit"


@pytest.mark.parametrize(
    ("snapshot", "rest"),
    [
        (QUIET, NONE),
        (
            replace(BUSY, longest_rest_start=None),
            "unknown | the reply has no usable start time",
        ),
        (replace(BUSY, unclassified=2), "at most 1 h 12 min"),
        (replace(BUSY, unlisted=2), "at least 1 h 12 min"),
        (
            replace(BUSY, unclassified=2, deadlines=(1_699_999_780.0,)),
            "at most 1 h 12 min | at most 1 overdue by 5 min",
        ),
        (replace(BUSY, deadlines=None), "1 h 12 min"),
        (replace(BUSY, deadlines=(1_699_999_780.0,)), "1 h 12 min | 1 overdue by 5 min"),
        (
            replace(BUSY, deadlines=(1_699_999_780.0, 1_699_999_900.0)),
            "1 h 12 min | 2 overdue by up to 5 min",
        ),
    ],
)
def test_the_longest_rest(snapshot: Snapshot, rest: str) -> None:
    """That nobody rests and that nobody knows since when are two things; a bound is called one."""
    each = target(1)
    store = store_of([each])
    succeed(store, each, snapshot)
    assert _row(store)[5] == rest


def test_a_target_that_fails_shows_its_last_numbers_while_they_are_fresh() -> None:
    """With their age, with what went wrong for how long, and with what to do about it."""
    each = target(1)
    store = store_of([each])
    succeed(store, each, replace(BUSY, waiting_by_reason=(7, 0, 0, 0, 0, 0)))
    fail(store, each)
    assert _row(store) == [
        "lima, call center 1, VDN 1",
        f"down | timeout for 12 min: {TIMEOUT}",
        "3",
        "7 | 7 awaiting approval | longest 18 min",
        "101",
        "1 h 12 min",
        NONE,
        "20 s ago",
        NONE,
    ]


def test_a_target_that_never_answered() -> None:
    """It has no numbers and no last success."""
    each = target(1)
    store = store_of([each])
    fail(store, each)
    assert _row(store)[2:8] == [NONE, NONE, NONE, NONE, NONE, "never"]


def test_stale_numbers_are_not_shown() -> None:
    """The page keeps the promise that the metrics make."""
    each = target(1, stale_after=10)
    store = store_of([each])
    succeed(store, each)
    assert _row(store)[1:8] == ["stale", NONE, NONE, NONE, NONE, NONE, "20 s ago"]


def test_the_summary_and_the_title_say_how_much_trouble_there_is() -> None:
    """The title is all that a reader with many tabs sees."""
    down, stale, waiting, *well = [target(vdn, stale_after=60) for vdn in range(1, 1005)]
    store = store_of([down, stale, waiting, *well])
    fail(store, down)
    succeed(store, stale, when=ago(61))
    for each in well:
        succeed(store, each)
    html = _html(store)
    assert f"<title>2 in trouble {NONE} agent-rest-exporter</title>" in html
    assert _Page(html).by_id["summary"].removeprefix("| ") == (
        "1,004 targets on 1 server: 1 down, 1 stale, 1 waiting for first poll, 1,001 up."
    )


def test_nothing_is_configured() -> None:
    """An exporter without targets says why instead of an empty table."""
    page = _page(store_of([]))
    assert page.by_id["summary"].startswith("| This exporter has no targets: there are too many ")
    assert page.rows == []
    assert "match" not in page.text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(), "1\N{EN DASH}50 of 120 targets"),
        (Query(page=3), "101\N{EN DASH}120 of 120 targets"),
        (Query(page=9), "101\N{EN DASH}120 of 120 targets"),
        (Query(page=6, limit=20), "101\N{EN DASH}120 of 120 targets"),
        (Query(search="vdn=7"), "1 of 1 target, out of 120"),
        (Query(search="nothing"), "No target matches. Show all targets"),
    ],
)
def test_what_is_found_is_counted(query: Query, found: str) -> None:
    """And a page beyond the last shows the last: the targets may have become fewer meanwhile."""
    page = _page(store_of(map(target, range(1, 121))), query)
    assert page.by_id["found"].removeprefix("| ") == found
    shown = re.match(r"(\d+)(?:\N{EN DASH}(\d+))? of", found)
    expected = 0 if shown is None else int(shown[2] or shown[1]) - int(shown[1]) + 1
    assert len(page.rows[1:]) == expected


def _links(html: str, after: str) -> dict[str, str]:
    part = html[html.index(after) :]
    return {text: link for link, text in re.findall(r'<a href="([^"]*)"[^>]*>([^<]*)</a>', part)}


def test_pages_are_linked_with_everything_that_was_asked_for() -> None:
    """Links work without JavaScript; those that lead nowhere are none."""
    store = store_of(map(target, range(1, 121)))
    html = _html(store, Query(search="lima", page=2))
    assert _links(html, "<nav") == {
        "First": "?q=lima",
        "Previous": "?q=lima",
        "Next": "?q=lima&amp;page=3",
        "Last": "?q=lima&amp;page=3",
        "Metrics": "./metrics",
        "Configuration": "./config",
        "These targets as JSON": "./api/v1/targets?q=lima&amp;page=2",
    }
    assert "Page 2 of 3" in _Page(html).text
    assert set(_links(_html(store), "<nav")) == {
        *("Next", "Last"),
        *("Metrics", "Configuration", "These targets as JSON"),
    }
    assert "<nav" not in _html(store_of(map(target, range(1, 51))))


def test_columns_are_links_that_order() -> None:
    """Numbers begin with the most; the column in force turns round, and says which way it is."""
    store = store_of([target(1)])
    html = _html(store, Query(search="lima", page=2))
    assert _links(html, "<thead")["Resting"] == "?q=lima&amp;sort=-resting"
    assert _links(html, "<thead")["Target"] == "?q=lima&amp;sort=target"
    assert _links(html, "<thead")["State"] == "?q=lima&amp;sort=-trouble"
    assert html[html.index("<body>") :].count("aria-sort") == 1
    turned = _html(store, Query.parse([("sort", "-resting")]))
    assert _links(turned, "<thead")["Resting"] == "?sort=resting"
    assert '<th scope="col" aria-sort="descending"><a href="?sort=resting">' in turned


def test_cells_have_the_titles_of_their_columns() -> None:
    """A narrow screen shows these instead of the table's head, with numbers and without."""
    healthy, down = target(1), target(2)
    store = store_of([healthy, down])
    succeed(store, healthy)
    fail(store, down)
    page = _page(store)
    titles = [attributes["data-title"] for tag, attributes in page.tags if tag == "td"]
    assert titles == page.rows[0][1:] * 2


def test_the_form_shows_what_was_asked_for() -> None:
    """Including a server that is gone, an order that is not offered, and the size of a page."""
    one, other = target(1), target(2, cms="quito")
    store = store_of([one, other])
    fail(store, other)
    query = Query.parse(
        [("q", '"x"'), ("cms", "gone"), ("state", "up"), ("sort", "resting"), ("limit", "7")]
    )
    html = _html(store, query)
    tags = _Page(html).tags
    inputs = [attributes for tag, attributes in tags if tag == "input"]
    assert inputs[0]["value"] == '"x"'
    assert [each["value"] for each in inputs if "checked" in each] == ["up"]
    assert inputs[-1] == {"type": "hidden", "name": "limit", "value": "7"}
    options = [attributes for tag, attributes in tags if tag == "option"]
    assert [each["value"] for each in options if "selected" in each] == ["gone", "resting", ""]
    assert [each["value"] for each in options[:4]] == ["", "lima", "quito", "gone"]
    assert ">fewest resting</option>" in html


def test_states_are_counted_beside_their_boxes() -> None:
    """By the search and the server in force, whatever states are chosen."""
    targets = [target(vdn) for vdn in range(1, 4)] + [target(9, cms="quito")]
    store = store_of(targets)
    fail(store, targets[0])
    succeed(store, targets[3])
    page = _page(store, Query(cms="lima", states=frozenset({TargetStatus.UP})))
    counts = {each.value: page.by_id[f"count-{each.value}"] for each in TargetStatus}
    assert counts == {"down": "1", "stale": "0", "doubtful": "0", "waiting": "2", "up": "0"}


def _servers(page: _Page) -> list[str]:
    return [line.strip() for line in page.by_id["servers"].split("| ")[1:]]


def test_servers_in_trouble_come_first_with_their_clocks() -> None:
    """A refused signature is most often a clock that is wrong."""
    names = ("calm", "ahead", "behind", "unseen", "down")
    targets = [target(1, cms=name) for name in names]
    store = store_of(targets, ["empty", *names])
    for each in targets[:4]:
        succeed(store, each)
    fail(store, targets[4])
    for name, skew in zip(names, (1.4, 30.0, -95.0, None, 4000.0), strict=True):
        store.server(name).condition.clock_skew = skew
    page = _page(store, Query(cms="calm"))
    assert _servers(page) == [
        "down 1 down clock 1 h 6 min ahead of this host\u2019s: synchronize both with NTP",
        "behind 1 up clock 95 s behind this host\u2019s: synchronize both with NTP",
        "empty no targets clock not known yet",
        "calm 1 up clock in sync",
        "ahead 1 up clock 30 s ahead of this host\u2019s",
        "unseen 1 up clock not known yet",
    ]
    assert ("a", {"href": "?cms=calm", "aria-current": "true"}) in page.tags


def test_many_servers() -> None:
    """The page stays short, and says where the others are."""
    targets = [target(1, cms=f"server-{number}") for number in range(14)]
    store = store_of(targets)
    fail(store, targets[-1])
    lines = _servers(_page(store))
    assert len(lines) == 12 + 1
    assert lines[0].startswith("server-13")
    assert lines[-1] == "2 more servers are not shown here: choose one below."


def test_links_lead_to_the_metrics_wherever_they_are() -> None:
    """Relative, so that they survive a proxy that puts the exporter under a prefix."""
    pages = HtmlPages(version="1.2.3", telemetry_path="/my/metrics")
    html = _html(store_of([target(1)]), pages=pages)
    assert _links(html, "<footer")["Metrics"] == "./my/metrics"
    assert all(link.startswith(("?", "./")) for link in _links(html, "<main").values())


def test_the_page_says_what_it_is_and_when() -> None:
    """A screenshot in a ticket dates itself."""
    page = _page(store_of([]))
    assert "agent-rest-exporter 1.2.3" in page.text
    assert page.by_id["as-of"] == "| As of 2023-11-14 22:15:00 UTC"


@given(
    text=st.text(min_size=1).filter(lambda text: text.strip())
    | st.sampled_from(["<script>alert(1)</script>", '"><b x="', "&lt;", "</style>", "?a=b&c"])
)
def test_everything_is_escaped(text: str) -> None:
    """Names, labels, messages and questions come from elsewhere: they are text, never markup."""

    def tags(text: str) -> list[tuple[str, list[str]]]:
        each = Target(TargetKey(text, 1, 1), text, (("note", text),))
        store = store_of([each])
        fail(store, each, text)
        html = _html(store) + _html(store, Query(cms=text, search=f"no=such {text}"))
        assert "<script>alert" not in html
        return [(tag, [*attributes]) for tag, attributes in _Page(html).tags]

    assert tags(text) == tags("sales")


def test_the_policy_allows_this_style_and_script_and_nothing_else() -> None:
    """Even markup that slipped through could neither run nor load nor send anything."""
    html = _html(store_of([]))

    def digest(tag: str) -> str:
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    assert HEADERS["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest('style')}'; "
        f"script-src 'sha256-{digest('script')}'; img-src data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    assert not re.search(r"\bstyle=|\bon[a-z]+=|https?://(?!www\.w3\.org)", html)


def _luminance(colour: str) -> float:
    digits = colour if len(colour) == 6 else "".join(digit * 2 for digit in colour)
    channels = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(part * share for part, share in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize("ground", ["page", "card"])
def test_contrast(scheme: int, ground: str) -> None:
    """Every colour of text reaches WCAG's AA on page and card, and every edge of a control."""
    palette = re.findall(r":root \{(.*?)\}", _html(store_of([])), re.DOTALL)[scheme]
    colours = {name: _luminance(c) for name, c in re.findall(r"--(\w+): #(\w+)", palette)}
    assert colours.keys() == {
        *("text", "soft", "link", "bad", "warn", "good"),
        *("page", "card", "line", "edge"),
    }
    for name in colours.keys() - {"page", "card", "line"}:
        darker, lighter = sorted([colours[name], colours[ground]])
        assert (lighter + 0.05) / (darker + 0.05) >= (3 if name == "edge" else 4.5), name
