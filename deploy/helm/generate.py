#!/usr/bin/env python3
"""Write what follows from values.yaml: `.venv/bin/python deploy/helm/generate.py [DIRECTORY]`.

These are the table of README.md and values.schema.json, from the values, their comments and the
schema of the exporter's configuration; and the exporter's version, wherever else it is written.
With a directory, all files are written there, to be compared with those in their places.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import yaml

ROOT: Final = Path(__file__).parents[2]
CHART: Final = Path(__file__).parent / "agent-rest-exporter"
VERSIONED: Final = (
    CHART / "Chart.yaml",
    ROOT / "deploy/compose/.env.example",
    ROOT / "deploy/compose/compose.yaml",
    ROOT / "deploy/kubernetes/kustomization.yaml",
)
VERSION: Final = re.compile(
    r'(?m)(?<=^version: )\S+|(?<=^appVersion: ")[^"]+|(?<=EXPORTER_VERSION=)\S+'
    r"|(?<=EXPORTER_VERSION:-)[^}]+|(?<=newTag: )\S+"
)
TABLE: Final = re.compile(r"(?<=<!-- values -->\n).*(?=<!-- /values -->)", re.DOTALL)

# Objects with defaults that Kubernetes validates: any key is allowed.
OPEN: Final = {
    "livenessProbe",
    "networkPolicy.egress.dns.to",
    "networkPolicy.ingress.from",
    "podSecurityContext",
    "readinessProbe",
    "resources",
    "securityContext",
    "startupProbe",
}
NAMES: Final = {"items": {"type": "string"}}
NAME: Final = {"pattern": "^([a-z]([-a-z0-9]*[a-z0-9])?)?$"}
# What a label, an annotation or a selector of nodes is: Kubernetes refuses `true` and 1.
WORDS: Final[dict[str, Any]] = {"additionalProperties": {"type": "string"}}
PEERS: Final = {"items": {"minProperties": 1, "type": "object"}, "minItems": 1}
PORT: Final = {"maximum": 65535, "minimum": 1}
DURATION: Final = {
    "pattern": "^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
    "minLength": 1,
}
# What the default of a value does not tell about its type.
TYPES: Final[dict[str, dict[str, Any]]] = {
    "config": {
        "if": {"minProperties": 1},
        "then": {"$ref": "#/$defs/Configuration"},
        "type": "object",
    },
    "containerPort": PORT,
    "dashboards.label": {"minLength": 1},
    "extraArgs": {"items": {"pattern": "^--", "type": "string"}},
    "extraEnv": {
        "items": {
            "properties": {"name": {"type": "string"}, "value": {"type": "string"}},
            "required": ["name"],
            "type": "object",
        }
    },
    "fullnameOverride": {**NAME, "maxLength": 52},
    "image.digest": {"pattern": "^(sha256:[0-9a-f]{64})?$"},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    # Registry, perhaps with a port, and name; the tag is another value.
    "image.repository": {"pattern": "^([^/:@]+(:[0-9]+)?/)?[^:@]+$"},
    "log.format": {"enum": ["logfmt", "json"]},
    "log.level": {"enum": ["debug", "info", "warning", "error"]},
    "nameOverride": {**NAME, "maxLength": 52},
    "namespaceOverride": {"pattern": "^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$"},
    # An empty list of peers allows everybody: the opposite of what it looks like. So does null,
    # which removes the value: a list that must not be empty must be there.
    "networkPolicy.egress.dns.ports": {"items": {**PORT, "type": "integer"}, "minItems": 1},
    "networkPolicy.egress.dns.to": PEERS,
    "networkPolicy.egress.servers": {
        "items": {
            "additionalProperties": False,
            "properties": {
                "cidr": {
                    "pattern": "^([0-9]{1,3}[.]){3}[0-9]{1,3}/([0-9]|[12][0-9]|3[0-2])$"
                    "|^[0-9a-f.:]*:[0-9a-f.:]*/([0-9]|[1-9][0-9]|1[01][0-9]|12[0-8])$",
                    "type": "string",
                },
                "port": {**PORT, "type": "integer"},
            },
            "required": ["cidr", "port"],
            "type": "object",
        }
    },
    "networkPolicy.ingress.from": PEERS,
    "podDisruptionBudget.maxUnavailable": {"pattern": "^[0-9]+%$", "type": ["integer", "string"]},
    "podMonitor.interval": DURATION,
    "podMonitor.scrapeTimeout": DURATION,
    "prometheusRule.disabled": NAMES,
    "resources": {
        "additionalProperties": False,
        "properties": {
            "claims": {"type": "array"},
            "limits": {"type": "object"},
            "requests": {"type": "object"},
        },
    },
    "revisionHistoryLimit": {"minimum": 0},
    "service.port": PORT,
    "service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "serviceMonitor.interval": DURATION,
    "serviceMonitor.scrapeTimeout": DURATION,
    "shards": {"maximum": 1000, "minimum": 1},
    "terminationGracePeriodSeconds": {"minimum": 6},
    "webConfig.scheme": {"enum": ["http", "https"]},
}


@dataclass(frozen=True, slots=True)
class Value:
    """A value of values.yaml with a description: a line of the table."""

    path: str
    description: str
    default: Any


def values(text: str) -> Iterator[Value]:
    """Every value with its description, in the order of the file.

    Raises:
        ValueError: a value has no comment that starts with `# --`.
    """
    lines = text.splitlines()

    def walk(node: yaml.MappingNode, parent: str) -> Iterator[Value]:
        for key, value in node.value:
            path = f"{parent}{key.value}"
            above = lines[key.start_mark.line - 1].strip()
            if above.startswith("# -- "):
                loader = yaml.SafeLoader("")
                yield Value(path, above[5:], loader.construct_object(value, deep=True))
            elif isinstance(value, yaml.MappingNode) and value.value:
                yield from walk(value, f"{path}.")
            else:
                raise ValueError(f"values.yaml:{key.start_mark.line + 1}: {path}: no description")

    return walk(cast("yaml.MappingNode", yaml.compose(text, Loader=yaml.SafeLoader)), "")


def table(found: list[Value]) -> str:
    """The table of README.md."""
    lines = ["| value | default | meaning |", "|---|---|---|"]
    for value in found:
        default = json.dumps(value.default, ensure_ascii=False)
        meaning = value.description.replace("|", "\\|")
        lines.append(f"| `{value.path}` | `{default}` | {meaning} |")
    return "\n".join(lines) + "\n"


def schema(found: list[Value], configuration: dict[str, Any]) -> dict[str, Any]:
    """The schema of the values; `config` has that of the exporter's configuration."""
    configuration = _without_lookaheads(configuration)
    definitions = configuration.pop("$defs")
    configuration = {key: configuration[key] for key in configuration if key[0] != "$"}
    root: dict[str, Any] = _closed()
    for value in found:
        *parents, name = value.path.split(".")
        place = root
        for parent in parents:
            place = place["properties"].setdefault(parent, _closed())
        more = TYPES.get(value.path, {})
        place["properties"][name] = {"description": value.description, **_type(value), **more}
        if "minItems" in more:
            place.setdefault("required", []).append(name)
    # Helm passes it to a chart that is a part of another.
    root["properties"]["global"] = {"type": "object"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the chart agent-rest-exporter",
        **root,
        "$defs": {**definitions, "Configuration": configuration},
    }


