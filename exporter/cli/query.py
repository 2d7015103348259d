"""`query`: poll one target now, and show all that the server says about it.

The only command that sees agents' names. One target can be shown once, again and again (`--watch`),
or as the bytes that were exchanged (`--raw`); and how its request is signed can be shown without
sending it (`--explain-signature`).

With `--watch`, a terminal has one screen that is redrawn after each poll, with the last polls in a
table. Elsewhere each poll adds one line, so that `tee` and `grep` see what happened when.
"""

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Group
from rich.live import Live
from rich.text import Text

from exporter.cli.flags import refuse
from exporter.cli.inspection_page import (
    NOTHING,
    Page,
    Question,
    as_json,
    headline,
    longest_rest,
    succeeded,
)
from exporter.cli.output import (
    BLANK,
    Line,
    WriteError,
    console,
    counted,
    print_json,
    print_lines,
    say,
    sentence_lines,
    table_lines,
    whole_file,
)
from exporter.cli.request_pages import exchanges, explanation
from exporter.cli.signals import Signals, Stopped, run_until_stopped
from exporter.cli.target_flags import one_server
from exporter.clock import system_clock
from exporter.cms.client import CmsClient, Inspection
from exporter.config.load import Config, load
from exporter.durations import format_duration, parse_duration
from exporter.errors import PollResult
from exporter.inspection.recording import RecordingTransport
from exporter.inspection.redaction import Redaction
from exporter.inspection.sanitized import document
from exporter.polling import build
from exporter.server import Server, Signature
from exporter.store import TargetKey

SHORTEST: Final = 1.0
"""Seconds between two polls of `--watch`: the servers are fragile."""
REMEMBERED: Final = 10
"""Polls in its table of the last ones."""
_HEADS: Final = ("TIME", "APPROVED", "RESTING", "WAITING", "LONGEST REST", "TOOK", "")
_NUMBERS: Final = {1, 2, 3, 4, 5}


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
    flags = {
        "--watch": watch is not None,
        "--raw": raw,
        "--record": record is not None,
        "--explain-signature": explain_signature,
        "--json": json,
    }
    given = [flag for flag, is_given in flags.items() if is_given]
    if len(given) > 1:
        refuse(f"{given[0]} cannot be combined with {given[1]}")
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


async def _ask(client: CmsClient, question: Question) -> Inspection:
    async with contextlib.aclosing(client):
        return await client.inspect(question.target.cc_id, question.target.vdn)


def _question(config: Config, server: Server, target: TargetKey) -> Question:
    for known in config.targets:
        if known.key == target:
            return Question(target, known.name, server.begin_time_unit)
    return Question(target, None, server.begin_time_unit, configured=False)


def _watch(signals: Signals, client: CmsClient, page: Page, interval: float) -> int:
    """Watch until a signal ends it, which is its only end, so the status is 0."""
    out, target = page.console, page.question.target

    async def watch(show: Callable[[Inspection], None]) -> None:
        async with contextlib.aclosing(client):
            await repeat(lambda: client.inspect(target.cc_id, target.vdn), interval, show)

    with contextlib.suppress(Stopped), contextlib.ExitStack() as stack:
        show: Callable[[Inspection], None] = partial(show_line, page)
        if out.is_terminal and not out.is_dumb_terminal:
            live = stack.enter_context(Live(console=out, auto_refresh=False))
            show = Screen(live, page, interval).show
        run_until_stopped(watch(show), signals)
    return 0


def parse_interval(text: str) -> float:
    """Seconds between two polls. Raises ValueError with a sentence."""
    seconds = parse_duration(text)
    if seconds < SHORTEST:
        raise ValueError(f"must be at least {format_duration(SHORTEST)}")
    return seconds


async def repeat(
    poll: Callable[[], Awaitable[Inspection]], interval: float, show: Callable[[Inspection], None]
) -> None:
    """Poll and show until cancelled.

    `interval` is from the start of one poll to the start of the next; one that takes longer is
    waited for.
    """
    now = asyncio.get_running_loop().time
    while True:
        due = now() + interval
        show(await poll())
        await asyncio.sleep(max(0.0, due - now()))


def show_line(page: Page, inspection: Inspection) -> None:
    """Print a poll in one line, and let no buffer keep it."""
    at = page.moment(inspection.result.started.wall)
    page.console.print(f"{at} {page.question}: {in_words(inspection.result)}")
    page.console.file.flush()


class Screen:
    """A page that is redrawn, with the last polls; `interval` is the time between two."""

    def __init__(self, live: Live, page: Page, interval: float) -> None:
        self._live = live
        self._page = page
        self._interval = interval
        self._last = deque[PollResult](maxlen=REMEMBERED)
        self._polls = 0
        self._failed = 0

    def show(self, inspection: Inspection) -> None:
        """Draw one more poll."""
        self._polls += 1
        self._failed += inspection.result.error is not None
        self._last.appendleft(inspection.result)
        texts = [
            Text(text, style=style or "", no_wrap=True, overflow="ellipsis")
            for text, style in self._lines(inspection)
        ]
        self._live.update(Group(*texts), refresh=True)

    def _lines(self, inspection: Inspection) -> Sequence[Line]:
        page, console, result = self._page, self._page.console, inspection.result
        every = f"every {format_duration(self._interval)}"
        polls = f"{counted(self._polls, 'poll')}, {self._failed} failed"
        title = f"{page.question}: {every}; {polls}; Ctrl-C ends it"
        lines = [*sentence_lines(console, title, "bold"), BLANK]
        if result.error is None:
            lines += page.numbers(inspection)
        else:
            lines += sentence_lines(console, in_words(result), "red")
        lines += [BLANK, *self._history()]
        if result.error is None:
            lines += page.rows(inspection)
        # what the terminal echoes at a Ctrl-C would shift a page that ends with a full line
        return [*lines, BLANK]

    def _history(self) -> list[Line]:
        page = self._page
        rows = [(page.time_of_day(result.started.wall), *_cells(result)) for result in self._last]
        head, rule, *lines = table_lines(page.console, rows, _HEADS, _NUMBERS)
        styles = ("red" if result.error else None for result in self._last)
        return [
            head,
            rule,
            *((text, style) for (text, _), style in zip(lines, styles, strict=True)),
        ]


def in_words(result: PollResult) -> str:
    """What a poll came to, in one line."""
    if (error := result.error) is not None:
        pause = error.retry_after
        asked = f"; it asked for a pause of {format_duration(pause)}" if pause else ""
        return f"{error.reason.value}: {error.message}{asked}"
    seen = succeeded(result)
    doubts = "".join(f"; doubtful: {doubt.value}" for doubt in seen.doubts)
    return (
        f"{seen.approved} approved, {seen.resting} resting, {seen.waiting} waiting, longest rest "
        f"{longest_rest(seen)}, took {result.duration:.2f} s{doubts}"
        f"{'; changed while it was read' if result.moved else ''}"
    )


def _cells(result: PollResult) -> tuple[str, ...]:
    took = f"{result.duration:.2f} s"
    if result.error is not None:
        return (*[NOTHING] * 4, took, f"failed: {result.error.reason.value}")
    seen = succeeded(result)
    return (
        str(seen.approved),
        str(seen.resting),
        str(seen.waiting),
        longest_rest(seen),
        took,
        "doubtful" if seen.doubts else "",
    )
