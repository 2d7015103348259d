"""The text of the metrics, held byte for byte against prometheus_client's and golden files.

To accept a change of the golden files, write what `golden()` returns over them and read the diff.
"""

import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.utils import floatToGoString

from exporter.clock import Moment
from exporter.errors import PollError, Reason
from exporter.metrics.exporter_families import ExporterCollector, own_registry
from exporter.metrics.exposition import Exposition, Format, go_float
from exporter.metrics.families import FAMILIES
from exporter.rest import Counters, Doubt, Row, Snapshot, reduce
from exporter.store import Failure, ReloadStatus, Store, Target, TargetKey, TargetState
from tests.support.paths import FIXTURES
from tests.support.stores import failure, store_of, success
from tests.support.stores import snapshot as snapshot_of
from tests.support.target_collector import TargetCollector

FOLDER = FIXTURES / "exposition"

NOW = Moment(1_700_000_100.0, 1100.0, 1100.0)
# The library's OpenMetrics half has no types.
LIBRARY: dict[Format, Callable[[Any], bytes]] = {
    Format.TEXT: generate_latest,
    Format.OPENMETRICS: openmetrics.generate_latest,
}

hostile = st.text() | st.sampled_from(
    ["", '"', "\\", "\n", '\\"\n', "\r", "{}", ",", "é☃\U0001f4a4"]
)
label_names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,6}", fullmatch=True).filter(
    lambda name: name not in {"cms", "cc_id", "vdn", "name", "reason", "bound", "doubt"}
)
# no time and no duration is -0.0
values = (st.floats() | st.floats(1e5, 1e18) | st.integers(0, 10**20)).map(lambda each: each or 0)
counts = st.integers(0, 10**20)
targets = st.builds(
    Target,
    st.builds(TargetKey, hostile, st.integers(1, 65_535), st.integers(1, 5000)),
    st.none() | hostile,
    st.dictionaries(label_names, hostile, max_size=3).map(lambda own: tuple(own.items())),
    st.none() | st.integers(0, 100),
    st.sampled_from([0.0, 90.0, math.inf]),
    st.none() | values,
    st.none() | values,
    st.lists(st.floats(0, 1e9), max_size=3).map(tuple),
)
snapshots = st.builds(
    Snapshot,
    approved=counts,
    resting=counts,
    waiting=counts,
    waiting_by_reason=st.tuples(*[counts] * 6),
    longest_rest_start=st.none() | values,
    longest_wait_start=st.none() | values,
    deadlines=st.none() | st.lists(values, max_size=3).map(tuple),
    starts=st.none() | st.lists(values, max_size=3).map(tuple),
    unclassified=counts,
    unlisted=counts,
    unusable_begin_times=counts,
    rows=counts,
    doubts=st.sets(st.sampled_from(Doubt)).map(tuple),
    server_time=values,
)
states = st.builds(
    TargetState,
    targets,
    counts,
    counts,
    st.none() | values,
    st.none() | st.builds(Moment, values, values, st.just(NOW.boot) | values),
    st.none() | values,
    st.none() | snapshots,
    st.none() | st.builds(Failure, st.sampled_from(Reason), hostile, values),
)
listings = st.lists(states, max_size=4, unique_by=lambda state: state.target.key)
names = st.sets(
    st.sampled_from([family.name for family in FAMILIES])
    | st.sampled_from(["agent_rest_polls", "agent_rest", "up", ""])
)


def _store(listing: list[TargetState]) -> Store:
    store = store_of(state.target for state in listing)
    for state in listing:
        store.record(state)
    return store


