"""The shipped alert rules as tests see them, and the metric names that they may speak of."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml
from prometheus_client import CollectorRegistry

from exporter.clock import system_clock
from exporter.metrics import FAMILIES, own_registry
from exporter.store import POLL_DELAY_BUCKETS, ReloadStatus
from tests.support.paths import ROOT
from tests.support.stores import store_of

RULES: Final = ROOT / "deploy" / "prometheus" / "rules"
OF_SHARDS: Final = ROOT / "deploy" / "kubernetes" / "prometheusrule.yaml"
RUNBOOKS: Final = ROOT / "docs" / "runbooks"
_NAMES_IN_TEXT: Final = re.compile(r"(?<![\w:])(?:agent_rest|process)_\w+")


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert rule."""

    name: str
    severity: str
    hold: str
    """Its `for`, empty if it has none."""
    expr: str
    annotations: dict[str, str]


def rules() -> Iterator[dict[str, Any]]:
    """Every rule of the shipped files, as it stands there."""
    for file in sorted(RULES.iterdir()):
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            yield from group["rules"]


def alerts() -> dict[str, Alert]:
    """The alert rules by name."""
    return _by_name(rules())


def alerts_of_the_chart() -> dict[str, Alert]:
    """The alert that only the Helm chart has, because its rule depends on the values."""
    rule = yaml.safe_load(OF_SHARDS.read_text(encoding="utf-8"))
    return _by_name(each for group in rule["spec"]["groups"] for each in group["rules"])


def _by_name(found: Iterable[dict[str, Any]]) -> dict[str, Alert]:
    shipped = [
        Alert(
            rule["alert"],
            rule["labels"]["severity"],
            rule.get("for", ""),
            rule["expr"],
            rule["annotations"],
        )
        for rule in found
        if "alert" in rule
    ]
    by_name = {alert.name: alert for alert in shipped}
    assert len(by_name) == len(shipped)
    return by_name


def registry() -> CollectorRegistry:
    """The exporter's own families, of one server that was polled once, on time."""
    store = store_of((), ["lima"])
    store.server("lima").delay.observe(POLL_DELAY_BUCKETS[0])
    return own_registry(
        store, lambda: ReloadStatus(successful=True, last_success=0), system_clock, version="0"
    )


def exposed_names() -> set[str]:
    """Every name that a sample of the exporter can have."""
    own = {
        f"{metric.name}{suffix}"
        for metric in registry().collect()
        for suffix in _suffixes(metric.type)
    }
    return own | {family.name for family in FAMILIES}


def names_in(text: str) -> set[str]:
    """What looks like a metric of the exporter in an expression, a template or a page."""
    return set(_NAMES_IN_TEXT.findall(text))


def _suffixes(kind: str) -> tuple[str, ...]:
    return {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(kind, ("",))
