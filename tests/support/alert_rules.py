"""The shipped alert rules as tests see them, and the metric names that they may speak of."""

import importlib.util
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml
from prometheus_client import CollectorRegistry

from exporter.clock import system_clock
from exporter.metrics.exporter_families import ExporterCollector, own_registry
from exporter.metrics.families import FAMILIES
from exporter.store import POLL_DELAY_BUCKETS, ReloadStatus
from tests.support.paths import ROOT
from tests.support.stores import store_of

PROMETHEUS: Final = ROOT / "deploy" / "prometheus"
RULES: Final = PROMETHEUS / "rules"
TABLE: Final = PROMETHEUS / "alerts.yaml"
OF_SHARDS: Final = ROOT / "deploy" / "kubernetes" / "prometheusrule.yaml"
RUNBOOKS: Final = ROOT / "docs" / "runbooks"
_NAMES_IN_TEXT: Final = re.compile(r"(?<![\w:])(?:agent_rest|process)_\w+")


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. It has two rules if there is one for each of its severities."""

    name: str
    team: str
    severities: tuple[str, ...]
    hold: str
    """Its `for`, empty if it has none."""
    expr: str
    """The expressions of its rules, one on each line."""
    annotations: dict[str, str]


def rules() -> Iterator[dict[str, Any]]:
    """Every rule of the shipped files, as it stands there."""
    for file in sorted(RULES.iterdir()):
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            yield from group["rules"]


def alerts() -> dict[str, Alert]:
    """The alerts by name."""
    return _by_name(rules())


def alerts_of_the_chart() -> dict[str, Alert]:
    """The alert that only the Helm chart has, because its rule depends on the values."""
    rule = yaml.safe_load(OF_SHARDS.read_text(encoding="utf-8"))
    return _by_name(each for group in rule["spec"]["groups"] for each in group["rules"])


def _by_name(shipped: Iterable[dict[str, Any]]) -> dict[str, Alert]:
    found: dict[str, list[dict[str, Any]]] = {}
    for rule in shipped:
        if "alert" in rule:
            found.setdefault(rule["alert"], []).append(rule)
    return {name: _alert(name, of) for name, of in found.items()}


def _alert(name: str, of: list[dict[str, Any]]) -> Alert:
    """An alert of its rules, which differ in severity and expression only."""
    alike = ("for", "annotations")
    assert all(rule.get(key) == of[0].get(key) for rule in of for key in alike)
    (team,) = {rule["labels"]["team"] for rule in of}
    severities = tuple(rule["labels"]["severity"] for rule in of)
    assert len(set(severities)) == len(of)
    expr = "\n".join(rule["expr"] for rule in of)
    return Alert(name, team, severities, of[0].get("for", ""), expr, of[0]["annotations"])


def generator() -> Any:
    """The module deploy/prometheus/generate.py."""
    spec = importlib.util.spec_from_file_location("generate", PROMETHEUS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def registry() -> CollectorRegistry:
    """The exporter's own families, of one server that was polled once, on time."""
    store = store_of((), ["lima"])
    store.server("lima").delay.observe(POLL_DELAY_BUCKETS[0])
    return own_registry(
        ExporterCollector(
            store, lambda: ReloadStatus(successful=True, last_success=0), system_clock, version="0"
        )
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
