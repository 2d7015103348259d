"""What commands print: tables, colour and a progress bar on a terminal, plain lines elsewhere.

Plain means what `grep` and `awk` expect: no colour, no lines drawn, nothing wrapped.
"""

import io
import os
from collections.abc import Sequence
from typing import Final, TextIO

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

Row = Sequence[str]
_GAP: Final = "  "


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


def print_table(target: Console, rows: Sequence[Row], heads: Row = (), style: str = "") -> None:
    """Print columns. A Chinese character takes two cells of a terminal, and counts as such.

    Args:
        target: where.
        rows: of as many cells as there are heads.
        heads: titles of the columns; none for a list of facts.
        style: of the first column, on a terminal.
    """
    if not target.is_terminal:
        target.print("\n".join(_aligned([heads, *rows] if heads else rows)))
        return
    table = Table(box=box.SIMPLE_HEAD if heads else None, show_header=bool(heads), pad_edge=False)
    for index in range(len(rows[0])):
        head = heads[index] if heads else ""
        table.add_column(head, header_style="bold", style="" if index else style)
    for row in rows:
        table.add_row(*row)
    target.print(table, soft_wrap=False)


def counted(count: int, noun: str) -> str:
    """`1 target`, `2 targets`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def progress(target: Console) -> Progress:
    """A bar that disappears when its work is done; nothing of it where there is no terminal.

    Its task has the field `failed`.
    """
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("polled, {task.fields[failed]} failed"),
        TimeElapsedColumn(),
        console=target,
        transient=True,
        disable=not target.is_terminal,
    )


def _aligned(rows: Sequence[Row]) -> list[str]:
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [_GAP.join(map(set_cell_size, row, widths)).rstrip() for row in rows]
