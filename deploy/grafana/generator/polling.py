"""The lower half of the exporter dashboard: does the process keep up with its polls."""

from grafana_foundation_sdk.models import units

from generator.frame import Board
from generator.panels import About, Look, Query, course
from generator.promql import (
    exporters_only,
    of_exporter,
    of_process,
    of_scrape,
    of_server,
    quantile,
    rate,
)
from generator.vocabulary import LATE, OWN, SKEWED


def polling(board: Board) -> None:
    """Add the rows on polls and on the process."""
    _polls(board)
    _process(board)


def _polls(board: Board) -> None:
    def three_quantiles(histogram: str) -> tuple[Query, ...]:
        return tuple(
            Query(quantile(share, histogram), f"{{{{cms}}}} {word}")
            for share, word in ((0.5, "median"), (0.9, "90 %"), (0.99, "99 %"))
        )

    skipped = rate(of_server(f"{OWN}polls_skipped_total"))
    requests = rate(of_server(f"{OWN}requests_total"))
    in_flight = of_server(f"{OWN}polls_in_flight")
    pauses = of_server(f"{OWN}pause_remaining_seconds")
    skew = of_server(f"{OWN}clock_skew_seconds")
    board.row(
        "Polls",
        course(
            About(
                "Poll duration",
                "How long polls take, with all their pages: median, 90th and 99th percentile.",
                "The server is slow, or a poll has too many pages. A poll that reaches the "
                "configured timeout fails.",
                ("AgentRestPollsLate",),
            ),
            Look(units.Seconds),
            *three_quantiles(f"{OWN}poll_duration_seconds"),
        ),
        course(
            About(
                "Poll delay",
                "How late polls start: median, 90th and 99th percentile.",
                "Raise max_concurrency or the interval, or split the targets into shards.",
                ("AgentRestPollsLate",),
            ),
            Look(units.Seconds, ((LATE, "red"),)),
            *three_quantiles(f"{OWN}poll_delay_seconds"),
        ),
        course(
            About(
                "Polls skipped",
                "Polls per minute that were skipped because the previous one was still in flight.",
                "The server takes longer than the interval to answer: raise the interval, or find "
                "out why the server is slow.",
                ("AgentRestPollsLate",),
            ),
            Look(units.CountsPerMinute),
            Query(f"60 * sum by (cms) ({skipped})", "{{cms}}"),
        ),
        course(
            About(
                "Requests",
                "Requests per second to each CMS, from all selected exporters.",
                "If this approaches what the server can handle, raise the interval or set "
                "max_requests_per_second.",
            ),
            Look(units.RequestsPerSecond),
            Query(f"sum by (cms) ({requests})", "{{cms}}"),
            width=6,
        ),
        course(
            About(
                "Pauses",
                "Time until a server is polled again that has asked for a pause (Retry-After).",
                "The server protects itself: raise the interval or set max_requests_per_second. "
                "The log and the status page say with which status it asked.",
                ("AgentRestDataStale",),
            ),
            Look(units.Seconds),
            Query(f"max by (instance, cms) ({pauses})", "{{instance}} {{cms}}"),
            width=6,
        ),
        course(
            About(
                "Polls in flight",
                "Polls that have started but not ended, from all selected exporters.",
                "A line that stays at max_concurrency means that polls are queueing: the server is "
                "slow, or the limit is too low.",
                ("AgentRestPollsLate",),
            ),
            Look(units.Short, decimals=0),
            Query(f"sum by (cms) ({in_flight})", "{{cms}}"),
            width=6,
        ),
        course(
            About(
                "Clock skew",
                "The server's clock minus the exporter's.",
                "With more than a minute either way, the server may refuse signatures as if the "
                "key were wrong. Synchronize both clocks with NTP.",
                ("AgentRestClockSkew", "AgentRestAuthRefused"),
            ),
            Look(units.Seconds, ((-SKEWED, "green"), (SKEWED, "red")), base="red"),
            Query(f"max by (instance, cms) ({skew})", "{{instance}} {{cms}}"),
            width=6,
        ),
    )


def _process(board: Board) -> None:
    cpu = rate(of_exporter("process_cpu_seconds_total"))
    files = f"{of_exporter('process_open_fds')} / {of_exporter('process_max_fds')}"
    refused = rate(of_exporter(f"{OWN}web_refused_total"))
    dropped = rate(of_exporter(f"{OWN}log_lines_dropped_total"))
    board.row(
        "Process",
        course(
            About(
                "Memory",
                "Resident memory of each exporter.",
                "It should depend on the number of targets and stay flat. If it grows for days, "
                "please report it with the number of targets.",
            ),
            Look(units.BytesIEC),
            Query(
                f"max by (instance) ({of_process('process_resident_memory_bytes')})",
                "{{instance}}",
            ),
        ),
        course(
            About(
                "CPU",
                "How much of one CPU core each exporter uses.",
                "Near 100 %, polls start late: raise intervals, or split the targets into shards.",
                ("AgentRestPollsLate",),
            ),
            Look(units.PercentUnit, ((0.9, "red"),)),
            Query(
                f"max by (instance) ({exporters_only(cpu)})",
                "{{instance}}",
            ),
        ),
        course(
            About(
                "Open files",
                "Open file descriptors of each exporter as a share of its limit.",
                "Raise the limit on open files, or lower max_concurrency.",
            ),
            Look(units.PercentUnit, ((0.8, "red"),)),
            Query(f"max by (instance) ({exporters_only(files)})", "{{instance}}"),
        ),
        course(
            About(
                "Scrape duration",
                "How long Prometheus takes to scrape each exporter.",
                "Scrapes that reach the scrape timeout fail: raise it, or split the targets into "
                "shards.",
                ("AgentRestExporterDown",),
            ),
            Look(units.Seconds),
            Query(f"max by (instance) ({of_scrape('scrape_duration_seconds')})", "{{instance}}"),
            width=6,
        ),
        course(
            About(
                "Targets polled",
                "Targets of each exporter, by CMS.",
                "This changes only with the configuration. A drop means that a target file is "
                "missing or that a shard is down.",
                ("AgentRestReloadFailed", "AgentRestNoTargets"),
            ),
            Look(units.Short, decimals=0),
            Query(
                f"max by (instance, cms) ({of_server(f'{OWN}targets')})",
                "{{instance}} {{cms}}",
            ),
            width=6,
        ),
        course(
            About(
                "Time since the start",
                "How long each exporter has been running.",
                "A line with many teeth is an exporter that is killed or crashes: see its log, and "
                "the memory limit of its unit or container.",
                ("AgentRestCrashLooping",),
            ),
            Look(units.Seconds),
            Query(
                f"time() - max by (instance) ({of_process('process_start_time_seconds')})",
                "{{instance}}",
            ),
            width=6,
        ),
        course(
            About(
                "Clients refused",
                "Requests and connections of clients that were refused or cut off per minute, by "
                "reason, and log lines that could not be written.",
                "Nobody polls the servers less because of it. busy and too_many_connections: more "
                "clients than the limits allow. slow_reader: a client or network that stalls. "
                "Dropped log lines: the program that reads stderr is blocked.",
            ),
            Look(units.CountsPerMinute),
            Query(f"60 * sum by (instance, reason) ({refused})", "{{instance}} {{reason}}"),
            Query(f"60 * sum by (instance) ({dropped})", "{{instance}} log lines dropped"),
            width=6,
        ),
    )
