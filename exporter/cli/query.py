"""`query`: poll one target now, and show all that the server says about it.

The only command that sees agents' names, and the only caller of `CmsClient.inspect`. It masks names
unless it is told to show them.
"""

import difflib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from exporter.cli import query_page
from exporter.cli.loop import run_until_stopped
from exporter.cli.query_page import Question
from exporter.cli.signals import Signals
from exporter.cli.terminal import console
from exporter.clock import system_clock
from exporter.cms.client import CmsClient, Inspection
from exporter.config import Config, load
from exporter.polling import build
from exporter.server import Server
from exporter.store import TargetKey

_LISTED: Final = 10
"""Servers that an error names at most."""


def run(  # noqa: PLR0913  # a flag each
    signals: Signals,
    *,
    config_file: str,
    cms: str | None,
    cc_id: int,
    vdn: int,
    show_names: bool,
    json: bool,
) -> int:
    """Poll one target. 0 if that succeeds, 1 if it fails, 2 if the target cannot be polled."""
    config = load(Path(config_file), os.environ)
    server = _server(config.servers, cms)
    question = _question(config, server, TargetKey(server.name, cc_id, vdn))
    client = build.clients([server], os.environ, system_clock)[server.name]
    inspection = run_until_stopped(_ask(client, question), signals)
    error = inspection.result.error
    if json:
        _print_json(query_page.as_json(question, inspection, show_names=show_names))
    elif error is not None:
        print(f"{question}: {error.reason.value}: {error.message}", file=sys.stderr)
    else:
        query_page.show(console(sys.stdout), question, inspection, show_names=show_names)
    return 0 if error is None else 1


async def _ask(client: CmsClient, question: Question) -> Inspection:
    try:
        return await client.inspect(question.target.cc_id, question.target.vdn)
    finally:
        await client.aclose()


def _server(servers: Sequence[Server], name: str | None) -> Server:
    """The server of that name, or the only one."""
    by_name = {server.name: server for server in servers}
    if name is None and len(servers) == 1:
        return servers[0]
    if name in by_name:
        return by_name[name]
    listed = ", ".join([*by_name][:_LISTED]) + (", …" if len(servers) > _LISTED else "")
    problem = f"--cms is required, because the configuration has {len(servers)} servers: {listed}"
    if name is not None:
        close = difflib.get_close_matches(name, by_name, 1)
        hint = f"did you mean {close[0]}?" if close else f"it has {listed}"
        problem = f"--cms: the configuration has no server {name!r}; {hint}"
    raise click.UsageError(problem, click.get_current_context())


def _question(config: Config, server: Server, target: TargetKey) -> Question:
    for known in config.targets:
        if known.key == target:
            return Question(target, known.name, server.begin_time_unit)
    return Question(target, None, server.begin_time_unit, configured=False)


def _print_json(found: dict[str, object]) -> None:
    print(json.dumps(found, indent=2))


def parse_cc_id(text: str) -> int:
    """ID of a call center. Raises ValueError with a sentence."""
    return _whole_number(text, 65_535)


def parse_vdn(text: str) -> int:
    """ID of a VDN. Raises ValueError with a sentence."""
    return _whole_number(text, 5_000)


def _whole_number(text: str, highest: int) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= highest):
        raise ValueError(f"{text!r} is not a whole number from 1 to {highest}")
    return int(text)
