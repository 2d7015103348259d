"""How far a command has come, on the last line of a terminal; nothing of it elsewhere."""

import shutil
from typing import Final, TextIO

_BAR: Final = 24
_ERASE: Final = "\r\x1b[K"


class Progress:
    """A bar that is redrawn in place, and gone when its work is done.

    Args:
        total: steps that there are, 1 or more.
        stream: where it is drawn, if that is a terminal.
    """

    def __init__(self, total: int, stream: TextIO) -> None:
        self._total = total
        self._stream = stream
        self._shown = stream.isatty()
        self._line = ""

    def draw(self, done: int, remark: str) -> None:
        """Show that so many steps are done, and a remark, cut to what fits."""
        filled = _BAR * done // self._total
        bar = "#" * filled + "." * (_BAR - filled)
        line = f"[{bar}] {done}/{self._total} {remark}"
        self._line = line[: shutil.get_terminal_size().columns - 1]
        self._put(self._line)

    def say(self, line: str) -> None:
        """Print a line that stays, also where there is no terminal."""
        self._put("")
        print(line, file=self._stream, flush=True)
        self._put(self._line)

    def clear(self) -> None:
        """Take the bar away."""
        self._line = ""
        self._put("")

    def _put(self, line: str) -> None:
        if self._shown:
            self._stream.write(_ERASE + line)
            self._stream.flush()