def _without_lookaheads(node: Any) -> Any:  # noqa: ANN401  # any part of a schema
    """A schema for Helm, whose regular expressions know none; the exporter checks the rest."""
    if isinstance(node, dict):
        return {
            key: re.sub(r"\(\?[=!][^()]*\)", "", value)
            if key == "pattern" and isinstance(value, str)
            else _without_lookaheads(value)
            for key, value in node.items()
        }
    return [_without_lookaheads(each) for each in node] if isinstance(node, list) else node


def _closed() -> dict[str, Any]:
    return {"additionalProperties": False, "properties": {}, "type": "object"}


def _type(value: Value) -> dict[str, Any]:
    match value.default:
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer"}
        case str():
            return {"type": "string"}
        case list() if value.path in TYPES and value.path not in OPEN:
            return {"type": "array"}
        case list():
            return {"items": {"type": "object"}, "type": "array"}
        case dict() if not value.default or value.path in OPEN:
            name = value.path.rpartition(".")[2].lower()
            words = name.endswith(("labels", "annotations", "nodeselector"))
            return {"type": "object", **(WORDS if words else {})}
    raise ValueError(f"{value.path}: its type does not follow from its default")


def made() -> dict[Path, str]:
    """The text of each file that follows from others."""
    found = list(values((CHART / "values.yaml").read_text(encoding="utf-8")))
    configuration = json.loads((ROOT / "deploy/config.schema.json").read_text(encoding="utf-8"))
    readme = (CHART / "README.md").read_text(encoding="utf-8")
    package = (ROOT / "exporter/__init__.py").read_text(encoding="utf-8")
    [version] = re.findall(r'__version__ = "(.+)"', package)
    return {
        CHART / "values.schema.json": json.dumps(
            schema(found, configuration), indent=2, ensure_ascii=False
        )
        + "\n",
        CHART / "README.md": TABLE.sub(lambda _: f"\n{table(found)}\n", readme),
        **{path: VERSION.sub(version, path.read_text(encoding="utf-8")) for path in VERSIONED},
    }


def main(directory: Path | None) -> None:
    """Write the files, each in its place, or all into a directory."""
    for path, text in made().items():
        (directory / path.name if directory else path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else None)
