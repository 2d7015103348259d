"""How commands print lines and tables, and how they write files.

On a terminal there is colour, sentences are wrapped at words, and tables are made to fit. Elsewhere
lines are what `grep` and `awk` expect: no colour, nothing drawn, wrapped or cut off.
"""

import io
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
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


def table_lines(
    target: Console,
    rows: Sequence[Row],
    heads: Row = (),
    numbers: Collection[int] = (),
    elastic: Collection[int] = (),
) -> list[Line]:
    """Columns; a terminal sees the heads set off. A Chinese character takes two cells.

    Args:
        target: where they are to be printed.
        rows: of as many cells as there are heads.
        heads: titles of the columns; none for a list of facts, the last of which is wrapped.
        numbers: columns that a terminal shows flush right.
        elastic: columns that are cut off first where a terminal is too narrow for all.
    """
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


class WriteError(Exception):
    """A file that cannot be written: a sentence with its name."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            f"{path} exists, and is not overwritten: choose another name"
            if isinstance(error, FileExistsError)
            else f"{path} cannot be written: {error.strerror}"
        )


@contextmanager
def whole_file(
    path: Path, mode: int = 0o666, *, overwrite: bool = False
) -> Iterator[Callable[[str], None]]:
    """Open a file at once, and give what writes its text; it is called once.

    The file is removed if it could not be written whole, or if the block fails: a part of it would
    be in the way of the next try.

    Args:
        path: of the file.
        mode: its permissions, less the umask's.
        overwrite: whether it may exist.

    Raises:
        WriteError: it cannot be written, or it exists.
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if overwrite else os.O_EXCL)
    try:
        file = os.fdopen(os.open(path, flags, mode), "w", encoding="utf-8")
    except OSError as error:
        raise WriteError(path, error) from None

    def write(text: str) -> None:
        try:
            # some disks are full only when the file is closed
            with file:
                file.write(text)
        except OSError as error:
            raise WriteError(path, error) from None

    try:
        yield write
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        file.close()
