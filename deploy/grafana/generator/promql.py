"""Builds expressions. Knows nothing of panels.

Two exporters may poll the same VDNs, and two Prometheus servers may scrape them. A VDN's state then
exists several times and must be counted once: `max by` its key, or `min by` where the worse state
counts. Work that exporters do, such as requests, is summed.

Prometheus also scrapes processes of others. Families that everybody has, such as `up` and
`process_cpu_seconds_total`, are therefore joined with a family that only this exporter has.
"""

from typing import Final

KEY: Final = "cms, cc_id, vdn"
"""The labels that identify a VDN."""
NAMED: Final = f"{KEY}, name"
"""The same with the name, which is empty if the configuration sets none."""

_JOB: Final = 'job=~"$job"'
_INSTANCE: Final = f'{_JOB}, instance=~"$instance"'
_CMS: Final = f'{_INSTANCE}, cms=~"$cms"'
_VDN: Final = 'cms=~"$cms", cc_id=~"$cc_id", vdn=~"$vdn", name=~"$name"'

_BUILD_INFO: Final = "agent_rest_exporter_build_info"
_SAME_TARGET: Final = "and on (job, instance)"
_SHIPPED_JOB: Final = 'job="agent-rest-exporter"'
"""The job of the shipped configuration, which AgentRestExporterDown looks for."""


def on_floor(family: str, *matchers: str) -> str:
    """A target family, whichever exporter polls it."""
    return _selector(family, _JOB, _VDN, *matchers)


def polled(family: str, *matchers: str) -> str:
    """A target family, of the selected exporters only."""
    return _selector(family, _INSTANCE, _VDN, *matchers)


def of_server(family: str) -> str:
    """A family of the exporter itself with a series for each CMS."""
    return _selector(family, _CMS)


def of_exporter(family: str) -> str:
    """A family with one series for each exporter, which only this exporter has."""
    return _selector(family, _INSTANCE)


def of_process(family: str) -> str:
    """A family that other processes have as well, of exporters only.

    The result is a binary expression: aggregate it, or put it in brackets.
    """
    return exporters_only(of_exporter(family))


def exporters_only(expr: str) -> str:
    """The series of an expression that come from exporters which answer scrapes."""
    return f"{expr} {_SAME_TARGET} {of_exporter(_BUILD_INFO)}"


def times_of_reloads() -> str:
    """When each exporter loaded its configuration, in milliseconds, on either dashboard."""
    family = "agent_rest_exporter_config_last_reload_success_timestamp_seconds"
    return f"1000 * {_selector(family, _JOB)}"


def times_of_starts() -> str:
    """When each exporter started, in milliseconds, on either dashboard."""
    starts = _selector("process_start_time_seconds", _JOB)
    return f"1000 * {starts} {_SAME_TARGET} {_selector(_BUILD_INFO, _JOB)}"


def of_scrape(family: str) -> str:
    """A family that Prometheus writes itself for each scrape, even for one that fails.

    An exporter that is down has no `build_info`. So this includes the exporters that had one within
    the range of the dashboard, and the shipped job, whose exporter may never have answered.
    """
    within = f"last_over_time({of_exporter(_BUILD_INFO)}[$__range])"
    shipped = _selector(family, _SHIPPED_JOB, _INSTANCE)
    return f"{shipped}\nor {of_exporter(family)} {_SAME_TARGET} {within}"


def of_alerts(family: str, team: str, *matchers: str) -> str:
    """A family that Prometheus writes for alerts: those of one team, about what is selected.

    An alert lacks the labels that its expression sums over, so each may be empty.
    """
    labels = ("job", "cms", "cc_id", "vdn", "name")
    about = [f'{label}=~"${label}|"' for label in labels]
    return _selector(family, 'alertname=~"AgentRest.+"', f'team="{team}"', *matchers, *about)


def each(family: str) -> str:
    """One sample for each VDN, with its name."""
    return f"max by ({NAMED}) ({on_floor(family)})"


def total(family: str) -> str:
    """The sum over all VDNs, each counted once."""
    return f"sum({once(family)})"


def once(family: str) -> str:
    """One sample for each VDN, without its name: for sums and counts."""
    return f"max by ({KEY}) ({on_floor(family)})"


def exceeding(value: str, limit: str, default: float) -> str:
    """The VDNs whose `value` is above their `limit`, or above `default` if they have none."""
    return f"({value} > {limit} or ({value} > {default} unless {limit}))"


def number_of(some: str, all_of_them: str) -> str:
    """How many series `some` has, 0 if none; no sample if `all_of_them` has none either."""
    return f"count({some}) or 0 * count({all_of_them})"


def lacking(wanted: str, had: str) -> str:
    """The number of VDNs with `wanted` but not `had`; no sample if no VDN has `wanted`."""
    return f"count({wanted}) - (count({had}) or 0 * count({wanted}))"


def rate(selector: str) -> str:
    """A counter's increase per second, over an interval that always contains enough scrapes."""
    return f"rate({selector}[$__rate_interval])"


def quantile(share: float, histogram: str) -> str:
    """A quantile of a histogram with a series for each CMS, over all exporters."""
    buckets = rate(of_server(f"{histogram}_bucket"))
    return f"histogram_quantile({share}, sum by (cms, le) ({buckets}))"


def _selector(family: str, *matchers: str) -> str:
    return f"{family}{{{', '.join(matchers)}}}"
