"""The dashboard for those who run the floor: who rests, who waits, where the trouble is.

Every number is a state of a VDN, so each VDN is counted once, however many exporters poll it.
"""

from typing import Final

from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import units

from generator.frame import FLOOR, VARIABLES, Board, vdn_links
from generator.panels import About, Look, Query, bars, course, single
from generator.promql import KEY, each, lacking, on_floor, once, total
from generator.trouble import LONGEST_LOOK, trouble
from generator.vocabulary import (
    APPROVED,
    LIMIT,
    LONGEST,
    LONGEST_OVERDUE,
    OVERDUE,
    REASON,
    RESTING,
    TOO_LONG,
    TOO_OVERDUE,
    UP,
    WAITING,
)

_VDN: Final = "{{cms}} {{cc_id}}/{{vdn}} {{name}}"
_JOB: Final = ("job", "Job", UP, model.VariableSort.ALPHABETICAL_ASC)

_FULL: Final = 1
_BEYOND_FULL: Final = 1.0001
"""A threshold colours what equals it, and a full VDN is not yet over its limit."""

_SHARE: Final = f"{each(RESTING)} / {each(LIMIT)}"


def floor() -> model.Dashboard:
    """The dashboard `agent-rest-floor`."""
    board = Board(
        FLOOR,
        "Agent rest / Floor",
        "For those who run the floor: who rests against the limit, who waits and why, and which "
        "VDN needs a look first.",
        since="now/d",
        variables=[_JOB, *VARIABLES],
    )
    _now(board)
    trouble(board)
    _rests(board)
    _day(board)
    return board.build()


def _now(board: Board) -> None:
    board.row(
        "Now",
        single(
            About(
                "Resting",
                "Agents who rest now, in all chosen VDNs with fresh numbers.",
                "compare with the limits below, and with the same hour of other days.",
            ),
            Look(units.Short, base="blue", decimals=0),
            Query(total(RESTING), "resting"),
        ),
        single(
            About(
                "Waiting",
                "Agents who have applied for a rest and wait.",
                "see below what they wait for: approvals are a supervisor's to give, limits are a "
                "planner's to set.",
                ("AgentRestApprovalsWaiting", "AgentRestLimitReached"),
            ),
            Look(units.Short, base="blue", decimals=0),
            Query(total(WAITING), "waiting"),
        ),
        single(
            About(
                "VDNs over their limit",
                "VDNs where more agents rest than max_resting of the exporter's configuration "
                "allows. VDNs without a limit do not count.",
                "find them in the table below and ask their supervisors to call agents back.",
                ("AgentRestTooManyResting",),
            ),
            Look(units.Short, ((1, "red"),), decimals=0),
            Query(f"sum({once(RESTING)} > bool {once(LIMIT)})", "over the limit"),
            empty="no limit is set",
        ),
        single(
            About(
                "Longest rest",
                "How long the longest rest of all lasts, by the server's clock.",
                "find its VDN below; the agent may have forgotten to end the rest.",
                ("AgentRestTooLong",),
            ),
            LONGEST_LOOK,
            Query(f"max({on_floor(LONGEST)})", "longest rest"),
        ),
        single(
            About(
                "Overdue agents",
                "Agents who rest for longer than they asked for.",
                "see below where and by how much; a few minutes are usual, more is not.",
                ("AgentRestOverdue",),
            ),
            Look(units.Short, ((1, "yellow"),), decimals=0),
            Query(total(OVERDUE), "overdue"),
        ),
        single(
            About(
                "VDNs without fresh numbers",
                "VDNs that are polled and have no fresh numbers: every sum here lacks them.",
                "do not trust the sums; see the dashboard Exporter for what fails.",
                ("AgentRestTargetDown", "AgentRestDataStale"),
            ),
            Look(units.Short, ((1, "orange"),), decimals=0),
            Query(lacking(once(UP), once(RESTING)), "without fresh numbers"),
        ),
    )


