"""What one reading of the web configuration gathers: problems, and what each file held.

Knows files and where relative names lead. Knows nothing of keys.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from exporter.config import files
from exporter.config.problems import Problem
from exporter.config.yaml.document import Place

Seen = Mapping[Path, str]
"""What files held: a digest of the content, or why there is none."""


class Reading:
    """The state of one reading.

    Args:
        path: of the configuration; other files are relative to its folder.

    Attributes:
        problems: in the order in which they were found.
        seen: every file that was read, as it was then.
    """

    def __init__(self, path: Path) -> None:
        self.problems: list[Problem] = []
        self.seen: dict[Path, str] = {}
        self._folder = path.parent

    def say(self, place: Place, message: str, *, on_key: bool = False) -> None:
        """Add a problem."""
        self.problems.append(place.problem(message, on_key=on_key))

    def resolve(self, name: str) -> Path:
        """The absolute path of a file that the configuration names."""
        return (self._folder / name).absolute()

    def read(self, path: Path) -> bytes:
        """A file's content; what was found is remembered either way.

        Raises:
            UnreadableError: with the reason.
        """
        content, self.seen[path.absolute()] = _look(path)
        if content is None:
            raise files.UnreadableError(self.seen[path.absolute()])
        return content


def look(paths: Iterable[Path]) -> Seen:
    """What files hold now, to be compared with what was seen before."""
    return {path: _look(path)[1] for path in paths}


def _look(path: Path) -> tuple[bytes | None, str]:
    try:
        content = files.read(path)
    except files.UnreadableError as error:
        return None, str(error)
    return content, hashlib.sha256(content).hexdigest()
