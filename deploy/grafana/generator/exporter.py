"""The dashboard for exporter operators: does it poll, on schedule, and what fails."""

from typing import Final

from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import units

from exporter.rest import Doubt
from generator.frame import EXPORTER, VARIABLES, Board, vdn_links
from generator.panels import About, Look, Query, course, single
from generator.polling import polling
from generator.promql import KEY, NAMED, lacking, of_process, of_server, polled, rate
from generator.tables import Column, rows
from generator.vocabulary import DOUBT, FAILING, OWN, STALE, SUCCESS, UP

_BUILD: Final = f"{OWN}build_info"
_CHOICES: Final = (
    ("job", "Job", _BUILD, model.VariableSort.ALPHABETICAL_ASC),
    ("instance", "Instance", f'{_BUILD}{{job=~"$job"}}', model.VariableSort.ALPHABETICAL_ASC),
)
# If two exporters poll the same VDN, the worse state counts: each of them has to work.
_WORST_UP: Final = f"min by ({KEY}) ({polled(UP)})"
_OLDEST_SUCCESS: Final = polled(SUCCESS)

# Grafana maps numbers to words, so each doubt is a number, the first ones the highest.
_DOUBTS: Final = dict(enumerate(reversed(Doubt), start=1))
_DOUBT_WORDS: Final = {number: (doubt.sentence, "text") for number, doubt in _DOUBTS.items()}
_NUMBERED_DOUBTS: Final = "\nor ".join(
    f"{number} * " + polled(DOUBT, f'doubt="{doubt}"') for number, doubt in _DOUBTS.items()
)


def exporter() -> model.Dashboard:
    """The dashboard `agent-rest-exporter`."""
    board = Board(
        EXPORTER,
        "Agent rest / Exporter",
        "For exporter operators: is the exporter up, is its data fresh, what fails and why, and "
        "does polling keep up.",
        since="now-6h",
        variables=[*_CHOICES, *VARIABLES],
    )
    _health(board)
    _targets(board)
    polling(board)
    return board.build()


def _health(board: Board) -> None:
    words = {1: ("up", "green"), 0: ("down", "red")}
    loaded = {1: ("loaded", "green"), 0: ("failed", "red")}
    board.row(
        "Health",
        single(
            About(
                "Exporters",
                "Whether Prometheus can scrape each exporter. With several Prometheus servers, the "
                "worst result counts.",
                "Check the exporter's process and its log. Without scrapes there is no data here.",
                ("AgentRestExporterDown",),
            ),
            Look("none", words=words),
            Query(f"min by (instance) ({of_process('up')})", "{{instance}}"),
            empty="absent",
        ),
        single(
            About(
                "Targets down",
                "Targets whose last poll failed. A target that two exporters poll is counted once.",
                "Failing targets below lists them with the reason.",
                ("AgentRestTargetDown", "AgentRestAllTargetsDown"),
            ),
            Look(units.Short, ((1, "red"),), decimals=0),
            Query(f"sum(1 - {_WORST_UP})", "down"),
        ),
        single(
            About(
                "Never succeeded",
                "Targets that have been polled, but never successfully.",
                "Usually ccId or vdn is wrong, or the key has no rights to the VDN: "
                "agent-rest-exporter check --live explains each failure.",
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
                "The age of the last successful poll, of the target where it is oldest.",
                "The target's data has disappeared from the Floor dashboard. See what fails below.",
                ("AgentRestDataStale",),
            ),
            Look(units.DurationSeconds, ((STALE, "red"),), decimals=0),
            Query(f"time() - min({_OLDEST_SUCCESS})", "oldest success"),
        ),
        single(
            About(
                "Configuration",
                "Whether the last attempt to load the configuration succeeded.",
                "The exporter still uses the previous configuration. agent-rest-exporter check "
                "prints every error with its line.",
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
                "How long ago each exporter loaded the configuration it uses.",
                "It must drop to zero after each change. If it does not, the reload failed or the "
                "changed file did not reach the exporter.",
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
                "The age of the last successful poll, of the target where it is oldest, by CMS.",
                "A line that climbs steadily is a target that keeps failing. Several lines that "
                "climb together point to a server or the network.",
                ("AgentRestDataStale", "AgentRestAllTargetsDown"),
            ),
            Look(units.DurationSeconds, ((STALE, "red"),), decimals=0),
            Query(f"time() - min by (cms) ({_OLDEST_SUCCESS})", "{{cms}}"),
        ),
        course(
            About(
                "Targets down by CMS",
                "Targets whose last poll failed, by CMS.",
                "One target: check its ccId, its vdn and the key's rights. All targets of a CMS: "
                "check the server, the network and the key.",
                ("AgentRestTargetDown", "AgentRestAllTargetsDown"),
            ),
            Look(units.Short, decimals=0),
            Query(f"sum by (cms) (1 - {_WORST_UP})", "{{cms}}"),
            stacked=True,
        ),
        course(
            About(
                "Failures by reason",
                "Failed polls per minute, by failure reason.",
                "Depends on the reason. auth: check key, rights and clocks. dns, connect, tls, "
                "timeout, disconnected: check network and server. rate_limited: poll less often. "
                "api: the server reports an error for the query. http, decode, schema, too_large: "
                "the server does not return what the API should. internal: please report the bug.",
                ("AgentRestAuthRefused", "AgentRestTargetDown"),
            ),
            Look(units.CountsPerMinute),
            Query(f"60 * sum by (reason) ({failures})", "{{reason}}"),
            stacked=True,
        ),
        rows(
            About(
                "Failing targets",
                "Targets whose last poll failed, with the failure reason.",
                "Run agent-rest-exporter query with the target's cms, cc_id and vdn: it polls the "
                "target now and explains the failure.",
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
            empty="no failing targets",
        ),
        rows(
            About(
                "Doubtful numbers",
                "VDNs whose replies prove less than their numbers seem to say, with the doubt and "
                "its remedy.",
                "Run agent-rest-exporter query with the target's cms, cc_id and vdn: it shows what "
                "is known of each row. Many VDNs of a server with the same doubt point to a "
                "setting of the server.",
                ("AgentRestNumbersDoubtful",),
            ),
            ("cms", "cc_id", "vdn", "name", "doubt"),
            (
                Column(
                    Query(f"max by ({NAMED}, doubt) ({_NUMBERED_DOUBTS})", "meaning and remedy"),
                    Look("none", words=_DOUBT_WORDS),
                    sentences=True,
                ),
            ),
            {"vdn": vdn_links("__data.fields")},
            empty="no doubtful numbers",
        ),
    )
