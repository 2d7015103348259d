"""What commands print: tables, colour and a progress bar on a terminal, plain lines elsewhere.

Plain means what `grep` and `awk` expect: no colour, no lines drawn, nothing wrapped and nothing cut
off. On a terminal sentences are wrapped at words, and tables are made to fit.
"""

import io
import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

Row = Sequence[str]
Line = tuple[str, str | None]
"""A line, and its style."""
BLANK: Final[Line] = ("", None)

_INDENT: Final = "  "
_GAP: Final = 2
"""Cells between two columns."""
_NARROWEST: Final = 4
"""Cells that a column keeps, however narrow the terminal is."""


def console(stream: TextIO) -> Console:
    """A console for a stream. NO_COLOR leaves a terminal without any style."""
    if isinstance(stream, io.TextIOWrapper):
        # names may have characters that this terminal cannot write
        stream.reconfigure(errors="replace")
    return Console(
        file=stream,
        force_terminal=stream.isatty(),
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
    )


def say(target: Console, text: str, style: str | None = None) -> None:
    """Print a sentence: on a terminal wrapped at words, elsewhere in one line."""
    print_lines(target, sentence_lines(target, text, style))


def sentence_lines(target: Console, text: str, style: str | None = None) -> list[Line]:
    """The lines that `say` prints, all but the first indented."""
    if not target.is_terminal or cell_len(text) <= target.width:
        return [(text, style)]
    width = max(target.width - len(_INDENT), _NARROWEST)
    first, *further = [line.plain.rstrip() for line in Text(text).wrap(target, width)]
    return [(first, style), *((_INDENT + line, style) for line in further)]


def print_lines(target: Console, lines: Iterable[Line]) -> None:
    """Print lines."""
    for text, style in lines:
        target.print(text, style=style)


def print_table(
    target: Console,
    rows: Sequence[Row],
    heads: Row = (),
    numbers: Collection[int] = (),
    elastic: Collection[int] = (),
) -> None:
    """Print columns; a terminal sees the heads set off. A Chinese character takes two cells.

    Args:
        target: where.
        rows: of as many cells as there are heads.
        heads: titles of the columns; none for a list of facts, the last of which is wrapped.
        numbers: columns that a terminal shows flush right.
        elastic: columns that are cut off first where a terminal is too narrow for all.
    """
    print_lines(target, table_lines(target, rows, heads, numbers, elastic))


def table_lines(
    target: Console,
    rows: Sequence[Row],
    heads: Row = (),
    numbers: Collection[int] = (),
    elastic: Collection[int] = (),
) -> list[Line]:
    """The lines that `print_table` prints."""
    table = [heads, *rows] if heads else [*rows]
    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    if not heads:
        return [(line, None) for line in _facts(target, table, widths)]
    if not target.is_terminal:
        first, *lines = [_line(row, widths) for row in table]
        return [(first, "bold"), *((line, None) for line in lines)]
    widths = fitted(fitted(widths, target.width, elastic), target.width)
    first, *lines = [_line(row, widths, numbers) for row in table]
    rule = "─" * (sum(widths) + _GAP * (len(widths) - 1))
    return [(first, "bold"), (rule, "dim"), *((line, None) for line in lines)]


def fitted(widths: Sequence[int], width: int, elastic: Collection[int] | None = None) -> list[int]:
    """The widths of columns that fit, as far as possible.

    Args:
        widths: in cells, that the columns would like to have.
        width: of the terminal.
        elastic: columns that may be made narrower, the widest first; all of them by default.
    """
    found = [*widths]
    columns = range(len(found)) if elastic is None else elastic
    excess = sum(found) + _GAP * (len(found) - 1) - width
    while excess > 0:
        widest = max(columns, key=found.__getitem__, default=None)
        if widest is None or found[widest] <= _NARROWEST:
            break
        found[widest] -= 1
        excess -= 1
    return found


def _facts(target: Console, rows: Sequence[Row], widths: Sequence[int]) -> list[str]:
    """Columns; the text of the last one is wrapped."""
    before = sum(widths[:-1]) + _GAP * (len(widths) - 1)
    fits = not target.is_terminal or before + widths[-1] <= target.width
    if fits or target.width - before < _NARROWEST:
        return [_line(row, widths) for row in rows]
    lines = []
    for *cells, text in rows:
        first, *further = Text(text).wrap(target, target.width - before) or [Text()]
        lines.append(_line([*cells, first.plain.rstrip()], widths))
        lines += [" " * before + line.plain.rstrip() for line in further]
    return lines


def _line(row: Row, widths: Sequence[int], numbers: Collection[int] = ()) -> str:
    cells = []
    for column, (text, width) in enumerate(zip(row, widths, strict=True)):
        if cell_len(text) > width:
            cells.append(set_cell_size(text, width - 1) + "…")
        elif column in numbers:
            cells.append(" " * (width - cell_len(text)) + text)
        else:
            cells.append(set_cell_size(text, width))
    return (" " * _GAP).join(cells).rstrip()


def print_json(found: Mapping[str, object]) -> None:
    """Print an object for scripts."""
    print(json.dumps(found, indent=2))


def counted(count: int, noun: str) -> str:
    """`1 target`, `2 targets`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def progress(target: Console) -> Progress:
    """A progress bar that disappears at the end; not shown without a terminal.

    Its task has the field `failed`.
    """
    return Progress(
        BarColumn(complete_style="green"),
        MofNCompleteColumn(),
        TextColumn("polled, {task.fields[failed]} failed"),
        TimeElapsedColumn(),
        console=target,
        transient=True,
        disable=not target.is_terminal,
    )
