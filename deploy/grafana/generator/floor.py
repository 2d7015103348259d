"""The dashboard for floor supervisors: who rests, who waits, and where the problems are.

Every number is a state of a VDN, so each VDN is counted once, however many exporters poll it.
"""

from typing import Final

from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import units

from generator.alerts import FLOOR_TEAM, active, marks
from generator.frame import FLOOR, VARIABLES, Board, label_choice
from generator.panels import About, Look, Query, course, single
from generator.promql import each, lacking, number_of, on_floor, once, total
from generator.rests import rests, waits
from generator.trouble import REST_TOO_LONG, WAIT_TOO_LONG, trouble
from generator.vocabulary import (
    APPROVED,
    DOUBT,
    LIMIT,
    LONGEST,
    LONGEST_WAIT,
    OVERDUE,
    RESTING,
    UP,
    WAITING,
)

_JOB: Final = label_choice("job", "Job", UP)


def floor() -> model.Dashboard:
    """The dashboard `agent-rest-floor`."""
    board = Board(
        FLOOR,
        "Agent rest / Floor",
        "For floor supervisors: how many agents rest compared to the limit, who waits and why, and "
        "which VDN needs attention first.",
        since="now/d",
        choices=[_JOB, *VARIABLES],
    )
    board.filter("Filters by the labels that the exporter's configuration gives to targets.")
    board.mark(marks(FLOOR_TEAM))
    _now(board)
    _attention(board)
    board.row("Alerts", active(FLOOR_TEAM))
    trouble(board)
    rests(board)
    waits(board)
    _day(board)
    return board.build()


def _now(board: Board) -> None:
    count = Look(units.Short, base="blue", decimals=0)
    # the limits differ from VDN to VDN, so the colours are those of Needs attention
    length = Look(units.DurationInHoursMinutesSeconds, base="blue")
    board.row(
        "Now",
        single(
            About(
                "Resting",
                "Agents resting now, in all selected VDNs with fresh data.",
                "Compare with the limits below, and with the same hour on other days.",
            ),
            count,
            Query(total(RESTING), "resting"),
        ),
        single(
            About(
                "Approved",
                "Agents with an approved rest that has not begun.",
                "They are about to rest: together with Resting, this is what to plan for.",
            ),
            count,
            Query(total(APPROVED), "approved"),
        ),
        single(
            About(
                "Waiting",
                "Agents who have requested a rest and are waiting.",
                "Waiting by reason below shows what they wait for. Supervisors give approvals; "
                "planners set limits.",
                ("AgentRestApprovalsWaiting", "AgentRestLimitReached"),
            ),
            count,
            Query(total(WAITING), "waiting"),
        ),
        single(
            About(
                "Longest rest",
                "How long the longest current rest has lasted, by the server's clock. It can be an "
                "upper or a lower bound: the runbook says how to tell.",
                "Find its VDN below. The agent may have forgotten to end the rest.",
                ("AgentRestTooLong",),
            ),
            length,
            Query(f"max({on_floor(LONGEST)})", "longest rest"),
            empty="not known",
        ),
        single(
            About(
                "Longest wait",
                "Time since the earliest start that a waiting agent asked for.",
                "Find its VDN below. Waiting by reason shows what agents wait for.",
                ("AgentRestApprovalsWaiting",),
            ),
            length,
            Query(f"max({on_floor(LONGEST_WAIT)})", "longest wait"),
            empty="not known",
        ),
        single(
            About(
                "Overdue agents",
                "Agents who have been resting for longer than they requested.",
                "See below where and by how much. A few minutes are normal.",
                ("AgentRestOverdue",),
            ),
            Look(units.Short, ((1, "yellow"),), decimals=0),
            Query(total(OVERDUE), "overdue"),
            empty="not known",
        ),
    )


def _attention(board: Board) -> None:
    red = Look(units.Short, ((1, "red"),), decimals=0)
    orange = Look(units.Short, ((1, "orange"),), decimals=0)
    board.row(
        "Needs attention",
        single(
            About(
                "VDNs polled",
                "VDNs that are polled, for comparison with the numbers beside it.",
                "If it drops, a configuration or an exporter is missing.",
                ("AgentRestExporterDown",),
            ),
            Look(units.Short, base="blue", decimals=0),
            Query(f"count({once(UP)})", "VDNs"),
        ),
        single(
            About(
                "VDNs over their limit",
                "VDNs with more resting agents than max_resting in the exporter's configuration "
                "allows. VDNs without a limit are not counted.",
                "Find them in the table below and ask their supervisors to call agents back.",
                ("AgentRestTooManyResting",),
            ),
            red,
            Query(f"sum({once(RESTING)} > bool {once(LIMIT)})", "over the limit"),
            empty="no limits set",
        ),
        single(
            About(
                "Rests too long",
                "VDNs where the longest rest exceeds max_rest in the exporter's configuration, or "
                "one hour if none is set.",
                "Find them in the table below. The agent may have forgotten to end the rest.",
                ("AgentRestTooLong",),
            ),
            red,
            Query(number_of(REST_TOO_LONG, each(LONGEST)), "rests too long"),
            empty="not known",
        ),
        single(
            About(
                "Waits too long",
                "VDNs where the longest wait exceeds max_wait in the exporter's configuration, or "
                "15 minutes if none is set. VDNs without a known wait are not counted.",
                "Find them in the table below. Waiting by reason shows what agents wait for.",
                ("AgentRestApprovalsWaiting",),
            ),
            red,
            Query(number_of(WAIT_TOO_LONG, each(LONGEST_WAIT)), "waits too long"),
            empty="not known",
        ),
        single(
            About(
                "Doubtful VDNs",
                "VDNs whose replies prove less than the numbers seem to say. Their counts are "
                "right, but not all rests and waits are known.",
                "Tell the operators: Doubtful numbers on the Exporter dashboard has the remedy.",
                ("AgentRestNumbersDoubtful",),
            ),
            orange,
            Query(number_of(once(DOUBT), once(RESTING)), "doubtful"),
        ),
        single(
            About(
                "VDNs without fresh data",
                "VDNs that are polled but have no fresh data. They are missing from all sums here.",
                "Do not rely on the sums. The Exporter dashboard shows what fails.",
                ("AgentRestTargetDown", "AgentRestDataStale"),
            ),
            orange,
            Query(lacking(once(UP), once(RESTING)), "without fresh data"),
        ),
    )


def _day(board: Board) -> None:
    count = Look(units.Short, decimals=0)
    board.row(
        "Over time",
        course(
            About(
                "Resting, approved and waiting",
                "Agents in all selected VDNs who rest, whose rest is approved but has not begun, "
                "and who wait.",
                "If waiting grows while resting does not, limits or missing approvals are holding "
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
                "Resting by call center",
                "Resting agents of each call center, stacked.",
                "If one call center drops to zero or disappears while others continue, its data "
                "may be missing: see VDNs without fresh data.",
                ("AgentRestAllTargetsDown",),
            ),
            count,
            Query(f"sum by (cms, cc_id) ({once(RESTING)})", "{{cms}} {{cc_id}}"),
            width=12,
            stacked=True,
        ),
    )
