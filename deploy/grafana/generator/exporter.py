"""The dashboard for those who run the exporter: does it poll, in time, and what fails."""

from typing import Final

from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import units

from generator.frame import EXPORTER, VARIABLES, Board, vdn_links
from generator.panels import About, Look, Query, course, single
from generator.polling import polling
from generator.promql import KEY, NAMED, lacking, of_process, of_server, polled, rate
from generator.tables import Column, rows
from generator.vocabulary import FAILING, OWN, STALE, SUCCESS, UP

_BUILD: Final = f"{OWN}build_info"
_CHOICES: Final = (
    ("job", "Job", _BUILD, model.VariableSort.ALPHABETICAL_ASC),
    ("instance", "Instance", f'{_BUILD}{{job=~"$job"}}', model.VariableSort.ALPHABETICAL_ASC),
)
# One exporter that fails is trouble even if its twin polls the same VDN: the worse state counts.
_WORST_UP: Final = f"min by ({KEY}) ({polled(UP)})"
_OLDEST_SUCCESS: Final = polled(SUCCESS)


def exporter() -> model.Dashboard:
    """The dashboard `agent-rest-exporter`."""
    board = Board(
        EXPORTER,
        "Agent rest / Exporter",
        "For those who run the exporter: is it up, are its numbers fresh, what fails and why, and "
        "does it keep up.",
        since="now-6h",
        variables=[*_CHOICES, *VARIABLES],
    )
    _health(board)
    _targets(board)
    polling(board)
    return board.build()


def _health(board: Board) -> None:
    words = {1: ("up", "green"), 0: ("down", "red")}
    loaded = {1: ("loaded", "green"), 0: ("refused", "red")}
    board.row(
        "Health",
        single(
            About(
                "Exporters",
                "Whether Prometheus reaches each exporter, as the worst of its servers sees it.",
                "look at the process and its log; without it every number here goes missing.",
                ("AgentRestExporterDown",),
            ),
            Look("none", words=words),
            Query(f"min by (instance) ({of_process('up')})", "{{instance}}"),
            empty="absent",
        ),
        single(
            About(
                "Targets down",
                "Targets whose last poll failed, each counted once even if two exporters poll it.",
                "see which and why in Targets that fail.",
                ("AgentRestTargetDown", "AgentRestAllTargetsDown"),
            ),
            Look(units.Short, ((1, "red"),), decimals=0),
            Query(f"sum(1 - {_WORST_UP})", "down"),
        ),
        single(
            About(
                "Never succeeded",
                "Targets that have been polled and have never answered well.",
                "most often a wrong ccId or vdn, or a key without rights: "
                "agent-rest-exporter check --live explains each.",
                ("AgentRestTargetDown",),
            ),
            Look(units.Short, ((1, "orange"),), decimals=0),
            Query(
                lacking(_WORST_UP, f"min by ({KEY}) ({_OLDEST_SUCCESS})"),
                "never succeeded",
            ),
        ),
        single(
            About(
                "Oldest success",
                "The age of the last success of the target that has waited longest for one.",
                "its numbers have disappeared from the floor's dashboard: see what fails.",
                ("AgentRestDataStale",),
            ),
            Look(units.DurationSeconds, ((STALE, "red"),), decimals=0),
            Query(f"time() - min({_OLDEST_SUCCESS})", "oldest success"),
        ),
        single(
            About(
                "Configuration",
                "Whether the last attempt to load the configuration succeeded.",
                "the old one is still in use. agent-rest-exporter check prints every error with "
                "its line.",
                ("AgentRestReloadFailed",),
            ),
            Look("none", words=loaded),
            Query(
                f"min by (instance) ({of_process(f'{OWN}config_last_reload_successful')})",
                "{{instance}}",
            ),
        ),
        single(
            About(
                "Age of the configuration",
                "Since when each exporter has used its configuration.",
                "after a change it must fall to nothing; if it does not, the reload failed or "
                "the file did not reach the exporter.",
                ("AgentRestReloadFailed",),
            ),
            Look(units.DurationSeconds, base="blue", decimals=0),
            Query(
                "time() - max by (instance) "
                f"({of_process(f'{OWN}config_last_reload_success_timestamp_seconds')})",
                "{{instance}}",
            ),
        ),
    )


def _targets(board: Board) -> None:
    failures = rate(of_server(f"{OWN}poll_failures_total"))
    board.row(
        "Targets",
        course(
            About(
                "Age of the last success",
                "For each CMS, the age of the last success of its most neglected target.",
                "a line that climbs steadily is a target that fails all the time; several that "
                "climb together are a server or a network.",
                ("AgentRestDataStale", "AgentRestAllTargetsDown"),
            ),
            Look(units.DurationSeconds, ((STALE, "red"),), decimals=0),
            Query(f"time() - min by (cms) ({_OLDEST_SUCCESS})", "{{cms}}"),
        ),
        course(
            About(
                "Targets down by CMS",
                "Targets whose last poll failed, by CMS.",
                "one target: its ccId, vdn or rights. All of a CMS: the server, the way to it, "
                "or the key.",
                ("AgentRestTargetDown", "AgentRestAllTargetsDown"),
            ),
            Look(units.Short, decimals=0),
            Query(f"sum by (cms) (1 - {_WORST_UP})", "{{cms}}"),
            stacked=True,
        ),
        course(
            About(
                "Failures by reason",
                "Failed polls per minute, by the reason that the exporter gives.",
                "auth: key, rights or clock. timeout, connect, dns, tls: network or server. "
                "rate_limited: poll less. api: what the server refuses. decode, schema, "
                "too_large: not the API that was expected.",
                ("AgentRestAuthRefused", "AgentRestTargetDown"),
            ),
            Look(units.CountsPerMinute),
            Query(f"60 * sum by (reason) ({failures})", "{{reason}}"),
            stacked=True,
        ),
        rows(
            About(
                "Targets that fail",
                "Targets whose last poll failed, with the reason. Empty when all is well.",
                "agent-rest-exporter query with the target's cms, cc_id and vdn asks it now and "
                "explains the failure.",
                ("AgentRestTargetDown", "AgentRestAuthRefused"),
            ),
            ("cms", "cc_id", "vdn", "name", "reason"),
            (
                Column(
                    Query(
                        f"max by ({NAMED}, reason) ({polled(FAILING)})",
                        "state",
                    ),
                    Look("none", words={1: ("failing", "red")}),
                ),
            ),
            {"vdn": vdn_links("__data.fields")},
            empty="no target fails",
        ),
    )
