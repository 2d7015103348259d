"""The reference pages of docs/reference/, made from the code: `make reference` writes them.

Each page is the value of a function without arguments, so that a test can compare it with the file.
Descriptions are those that the code already has for its users: the JSON Schema's, the help's, the
exposition's. Only the paths have theirs in a table of the README, which a test holds complete.
"""

import json
import logging
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import click

from exporter import log_messages
from exporter.cli.commands import COMMANDS, PROGRAM
from exporter.cli.flags import Command, Flag
from exporter.clock import Moment
from exporter.errors import PollError, Reason
from exporter.log_messages import LogMessage
from exporter.metrics.families import FAMILIES, DataFamily, LabelledFamily, Reading, TargetFamily
from exporter.store import Target, TargetKey, TargetState
from tests.support.alert_rules import registry, rules
from tests.support.config_keys import SCHEMA
from tests.support.example_application import example_application
from tests.support.paths import ROOT
from tests.support.stores import failure

FOLDER: Final = ROOT / "docs" / "reference"
_NOTE: Final = "<!-- Made by `make reference` from {source}: edit that. -->\n"
_BASE_TYPES: Final = {
    "array": "list",
    "boolean": "`true` or `false`",
    "integer": "whole number",
    "number": "number",
    "object": "mapping",
    "string": "text",
}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a `|` in a cell is escaped."""
    lines = [list(header), ["---"] * len(header), *map(list, rows)]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def page(title: str, source: str, introduction: str, *parts: str) -> str:
    """A whole page."""
    head = f"{_NOTE.format(source=source)}\n# {title}\n\n{introduction}"
    return "\n\n".join([head, *parts]) + "\n"


def code(value: object) -> str:
    """A value as it would be written in YAML, as code."""
    if isinstance(value, str):
        # text that YAML would read as a number needs its quotes
        return f'`"{value}"`' if re.fullmatch(r"[\d.]+", value) else f"`{value}`"
    return f"`{json.dumps(value)}`".replace('"', "")


def configuration() -> str:
    """Every key of the configuration file."""
    whole = SCHEMA
    shapes: dict[str, Any] = whole["$defs"]
    parts = []

    def add(prefix: str, shape: dict[str, Any]) -> None:
        rows: list[list[str]] = []
        below: list[tuple[str, dict[str, Any]]] = []
        required = set(shape.get("required", ()))
        for key, details in shape["properties"].items():
            kind, inner = _kind(details, shapes)
            if inner:
                below.append((f"{prefix}{key}", inner))
            default = "required" if key in required else f"default: {_default(details)}"
            meaning = _sentence(details.get("description", ""))
            rows.append([f"`{key}`", f"{kind}<br>{default}", meaning])
        name = prefix.removesuffix(".")
        title = f"## `{name}`" if name else "## The file"
        about = _sentence(shape["description"]).strip()
        parts.append(f"{title}\n\n{about}\n\n{table(['key', 'value', 'meaning'], rows)}")
        for path, inner in below:
            add(f"{path}.", inner)

    add("", whole)
    introduction = (
        "Every key of the configuration file, with its default. [Configuration]"
        "(../configuration.md) explains how to write one, and [config.example.yaml]"
        "(../../config.example.yaml) is one with every key. Editors complete and check keys with "
        "[the JSON Schema](../../deploy/config.schema.json).\n\n"
        "A duration is written as in Prometheus: `30s`, `1m30s`, `500ms`. Paths are relative to "
        "the directory of the file. Where there is no default, the feature is off, or the "
        "description says what happens."
    )
    return page("Configuration keys", "exporter/config/model.py", introduction, *parts)


def _kind(details: dict[str, Any], shapes: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """What a value must be, in words; and the shape of the mapping below it, if there is one."""
    if "$ref" in details:
        return "mapping", shapes[details["$ref"].rpartition("/")[2]]
    if "enum" in details:
        texts = dict.fromkeys(str(value) for value in details["enum"])
        return " or ".join(code(text) for text in texts), None
    if "anyOf" in details:
        kinds = [_kind(option, shapes) for option in details["anyOf"]]
        words = dict.fromkeys(word for word, _ in kinds if word != "null")
        return " or ".join(words), next((inner for _, inner in kinds if inner), None)
    if details.get("type") == "array":
        word, inner = _kind(details["items"], shapes)
        return ("list of mappings" if inner else f"list: {word}"), inner
    if str(details.get("pattern", "")).endswith("([0-9]+ms)?)$"):
        return "duration", None
    bounds = [str(details[key]) for key in ("minimum", "maximum") if key in details]
    word = _BASE_TYPES.get(details.get("type", ""), details.get("type", "text"))
    limits = {1: f", at least {bounds[0]}", 2: f", {' to '.join(bounds)}"} if bounds else {}
    return word + limits.get(len(bounds), ""), None


def _default(details: dict[str, Any]) -> str:
    value = details.get("default")
    return "none" if value in (None, [], {}) else code(value)


def _sentence(text: str) -> str:
    """A description; a name in braces or with a star must not turn into markup."""
    return re.sub(r"(\$\{\w+\}|(?<!`)\*+(?!`))", r"`\1`", text)


def metrics() -> str:
    """Every family, in the order of the exposition."""
    rows = [
        [
            f"`{family.name}`<br>{family.type}"
            + (f" by `{family.label}`" if isinstance(family, LabelledFamily) else "")
            + (", fresh" if _needs_a_fresh_reply(family) else ""),
            _plain(family.help),
        ]
        for family in FAMILIES
    ]
    own = []
    for family in registry().collect():
        if family.name.startswith("agent_rest_"):
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = " ".join(f"`{label}`" for label in getattr(family, "_labelnames", ()))
            kind = f"{family.type} by {labels}" if labels else family.type
            own.append([f"`{name}`<br>{kind}", family.documentation])
    introduction = (
        "Every family that `/metrics` serves, in the order in which it serves them. "
        "[Queries](../queries.md) shows what to do with them, and [From a reply to numbers]"
        "(../semantics.md) how each number is found."
    )
    return page(
        "Metrics",
        "exporter/metrics/families.py and exporter_families.py",
        introduction,
        "## Of each target\n\n"
        "Every sample has the labels `cms`, `cc_id` and `vdn`, `name` if the configuration sets "
        "it, and the target's own `labels`. “By” names one more. Families marked “fresh” "
        "disappear while the target's last success is older than `stale_after`: they are "
        "never set to zero and never frozen.",
        table(["family", "help"], rows),
        "## Of the exporter itself",
        table(["family", "help"], own),
        "The usual `process_…` and `python_…` families of the Python client library follow.",
    )


def _needs_a_fresh_reply(family: TargetFamily) -> bool:
    if isinstance(family, LabelledFamily):
        target = Target(TargetKey("lima", 1, 1), rest_bounds=(60.0,))
        now = Moment(0.0, 0.0, 0.0)
        error = PollError(Reason.INTERNAL, "a failure")
        failed = TargetState(target).after(failure(now, now, error))
        return not list(family.values(Reading(failed, None)))
    return isinstance(family, DataFamily)


def _plain(text: str) -> str:
    """Help without the part that every family of a reply repeats."""
    return text.partition("; polled on the exporter's own schedule")[0].rstrip(".") + "."


def commands() -> str:
    """Every command with its flags."""
    parts = []
    for command in COMMANDS:
        assert isinstance(command, Command)
        context = click.Context(
            command,
            info_name=command.name,
            parent=click.Context(click.Group(PROGRAM), info_name=PROGRAM),
        )
        usage = " ".join([PROGRAM, command.name or "", *command.collect_usage_pieces(context)])
        rows = [
            [
                f"`{flag.opts[0]}`{_value(flag, context)}<br>`{flag.envvar}`",
                _sentence(" ".join((flag.help or "").split())) + _choices(flag),
            ]
            for flag in command.flags
        ]
        part = f"## `{command.name}`\n\n{command.help}\n\n```text\n{usage}\n```"
        if rows:
            part += "\n\n" + table(["flag and variable", "meaning"], rows)
        parts.append(part)
    introduction = (
        "Every command with its flags. Each flag can also be set by the environment variable below "
        "its name. Flags on the command line take precedence, and an empty variable counts as "
        "unset. For a flag without a value, any value of the variable except empty, `0` or `false` "
        f"enables it. `{PROGRAM} COMMAND --help` prints the same in a terminal.\n\n"
        "Exit status: 0 success, 1 failure at run time, 2 wrong usage or configuration; 130 or 143 "
        "if SIGINT or SIGTERM ended a command early. `serve`, `demo`, `simulate` and "
        "`query --watch` run until one of these signals, and then end with 0."
    )
    return page("Commands and flags", "exporter/cli/commands.py", introduction, *parts)


def _value(flag: Flag, context: click.Context) -> str:
    """What follows a flag: the name of a value, or nothing."""
    if flag.is_flag:
        return ""
    return " VALUE" if isinstance(flag.type, click.Choice) else f" {flag.make_metavar(context)}"


def _choices(flag: Flag) -> str:
    """The values of a choice, and the default if there is one."""
    text = ""
    if isinstance(flag.type, click.Choice):
        text = " One of " + ", ".join(f"`{choice}`" for choice in flag.type.choices) + "."
    return f"{text} Default: `{flag.written_default}`." if flag.written_default else text


def endpoints() -> str:
    """Every path with its methods."""
    methods: dict[str, set[str]] = {}
    for route in example_application().router.routes():
        if route.resource:
            methods.setdefault(route.resource.canonical, set()).add(route.method)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, rest = readme.partition("\n| path | returns |\n|---|---|\n")
    rows = []
    for line in rest.partition("\n\n")[0].splitlines():
        path, text = (cell.strip() for cell in line.strip("|").split("|"))
        text = re.sub(r"\[docs/([\w-]+)\.md\]\(docs/", r"[\1](../", text)
        rows.append([path, " ".join(sorted(methods[path.strip("`")])), text])
    introduction = (
        "Every path that the exporter serves, on each address of `--web.listen-address`. Without "
        "`--web.config.file` anyone who reaches the port can read them; see [Security]"
        "(../security.md). `--web.telemetry-path` moves `/metrics`. Another path gets 404 with a "
        "list of these, and another method 405 with `Allow`."
    )
    rest_of_page = (
        "A reply has no `Server` header. Errors are one sentence of plain text, or JSON with the "
        "field `error` under `/api/`."
    )
    return page(
        "Endpoints",
        "exporter/web/app.py and the README's table",
        introduction,
        table(["path", "methods", "returns"], rows),
        rest_of_page,
    )


def _severity(rule: dict[str, Any], names: Counter[str]) -> str:
    """Which of an alert's rules it is, if there are several."""
    return f", {rule['labels']['severity']}" if names[rule["alert"]] > 1 else ""


