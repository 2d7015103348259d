"""What one load gathers on its way: problems, files, and documents, each read once.

Knows where relative names lead. Knows nothing of keys.
"""

import hashlib
from collections.abc import Callable, Mapping
from glob import glob
from pathlib import Path

from exporter.config import files
from exporter.config.problems import ConfigError, Problem
from exporter.config.sources import Sources
from exporter.config.yaml.document import Document, Place, parse


class Findings:
    """The state of one load.

    Args:
        path: the configuration file; other files are relative to its folder.
        environ: for `${NAME}`.

    Attributes:
        problems: in the order in which they were found.
        documents: by their names as shown to the user.
    """

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.folder = path.parent
        self.problems: list[Problem] = []
        self.documents: dict[str, Document | None] = {}
        self._digest = hashlib.sha256()
        self._files: dict[Path, None] = {}
        self._patterns: dict[str, None] = {}

    def say(self, place: Place, message: str, *, on_key: bool = False) -> None:
        """Add a problem."""
        self.problems.append(place.problem(message, on_key=on_key))

    def file(self, name: str) -> Path:
        """The absolute path of a file that the configuration names; it will be watched."""
        path = (self.folder / name).absolute()
        self._files[path] = None
        return path

    def document(self, path: Path, fault: Callable[[str], Problem]) -> Document | None:
        """The YAML document in a file; None, and problems, if it cannot be used.

        Args:
            path: as shown to the user.
            fault: makes a problem of the reason why a file cannot be read.
        """
        name = str(path)
        if name not in self.documents:
            self.documents[name] = self._read(path, fault)
        return self.documents[name]

    def matches(self, pattern: str) -> list[str]:
        """The names that fit a pattern, sorted; relative if it is. The pattern will be watched."""
        self._patterns[str(self.folder.absolute() / pattern)] = None
        return sorted(glob(pattern, root_dir=self.folder, recursive=True))  # noqa: PTH207  # Path.glob refuses absolute patterns

    @property
    def sources(self) -> Sources:
        """Every file that was read or named, and every pattern."""
        return Sources(tuple(self._files), tuple(self._patterns))

    @property
    def digest(self) -> str:
        """SHA-256 over the documents' contents, in the order in which they were read."""
        return self._digest.hexdigest()

    def _read(self, path: Path, fault: Callable[[str], Problem]) -> Document | None:
        self._files[path.absolute()] = None
        try:
            content = files.read(path)
            # the length keeps two files apart from the same text in one
            self._digest.update(b"%d\n" % len(content) + content)
            document = parse(str(path), files.decode(content))
        except files.UnreadableError as error:
            self.problems.append(fault(str(error)))
        except ConfigError as error:
            self.problems.extend(error.problems)
        else:
            self.problems.extend(document.problems)
            return document
        return None
