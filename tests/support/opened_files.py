"""Which files are opened, and how often."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def noting_opened_files() -> Iterator[list[str]]:
    """The names of the files that the block opens by their paths, as it goes on."""
    opened: list[str] = []
    open_file = Path.open

    def note(path: Path, *arguments: Any, **more: Any) -> Any:
        opened.append(path.name)
        return open_file(path, *arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", note)
        yield opened
