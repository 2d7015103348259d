"""The dashboard for exporter operators: does it poll, on schedule, and what fails."""

from typing import Final

from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import units

from exporter.rest import Doubt
from generator.alerts import PLATFORM_TEAM, active, marks
from generator.frame import EXPORTER, VARIABLES, Board, label_choice
from generator.panels import About, Look, Query, course, single
from generator.polling import polling
from generator.promql import (
    KEY,
    NAMED,
    lacking,
    of_exporter,
    of_process,
    of_scrape,
    of_server,
    polled,
    rate,
)
from generator.tables import Column, Label, rows
from generator.vdns import VDN_LABELS, VDN_LEGEND
from generator.vocabulary import (
    CERTIFICATE,
    DOUBT,
    FAILING,
    FAILURES,
    FLAPPING,
    OWN,
    POLLS,
    STALE,
    SUCCESS,
    UNCLASSIFIED,
    UNLISTED,
    UNUSABLE,
    UP,
)

_BUILD: Final = f"{OWN}build_info"
# Probes are a job of their own, whose instances are targets.
_JOBS: Final = f'{{__name__=~"{_BUILD}|{UP}"}}'
_CHOICES: Final = (
    label_choice("job", "Job", _JOBS),
    label_choice("instance", "Instance", f'{_BUILD}{{job=~"$job"}}'),
)
_AGE: Final = units.DurationInDaysHoursMinutesSeconds
_SENTENCE: Final = 110
"""Letters of a line of a doubt's sentence: the longest ones take two lines."""
_LONG_EXPIRED: Final = -(10**9)
"""Where red begins; below it is the colour of a panel without any certificate."""

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
        choices=[*_CHOICES, *VARIABLES],
    )
    board.filter(
        "Filters by the labels that the exporter's configuration gives to targets. Panels about "
        "servers and processes have no such labels, and are empty while a filter is set."
    )
    board.mark(marks(PLATFORM_TEAM))
    _health(board)
    board.row("Alerts", active(PLATFORM_TEAM))
    _targets(board)
    _doubts(board)
    polling(board)
    return board.build()


def _health(board: Board) -> None:
    words = {1: ("up", "green"), 0: ("down", "red")}
    loaded = {1: ("loaded", "green"), 0: ("failed", "red")}
    expiry = f"min by (cms) ({of_server(f'{OWN}tls_certificate_expiry_timestamp_seconds')})"
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
            Query(f"min by (instance) ({of_scrape('up')})", "{{instance}}"),
            width=6,
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
            width=6,
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
            width=6,
        ),
        single(
            About(
                "Oldest success",
                "The age of the last successful poll, of the target where it is oldest.",
                "The target's data has disappeared from the Floor dashboard. See what fails below.",
                ("AgentRestDataStale",),
            ),
            Look(_AGE, ((STALE, "red"),)),
            Query(f"time() - min({_OLDEST_SUCCESS})", "oldest success"),
            width=6,
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
                f"min by (instance) ({of_exporter(f'{OWN}config_last_reload_successful')})",
                "{{instance}}",
            ),
            width=6,
        ),
        single(
            About(
                "Age of the configuration",
                "How long ago each exporter loaded the configuration it uses.",
                "It must drop to zero after each change. If it does not, the reload failed or the "
                "changed file did not reach the exporter.",
                ("AgentRestReloadFailed",),
            ),
            Look(_AGE, base="blue"),
            Query(
                "time() - max by (instance) "
                f"({of_exporter(f'{OWN}config_last_reload_success_timestamp_seconds')})",
                "{{instance}}",
            ),
            width=6,
        ),
        single(
            About(
                "Next certificate to expire",
                "The server whose certificate expires first, and in how many days and hours.",
                "Have the certificate renewed: once it has expired, every poll of the server "
                "fails. Empty if no server is reached over TLS.",
                ("AgentRestCertificateExpires",),
            ),
            Look(_AGE, ((_LONG_EXPIRED, "red"), (CERTIFICATE, "green")), base="blue"),
            Query(f"bottomk(1, {expiry}) - time()", "{{cms}}"),
            width=6,
            empty="no TLS",
        ),
        single(
            About(
                "Last start",
                "How long ago an exporter last started.",
                "If nobody restarted it, it crashed or was killed: see its log, and the memory "
                "limit of its unit or container.",
                ("AgentRestCrashLooping",),
            ),
            Look(_AGE, base="blue"),
            Query(f"time() - max({of_process('process_start_time_seconds')})", "last start"),
            width=6,
        ),
    )