def alerts() -> str:
    """Every alert and recording rule."""
    found = list(rules())
    listed = [rule for rule in found if "alert" in rule]
    rows = [
        [
            f"[`{rule['alert']}`](../runbooks/{rule['alert']}.md)",
            " ".join(f"`{key}={value}`" for key, value in sorted(rule["labels"].items())),
            rule.get("for", "at once"),
            rule["annotations"]["summary"],
        ]
        for rule in listed
    ]
    names = Counter(rule["alert"] for rule in listed)
    parts = [
        f"## {rule['alert']}{_severity(rule, names)}\n\n{rule['annotations']['summary']}\n\n"
        f"```promql\n{rule['expr'].strip()}\n```"
        for rule in listed
    ]
    records = [rule for rule in found if "record" in rule]
    if records:
        parts.append(
            "## Recording rules\n\n"
            + "\n\n".join(
                f"`{rule['record']}`\n\n```promql\n{rule['expr'].strip()}\n```" for rule in records
            )
        )
    introduction = (
        "Every rule of [deploy/prometheus/rules/](../../deploy/prometheus/rules/), with its "
        "expression. Each name links to the runbook. [Alerting](../alerting.md) says how to load, "
        "route and adjust them."
    )
    return page(
        "Alert rules",
        "deploy/prometheus/rules/",
        introduction,
        table(["alert", "labels", "after", "summary"], rows),
        *parts,
    )


