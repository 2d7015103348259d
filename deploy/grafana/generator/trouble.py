"""The table of the floor dashboard: each VDN with its worst problem, the worst VDNs first."""

from typing import Final

from grafana_foundation_sdk.models import units

from generator.frame import Board, vdn_links
from generator.panels import About, Look, Query
from generator.promql import NAMED, each, on_floor
from generator.tables import Column, rows
from generator.vocabulary import (
    APPROVED,
    LIMIT,
    LONGEST,
    LONGEST_OVERDUE,
    OVERDUE,
    REASON,
    RESTING,
    STALE,
    SUCCESS,
    TOO_LONG,
    TOO_OVERDUE,
    UP,
    WAITING,
)

LONGEST_LOOK: Final = Look(units.DurationSeconds, ((0.75 * TOO_LONG, "yellow"), (TOO_LONG, "red")))
"""How the longest rest is drawn, in this table and as a single number."""

# The worst problem of a VDN: `or` keeps the first of these expressions that a VDN matches.
_TROUBLE: Final = "\nor ".join(
    [
        f"({each(UP)} == 0) + 5",
        f"0 * ({each(RESTING)} > {each(LIMIT)}) + 4",
        f"0 * ({each(LONGEST)} > {TOO_LONG}) + 3",
        f"0 * ({each(OVERDUE)} > 0) + 2",
        f"0 * ({each(WAITING)} > 0) + 1",
        f"0 * {each(UP)}",
    ]
)
_TROUBLE_WORDS: Final = {
    5: ("down", "dark-red"),
    4: ("over limit", "red"),
    3: ("rest too long", "orange"),
    2: ("overdue", "yellow"),
    1: ("agents waiting", "blue"),
    0: ("ok", "green"),
}


def trouble(board: Board) -> None:
    """Add the row with the table."""
    count = Look(units.Short, decimals=0)
    awaiting = on_floor(REASON, 'reason="awaiting_approval"')
    board.row(
        "VDNs, problems first",
        rows(
            About(
                "VDNs",
                "Each VDN with its worst problem, the worst VDNs first. Columns are empty if there "
                "is no fresh data or no limit.",
                "Start at the top. Click a VDN to see only its panels, or how it is polled.",
                ("AgentRestTooManyResting", "AgentRestTargetDown"),
            ),
            ("cms", "cc_id", "vdn", "name"),
            (
                Column(Query(_TROUBLE, "problem"), Look(units.Short, words=_TROUBLE_WORDS)),
                Column(Query(each(RESTING), "resting"), count),
                Column(Query(each(LIMIT), "limit"), count),
                Column(Query(each(APPROVED), "approved"), count),
                Column(Query(each(WAITING), "waiting"), count),
                Column(Query(f"max by ({NAMED}) ({awaiting})", "awaiting approval"), count),
                Column(Query(each(LONGEST), "longest rest"), LONGEST_LOOK),
                Column(Query(each(OVERDUE), "overdue agents"), count),
                Column(
                    Query(each(LONGEST_OVERDUE), "longest overdue"),
                    Look(units.DurationSeconds, ((TOO_OVERDUE, "orange"),)),
                ),
                Column(
                    Query(f"time() - {each(SUCCESS)}", "age of data"),
                    Look(units.DurationSeconds, ((STALE, "red"),), decimals=0),
                ),
            ),
            {"vdn": vdn_links("__data.fields")},
            empty="",
        ),
    )