def _rests(board: Board) -> None:
    links = vdn_links("__field.labels")
    share = Look(units.PercentUnit, ((0.8, "yellow"), (_FULL, "orange"), (_BEYOND_FULL, "red")))
    board.row(
        "Limits and long rests",
        bars(
            About(
                "Resting against the limit",
                "Resting agents as a share of the VDN's limit, the twenty fullest. Only VDNs with "
                "max_resting in the exporter's configuration.",
                "above 100 % call agents back; at 100 % every further application waits.",
                ("AgentRestTooManyResting",),
            ),
            share,
            Query(f"sort_desc(topk(20, {_SHARE}))", _VDN),
            links,
        ),
        course(
            About(
                "Longest rests",
                "The longest rest of each VDN, of the ten VDNs where it is longest. It grows "
                "between polls; the line falls when the rest ends.",
                "a line that passes an hour is a forgotten rest or a lost session: ask the "
                "supervisor.",
                ("AgentRestTooLong",),
            ),
            Look(units.DurationSeconds, ((TOO_LONG, "red"),)),
            Query(f"topk(10, {each(LONGEST)})", _VDN),
            links=links,
        ),
        course(
            About(
                "Longest overdue",
                "By how much the most overdue rest of each VDN exceeds what was asked for, of the "
                "ten VDNs where it is most.",
                "ten minutes and more deserve a question to the agent's supervisor.",
                ("AgentRestOverdue",),
            ),
            Look(units.DurationSeconds, ((TOO_OVERDUE, "orange"),)),
            Query(f"topk(10, {each(LONGEST_OVERDUE)})", _VDN),
            links=links,
        ),
    )


def _day(board: Board) -> None:
    count = Look(units.Short, decimals=0)
    by_reason = f"sum by (reason) (max by ({KEY}, reason) ({on_floor(REASON)}))"
    board.row(
        "The day's course",
        course(
            About(
                "Resting, approved and waiting",
                "All chosen VDNs together: who rests, whose rest is approved but has not begun, "
                "who waits.",
                "waiting that grows while resting does not means that limits or approvals hold "
                "rests up.",
                ("AgentRestLimitReached",),
            ),
            count,
            Query(total(RESTING), "resting"),
            Query(total(APPROVED), "approved"),
            Query(total(WAITING), "waiting"),
            width=12,
        ),
        course(
            About(
                "Waiting by reason",
                "What keeps waiting agents from resting. The reasons add up to all who wait; "
                "unknown are those whose row gives none.",
                "awaiting_approval: a supervisor has to decide. vdn_limit, skill_queue_limit: the "
                "limit is used up. busy: they are on a call. no_skill_queue: they have to sign in "
                "to a skill queue.",
                ("AgentRestApprovalsWaiting", "AgentRestLimitReached"),
            ),
            count,
            Query(by_reason, "{{reason}}"),
            width=12,
            stacked=True,
        ),
        course(
            About(
                "Resting by call center",
                "Resting agents of each call center, one upon the other.",
                "a call center that drops to nothing while others go on may have lost its "
                "numbers: see VDNs without fresh numbers.",
                ("AgentRestAllTargetsDown",),
            ),
            count,
            Query(f"sum by (cms, cc_id) ({once(RESTING)})", "{{cms}} {{cc_id}}"),
            width=12,
            stacked=True,
        ),
        course(
            About(
                "Share of the limit",
                "Resting agents as a share of the VDN's limit, of the ten fullest VDNs at each "
                "moment.",
                "a VDN that is full for long stretches needs a higher limit or another plan of "
                "breaks.",
                ("AgentRestTooManyResting",),
            ),
            Look(units.PercentUnit, ((_BEYOND_FULL, "red"),)),
            Query(f"topk(10, {_SHARE})", _VDN),
            width=12,
            links=vdn_links("__field.labels"),
        ),
    )