def _targets(board: Board) -> None:
    failures = rate(of_server(f"{OWN}poll_failures_total"))
    share = f"{rate(polled(FAILURES))} / {rate(polled(POLLS))}"
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
            Look(units.Seconds, ((STALE, "red"),)),
            Query(f"time() - min by (cms) ({_OLDEST_SUCCESS})", "{{cms}}"),
            width=12,
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
            width=12,
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
            width=12,
            stacked=True,
        ),
        course(
            About(
                "Share of failed polls",
                "The share of polls that fail, for the ten targets where it is highest. Empty with "
                "/probe, which counts nothing.",
                "A target near 100 % is down: see below. One that fails now and then flaps: a "
                "timeout that is too short, a gateway that restarts, or a server at its limit.",
                ("AgentRestFlapping",),
            ),
            Look(units.PercentUnit, ((FLAPPING, "red"),)),
            Query(f"topk(10, max by ({NAMED}) ({share}))", VDN_LEGEND),
            width=12,
        ),
        rows(
            About(
                "Failing targets",
                "Targets whose last poll failed, with the failure reason.",
                "Run agent-rest-exporter query with the target's cms, cc_id and vdn: it polls the "
                "target now and explains the failure.",
                ("AgentRestTargetDown", "AgentRestAuthRefused"),
            ),
            (*VDN_LABELS, Label("reason", "disconnected")),
            (
                Column(
                    Query(
                        f"max by ({NAMED}, reason) ({polled(FAILING)})",
                        "state",
                    ),
                    Look("none", words={1: ("failing", "red")}),
                ),
            ),
            empty="no failing targets",
            height=7,
        ),
    )


def _doubts(board: Board) -> None:
    by_doubt = f"count by (doubt) (max by ({KEY}, doubt) ({polled(DOUBT)}))"
    board.row(
        "Doubts",
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
            (*VDN_LABELS, Label("doubt", "unusable_begin_times")),
            (
                Column(
                    Query(f"max by ({NAMED}, doubt) ({_NUMBERED_DOUBTS})", "meaning and remedy"),
                    Look("none", words=_DOUBT_WORDS),
                    widest="m" * _SENTENCE,
                    sentences=True,
                ),
            ),
            empty="no doubtful numbers",
            height=7,
        ),
        course(
            About(
                "Doubtful VDNs by doubt",
                "VDNs whose numbers are doubtful, by doubt. A VDN can have several.",
                "A step that many VDNs make at once points to a setting or to a new release of the "
                "server; the table above has the remedy.",
                ("AgentRestNumbersDoubtful",),
            ),
            Look(units.Short, decimals=0),
            Query(by_doubt, "{{doubt}}"),
            width=12,
        ),
        course(
            About(
                "Rows in doubt",
                "What the rows leave open, over all selected VDNs: rows that may be resting agents "
                "or not (unclassified), resting agents without a row (unlisted), and rows whose "
                "start cannot be believed.",
                "Unclassified rows are an everyday matter where agents wait for approval: the "
                "longest rest is then an upper bound. For the other two, see the table above.",
                ("AgentRestNumbersDoubtful",),
            ),
            Look(units.Short, decimals=0),
            *(
                Query(f"sum(max by ({KEY}) ({polled(family)}))", legend)
                for family, legend in (
                    (UNCLASSIFIED, "unclassified"),
                    (UNLISTED, "unlisted"),
                    (UNUSABLE, "unusable starts"),
                )
            ),
            width=12,
        ),
    )
