"""The status page: what it says of each target, in which order, and what it never lets through."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock import Moment
from exporter.faults import PollError, Reason
from exporter.rest import Snapshot
from exporter.store import Store, Target, TargetKey
from exporter.web import status
from exporter.web.status import Standing, duration, standing

NOW = Moment(1_700_000_100.0, 1100.0)
SNAPSHOT = Snapshot(
    approved=101,
    resting=3,
    waiting=7,
    waiting_by_reason=(1, 2, 0, 0, 0, 4),
    longest_rest_start=1_699_995_770.0,
    deadlines=(),
    unclassified=0,
    unusable_begin_times=0,
    server_time=1_700_000_080.0,
)
QUIET = Snapshot(5, 0, 0, (0,) * 6, None, (), 0, 0, 1_700_000_080.0)
UNKNOWN = Snapshot(6, 2, 0, (0,) * 6, None, (), 0, 2, 1_700_000_080.0)


class _Page(HTMLParser):
    """A page as a reader has it: the tags, and the cells of each row."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "br"}:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"th", "td"}:
            self.rows[-1].append("")
        if tag == "br":
            self.handle_data(" | ")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text += data
        if {"th", "td"} & set(self.open):
            self.rows[-1][-1] += data


def _html(store: Store, telemetry_path: str = "/metrics") -> str:
    return b"".join(
        status.slices(store.states(), NOW, version="1.2.3", telemetry_path=telemetry_path)
    ).decode()


def _page(store: Store) -> _Page:
    page = _Page(_html(store))
    assert not page.open
    return page


def _ago(seconds: float) -> Moment:
    return Moment(NOW.wall - seconds, NOW.monotonic - seconds)


def _store(*targets: Target) -> Store:
    return Store(targets)


def _target(vdn: int, stale_after: float = 90.0, max_resting: int | None = None) -> Target:
    return Target(TargetKey("lima", 1, vdn), None, (), max_resting, stale_after)


def _succeed(store: Store, target: Target, snapshot: Snapshot, ago: float = 20.0) -> None:
    store.record(store.state(target.key).succeeded(_ago(ago + 1), _ago(ago), snapshot))


def _fail(store: Store, target: Target, message: str = "no answer within 10 s") -> None:
    error = PollError(Reason.TIMEOUT, message)
    store.record(store.state(target.key).failed(_ago(750), _ago(740), error))


def test_trouble_comes_first_then_the_order_of_the_configuration() -> None:
    """A reader who looks for what is wrong finds it at the top."""
    up, waiting, stale, down, up_too, down_too = map(_target, range(1, 7))
    store = _store(up, waiting, stale, down, up_too, down_too)
    for target in (up, up_too):
        _succeed(store, target, QUIET)
    _succeed(store, stale, QUIET, ago=3600)
    for target in (down, down_too):
        _fail(store, target)
    page = _page(store)
    assert [(row[0][-5:], row[1]) for row in page.rows[1:]] == [
        ("VDN 4", "down"),
        ("VDN 6", "down"),
        ("VDN 3", "stale"),
        ("VDN 2", "waiting for first poll"),
        ("VDN 1", "up"),
        ("VDN 5", "up"),
    ]
    assert "6 targets: 2 down, 1 stale, 1 waiting for first poll, 2 up." in page.text


def test_a_healthy_target() -> None:
    """Its numbers, its limit, and the longest rest as a person would say it."""
    target = Target(TargetKey("lima", 1, 2), "sales", (("site", "lima"), ("zone", "a")), 20)
    store = _store(target)
    _succeed(store, target, SNAPSHOT)
    assert _page(store).rows[1] == [
        "sales | lima, call center 1, VDN 2 | site=lima | zone=a",
        "up",
        "101",
        "3 of 20",
        "7",
        "1 h 12 min",
        "20 s ago",
        "–",  # noqa: RUF001 - what the page says for nothing
    ]


@pytest.mark.parametrize(("snapshot", "rest"), [(QUIET, "–"), (UNKNOWN, "unknown")])  # noqa: RUF001
def test_no_longest_rest(snapshot: Snapshot, rest: str) -> None:
    """That nobody rests and that nobody knows since when are two things."""
    target = _target(1)
    store = _store(target)
    _succeed(store, target, snapshot)
    assert _page(store).rows[1][5] == rest


def test_a_target_that_fails_shows_its_last_numbers_while_they_are_fresh() -> None:
    """With their age, and with what went wrong for how long."""
    target = _target(1)
    store = _store(target)
    _succeed(store, target, SNAPSHOT)
    _fail(store, target)
    assert _page(store).rows[1][1:] == [
        "down",
        "101",
        "3",
        "7",
        "1 h 12 min",
        "20 s ago",
        "timeout for 12 min: no answer within 10 s",
    ]


def test_a_target_that_never_answered() -> None:
    """It has no numbers and no last success."""
    target = _target(1)
    store = _store(target)
    _fail(store, target)
    assert _page(store).rows[1][2:7] == [*"––––", "never"]  # noqa: RUF001