@given(st.floats() | st.integers(-(10**30), 10**30) | st.integers(0, 20_000))
@example(999_999.5)  # rounds to seven digits, has six before the point, and so no exponent
@example(999_999.9999999999)
def test_floats_are_written_like_the_librarys(value: float) -> None:
    """Exponents, infinities, NaN and the small counts that have a way of their own."""
    reference: str = floatToGoString(value)  # type: ignore[no-untyped-call]  # the library's own gap
    assert go_float(value) == reference


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.0"),
        (-0.0, "-0.0"),
        (True, "1.0"),
        (9999, "9999.0"),
        (10_000, "10000.0"),
        (1_000_000, "1e+06"),
        (1_700_000_000.125, "1.700000000125e+09"),
        (-1_700_000_000.5, "-1700000000.5"),
        (1e-7, "1e-07"),
        (1e22, "1e+22"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_floats_at_the_edges(value: float, text: str) -> None:
    """What each branch writes, spelled out."""
    assert go_float(value) == text


ROUNDED = {family.name: getattr(family, "decimals", None) for family in FAMILIES}


def _written(slices: Iterable[bytes]) -> bytes:
    """The slices joined, with rounded times as the library would write the same numbers."""
    lines = b"".join(slices).split(b"\n")
    for place, line in enumerate(lines):
        name = line.partition(b"{")[0].decode()
        if (decimals := ROUNDED.get(name)) is not None:
            start, _, value = line.rpartition(b" ")
            assert re.fullmatch(rb"-?\d+\.\d{%d}|-?inf|nan" % decimals, value)
            lines[place] = b"%b %b" % (start, go_float(float(value)).encode())
    return b"\n".join(lines)


@pytest.mark.parametrize("form", Format)
@given(listing=listings)
def test_the_librarys_bytes(form: Format, listing: list[TargetState]) -> None:
    """Whatever the labels and values, and whatever is absent; times are rounded."""
    store = _store(listing)
    expected = LIBRARY[form](TargetCollector(store, lambda: NOW))
    assert _written(Exposition().slices(store.states(), NOW, form)) == expected


@pytest.mark.parametrize("form", Format)
@given(listing=listings, chosen=names)
def test_the_librarys_choice_of_names(
    form: Format, listing: list[TargetState], chosen: set[str]
) -> None:
    """`name[]` chooses samples; a family that keeps none is left out."""
    store = _store(listing)
    registry = CollectorRegistry()
    registry.register(TargetCollector(store, lambda: NOW))
    expected = LIBRARY[form](registry.restricted_registry(chosen))
    assert _written(Exposition().slices(store.states(), NOW, form, chosen)) == expected


@pytest.mark.parametrize("count", [249, 250, 2001])
@pytest.mark.parametrize("form", Format)
def test_the_librarys_bytes_over_many_slices(form: Format, count: int) -> None:
    """Targets keep their order across the seams."""
    store = store_of(Target(TargetKey("lima", 1, vdn)) for vdn in range(1, count + 1))
    expected = LIBRARY[form](TargetCollector(store, lambda: NOW))
    slices = list(Exposition().slices(store.states(), NOW, form))
    assert b"".join(slices) == expected
    assert max(piece.count(b"\n") for piece in slices) <= 2000


def test_content_types_are_the_librarys() -> None:
    """Prometheus chooses its parser by them."""
    assert Format.TEXT.value == CONTENT_TYPE_PLAIN_0_0_4
    assert Format.OPENMETRICS.value == openmetrics.CONTENT_TYPE_LATEST


@pytest.mark.parametrize("form", Format)
def test_own_registry_follows_the_targets(form: Format) -> None:
    """The library renders it, and OpenMetrics ends once, at the end."""
    store, registry = scenario(), own_families()
    whole = b"".join(Exposition(registry).slices(store.states(), NOW, form))
    alone = b"".join(Exposition().slices(store.states(), NOW, form))
    end = b"# EOF\n" if form is Format.OPENMETRICS else b""
    assert whole == alone.removesuffix(end) + LIBRARY[form](registry)
    assert whole.count(b"# EOF") == (form is Format.OPENMETRICS)


def test_names_choose_from_the_own_registry_too() -> None:
    """The same as for the target families, process and interpreter included."""
    status = ReloadStatus(successful=True, last_success=1.0)
    store = scenario()
    registry = own_registry(ExporterCollector(store, lambda: status, lambda: NOW, version="1.2.3"))
    chosen = {"agent_rest_polls_total", "agent_rest_exporter_targets", "process_open_fds"}
    text = b"".join(Exposition(registry).slices(store.states(), NOW, Format.TEXT, chosen)).decode()
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert {line.partition("{")[0].partition(" ")[0] for line in samples} == chosen


def test_one_moment_whatever_polls_do_meanwhile() -> None:
    """A poll that ends between two slices is not half shown."""
    store = scenario()
    expected = b"".join(Exposition().slices(store.states(), NOW, Format.TEXT))
    slices = Exposition().slices(store.states(), NOW, Format.TEXT)
    for state in list(store.states()):
        store.record(state.after(failure(NOW, NOW, PollError(Reason.DNS, "gone"))))
    assert b"".join(slices) == expected


def test_label_texts_go_with_their_target() -> None:
    """A long-lived exporter with many reloads does not grow."""
    exposition = Exposition()
    gone, kept = Target(TargetKey("lima", 1, 1)), Target(TargetKey("lima", 1, 2))
    before = sys.getrefcount(gone)
    b"".join(exposition.slices(store_of([gone, kept]).states(), NOW, Format.TEXT))
    assert sys.getrefcount(gone) > before
    b"".join(exposition.slices(store_of([kept]).states(), NOW, Format.TEXT))
    assert sys.getrefcount(gone) == before


def test_a_target_that_was_reconfigured_gets_its_new_labels() -> None:
    """A reload may rename a target and keep its key."""
    exposition, key = Exposition(), TargetKey("lima", 1, 1)
    for name in ("sales", "support", "support"):
        store = store_of([Target(key, name)])
        text = b"".join(exposition.slices(store.states(), NOW, Format.TEXT))
        assert f'name="{name}"'.encode() in text
        assert text == generate_latest(TargetCollector(store, lambda: NOW))


def scenario() -> Store:
    """Targets in every state that there is."""
    resting = Snapshot(
        approved=101,
        resting=3,
        waiting=21,
        waiting_by_reason=(6, 5, 4, 3, 2, 1),
        longest_rest_start=1_699_995_780.0,
        longest_wait_start=1_699_999_000.0,
        deadlines=(1_699_999_880.0, 1_700_000_500.0),
        starts=(1_699_995_780.0, 1_699_999_000.0, 1_699_999_900.0),
        unclassified=1,
        unlisted=0,
        unusable_begin_times=0,
        rows=25,
        doubts=(),
        server_time=1_700_000_080.0,
    )
    quiet = snapshot_of(1_700_000_080.0)
    unknown = reduce(Counters(0, 250, 0), map(Row, range(100)), 1_700_000_080.0)
    healthy = Target(
        TargetKey("lima", 1, 1),
        "sales",
        (("aisle", "7"), ("site", "lima"), ("zone", "a")),
        max_resting=20,
        max_rest=2700.0,
        max_wait=900.0,
        rest_bounds=(900.0, 3600.0),
    )
    failing = Target(TargetKey("lima", 1, 2))
    down = Target(TargetKey("lima", 1, 3), labels=(("note", 'a "quoted" \\ path\nand é'),))
    stale = Target(TargetKey("lima", 1, 4), stale_after=10.0)
    never = Target(TargetKey("lima", 2, 1), max_resting=5)
    puzzling = Target(TargetKey("10.22.26.181:28443", 1, 1))
    store = store_of([healthy, failing, down, stale, never, puzzling])
    before, started, ended = (
        Moment(NOW.wall - ago, NOW.monotonic - ago, NOW.monotonic - ago)
        for ago in (40.0, 20.0, 19.75)
    )
    for target, snapshot in (
        (healthy, resting),
        (failing, quiet),
        (stale, resting),
        (puzzling, unknown),
    ):
        store.record(store.state(target.key).after(success(started, ended, snapshot)))
    timeout = PollError(Reason.TIMEOUT, "no answer within 10 s")
    refused = PollError(Reason.AUTH, "the signature was refused")
    store.record(store.state(failing.key).after(failure(started, ended, timeout)))
    store.record(store.state(down.key).after(failure(before, started, refused)))
    store.record(store.state(down.key).after(failure(started, ended, refused)))
    return store


def own_families() -> CollectorRegistry:
    """The exporter's own families with fixed values."""
    store = scenario()
    lima = store.server("lima")
    lima.requests, lima.skipped, lima.in_flight, lima.condition.clock_skew = 12, 1, 2, -0.25
    lima.condition.certificate_expiry = 1_700_000_000.0
    lima.condition.paused_until = NOW.boot + 12.5
    lima.failures[Reason.TIMEOUT] = 1
    lima.failures[Reason.AUTH] = 2
    for seconds in (0.125, 0.25, 12.0):
        lima.duration.observe(seconds)
        lima.delay.observe(seconds / 8)
    registry = CollectorRegistry(auto_describe=True)
    registry.register(
        ExporterCollector(
            store,
            lambda: ReloadStatus(successful=True, last_success=1_700_000_000.0),
            lambda: NOW,
            version="1.2.3",
            python_version="3.11.0",
            refused={"malformed": 3, "busy": 0},
            log_lines_dropped=lambda: 7,
        )
    )
    return registry


def golden(form: Format) -> bytes:
    """The exposition of the scenario."""
    return b"".join(Exposition(own_families()).slices(scenario().states(), NOW, form))


GOLDEN = {Format.TEXT: "metrics.txt", Format.OPENMETRICS: "metrics.openmetrics.txt"}


@pytest.mark.parametrize("form", Format)
def test_golden_file(form: Format) -> None:
    """What users see, to the byte."""
    assert golden(form).decode() == (FOLDER / GOLDEN[form]).read_text(encoding="utf-8")


def test_the_librarys_strict_parser_reads_openmetrics() -> None:
    """It refuses what the standard does not allow: families that are torn, a missing end."""
    text = (FOLDER / GOLDEN[Format.OPENMETRICS]).read_text(encoding="utf-8")
    parsed = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # as above
    notes = {sample.labels.get("note") for family in parsed for sample in family.samples}
    assert notes == {None, 'a "quoted" \\ path\nand é'}


@pytest.mark.real
def test_promtool_finds_nothing_to_say(promtool: str) -> None:
    """Prometheus' own linter of names, types and help texts."""
    with (FOLDER / GOLDEN[Format.TEXT]).open("rb") as metrics:
        done = subprocess.run(
            [promtool, "check", "metrics"],
            stdin=metrics,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    assert (done.returncode, done.stdout.decode()) == (0, "")
