"""`query`: poll one target now, and show all that the server says about it.

The only command that sees agents' names, and the only caller of `CmsClient.inspect`. One target can
be shown once, again and again (`--watch`), or as the bytes that were exchanged (`--raw`); and how
its request is signed can be shown without sending it (`--explain-signature`).
"""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rich.live import Live

from exporter.cli.flags import refuse
from exporter.cli.inspection_page import Page, Question, as_json, headline
from exporter.cli.output import (
    BLANK,
    Line,
    WriteError,
    console,
    print_json,
    print_lines,
    say,
    sentence_lines,
    whole_file,
)
from exporter.cli.signals import Signals, Stopped, run_until_stopped
from exporter.cli.signature_page import explanation
from exporter.cli.target_flags import one_server
from exporter.cli.watch import Lines, Screen, View, repeat
from exporter.clock import system_clock
from exporter.cms.client import CmsClient, Inspection
from exporter.cms.foreign_text import MASK
from exporter.config.load import Config, load
from exporter.inspection.recording import Recorded, RecordingTransport
from exporter.inspection.redaction import Redaction, Shown
from exporter.inspection.sanitized import document
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
    server = one_server(config.servers, cms)
    question = _question(config, server, TargetKey(server.name, cc_id, vdn))
    page = Page(console(sys.stdout), question, show_names)
    if explain_signature:
        return _explain(server, page)
    if raw:
        return _show_exchanges(signals, server, page)
    if record is not None:
        return _record(signals, server, page, record)
    client = build.clients([server], os.environ, system_clock)[server.name]
    if watch is not None:
        return _watch(signals, client, page, watch)
    inspection = run_until_stopped(_ask(client, question), signals)
    if json:
        print_json(as_json(question, inspection, show_names=show_names))
        return 0 if inspection.result.error is None else 1
    return _show(page, inspection)


def _show(page: Page, inspection: Inspection) -> int:
    if inspection.result.error is None:
        page.show(inspection)
    return _status(page, inspection)


def _status(page: Page, inspection: Inspection) -> int:
    """The exit status, after a word about why the poll has failed, if it has."""
    error = inspection.result.error
    if error is None:
        return 0
    say(console(sys.stderr), f"{page.question}: {error.reason.value}: {error.message}")
    return 1


def _refuse_together(flags: dict[str, bool], *, json: bool) -> None:
    given = [flag for flag, is_given in flags.items() if is_given] + ["--json"] * json
    if len(given) > 1:
        refuse(f"{given[0]} cannot be combined with {given[1]}")


def _explain(server: Server, page: Page) -> int:
    if not isinstance(server.auth, Signature):
        carried = (
            "no Authorization header"
            if server.auth is None
            else "the configured Authorization header"
        )
        refuse(
            f"--explain-signature: requests to {server.name} carry {carried}, so there is no "
            "signature to explain"
        )
    target = page.question.target
    lines = explanation(page.console, server, server.auth, target, system_clock)
    print_lines(page.console, lines)
    return 0


def _show_exchanges(signals: Signals, server: Server, page: Page) -> int:
    """Poll, and show what was exchanged: also if it failed, or was stopped."""
    client, transport = _recording(server)
    stopped, inspection = 0, None
    try:
        inspection = run_until_stopped(_ask(client, page.question), signals)
    except Stopped as signal:
        stopped = signal.status
    out = page.console
    if inspection is not None and inspection.result.error is None:
        head = headline(page.question, inspection)
        print_lines(out, [*sentence_lines(out, head, "bold"), BLANK])
    redaction = Redaction(server, transport.proxy_in_use, show_names=page.show_names)
    print_lines(out, exchanges(transport.recorded, redaction))
    sys.stdout.flush()
    return stopped if inspection is None else _status(page, inspection)


def exchanges(recorded: Iterable[Recorded], redaction: Redaction) -> Iterator[Line]:
    """Requests in the order sent, each followed by its reply, masked, laid out as by `curl -v`."""
    for each in recorded:
        yield from _message(">", redaction.request(each))
        yield BLANK
        reply = redaction.reply(each)
        if reply is None:
            yield "< no reply", "yellow"
        else:
            yield from _message("<", reply)
        yield BLANK
    yield (
        f"{MASK}: masked. JSON is reformatted; values and their order are as received.",
        "dim",
    )


def _message(arrow: str, shown: Shown) -> Iterator[Line]:
    yield f"{arrow} {shown.first_line}", "bold"
    for name, value in shown.headers:
        yield f"{arrow} {name}: {value}".rstrip(), None
    yield arrow, None
    for line in shown.body:
        yield f"{arrow} {line}", None
    if shown.note:
        yield f"{arrow} ({shown.note})", "yellow"


def _record(signals: Signals, server: Server, page: Page, file: str) -> int:
    """Poll, keep what was exchanged, and show the page."""
    target = page.question.target
    try:
        # opened at once, so that nothing is polled in vain
        with whole_file(Path(file)) as write:
            client, transport = _recording(server)
            inspection = run_until_stopped(_ask(client, page.question), signals)
            recorded = transport.recorded
            write(document(recorded, inspection.result, server, (target.cc_id, target.vdn)))
    except WriteError as error:
        refuse(f"--record: {error}")
    status = _show(page, inspection)
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


def _watch(signals: Signals, client: CmsClient, page: Page, interval: float) -> int:
    """Watch until a signal ends it, which is its only end, so the status is 0."""
    out, target = page.console, page.question.target

    async def watch(view: View) -> None:
        try:
            await repeat(lambda: client.inspect(target.cc_id, target.vdn), interval, view)
        finally:
            await client.aclose()

    with contextlib.suppress(Stopped), contextlib.ExitStack() as stack:
        view: View = Lines(page)
        if out.is_terminal and not out.is_dumb_terminal:
            live = stack.enter_context(Live(console=out, auto_refresh=False))
            view = Screen(live, page, interval)
        run_until_stopped(watch(view), signals)
    return 0


async def _ask(client: CmsClient, question: Question) -> Inspection:
    try:
        return await client.inspect(question.target.cc_id, question.target.vdn)
    finally:
        await client.aclose()


def _question(config: Config, server: Server, target: TargetKey) -> Question:
    for known in config.targets:
        if known.key == target:
            return Question(target, known.name, server.begin_time_unit)
    return Question(target, None, server.begin_time_unit, configured=False)
