#!/usr/bin/env python3
"""Print the man page: what the help says of every command and flag, and what it does not say."""

import re
import sys
from collections.abc import Iterator

import click

from exporter import __version__
from exporter.cli.commands import COMMANDS, PROGRAM
from exporter.cli.flags import Command, Flag

INTRODUCTION = """\
polls the VDNs (virtual call centers) of CC-CMS servers on an interval, and serves the results as
metrics for Prometheus: how many agents are resting, how many are waiting for a rest and why, and
who has been resting for too long. A scrape never waits for a server."""
FILES = {
    "/etc/agent-rest-exporter/config.yaml": "The configuration of the service.",
    "/etc/agent-rest-exporter/secrets/": (
        "Secrets that only root can read. In the configuration, the file NAME is "
        "/run/credentials/agent-rest-exporter.service/secrets_NAME."
    ),
    "/etc/default/agent-rest-exporter": "Flags of the service, as environment variables.",
    "/usr/share/doc/agent-rest-exporter/": (
        "README.Debian; and examples: a configuration with every key, alert rules, dashboards."
    ),
}
SIGNALS = {
    "SIGHUP": "Reload the configuration. If it is invalid, nothing changes.",
    "SIGTERM, SIGINT": "Finish the responses in progress, and end.",
}
STATUS = {
    "0": "Success.",
    "1": "A failure at run time.",
    "2": "Wrong usage, or an invalid configuration.",
    "130, 143": "SIGINT or SIGTERM ended a command early.",
}


def text(plain: str) -> str:
    """Plain text for roff: commands between backticks become bold, and hyphens can be copied."""
    escaped = plain.replace("\\", "\\e").replace("-", "\\-")
    escaped = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", escaped)
    return re.sub(r"(?m)^([.'])", r"\\&\1", escaped)


def entries(explained: dict[str, str]) -> Iterator[str]:
    """Terms with their explanations."""
    for term, explanation in explained.items():
        yield f".TP\n.B {text(term)}\n{text(explanation)}"


def flag(each: Flag, context: click.Context) -> str:
    """A flag with its default and its environment variable."""
    value = "" if each.is_flag else f" \\fI{text(each.make_metavar(context))}\\fR"
    default = f" Default: {each.written_default}." if each.written_default else ""
    return (
        f".TP\n\\fB{text(each.opts[0])}\\fR{value}\n{text((each.help or '') + default)}\n"
        f"Variable: {text(each.envvar)}."
    )


def command(each: Command) -> Iterator[str]:
    """A command with its flags."""
    yield f".SS {text(f'{PROGRAM} {each.name}')}\n{text(each.help or '')}"
    for one in each.flags:
        yield flag(one, click.Context(each))


def page() -> Iterator[str]:
    """The whole page, line by line."""
    name = PROGRAM.upper()
    yield f'.TH "{text(name)}" 1 "" "{PROGRAM} {__version__}" "User Commands"'
    # no name is broken, neither at the end of a line nor by wide gaps
    yield ".nh\n.ad l"
    yield f".SH NAME\n{text(PROGRAM)} \\- Prometheus exporter for agents' rests in call centers"
    yield f".SH SYNOPSIS\n.B {text(PROGRAM)}\n.I COMMAND\n.RI [ OPTIONS ]"
    yield f".SH DESCRIPTION\n.B {text(PROGRAM)}\n{text(INTRODUCTION)}"
    yield ".SH COMMANDS"
    for each in COMMANDS:
        yield from command(each)
    yield ".SH ENVIRONMENT"
    yield text(
        "Every flag can be set by the variable that is named with it. Flags on the command line "
        "take precedence, and an empty variable counts as unset."
    )
    for heading, explained in (("FILES", FILES), ("SIGNALS", SIGNALS), ("EXIT STATUS", STATUS)):
        yield f".SH {heading}"
        yield from entries(explained)
    yield (
        ".SH SEE ALSO\n.BR prometheus (1),\n.BR systemd.exec (5)\n.PP\n"
        ".UR https://github.com/agent\\-rest\\-exporter/agent\\-rest\\-exporter\nThe project\n.UE"
    )


if __name__ == "__main__":
    sys.stdout.write("\n".join(page()) + "\n")
