"""What commands print: tables, colour and a progress bar on a terminal, plain lines elsewhere.

Plain means what `grep` and `awk` expect: no colour, no lines drawn, nothing wrapped.
"""

import io
import json
import os
from collections.abc import Mapping, Sequence
from typing import TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Row = Sequence[str]


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


def print_table(target: Console, rows: Sequence[Row], heads: Row = ()) -> None:
    """Print columns; a terminal sees the heads set off. A Chinese character takes two cells.

    Args:
        target: where.
        rows: of as many cells as there are heads.
        heads: titles of the columns; none for a list of facts.
    """
    table = [heads, *rows] if heads else rows
    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(map(set_cell_size, row, widths)).rstrip() for row in table]
    if heads:
        target.print(lines.pop(0), style="bold")
        if target.is_terminal:
            target.print("─" * (sum(widths) + 2 * len(widths) - 2), style="dim")
    target.print("\n".join(lines))


def print_json(found: Mapping[str, object]) -> None:
    """Print an object for scripts."""
    print(json.dumps(found, indent=2))


def counted(count: int, noun: str) -> str:
    """`1 target`, `2 targets`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def progress(target: Console) -> Progress:
    """A bar that disappears when its work is done; nothing of it where there is no terminal.

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
