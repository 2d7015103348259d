"""Reading a file whole, with a sentence for each way in which that fails.

Knows nothing of what the file is for.
"""

from pathlib import Path

# Far above any file of ours. It keeps a mistaken path such as /dev/zero from filling the memory.
_LARGEST = 64 * 1024 * 1024


class UnreadableError(Exception):
    """A file that cannot be read; the text is the reason alone, without the file's name."""


def read(path: Path) -> bytes:
    """The contents of a file.

    Raises:
        UnreadableError: with the reason.
    """
    reason = "larger than 64 MiB"
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) <= _LARGEST:
            return content
    except FileNotFoundError:
        reason = "no such file"
    except IsADirectoryError:
        reason = "it is a folder"
    except PermissionError:
        reason = "permission denied"
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except ValueError:
        reason = "not a file name"
    raise UnreadableError(reason)


def decode(content: bytes) -> str:
    """Text of a UTF-8 file, less its byte order mark.

    Raises:
        UnreadableError: with the place of the first byte that is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
    raise UnreadableError(f"not UTF-8 text (line {line})")
