"""`query`: poll one target now, and show all that the server says about it.

The only command that sees agents' names, and the only caller of `CmsClient.inspect`. One target can
be shown once, again and again (`--watch`), or as the bytes that were exchanged (`--raw`); and how
its request is signed can be shown without sending it (`--explain-signature`).
"""

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import click
from rich.live import Live

from exporter.cli import server_choice
from exporter.cli.exchange_page import exchanges
from exporter.cli.inspection_page import Question, as_json, headline, show
from exporter.cli.loop import run_until_stopped
from exporter.cli.recording_file import recording_file
from exporter.cli.signals import Signals, Stopped
from exporter.cli.signature_page import explanation
from exporter.cli.terminal import BLANK, console, print_json, print_lines, say, sentence_lines
from exporter.cli.watch import Lines, Screen, View, repeat
from exporter.clock import system_clock
from exporter.cms.client import CmsClient, Inspection
from exporter.cms.recording import RecordingTransport
from exporter.cms.redaction import Redaction
from exporter.cms.sanitized import document
from exporter.config import Config, load
from exporter.polling import build
from exporter.server import Server, Signature
from exporter.store import TargetKey


def run(  # noqa: PLR0913  # a flag each
    signals: Signals,
    *,
    config_file: str,
    cms: str | None,
    cc_id: int,
    vdn: int,
    watch: float | None,
    raw: bool,
    record: str | None,
    explain_signature: bool,
    show_names: bool,
    json: bool,
) -> int:
    """Poll one target. 0 if that succeeds, 1 if it fails, 2 if the target cannot be polled."""
    _refuse_together(
        {
            "--watch": watch is not None,
            "--raw": raw,
            "--record": record is not None,
            "--explain-signature": explain_signature,
        },
        json=json,
    )
    config = load(Path(config_file), os.environ)
    server = server_choice.one(config.servers, cms)
    question = _question(config, server, TargetKey(server.name, cc_id, vdn))
    if explain_signature:
        return _explain(server, question)
    if raw:
        return _show_exchanges(signals, server, question, show_names=show_names)
    if record is not None:
        return _record(signals, server, question, record, show_names=show_names)
    client = build.clients([server], os.environ, system_clock)[server.name]
    if watch is not None:
        return _watch(signals, client, question, watch, show_names=show_names)
    inspection = run_until_stopped(_ask(client, question), signals)
    if json:
        print_json(as_json(question, inspection, show_names=show_names))
        return 0 if inspection.result.error is None else 1
    return _show(question, inspection, show_names=show_names)


def _show(question: Question, inspection: Inspection, *, show_names: bool) -> int:
    if inspection.result.error is None:
        show(console(sys.stdout), question, inspection, show_names=show_names)
        return 0
    _say_failure(question, inspection)
    return 1


def _refuse_together(flags: dict[str, bool], *, json: bool) -> None:
    given = [flag for flag, is_given in flags.items() if is_given] + ["--json"] * json
    if len(given) > 1:
        problem = f"{given[0]} cannot be combined with {given[1]}"
        raise click.UsageError(problem, click.get_current_context())


def _explain(server: Server, question: Question) -> int:
    if not isinstance(server.auth, Signature):
        sent = (
            "no Authorization header"
            if server.auth is None
            else "an Authorization header as it is configured"
        )
        problem = f"--explain-signature: {server.name} is sent {sent}: there is no signature"
        raise click.UsageError(problem, click.get_current_context())
    out = console(sys.stdout)
    print_lines(out, explanation(out, server, server.auth, question.target, system_clock))
    return 0


def _show_exchanges(
    signals: Signals, server: Server, question: Question, *, show_names: bool
) -> int:
    """Poll, and show what was exchanged: also if it failed, or was stopped."""
    client, transport = _recording(server)
    stopped, inspection = 0, None
    try:
        inspection = run_until_stopped(_ask(client, question), signals)
    except Stopped as signal:
        stopped = signal.status
    out = console(sys.stdout)
    if inspection is not None and inspection.result.error is None:
        print_lines(out, [*sentence_lines(out, headline(question, inspection), "bold"), BLANK])
    redaction = Redaction(server, transport.proxy_in_use, show_names=show_names)
    print_lines(out, exchanges(transport.recorded, redaction))
    sys.stdout.flush()
    if inspection is None:
        return stopped
    if inspection.result.error is not None:
        _say_failure(question, inspection)
        return 1
    return 0


def _record(
    signals: Signals, server: Server, question: Question, file: str, *, show_names: bool
) -> int:
    """Poll, keep what was exchanged, and show the page."""
    with recording_file(file) as write:
        client, transport = _recording(server)
        inspection = run_until_stopped(_ask(client, question), signals)
        target = question.target.cc_id, question.target.vdn
        write(document(transport.recorded, inspection.result, server, target))
    status = _show(question, inspection, show_names=show_names)
    sys.stdout.flush()
    say(
        console(sys.stderr),
        f"recorded to {file}, without names, keys, hosts and times: look at it before you send it",
    )
    return status


def _recording(server: Server) -> tuple[CmsClient, RecordingTransport]:
    transports: list[RecordingTransport] = []

    def recording(server: Server, environ: Mapping[str, str]) -> RecordingTransport:
        transports.append(RecordingTransport(server, environ))
        return transports[-1]

    client = build.clients([server], os.environ, system_clock, recording)[server.name]
    return client, transports[0]


def _watch(
    signals: Signals, client: CmsClient, question: Question, interval: float, *, show_names: bool
) -> int:
    """Watch until a signal ends it, which is its only end, so the status is 0."""
    out = console(sys.stdout)
    with contextlib.suppress(Stopped), contextlib.ExitStack() as stack:
        view: View = Lines(out, question)
        if out.is_terminal and not out.is_dumb_terminal:
            live = stack.enter_context(Live(console=out, auto_refresh=False))
            view = Screen(live, question, interval, show_names=show_names)
        run_until_stopped(_repeat(client, question, interval, view), signals)
    return 0


async def _ask(client: CmsClient, question: Question) -> Inspection:
    try:
        return await client.inspect(question.target.cc_id, question.target.vdn)
    finally:
        await client.aclose()


async def _repeat(client: CmsClient, question: Question, interval: float, view: View) -> None:
    target = question.target
    try:
        await repeat(lambda: client.inspect(target.cc_id, target.vdn), interval, view)
    finally:
        await client.aclose()


def _say_failure(question: Question, inspection: Inspection) -> None:
    error = inspection.result.error
    assert error is not None  # noqa: S101  # only such polls are told of
    say(console(sys.stderr), f"{question}: {error.reason.value}: {error.message}")


def _question(config: Config, server: Server, target: TargetKey) -> Question:
    for known in config.targets:
        if known.key == target:
            return Question(target, known.name, server.begin_time_unit)
    return Question(target, None, server.begin_time_unit, configured=False)


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
