"""The file of `query --record`: a new one, and none if there is nothing to record."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import click


@contextmanager
def recording_file(name: str) -> Iterator[Callable[[str], object]]:
    """What writes the file, once. It is opened at once, so that nothing is polled in vain.

    Args:
        name: of the file.

    Raises:
        click.UsageError: there is such a file, or it cannot be written.
    """
    path = Path(name)
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        _refuse(f"--record: {name} exists, and is not overwritten: choose another name")
    except OSError as error:
        _refuse(f"--record: {name} cannot be written: {error.strerror}")
    with file:
        try:
            yield file.write
        finally:
            if not file.tell():
                path.unlink()


def _refuse(problem: str) -> NoReturn:
    raise click.UsageError(problem, click.get_current_context()) from None
