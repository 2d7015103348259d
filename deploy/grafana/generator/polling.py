"""The exporter's dashboard, its lower half: does the process keep up with its polls."""

from grafana_foundation_sdk.models import units

from generator.frame import Board
from generator.panels import About, Look, Query, course
from generator.promql import of_process, of_server, quantile, rate
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
    skew = of_server(f"{OWN}clock_skew_seconds")
    board.row(
        "Polls",
        course(
            About(
                "Poll duration",
                "How long polls take, all their pages: median, 90th and 99th percentile.",
                "a slow server, or too many pages for one poll; polls end at the timeout of the "
                "configuration and then fail.",
                ("AgentRestPollsLate",),
            ),
            Look(units.Seconds),
            *three_quantiles(f"{OWN}poll_duration_seconds"),
        ),
        course(
            About(
                "Poll delay",
                "How late polls start: median, 90th and 99th percentile.",
                "raise max_concurrency or the interval, or split the targets over shards.",
                ("AgentRestPollsLate",),
            ),
            Look(units.Seconds, ((LATE, "red"),)),
            *three_quantiles(f"{OWN}poll_delay_seconds"),
        ),
        course(
            About(
                "Polls skipped",
                "Polls per minute that were left out, because the one before was still in flight.",
                "the interval is shorter than the server can answer: raise it, or find out why "
                "the server is slow.",
                ("AgentRestPollsLate",),
            ),
            Look(units.CountsPerMinute),
            Query(f"60 * sum by (cms) ({skipped})", "{{cms}}"),
        ),
        course(
            About(
                "Requests",
                "Requests per second that reach each CMS, from all chosen exporters.",
                "if it nears what the server stands, raise the interval or set "
                "max_requests_per_second.",
            ),
            Look(units.RequestsPerSecond),
            Query(f"sum by (cms) ({requests})", "{{cms}}"),
        ),
        course(
            About(
                "Polls in flight",
                "Polls that have started and not ended, from all chosen exporters.",
                "a line that stays at max_concurrency means that polls queue: the server is slow, "
                "or the limit too low.",
                ("AgentRestPollsLate",),
            ),
            Look(units.Short, decimals=0),
            Query(f"sum by (cms) ({in_flight})", "{{cms}}"),
        ),
        course(
            About(
                "Clock skew",
                "The server's clock less the exporter's.",
                "beyond a minute either way a signature may be refused as if the key were wrong: "
                "set the clocks by NTP on both sides.",
                ("AgentRestClockSkew", "AgentRestAuthRefused"),
            ),
            Look(units.Seconds, ((-SKEWED, "green"), (SKEWED, "red")), base="red"),
            Query(f"max by (instance, cms) ({skew})", "{{instance}} {{cms}}"),
        ),
    )


def _process(board: Board) -> None:
    files = f"{of_process('process_open_fds')} / {of_process('process_max_fds')}"
    board.row(
        "Process",
        course(
            About(
                "Memory",
                "Resident memory of each exporter.",
                "it should follow the number of targets and then stay flat; if it climbs for "
                "days, report it with the configuration's size.",
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
                "Share of one processor that each exporter uses.",
                "near 100 % polls start late: raise intervals, or split the targets over shards.",
                ("AgentRestPollsLate",),
            ),
            Look(units.PercentUnit, ((0.9, "red"),)),
            Query(
                f"max by (instance) ({rate(of_process('process_cpu_seconds_total'))})",
                "{{instance}}",
            ),
        ),
        course(
            About(
                "Open files",
                "Share of the file descriptors that each exporter may open.",
                "raise the limit of open files, or lower max_concurrency.",
            ),
            Look(units.PercentUnit, ((0.8, "red"),)),
            Query(f"max by (instance) ({files})", "{{instance}}"),
        ),
        course(
            About(
                "Scrape duration",
                "How long Prometheus takes to scrape each exporter.",
                "near the scrape timeout scrapes are lost: raise it, or split the targets over "
                "shards.",
                ("AgentRestExporterDown",),
            ),
            Look(units.Seconds),
            Query(f"max by (instance) ({of_process('scrape_duration_seconds')})", "{{instance}}"),
            width=12,
        ),
        course(
            About(
                "Targets polled",
                "Targets of each exporter, by CMS.",
                "it changes only with the configuration: a drop is a target file that went "
                "missing, or a shard that lost its place.",
                ("AgentRestReloadFailed",),
            ),
            Look(units.Short, decimals=0),
            Query(
                f"max by (instance, cms) ({of_server(f'{OWN}targets')})",
                "{{instance}} {{cms}}",
            ),
            width=12,
        ),
    )
