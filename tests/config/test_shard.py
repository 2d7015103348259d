"""Which exporter polls which target: every target in one place, and as few moves as can be."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.config.files import Seen
from exporter.config.load import Config
from exporter.config.shard import Shard, jump, part
from exporter.polling.schedule import peak_per_second
from exporter.server import Server
from exporter.store import Target, TargetKey

names = st.text(min_size=1, max_size=20)
keys = st.builds(TargetKey, names, st.integers(1, 65535), st.integers(1, 5000))
totals = st.integers(1, 20)


def owners(key: TargetKey, total: int) -> list[int]:
    """The shards that poll a target."""
    return [index for index in range(total) if Shard(index, total).holds(key)]


def vdns(count: int) -> list[TargetKey]:
    """That many targets."""
    return [TargetKey("lima", 1 + i // 5000, 1 + i % 5000) for i in range(count)]


@given(keys, totals)
def test_every_target_is_polled_by_exactly_one_shard(key: TargetKey, total: int) -> None:
    """None is left out, and none asked for twice."""
    assert len(owners(key, total)) == 1


@given(keys)
def test_a_new_shard_takes_targets_and_nobody_else_gets_any(key: TargetKey) -> None:
    """From each number of shards to the next a target stays, or goes to the new shard."""
    places = [owners(key, total)[0] for total in range(1, 20)]
    for newest, (before, after) in enumerate(pairwise(places), start=1):
        assert after in {before, newest}


@pytest.mark.parametrize("total", [1, 2, 3, 10])
def test_a_new_shard_takes_its_share(total: int) -> None:
    """Of four thousand targets, one in `total` + 1 moves: more is needless, fewer not even."""
    moved = sum(owners(key, total) != owners(key, total + 1) for key in vdns(4_000))
    assert moved == pytest.approx(4_000 / (total + 1), rel=0.1)


@pytest.mark.parametrize("total", [2, 3, 8])
def test_shards_are_even(total: int) -> None:
    """Each of them has its share of four thousand targets, give or take a tenth."""
    shares = Counter(owners(key, total)[0] for key in vdns(4_000))
    assert sorted(shares) == list(range(total))
    assert list(shares.values()) == pytest.approx([4_000 / total] * total, rel=0.1)


def test_a_shard_polls_evenly() -> None:
    """Which shard has a target says nothing of when it is due: no second carries them all."""
    shard = Shard(1, 4)
    own = [(key, 30.0) for key in vdns(40_000) if shard.holds(key)]
    assert len(own) / 30 < peak_per_second(own) < 420


@pytest.mark.parametrize(
    ("cms", "cc_id", "vdn", "places"),
    [
        ("lima", 1, 1, [0, 2, 2, 5, 76]),
        ("lima", 1, 2, [0, 2, 2, 2, 63]),
        ("lima", 2, 1, [1, 1, 1, 1, 38]),
        ("quito", 65535, 5000, [0, 2, 3, 3, 3]),
        ("10.22.26.181:28443", 7, 12, [0, 0, 0, 7, 36]),
        ("süd", 1, 1, [0, 0, 0, 0, 37]),
    ],
)
def test_a_target_keeps_its_place_in_every_process_and_release(
    cms: str, cc_id: int, vdn: int, places: list[int]
) -> None:
    """Shards of two releases run side by side during an upgrade: the places are written down."""
    found = [owners(TargetKey(cms, cc_id, vdn), total) for total in (2, 3, 4, 10, 100)]
    assert found == [[place] for place in places]


@pytest.mark.parametrize(
    ("key", "total", "bucket"),
    [(1, 1, 0), (42, 57, 43), (0xDEAD10CC, 1, 0), (0xDEAD10CC, 666, 361), (256, 1024, 520)],
)
def test_the_hash_is_the_published_one(key: int, total: int, bucket: int) -> None:
    """Values that other implementations of jump consistent hash agree on."""
    assert jump(key, total) == bucket


@given(st.integers(0, 2**64 - 1), st.integers(1, 10**9 - 1))
@example(2**64 - 1, 10**9 - 1)
@example(0, 1)
def test_a_bucket_is_one_of_them(key: int, total: int) -> None:
    """Also at the ends of both ranges."""
    assert 0 <= jump(key, total) < total


servers = st.builds(
    Server,
    url=st.just("http://cms"),
    max_concurrency=st.integers(1, 1000),
    max_requests_per_second=st.none() | st.floats(0.001, 1000),
)
pairs = st.tuples(st.integers(1, 65535), st.integers(1, 5000))


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Configurations of a few servers and their targets."""
    named = draw(st.dictionaries(names, servers, min_size=1, max_size=4))
    targets = [
        Target(TargetKey(name, *pair))
        for name in named
        for pair in draw(st.lists(pairs, unique=True, max_size=20))
    ]
    found = tuple(replace(server, name=name) for name, server in named.items())
    return Config(found, tuple(targets), "digest", Seen({}, {}))


def of(server: Server, config: Config) -> list[Target]:
    """The targets of a server."""
    return [target for target in config.targets if target.key.cms == server.name]


