"""`query --watch`: poll one target again and again, until somebody has seen enough.

On a terminal one screen is redrawn after each poll, with the last polls in a table. Elsewhere
each poll adds one line, so that `tee` and `grep` see what happened when.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from rich.console import Group
from rich.live import Live
from rich.text import Text

from exporter.cli.inspection_page import NOTHING, Page, longest_rest
from exporter.cli.output import BLANK, Line, counted, sentence_lines, table_lines
from exporter.cms.client import Inspection
from exporter.durations import format_duration, parse_duration
from exporter.errors import PollResult

SHORTEST: Final = 1.0
"""Seconds: the servers are fragile."""
REMEMBERED: Final = 10
"""Polls in the table of the last ones."""
_HEADS: Final = ("TIME", "APPROVED", "RESTING", "WAITING", "LONGEST REST", "TOOK", "")
_NUMBERS: Final = {1, 2, 3, 4, 5}


class View(Protocol):
    """What shows the polls."""

    def add(self, inspection: Inspection) -> None:
        """Show one more."""
        ...


def parse_interval(text: str) -> float:
    """Seconds between two polls. Raises ValueError with a sentence."""
    seconds = parse_duration(text)
    if seconds < SHORTEST:
        raise ValueError(f"must be at least {format_duration(SHORTEST)}")
    return seconds


async def repeat(poll: Callable[[], Awaitable[Inspection]], interval: float, view: View) -> None:
    """Poll until cancelled.

    `interval` is from the start of one poll to the start of the next; one that takes longer is
    waited for.
    """
    now = asyncio.get_running_loop().time
    while True:
        due = now() + interval
        view.add(await poll())
        await asyncio.sleep(max(0.0, due - now()))


class Lines:
    """A line for each poll."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def add(self, inspection: Inspection) -> None:
        """Print it, and let no buffer keep it."""
        page, result = self._page, inspection.result
        at = page.moment(result.started.wall)
        page.console.print(f"{at} {page.question}: {in_words(result)}")
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

    def add(self, inspection: Inspection) -> None:
        """Draw it."""
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
    seen, error = result.snapshot, result.error
    if seen is None or error is not None:
        assert error is not None  # noqa: S101  # one of the two is there
        pause = error.retry_after
        asked = f"; it asked for a pause of {format_duration(pause)}" if pause else ""
        return f"{error.reason.value}: {error.message}{asked}"
    doubts = "".join(f"; doubtful: {doubt.value}" for doubt in seen.doubts)
    return (
        f"{seen.approved} approved, {seen.resting} resting, {seen.waiting} waiting, longest rest "
        f"{longest_rest(seen)}, took {result.duration:.2f} s{doubts}"
        f"{'; changed while it was read' if result.moved else ''}"
    )


def _cells(result: PollResult) -> tuple[str, ...]:
    seen, took = result.snapshot, f"{result.duration:.2f} s"
    if seen is None:
        assert result.error is not None  # noqa: S101  # one of the two is there
        return (*[NOTHING] * 4, took, f"failed: {result.error.reason.value}")
    return (
        str(seen.approved),
        str(seen.resting),
        str(seen.waiting),
        longest_rest(seen),
        took,
        "doubtful" if seen.doubts else "",
    )
