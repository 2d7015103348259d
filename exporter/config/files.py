"""Reading files, and noticing that they have changed.

Compares contents, never times: what looks new may be old, and the symbolic links that Kubernetes
swaps lead to new contents under old names.
"""

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import NamedTuple

# Far above any file of ours: a mistaken path such as /dev/zero must not fill the memory.
_LARGEST = 64 * 1024 * 1024


class UnreadableError(Exception):
    """A file that cannot be read; the text is the reason alone, without the file's name."""


def read_file(path: Path, *, once: bool = False) -> bytes:
    """The content of a file.

    Pipes and devices are opened only if `once` is set: a second reader would get nothing, or wait
    forever.

    Raises:
        UnreadableError: with the reason.
    """
    reason = "a pipe or device can be read only once: write the content to a regular file"
    try:
        if once or _can_be_read_again(path):
            reason = "larger than 64 MiB"
            with path.open("rb") as file:
                content = file.read(_LARGEST + 1)
            if len(content) <= _LARGEST:
                return content
    except FileNotFoundError:
        reason = "no such file"
    except IsADirectoryError:
        reason = "is a directory"
    except PermissionError:
        reason = f"permission denied to user {os.geteuid()}"
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except ValueError:
        reason = "not a valid file name"
    raise UnreadableError(reason)


def _can_be_read_again(path: Path) -> bool:
    mode = path.stat().st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def decode(content: bytes) -> str:
    """Text of a UTF-8 file, without its byte order mark. Raises UnreadableError with a line."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
    raise UnreadableError(f"not UTF-8 text (line {line})")


def digest(content: bytes) -> str:
    """SHA-256 of a content, in hex."""
    return hashlib.sha256(content).hexdigest()


def real_path(path: Path) -> Path:
    """An identity to compare whether two paths are the same file."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # not a valid name: it leads nowhere
        return path


class Pattern(NamedTuple):
    """A name with wildcards, relative to a folder unless it is absolute.

    Only `*` and `**` are wildcards. Neither means names that start with a dot.
    """

    folder: Path
    text: str

    def matches(self) -> list[str]:
        """The names of files that match now, sorted."""
        pattern = PurePath(self.text)
        found = _matching(self.folder, pattern.parts)
        names = (
            found if pattern.is_absolute() else (path.relative_to(self.folder) for path in found)
        )
        return sorted({str(name) for name in names})


def _matching(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """The files below a folder that match the parts of a pattern."""
    part, *rest = parts
    if part == "**":
        for below in _folders(folder):
            yield from _matching(below, rest or ["*"])
    elif rest and "*" not in part:
        yield from _matching(folder / part, rest)
    else:
        wanted = re.compile(".*".join(map(re.escape, re.split(r"\*+", part))), re.DOTALL)
        hidden = part.startswith(".")
        for entry in _entries(folder):
            if wanted.fullmatch(entry.name) and (hidden or not entry.name.startswith(".")):
                if rest:
                    yield from _matching(folder / entry.name, rest)
                elif not _is_folder(entry):
                    yield folder / entry.name


def _folders(top: Path) -> Iterator[Path]:
    """A folder and all folders below it; each once, because links can lead back up."""
    pending = [top]
    visited: set[Path] = set()
    for folder in pending:
        if (real := real_path(folder)) not in visited:
            visited.add(real)
            yield folder
            pending += [
                folder / entry.name
                for entry in _entries(folder)
                if not entry.name.startswith(".") and _is_folder(entry)
            ]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of a directory, by name; none if it is not a directory or cannot be read."""
    with contextlib.suppress(OSError, ValueError), os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)
    return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    with contextlib.suppress(OSError):  # a link that leads to itself
        return entry.is_dir()
    return False


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found on the disk at one time, to compare with another time.

    Args:
        files: by absolute path, the digest of the content, or why it could not be read.
        matches: by pattern, the names that matched.
    """

    # not shown: a digest of a weak secret could be guessed
    files: Mapping[Path, str] = field(default_factory=dict, repr=False)
    matches: Mapping[Pattern, list[str]] = field(default_factory=dict)

    def look(self) -> "Seen":
        """The same files as they are now, and those that match the patterns now. It blocks."""
        matches = {pattern: pattern.matches() for pattern in self.matches}
        paths = dict.fromkeys(self.files)
        for pattern, names in matches.items():
            paths |= dict.fromkeys(pattern.folder / name for name in names)
        return Seen({path: _state(path) for path in paths}, matches)


def _state(path: Path) -> str:
    try:
        return digest(read_file(path))
    except UnreadableError as error:
        return str(error)