@given(configs(), totals)
def test_parts_make_up_the_whole(whole: Config, total: int) -> None:
    """Each target is in one part, in its order and as it was; so are the files to be watched."""
    parts = [part(whole, Shard(index, total)) for index in range(total)]
    assert Counter(target for one in parts for target in one.targets) == Counter(whole.targets)
    for one in parts:
        assert one.targets == tuple(target for target in whole.targets if target in one.targets)
        assert [server.name for server in one.servers] == [
            server.name for server in whole.servers if of(server, one)
        ], "a server without targets is left out, and the others stay in order"
        assert (one.seen, one.digest) == (whole.seen, whole.digest)
        for server in one.servers:
            (before,) = (each for each in whole.servers if each.name == server.name)
            limits = {
                "max_concurrency": server.max_concurrency,
                "max_requests_per_second": server.max_requests_per_second,
            }
            assert server == replace(before, **limits)  # type: ignore[arg-type]  # both are numbers


@given(configs(), totals)
def test_shards_together_keep_to_the_limits_of_a_server(whole: Config, total: int) -> None:
    """Rates add up to the limit; of requests in flight, each shard has at least one."""
    parts = [part(whole, Shard(index, total)) for index in range(total)]
    for server in whole.servers:
        own = [each for one in parts for each in one.servers if each.name == server.name]
        in_flight = [each.max_concurrency for each in own]
        assert all(count >= 1 for count in in_flight)
        assert sum(in_flight) < server.max_concurrency + max(1, len(own))
        rates = [each.max_requests_per_second for each in own]
        if server.max_requests_per_second is None:
            assert set(rates) <= {None}
        elif own:
            assert sum(rate or 0 for rate in rates) == pytest.approx(server.max_requests_per_second)


@given(configs())
def test_a_single_shard_is_the_whole(whole: Config) -> None:
    """To the last bit: without shards nothing changes."""
    polled = tuple(server for server in whole.servers if of(server, whole))
    assert part(whole, Shard(0, 1)) == replace(whole, servers=polled)


@pytest.mark.parametrize(
    ("text", "pod", "host", "shard"),
    [
        ("0/3", "", "web", Shard(0, 3)),
        ("2/3", "exporter-0", "exporter-1", Shard(2, 3)),
        ("007/010", "", "web", Shard(7, 10)),
        ("0/1", "", "", Shard(0, 1)),
        ("auto/3", "exporter-2", "node-1", Shard(2, 3)),
        ("auto/3", "", "exporter-2", Shard(2, 3)),
        ("auto/30", "", "exporter-12.exporter.monitoring.svc.cluster.local", Shard(12, 30)),
        ("auto/3", "", "eu-west-01", Shard(1, 3)),
    ],
)
def test_how_a_shard_is_written(text: str, pod: str, host: str, shard: Shard) -> None:
    """As two numbers, or with the ordinal of the pod, else of the host without its domain."""
    parsed = Shard.parse(text, {"POD_NAME": pod} if pod else {}, host)
    assert parsed == shard
    assert str(parsed) == f"{shard.index}/{shard.total}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "0/",
        "/3",
        "-1/3",
        "+0/3",
        "0/3/",
        "0 / 3",
        "\u0660/\u0663",
        "Auto/3",
        "0/1000000000",
    ],
)
def test_what_is_no_shard(text: str) -> None:
    """Is told how to write one."""
    with pytest.raises(ValueError, match="INDEX") as caught:
        Shard.parse(text, {}, "exporter-0")
    assert str(caught.value) == f"{text!r} is not INDEX/TOTAL: write it like 0/3, or auto/3"


@pytest.mark.parametrize(
    ("text", "pod", "host", "message"),
    [
        ("0/0", "", "web", "'0/0': TOTAL must be at least 1"),
        ("auto/0", "", "web", "'auto/0': TOTAL must be at least 1"),
        ("3/3", "", "web", "'3/3': INDEX must be from 0 to TOTAL - 1, which is 2"),
        (
            "auto/3",
            "",
            "web.example-0",
            (
                "'auto/3': the host name 'web' does not end in an ordinal such as -0: "
                "run it in a StatefulSet, or write INDEX/TOTAL"
            ),
        ),
        (
            "auto/3",
            "exporter-7d4b9c5f6-x2x92",
            "exporter-1",
            (
                "'auto/3': POD_NAME 'exporter-7d4b9c5f6-x2x92' does not end in an ordinal such as "
                "-0: run it in a StatefulSet, or write INDEX/TOTAL"
            ),
        ),
        (
            "auto/3",
            "exporter-3",
            "web",
            (
                "'auto/3': the ordinal of POD_NAME 'exporter-3' must be from 0 to TOTAL - 1, "
                "which is 2: make TOTAL the number of replicas"
            ),
        ),
        (
            "auto/3",
            "",
            "ip-10-22-26-181",
            (
                "'auto/3': the ordinal of the host name 'ip-10-22-26-181' must be from 0 to "
                "TOTAL - 1, which is 2: make TOTAL the number of replicas"
            ),
        ),
    ],
)
def test_a_shard_that_cannot_be(text: str, pod: str, host: str, message: str) -> None:
    """Says what it was taken from, and the remedy: guessing would leave targets unpolled."""
    with pytest.raises(ValueError, match=r"must|does not") as caught:
        Shard.parse(text, {"POD_NAME": pod} if pod else {}, host)
    assert str(caught.value) == message
