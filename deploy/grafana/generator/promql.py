"""How an expression picks its samples. Knows nothing of panels.

Two exporters may poll the same floor, and two Prometheus servers may scrape them. A state of a VDN
is then there several times and is taken once: `max by` its key, or `min by` where the worse one
counts. Work that an exporter does is done by each of them and is added up by `sum`.
"""

from typing import Final

KEY: Final = "cms, cc_id, vdn"
"""What tells one VDN from every other."""
NAMED: Final = f"{KEY}, name"
"""The same with the name that people know it by, which is empty if the configuration sets none."""

_JOB: Final = 'job=~"$job"'
_INSTANCE: Final = f'{_JOB}, instance=~"$instance"'
_CMS: Final = f'{_INSTANCE}, cms=~"$cms"'
_VDN: Final = 'cms=~"$cms", cc_id=~"$cc_id", vdn=~"$vdn"'


def on_floor(family: str, *matchers: str) -> str:
    """A target family, whichever exporter polls it."""
    return _selector(family, _JOB, _VDN, *matchers)


def polled(family: str) -> str:
    """A target family, of the chosen exporters alone."""
    return _selector(family, _INSTANCE, _VDN)


def of_server(family: str) -> str:
    """A family of the exporter's own that is kept for each CMS."""
    return _selector(family, _CMS)


def of_process(family: str) -> str:
    """A family that an exporter, or the scrape of it, has once."""
    return _selector(family, _INSTANCE)


def each(family: str) -> str:
    """One sample for each VDN, named."""
    return f"max by ({NAMED}) ({on_floor(family)})"


def total(family: str) -> str:
    """The sum over all VDNs, each counted once."""
    return f"sum({once(family)})"


def once(family: str) -> str:
    """One sample for each VDN, by its key alone: what sums and counts are made of."""
    return f"max by ({KEY}) ({on_floor(family)})"


def lacking(wanted: str, had: str) -> str:
    """How many VDNs have a sample of `wanted` and none of `had`; nothing if none has `wanted`."""
    return f"count({wanted}) - (count({had}) or 0 * count({wanted}))"


def rate(selector: str) -> str:
    """A counter's increase per second, over an interval that always holds enough scrapes."""
    return f"rate({selector}[$__rate_interval])"


def quantile(share: float, histogram: str) -> str:
    """A quantile of a histogram of `of_server`, over all exporters."""
    buckets = rate(of_server(f"{histogram}_bucket"))
    return f"histogram_quantile({share}, sum by (cms, le) ({buckets}))"


def _selector(family: str, *matchers: str) -> str:
    return f"{family}{{{', '.join(matchers)}}}"
