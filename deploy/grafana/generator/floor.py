"""The dashboard for floor supervisors: who rests, who waits, and where the problems are.

Every number is a state of a VDN, so each VDN is counted once, however many exporters poll it.
"""

from typing import Final

from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import units

from generator.frame import FLOOR, VARIABLES, Board, vdn_links
from generator.panels import About, Look, Query, bars, course, single
from generator.promql import KEY, each, lacking, number_of, on_floor, once, total
from generator.trouble import REST_TOO_LONG, WAIT_TOO_LONG, trouble
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
    RESTING_LONGER,
    TOO_LONG,
    TOO_OVERDUE,
    UP,
    WAITED_TOO_LONG,
    WAITING,
)

_VDN: Final = "{{cms}} {{cc_id}}/{{vdn}} {{name}}"
_JOB: Final = ("job", "Job", UP, model.VariableSort.ALPHABETICAL_ASC)

_FULL: Final = 1
_BEYOND_FULL: Final = 1.0001
"""Grafana applies a threshold to values equal to it, but a full VDN is not over its limit."""

_SHARE: Final = f"{each(RESTING)} / {each(LIMIT)}"


def floor() -> model.Dashboard:
    """The dashboard `agent-rest-floor`."""
    board = Board(
        FLOOR,
        "Agent rest / Floor",
        "For floor supervisors: how many agents rest compared to the limit, who waits and why, and "
        "which VDN needs attention first.",
        since="now/d",
        variables=[_JOB, *VARIABLES],
    )
    _now(board)
    _attention(board)
    trouble(board)
    _rests(board)
    _day(board)
    return board.build()


def _now(board: Board) -> None:
    count = Look(units.Short, base="blue", decimals=0)
    # the limits differ from VDN to VDN, so the colours are those of Needs attention
    length = Look(units.DurationSeconds, base="blue")
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


def _rests(board: Board) -> None:
    links = vdn_links("__field.labels")
    share = Look(units.PercentUnit, ((0.8, "yellow"), (_FULL, "orange"), (_BEYOND_FULL, "red")))
    board.row(
        "Limits and long rests",
        bars(
            About(
                "Resting against the limit",
                "Resting agents as a share of the VDN's limit, for the twenty VDNs with the "
                "highest share. Only VDNs with max_resting in the exporter's configuration.",
                "Above 100 %, call agents back. At 100 %, no further agent should start a rest.",
                ("AgentRestTooManyResting",),
            ),
            share,
            Query(f"sort_desc(topk(20, {_SHARE}))", _VDN),
            links,
        ),
        course(
            About(
                "Longest rests",
                "The longest rest of each VDN, for the ten VDNs where it is longest. It grows "
                "between polls and drops when the rest ends. Dashed lines are the VDNs' own limits "
                "(max_rest), and one hour for VDNs without.",
                "A rest above its limit has usually been forgotten, or the session was lost: ask "
                "the supervisor.",
                ("AgentRestTooLong",),
            ),
            Look(units.DurationSeconds, ((TOO_LONG, "red"),)),
            Query(f"topk(10, {each(LONGEST)})", _VDN),
            Query(
                f"{each(MAX_REST)} and topk(10, {each(LONGEST)})", f"limit of {_VDN}", dashed=True
            ),
            links=links,
        ),
        course(
            About(
                "Longest overdue",
                "By how much the most overdue rest of each VDN exceeds its requested duration, for "
                "the ten VDNs where it is most.",
                "At ten minutes or more, ask the agent's supervisor.",
                ("AgentRestOverdue",),
            ),
            Look(units.DurationSeconds, ((TOO_OVERDUE, "orange"),)),
            Query(f"topk(10, {each(LONGEST_OVERDUE)})", _VDN),
            links=links,
        ),
        course(
            About(
                "Longest waits",
                "The longest wait of each VDN, for the ten VDNs where it is longest, from the "
                "start that the agent asked for. Dashed lines are the VDNs' own limits (max_wait), "
                "and 15 minutes for VDNs without.",
                "Waiting by reason shows what agents wait for. A line that is missing although "
                "agents wait means that the server reported no usable start.",
                ("AgentRestApprovalsWaiting",),
            ),
            Look(units.DurationSeconds, ((WAITED_TOO_LONG, "red"),)),
            Query(f"topk(10, {each(LONGEST_WAIT)})", _VDN),
            Query(
                f"{each(MAX_WAIT)} and topk(10, {each(LONGEST_WAIT)})",
                f"limit of {_VDN}",
                dashed=True,
            ),
            width=12,
            links=links,
        ),
        course(
            About(
                "Resting longer than",
                "Agents who have been resting for longer than each of rest_bounds in the "
                "exporter's configuration, given in seconds. Empty if none are set.",
                "If the longest bounds grow through the shift, agents overstay: see Longest rests "
                "for the VDNs.",
                ("AgentRestTooLong",),
            ),
            Look(units.Short, decimals=0),
            Query(
                f"sum by (bound) (max by ({KEY}, bound) ({on_floor(RESTING_LONGER)}))",
                "longer than {{bound}} s",
            ),
            width=12,
        ),
    )


def _day(board: Board) -> None:
    count = Look(units.Short, decimals=0)
    by_reason = f"sum by (reason) (max by ({KEY}, reason) ({on_floor(REASON)}))"
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
                "Waiting by reason",
                "What waiting agents wait for. The reasons add up to all waiting agents; unknown "
                "means that the server gave no usable reason.",
                "Depends on the reason. awaiting_approval: a supervisor has to decide. vdn_limit, "
                "skill_queue_limit: the limit is reached. busy: the agent is on a call. "
                "no_skill_queue: the agent has to sign in to a skill queue.",
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
        course(
            About(
                "Share of the limit",
                "Resting agents as a share of the VDN's limit, for the ten VDNs with the highest "
                "share at each moment.",
                "A VDN that is full for long periods needs a higher limit or a different break "
                "schedule.",
                ("AgentRestTooManyResting",),
            ),
            Look(units.PercentUnit, ((_BEYOND_FULL, "red"),)),
            Query(f"topk(10, {_SHARE})", _VDN),
            width=12,
            links=vdn_links("__field.labels"),
        ),
    )
