"""The table of the floor dashboard: each VDN with its worst problem, the worst VDNs first."""

from dataclasses import replace
from typing import Final

from grafana_foundation_sdk.models import units

from generator.frame import Board
from generator.panels import About, Look, Query
from generator.promql import NAMED, each, exceeding, on_floor
from generator.tables import Column, rows
from generator.vdns import VDN_LABELS
from generator.vocabulary import (
    APPROVED,
    DOUBT,
    LIMIT,
    LONGEST,
    LONGEST_OVERDUE,
    LONGEST_WAIT,
    MAX_REST,
    MAX_WAIT,
    OVERDUE,
    REASON,
    RESTING,
    STALE,
    SUCCESS,
    TOO_LONG,
    TOO_OVERDUE,
    UP,
    WAITED_TOO_LONG,
    WAITING,
)

REST_TOO_LONG: Final = exceeding(each(LONGEST), each(MAX_REST), TOO_LONG)
"""VDNs where a rest is too long, by their own limit or by that of the alert."""
WAIT_TOO_LONG: Final = exceeding(each(LONGEST_WAIT), each(MAX_WAIT), WAITED_TOO_LONG)
"""VDNs where a wait is too long, by their own limit or by that of the alert."""

# The worst problem of a VDN: `or` keeps the first of these expressions that a VDN matches.
_TROUBLE: Final = "\nor ".join(
    [
        f"({each(UP)} == 0) + 7",
        f"0 * ({each(RESTING)} > {each(LIMIT)}) + 6",
        f"0 * {REST_TOO_LONG} + 5",
        f"0 * {WAIT_TOO_LONG} + 4",
        f"0 * {each(DOUBT)} + 3",
        f"0 * ({each(OVERDUE)} > 0) + 2",
        f"0 * ({each(WAITING)} > 0) + 1",
        f"0 * {each(UP)}",
    ]
)
_TROUBLE_WORDS: Final = {
    7: ("down", "dark-red"),
    6: ("over limit", "red"),
    5: ("rest too long", "orange"),
    4: ("wait too long", "orange"),
    3: ("doubtful", "purple"),
    2: ("overdue", "yellow"),
    1: ("waiting", "blue"),
    0: ("ok", "green"),
}


def trouble(board: Board) -> None:
    """Add the row with the table."""
    count = Look(units.Short, decimals=0)
    # An empty cell is neither good nor bad, so only bad ones have a colour.
    length = Look(units.DurationInHoursMinutesSeconds, base="transparent")
    awaiting = on_floor(REASON, 'reason="awaiting_approval"')
    board.row(
        "VDNs, problems first",
        rows(
            About(
                "VDNs",
                "Each VDN with its worst problem, the worst VDNs first. Columns are empty if there "
                "is no fresh data or no limit, or if the number is not known.",
                "Start at the top. Click a VDN to see only its panels, or how it is polled. Of a "
                "doubtful VDN the counts are right, but not all rests are known.",
                ("AgentRestTooManyResting", "AgentRestNumbersDoubtful", "AgentRestTargetDown"),
            ),
            VDN_LABELS,
            (
                Column(
                    Query(_TROUBLE, "problem"),
                    Look(units.Short, words=_TROUBLE_WORDS),
                    widest="rest too long",
                ),
                Column(Query(each(RESTING), "resting"), count),
                Column(Query(each(LIMIT), "limit"), count),
                Column(Query(each(APPROVED), "approved"), count),
                Column(Query(each(WAITING), "waiting"), count),
                Column(Query(f"max by ({NAMED}) ({awaiting})", "approvals"), count),
                Column(Query(each(LONGEST), "longest rest"), length),
                Column(Query(each(LONGEST_WAIT), "longest wait"), length),
                Column(Query(each(OVERDUE), "overdue"), count),
                Column(
                    Query(each(LONGEST_OVERDUE), "overdue by"),
                    replace(length, steps=((TOO_OVERDUE, "orange"),)),
                ),
                Column(
                    Query(f"time() - {each(SUCCESS)}", "age of data"),
                    replace(length, steps=((STALE, "red"),)),
                ),
            ),
            empty="",
        ),
    )