def logs() -> str:
    """Every message of the log."""
    rows = [
        [
            f"`{message.text}`",
            logging.getLevelName(message.level).lower(),
            " ".join(f"`{field}`" for field in message.fields),
            message.cause,
            re.sub(r"docs/([\w-]+)\.md", r"[\1](../\1.md)", message.remedy),
        ]
        for message in vars(log_messages).values()
        if isinstance(message, LogMessage)
    ]
    introduction = (
        "Every message that the exporter logs, on stderr. A line has `ts`, `level` and `msg`, and "
        "the fields of its message; `--log.format=json` writes an object for each line, in which "
        "numbers are numbers. Log queries can rely on the texts and the names of fields.\n\n"
        "`cms`, `cc_id` and `vdn` name the target. `error` and `meaning` are sentences that name "
        "the remedy: the status page shows the same ones. `reason` is that of the [metrics]"
        "(metrics.md), `failed_for` and `pause` are durations such as `12m30s`, `config` is the "
        "beginning of the SHA-256 that `/config` shows, and `exception` names a type and a place "
        "in the code. No line has a secret, an agent's name, or the message of an exception.\n\n"
        "Lines about targets are bounded: 30 at once for each server, then one a minute; the "
        "others have the level `debug`. [Reliability](../reliability.md) has all bounds."
    )
    return page(
        "Log messages",
        "exporter/log_messages.py",
        introduction,
        table(["message", "level", "fields", "cause", "what to do"], rows),
        "Python's own libraries can log as well, at `warning` or above; such a line has no fields, "
        "and means a defect: please report it.",
    )


PAGES: Final[dict[str, Callable[[], str]]] = {
    "configuration.md": configuration,
    "metrics.md": metrics,
    "commands.md": commands,
    "endpoints.md": endpoints,
    "alerts.md": alerts,
    "logs.md": logs,
}


if __name__ == "__main__":
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")
        sys.stdout.write(f"docs/reference/{name}\n")
