"""The rows of the floor dashboard on rests and on waits: how many, how long, and where."""

from typing import Final

from grafana_foundation_sdk.models import units

from generator.frame import Board, vdn_links
from generator.panels import About, Look, Query, bars, course
from generator.promql import KEY, each, on_floor
from generator.vdns import VDN_LEGEND
from generator.vocabulary import (
    LIMIT,
    LONGEST,
    LONGEST_OVERDUE,
    LONGEST_WAIT,
    MAX_REST,
    MAX_WAIT,
    REASON,
    RESTING,
    RESTING_LONGER,
    TOO_LONG,
    TOO_OVERDUE,
    WAITED_TOO_LONG,
    WAITING,
)

_FULL: Final = 1
_BEYOND_FULL: Final = 1.0001
"""Grafana applies a threshold to values equal to it, but a full VDN is not over its limit."""

_SHARE: Final = f"{each(RESTING)} / {each(LIMIT)}"


def rests(board: Board) -> None:
    """Add the row on rests: against their limits, and how long they last."""
    links = vdn_links("__field.labels")
    share = Look(units.PercentUnit, ((0.8, "yellow"), (_FULL, "orange"), (_BEYOND_FULL, "red")))
    board.row(
        "Rests",
        bars(
            About(
                "Resting against the limit",
                "Resting agents as a share of the VDN's limit, for the twenty VDNs with the "
                "highest share. Only VDNs with max_resting in the exporter's configuration.",
                "Above 100 %, call agents back. At 100 %, no further agent should start a rest.",
                ("AgentRestTooManyResting",),
            ),
            share,
            Query(f"sort_desc(topk(20, {_SHARE}))", VDN_LEGEND),
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
            Look(units.Seconds, ((TOO_LONG, "red"),)),
            Query(f"topk(10, {each(LONGEST)})", VDN_LEGEND),
            Query(
                f"{each(MAX_REST)} and topk(10, {each(LONGEST)})",
                f"limit of {VDN_LEGEND}",
                dashed=True,
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
            Look(units.Seconds, ((TOO_OVERDUE, "orange"),)),
            Query(f"topk(10, {each(LONGEST_OVERDUE)})", VDN_LEGEND),
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
            Query(f"topk(10, {_SHARE})", VDN_LEGEND),
            width=12,
            links=vdn_links("__field.labels"),
        ),
    )


def waits(board: Board) -> None:
    """Add the row on waits: what agents wait for, how long, and where."""
    links = vdn_links("__field.labels")
    by_reason = f"sum by (reason) (max by ({KEY}, reason) ({on_floor(REASON)}))"
    board.row(
        "Waits",
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
            Look(units.Short, decimals=0),
            Query(by_reason, "{{reason}}"),
            stacked=True,
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
            Look(units.Seconds, ((WAITED_TOO_LONG, "red"),)),
            Query(f"topk(10, {each(LONGEST_WAIT)})", VDN_LEGEND),
            Query(
                f"{each(MAX_WAIT)} and topk(10, {each(LONGEST_WAIT)})",
                f"limit of {VDN_LEGEND}",
                dashed=True,
            ),
            links=links,
        ),
        course(
            About(
                "Waiting by VDN",
                "Agents who have requested a rest and are waiting, for the ten VDNs where most "
                "wait.",
                "If one VDN stands out, ask its supervisor for approvals or raise its limit. If "
                "many rise together, it is a busy hour: Waiting by reason tells.",
                ("AgentRestApprovalsWaiting", "AgentRestLimitReached"),
            ),
            Look(units.Short, decimals=0),
            Query(f"topk(10, {each(WAITING)})", VDN_LEGEND),
            links=links,
        ),
    )
