"""`query`: one target asked now, and all that the server tells of it.

The only command that sees agents' names. It masks them unless it is told to show them, and it is
the only caller of `CmsClient.inspect`.
"""

import argparse
import asyncio
import difflib
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

from exporter.cli import query_page
from exporter.cli.flags import CONFIG_FILE, JSON, Command, Flag, UsageError
from exporter.cli.query_page import Finding, Question
from exporter.clock import system_clock
from exporter.cms.client import CmsClient
from exporter.config import Config, load
from exporter.polling import build
from exporter.server import Server
from exporter.store import TargetKey

_LISTED: Final = 10
"""Servers that a sentence names at most."""


def run(arguments: argparse.Namespace) -> int:
    """Ask one target. 0 if it answers, 1 if it does not, 2 if it cannot be asked like this."""
    config = load(arguments.config_file, os.environ)
    server = _server(config, arguments.cms)
    question = _question(config, server, arguments.cc_id, arguments.vdn)
    client = build.clients([server], os.environ, system_clock)[server.name]
    finding = asyncio.run(_ask(client, question))
    error = finding.inspection.result.error
    if error is not None:
        if arguments.json:
            _print(
                json.dumps(
                    query_page.failure_as_json(question, finding.inspection.result), indent=2
                )
            )
        else:
            print(f"{question}: {error.reason.value}: {error.message}", file=sys.stderr)
        return 1
    if arguments.json:
        _print(json.dumps(query_page.as_json(finding, show_names=arguments.show_names), indent=2))
    else:
        _print(query_page.text(finding, show_names=arguments.show_names))
    return 0


async def _ask(client: CmsClient, question: Question) -> Finding:
    try:
        inspection = await client.inspect(question.target.cc_id, question.target.vdn)
        return Finding(question, inspection, inspection.result.duration)
    finally:
        await client.aclose()


def _server(config: Config, name: str | None) -> Server:
    names = [server.name for server in config.servers]
    if name is None:
        if len(names) > 1:
            raise UsageError(f"--cms is needed, because there are {len(names)}: {_listed(names)}")
        return config.servers[0]
    if name in names:
        return config.servers[names.index(name)]
    close = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {_listed(names)}"
    raise UsageError(f"--cms {name}: the configuration has no such server; {hint}")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_LISTED])
    return shown if len(names) <= _LISTED else f"{shown}, …"


def _question(config: Config, server: Server, cc_id: int, vdn: int) -> Question:
    key = TargetKey(server.name, cc_id, vdn)
    found = [target for target in config.targets if target.key == key]
    name = found[0].name if found else None
    return Question(key, bool(found), name, server.begin_time_unit)


def _print(text: str) -> None:
    """Names may hold what this terminal cannot write."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))


def _within(lowest: int, highest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and lowest <= int(text[:9]) <= highest):
            raise ValueError(f"{text!r} is no whole number from {lowest} to {highest}")
        return int(text)

    return parse


COMMAND: Final = Command(
    "query",
    "ask one target now and show its counters and rows",
    run,
    (
        CONFIG_FILE,
        Flag("cms", "which server; may be left out where there is only one", metavar="NAME"),
        Flag(
            "cc-id",
            "the call center's ID",
            metavar="NUMBER",
            parse=_within(1, 65535),
            required=True,
        ),
        Flag(
            "vdn",
            "the VDN's ID; it need not be a target of the configuration",
            metavar="NUMBER",
            parse=_within(1, 5000),
            required=True,
        ),
        Flag("show-names", "show agents' names whole; otherwise they are masked", metavar=""),
        JSON,
    ),
)