def test_stale_numbers_are_not_shown() -> None:
    """The page keeps the promise that the metrics make."""
    target = _target(1, stale_after=10)
    store = _store(target)
    _succeed(store, target, SNAPSHOT)
    assert _page(store).rows[1][1:7] == ["stale", *"––––", "20 s ago"]  # noqa: RUF001


def test_standing_of_a_target_that_fails_and_is_stale() -> None:
    """Down says more than stale: it comes with a reason."""
    target = _target(1, stale_after=10)
    store = _store(target)
    _succeed(store, target, SNAPSHOT)
    _fail(store, target)
    assert standing(store.state(target.key), NOW) is Standing.DOWN


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h 0 min"),
        (4320, "1 h 12 min"),
        (86_399, "23 h 59 min"),
        (86_400, "1 d 0 h"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    """One unit or two, never more."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "sentence"), [(0, "No targets are configured."), (1, "1 target")]
)
def test_few_targets(count: int, sentence: str) -> None:
    """An exporter without targets says so instead of an empty table."""
    page = _page(_store(*map(_target, range(1, count + 1))))
    assert sentence in page.text
    assert ("table" in dict(page.tags)) == bool(count)


def test_many_targets() -> None:
    """The page stops at 500 and says where the others are; those in trouble are not left out."""
    targets = [_target(vdn) for vdn in range(1, 1502)]
    store = _store(*targets)
    _fail(store, targets[-1])
    page = _page(store)
    assert len(page.rows) == 1 + 500
    assert page.rows[1][0].endswith("VDN 1501")
    assert "1501 targets: 1 down, 1500 waiting for first poll." in page.text
    assert (
        "The first 500 targets are shown, trouble first. 1001 more are not; the metrics have them "
        "all." in page.text
    )


def test_exactly_as_many_as_are_shown() -> None:
    """Then nothing is missing, and nothing says so."""
    assert "more are not" not in _page(_store(*map(_target, range(1, 501)))).text


def test_links_lead_to_the_metrics_wherever_they_are() -> None:
    """Relative, so that they survive a proxy that puts the exporter under a prefix."""
    html = _html(_store(*map(_target, range(1, 502))), "/my/metrics")
    assert re.findall(r'href="([^"]*)"', html) == ["./my/metrics", "./my/metrics"]


def test_the_page_says_what_it_is_and_when() -> None:
    """A screenshot in a ticket dates itself."""
    assert "agent-rest-exporter 1.2.3, as of 2023-11-14 22:15:00 UTC" in _page(_store()).text


def test_the_table_is_accessible() -> None:
    """A language, a caption, scopes, and a region that can be scrolled by keyboard."""
    page = _page(_store(_target(1)))
    tags = page.tags
    assert ("html", {"lang": "en"}) in tags
    assert sum(tag == "caption" for tag, _ in tags) == 1
    scopes = [attributes.get("scope") for tag, attributes in tags if tag == "th"]
    assert scopes == ["col"] * 8 + ["row"]
    (region,) = (attributes for _, attributes in tags if attributes.get("role") == "region")
    assert region["tabindex"] == "0"
    assert {"id": region["aria-labelledby"]} in [attributes for _, attributes in tags]


@given(
    text=st.text(min_size=1) | st.sampled_from(["<script>alert(1)</script>", '"><b x="', "&lt;"])
)
def test_everything_is_escaped(text: str) -> None:
    """Names, labels and messages come from files and from servers: they are text, never markup."""
    target = Target(TargetKey(text, 1, 1), text, (("note", text),))
    store = _store(target)
    _fail(store, target, text)
    plain = _store(Target(TargetKey("lima", 1, 1), "sales", (("note", "x"),)))
    _fail(plain, Target(TargetKey("lima", 1, 1)))
    html = _html(store)
    assert _Page(html).tags == _page(plain).tags
    assert "<script" not in html


def test_the_policy_allows_this_style_and_nothing_else() -> None:
    """Even markup that slipped through could neither run nor load anything."""
    (style,) = re.findall(r"<style>(.*?)</style>", _html(_store()), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert status.HEADERS["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _luminance(colour: str) -> float:
    digits = colour if len(colour) == 6 else "".join(digit * 2 for digit in colour)
    channels = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(part * share for part, share in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


@pytest.mark.parametrize("scheme", [0, 1])
def test_contrast(scheme: int) -> None:
    """Every colour of text reaches WCAG's AA on its page, in light and in dark."""
    palette = re.findall(r":root \{(.*?)\}", _html(_store()), re.DOTALL)[scheme]
    colours = dict(re.findall(r"--(\w+): #(\w+)", palette))
    page = _luminance(colours.pop("page"))
    del colours["line"]
    assert len(colours) == 6
    for name, colour in colours.items():
        darker, lighter = sorted([_luminance(colour), page])
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, name
