"""What the pages for people may have to show: for screenshots, and for tests of their layout."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from exporter.clock import Moment
from exporter.errors import Reason
from exporter.rest import Doubt
from exporter.store import ReloadStatus, Store, Target, TargetKey
from tests.support.status_targets import BUSY, NOW, QUIET, ago, fail, succeed
from tests.support.stores import store_of

LOADED = ReloadStatus(successful=True, last_success=NOW.wall - 86_400)
LONG = (
    "no complete reply from cms-of-the-southern-region.example.com:28443 within 10 s: the server is"
    " slow or a firewall drops packets; raise timeout if it is only slow"
)


@dataclass(frozen=True)
class Scene:
    """What the exporter knows, and the page to look at."""

    store: Store
    path: str = "/"
    reload: ReloadStatus = LOADED


def _floors(count: int = 12) -> Store:
    """Floors in two cities, an hour after the start, each with a day of its own."""
    names = ("sales", "support", "billing", "retention", "back office", "collections")
    targets = [
        Target(
            TargetKey("lima" if n % 3 else "cusco", 1 + n // 40, n % 40 + 1),
            f"{names[n % 6]} {n // 6 + 1}",
            (("site", "lima" if n % 3 else "cusco"), ("floor", str(n % 4 + 1))),
            max_resting=8,
        )
        for n in range(count)
    ]
    store = store_of(targets)
    for minute in range(59, -1, -1):
        when = ago(60 * minute + 20)
        for n, each in enumerate(targets):
            resting = round(4 + 3 * math.sin(minute / 9 + n))
            waiting = max(0, round(3 * math.sin(minute / 5 + 2 * n) - n % 3))
            snapshot = replace(
                BUSY,
                approved=max(0, 2 - waiting),
                resting=resting,
                waiting=waiting,
                waiting_by_reason=(waiting, 0, 0, 0, 0, 0),
                longest_rest_start=when.wall - 700 - 60 * n,
                longest_wait_start=when.wall - 240,
                server_time=when.wall,
            )
            succeed(store, each, snapshot, when)
        store.sample(Moment(when.wall, when.monotonic, when.boot))
    for name, stats in store.servers():
        stats.condition.clock_skew = 0.3 if name == "lima" else -0.8
    return store


def healthy() -> Scene:
    """All is well."""
    return Scene(_floors())


def trouble() -> Scene:
    """One server is silent, with forty targets; single targets fail for causes of their own."""
    store = _floors(16)
    listed = [state.target for state in store.states()]
    silent = [
        Target(TargetKey("arequipa-and-the-south", 7, vdn), f"campaign {vdn}")
        for vdn in range(1, 41)
    ]
    store.replace([*listed, *silent], ["lima", "cusco", "arequipa-and-the-south"])
    for each in silent:
        fail(store, each, LONG)
    fail(
        store,
        listed[1],
        "10.22.26.181:28443 returned 401 (Unauthorized): check access_key and secret_key, and"
        " whether this host's address is on the server's allow-list; the clocks differ by 95 s",
        Reason.AUTH,
    )
    succeed(store, listed[2], replace(BUSY, resting=11, deadlines=(NOW.wall - 300,)))
    store.server("cusco").condition.clock_skew = -95.0
    store.server("cusco").condition.paused_until = NOW.boot + 75
    store.server("lima").condition.certificate_expiry = NOW.wall + 6 * 86_400
    return Scene(store)


def doubt() -> Scene:
    """Numbers that may not be what they seem: five alike, and one with two doubts."""
    store = _floors()
    listed = [state.target for state in store.states()]
    for each in listed[:5]:
        succeed(store, each, replace(BUSY, doubts=(Doubt.CUT_OFF,)))
    succeed(
        store,
        listed[6],
        replace(BUSY, unlisted=2, unclassified=1, doubts=(Doubt.WRONG_UNIT, Doubt.UNLISTED)),
    )
    return Scene(store)


def failed_reload() -> Scene:
    """The file was edited, and is wrong."""
    problems = (
        "/etc/agent-rest-exporter/config.yaml:14:7: cms[0].intervall: unknown key, did you mean x?",
        "/etc/agent-rest-exporter/config.yaml:22:19: cms[0].targets[3].vdn: must be 1 to 5000",
        "/etc/agent-rest-exporter/targets/the-southern-region.yaml:3:5: [1].name: must be text",
    )
    reload = ReloadStatus(
        successful=False,
        last_success=NOW.wall - 86_400,
        last_failure=NOW.wall - 340,
        problems=problems,
    )
    return Scene(_floors(), reload=reload)


def many() -> Scene:
    """Ten thousand targets on eight servers; every thousandth is down."""
    targets = [
        Target(TargetKey(f"cms-{n % 8}", n // 5000 + 1, n % 5000 + 1), f"vdn {n}", (), 9)
        for n in range(10_000)
    ]
    store = store_of(targets)
    for number, each in enumerate(targets):
        if number % 1000 == 7:
            fail(store, each)
        else:
            succeed(store, each, replace(BUSY if number % 5 else QUIET, resting=number % 10))
    store.sample(ago(60))
    store.sample(NOW)
    return Scene(store)


def one_target() -> Scene:
    """The page of a target that fails again, after all that it has been through."""
    store = _floors()
    target = [state.target for state in store.states()][4]
    sentences = (
        (Reason.TIMEOUT, LONG),
        (Reason.CONNECT, "10.22.26.181:28443 refused the connection: check url and CC-CMS itself"),
        (
            Reason.API,
            "the server returned result code 0100001 (the CTI does not answer): check ccId",
        ),
    )
    for number in range(8):
        begun = ago(86_400 - 9_000 * number)
        reason, sentence = sentences[number % 3]
        for poll in range(1 + 3 * number):
            store.failures.failed(target.key, reason, sentence, begun.wall + 30 * poll)
        store.failures.ended(target.key, begun.wall + 30 * (1 + 3 * number))
    fail(store, target, LONG)
    cms, cc_id, vdn = target.key
    return Scene(store, f"/target?cms={cms}&cc_id={cc_id}&vdn={vdn}")


SCENES: Mapping[str, Callable[[], Scene]] = {
    "healthy": healthy,
    "trouble": trouble,
    "doubt": doubt,
    "failed-reload": failed_reload,
    "10000-targets": many,
    "one-target": one_target,
}
