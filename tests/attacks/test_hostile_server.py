"""One hostile server among others: their polls go on, and memory and the loop stay free.

Each attack runs for a moment against eight polls at a time, in processes of their own. What is
measured is memory and CPU time, so that a busy machine changes nothing.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.hostile_server import ATTACKS, PAGED, serving_attacks
from tests.support.paths import ROOT
from tests.support.processes import PATIENCE, clean_environment

SECONDS = 1.5
TIMEOUT = 3.0
"""Seconds for a poll of the hostile server."""
MEMORY = 60
"""MiB over rest."""
HOLD = 0.5
"""Seconds of CPU time for which the loop may do one thing. Unbounded, it was 2 to 20."""

CMS = "check that url leads to CC-CMS"
DECOMPRESSED = (
    "the compressed reply is larger than 4 MiB when decompressed, and compression was not "
    "requested: turn it off in the gateway or the server"
)
ROWS = f"the server sent more than 100000 rows, more than any VDN has: {CMS}"
OVERHEAD = (
    "the headers, interim replies and chunk headers are far larger than the reply itself: "
    f"{CMS}, and gateways in between"
)
NO_HTTP = (
    "the reply of 127.0.0.1:PORT is not valid HTTP: check the port in url, and whether it must "
    "start with https://"
)
HEADERS = (
    "the reply of 127.0.0.1:PORT has more than 500 headers, or one of more than 32 KiB: look for "
    "a gateway that adds them"
)
SLOW = (
    "no complete reply from 127.0.0.1:PORT within 3 s: the server is slow or a firewall drops "
    "packets; raise timeout if it is only slow"
)
ANOTHER_IS_READ = (
    "the reply is large, and another large one of this server was being read for most of 3 s, one "
    "at a time: raise timeout, or lengthen interval"
)
SHAPE = (
    "the reply does not match the interface: {}; check that api: agentrestinfos fits the server's "
    "release"
)
OUTCOMES: dict[str, set[str]] = {
    "large": {""},
    "compressed_rows": {DECOMPRESSED},
    "compressed_zeros": {DECOMPRESSED},
    "rows": {ROWS},
    "full_size": {""},
    "interim": {OVERHEAD},
    "extension": {OVERHEAD},
    "extensions": {OVERHEAD},
    "one_byte_chunks": {OVERHEAD},
    "trailers": {OVERHEAD, NO_HTTP, HEADERS},
    "headers": {OVERHEAD},
    "bytes_one_by_one": {SLOW},
    "wide_text": {SHAPE.format("agentsRestDetails[0].workNo has more than 64 characters")},
    "same_hashes": {SHAPE.format("workNo is out of range")},
    "pages_of_same_hashes": {SHAPE.format("workNo is out of range")},
    "nested": {SHAPE.format("it is a list, not an object")},
    "huge_pages": {ROWS},
    "padded_pages": {
        (
            "the pages of the listing are larger than 32 MiB together, far more than any VDN has: "
            f"{CMS}"
        )
    },
}
"""What polls of the hostile server may end in. Nothing for success."""
LEGITIMATE = {"large", "full_size"}


@pytest.fixture
def ports(attack: str) -> Iterator[tuple[int, int]]:
    """Those of a server that attacks, and of a healthy one."""
    with serving_attacks(attack, "healthy") as (hostile, healthy):
        yield hostile, healthy


def measured(ports: tuple[int, int], page_size: int | None) -> dict[str, Any]:
    """What the hostile server costs the process that polls both."""
    arguments = json.dumps([*ports, SECONDS, page_size, TIMEOUT])
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.polling_process", arguments],
        capture_output=True,
        check=True,
        cwd=ROOT,
        env=clean_environment(),
        text=True,
        timeout=PATIENCE,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("attack", [name for name in ATTACKS if name != "healthy"])
def test_an_attack_costs_the_others_nothing(attack: str, ports: tuple[int, int]) -> None:
    """No poll of the healthy server fails, and the process stays small and awake."""
    found = measured(ports, 100 if attack in PAGED else None)

    assert found["healthy_failed"] == []
    assert found["healthy_polls"] > 0
    assert found["memory"] <= MEMORY, found
    assert found["hold"] <= HOLD, found
    said = {
        re.sub(r" \(page \d+\)", "", message.replace(f":{ports[0]}", ":PORT"))
        for message in found["hostile"]
    }
    # a busy machine may not finish what is large within the timeout
    assert said - {SLOW, ANOTHER_IS_READ} <= OUTCOMES[attack]
    assert attack in LEGITIMATE or "" not in said


def test_every_attack_has_an_outcome() -> None:
    """None is forgotten."""
    assert OUTCOMES.keys() == ATTACKS.keys() - {"healthy"}
