#!/usr/bin/env python3
"""Write everything that depends on `alerts.yaml`; `make rules` runs it.

    .venv/bin/python deploy/prometheus/generate.py [--alerts=FILE] [--rules=DIRECTORY]

Without `--rules` it writes `rules/`, and the parts of the documents between its marks. With
`--rules` it writes only the rules, into that directory: for a site that keeps an `alerts.yaml` of
its own.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.durations import parse_duration
from exporter.store import POLL_DELAY_BUCKETS

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
TEMPLATES: Final = HERE / "templates"
CHOICES: Final = {"team": ("floor", "platform"), "severity": ("critical", "warning", "info")}

_HEADER: Final = "# Made by `make rules` from alerts.yaml and templates/{}: edit those.\n#\n"
_UNITS: Final = {"d": "day", "h": "hour", "m": "minute", "s": "second", "ms": "millisecond"}
# [[limit]], [[limit:seconds]], [[severity.most]], [[AgentRestClockSkew.limit:seconds]]
_PLACE: Final = re.compile(r"\[\[(?:(AgentRest\w+)\.)?(\w+)(?:\.(\w+))?(?::(\w+))?\]\]")
_ALERT: Final = re.compile(r"^ *- alert: (\w+)$", re.MULTILINE)
_PART: Final = re.compile(r"(<!-- make rules: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


class TableError(Exception):
    """The table has a value that cannot be used. The message names it, and the remedy."""


class Table:
    """The alerts of `alerts.yaml`.

    Args:
        text: the file's content.

    Raises:
        TableError: if a team, a severity or a duration is not one.
    """

    def __init__(self, text: str) -> None:
        read = yaml.safe_load(text)
        self.alerts: dict[str, dict[str, Any]] = read.pop("alerts")
        self._shared: dict[str, Any] = read
        for name, alert in self.alerts.items():
            for key, allowed in CHOICES.items():
                if wrong := set(_several(alert[key])) - set(allowed):
                    raise TableError(
                        f"{name}: {key}: {', '.join(wrong)}: must be {' or '.join(allowed)}"
                    )
            if "for" in alert:
                self._seconds(name, "for", alert["for"])

    def rules(self) -> dict[str, str]:
        """The content of each file of rules, by its name."""
        files = {}
        for template in sorted(TEMPLATES.glob("*.yaml")):
            text = template.read_text(encoding="utf-8")
            # Each alert's part begins with its name, so that [[limit]] is its own limit.
            first, *parts = re.split(r"(?=^ *- alert: )", text, flags=re.MULTILINE)
            filled = [self.filled(first, "")]
            for part in parts:
                named = _ALERT.search(part)
                filled.append(self.filled(part, named[1] if named else ""))
            files[template.name] = _HEADER.format(template.name) + "".join(filled)
        return files

    def documents(self) -> dict[Path, str]:
        """The content of each document that has parts of ours."""
        documents = {}
        for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
            text = path.read_text(encoding="utf-8")
            if _PART.search(text):
                documents[path] = _PART.sub(
                    lambda found, path=path: found[1] + self._part(found[2], path) + found[4], text
                )
        return documents

    def filled(self, text: str, name: str, *, words: bool = False) -> str:
        """A text with the numbers of an alert; in words for people, as in "5 minutes".

        Args:
            text: with places such as [[limit]].
            name: the alert whose numbers those are that have no name before them.
            words: whether durations are written as people say them.
        """

        def value(place: re.Match[str]) -> str:
            other, key, choice, form = place.groups()
            return self._value(other or name, key, choice, form or ("words" if words else ""))

        return _PLACE.sub(value, text)

    def _value(self, name: str, key: str, choice: str | None, form: str) -> str:
        found = (self._shared | self.alerts.get(name, {})).get(key)
        if choice is not None:
            key = f"{key}.{choice}"
            found = found.get(choice) if isinstance(found, dict) else None
        if found is None:
            raise TableError(f"{name}: a template needs {key}, which alerts.yaml does not have")
        text = str(found)
        match form:
            case "seconds":
                return f"{self._seconds(name, key, text):.15g}"
            case "bucket":
                return self._bucket(name, key, text)
            case "ratio":
                if not re.fullmatch(r"\d+%", text):
                    raise TableError(f"{name}: {key}: {text}: must be a percentage, such as 25%")
                return f"{int(text[:-1]) / 100:g}"
            case "words":
                return in_words(text)
        return text

    @staticmethod
    def _seconds(name: str, key: str, text: str) -> float:
        try:
            return parse_duration(text)
        except ValueError as error:
            raise TableError(f"{name}: {key}: {text}: {error}") from None

    def _bucket(self, name: str, key: str, text: str) -> str:
        bound = self._seconds(name, key, text)
        if bound not in POLL_DELAY_BUCKETS:
            known = ", ".join(f"{each:g}s" for each in POLL_DELAY_BUCKETS)
            raise TableError(f"{name}: {key}: {text}: must be a bucket of the histogram: {known}")
        return str(bound)

    def _part(self, kind: str, path: Path) -> str:
        match kind:
            case "alert":
                return self._head(path.stem)
            case "alerts":
                return self._overview(link=path.name == "README.md" and path.parent != ROOT)
            case "shell" | "status" | "restart":
                return "\n" + (TEMPLATES / f"{kind}.md").read_text(encoding="utf-8") + "\n"
        raise TableError(f"{path.relative_to(ROOT)}: there is no part {kind!r}")

    def _head(self, name: str) -> str:
        alert = self.alerts[name]
        severity = " or ".join(f"**{each}**" for each in _several(alert["severity"]))
        return _wrapped(f"{severity}, for the {alert['team']} team: {self._fires(name)}.")

    def _overview(self, *, link: bool) -> str:
        lines = ["| alert | team | severity | fires when |", "|---|---|---|---|"]
        for name, alert in self.alerts.items():
            shown = f"[{name}]({name}.md)" if link else f"`{name}`"
            severity = ", ".join(_several(alert["severity"]))
            lines.append(f"| {shown} | {alert['team']} | {severity} | {self._fires(name)} |")
        return "\n".join([*lines, ""])

    def _fires(self, name: str) -> str:
        alert = self.alerts[name]
        hold = ", for [[for]]" if "for" in alert and "[[for]]" not in alert["fires"] else ""
        return self.filled(f"{alert['fires']}{hold}", name, words=True)


def in_words(text: str) -> str:
    """A Prometheus duration as people say it; any other text as it is."""
    parts = re.findall(r"(\d+)(ms|[dhms])", text)
    if not parts or "".join(count + unit for count, unit in parts) != text:
        return text
    return " ".join(f"{count} {_UNITS[unit]}{'' if count == '1' else 's'}" for count, unit in parts)


def _several(value: str | Mapping[str, str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else list(value.values())


def _wrapped(text: str, width: int = 100) -> str:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += f"{' ' if lines[-1] else ''}{word}"
    return "\n".join([*lines, ""])


def main() -> None:
    """Write what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--alerts", type=Path, default=HERE / "alerts.yaml", metavar="FILE")
    parser.add_argument("--rules", type=Path, metavar="DIRECTORY")
    chosen = parser.parse_args()
    try:
        table = Table(chosen.alerts.read_text(encoding="utf-8"))
        files = {(chosen.rules or HERE / "rules") / n: text for n, text in table.rules().items()}
        if chosen.rules is None:
            files |= table.documents()
    except (OSError, yaml.YAMLError, TableError) as error:
        sys.exit(f"{chosen.alerts}: {error}")
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
