"""Reading files, and noticing that they have changed.

Compares contents, never times: what looks new may be old, and the symbolic links that Kubernetes
swaps lead to new contents under old names.
"""

import hashlib
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import NamedTuple

_LITERAL = re.compile(r"[\[?]")
_SURROGATES = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE
)
# Far above any file of ours: a mistaken path such as /dev/zero must not fill the memory.
_LARGEST = 64 * 1024 * 1024


class UnreadableError(Exception):
    """A file that cannot be read; the text is the reason alone, without the file's name."""


def read_file(path: Path, *, once: bool = False) -> bytes:
    """The content of a file.

    Args:
        path: of the file.
        once: read it even if that is possible only once. Otherwise pipes and devices are not
            opened: a second reader would get nothing, or wait forever.

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
        reason = "permission denied"
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except ValueError:
        reason = "not a valid file name"
    raise UnreadableError(reason)


def _can_be_read_again(path: Path) -> bool:
    mode = path.stat().st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def decode(content: bytes) -> str:
    """Text of a UTF-8 file, without its byte order mark.

    Raises:
        UnreadableError: with the line of the first byte that is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
    raise UnreadableError(f"not UTF-8 text (line {line})")


def with_plain_surrogates(text: str) -> str:
    """A JSON text in which each character beyond U+FFFF is one escape, as in YAML, and not two."""

    def one(pair: re.Match[str]) -> str:
        high, low = int(pair[2], 16) - 0xD800, int(pair[3], 16) - 0xDC00
        return f"{pair[1]}\\U{0x10000 + (high << 10) + low:08x}"

    return _SURROGATES.sub(one, text)


def digest(content: bytes) -> str:
    """SHA-256 of a content, in hex."""
    return hashlib.sha256(content).hexdigest()


class Pattern(NamedTuple):
    """A name with wildcards, relative to a folder unless it is absolute."""

    folder: Path
    text: str

    def matches(self) -> list[str]:
        """The names that match now, sorted. Only * and ** are wildcards; [ and ? are themselves."""
        text = _LITERAL.sub(r"[\g<0>]", self.text)
        return sorted(glob(text, root_dir=self.folder, recursive=True))  # noqa: PTH207  # Path.glob refuses absolute patterns


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
