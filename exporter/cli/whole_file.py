"""Files that are written whole or not at all: a part of one would be in the way of the next try."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


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

    The file is removed if it could not be written whole, or if the block fails.

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
