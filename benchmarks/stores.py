"""A store as after one round, without a round: every target has a reply of 20 rows."""

import time

from benchmarks.daemon import VDNS
from benchmarks.peer import reply, rows
from exporter.clock import system_clock
from exporter.cms.wire import decode
from exporter.errors import PollResult
from exporter.rest import reduce
from exporter.server import Api
from exporter.store import Store, Target, TargetKey


def filled(targets: int) -> Store:
    """The store of that many targets, each with a name."""
    keys = [TargetKey("bench", each // VDNS + 1, each % VDNS + 1) for each in range(targets)]
    store = Store()
    store.replace(
        [Target(key, f"vdn {key.cc_id}-{key.vdn}", stale_after=1e9) for key in keys], ["bench"]
    )
    body = reply(rows(20), 20)
    for state in list(store.states()):
        answer = decode(body, Api.AGENT_REST_INFOS)
        snapshot = reduce(answer.counters, answer.rows, time.time())
        now = system_clock()
        store.record(state.after(PollResult(now, now, snapshot, None, 1)))
    return store
