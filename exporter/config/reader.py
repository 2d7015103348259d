"""One load of a configuration: reads each file once, remembers it, and collects what is wrong."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from exporter.config.files import (
    Pattern,
    Seen,
    UnreadableError,
    decode,
    digest,
    read_file,
    real_path,
)
from exporter.config.problems import ConfigError, Problem
from exporter.config.yaml_document import Document, Place, parse


class Reader:
    """The state of one load.

    Args:
        path: the configuration file; other files are relative to its folder, or to the working
            directory where that says nothing: /dev/stdin, /dev/fd/63.
        environ: for `${NAME}`.
        once: also read pipes and devices, which cannot be read again.
        base: the directory where relative paths start; the working directory by default.

    Attributes:
        problems: in the order in which they were found.
    """

    def __init__(
        self,
        path: Path,
        environ: Mapping[str, str] | None = None,
        *,
        once: bool = False,
        base: Path = Path(),  # frozen
    ) -> None:
        self._base = base
        self.folder = Path() if path.is_relative_to("/dev") else path.parent
        self.environ = environ or {}
        self.problems: list[Problem] = []
        self._once = once
        self._contents: dict[Path, bytes] = {}
        self._files: dict[Path, str] = {}
        self._matches: dict[Pattern, list[str]] = {}
        self._documents: dict[Path, Document | None] = {}

    def report(self, place: Place, message: str, *, on_key: bool = False) -> None:
        """Add a problem."""
        self.problems.append(place.problem(message, on_key=on_key))

    def absolute(self, name: str) -> Path:
        """The path of a file that the configuration names."""
        return (self._base / self.folder / name).absolute()

    def read(self, path: Path, *, once: bool = True) -> bytes:
        """The content of a file, which is read when it is first asked for, by any of its names.

        `once` is false for a file that is read again later, by its path.

        Raises:
            UnreadableError: with the reason.
        """
        path = (self._base / path).absolute()
        real = real_path(path)
        if path not in self._files:
            try:
                if real not in self._contents:
                    self._contents[real] = read_file(path, once=once and self._once)
                self._files[path] = digest(self._contents[real])
            except UnreadableError as error:
                self._files[path] = str(error)
        if real not in self._contents:
            raise UnreadableError(self._files[path])
        return self._contents[real]

    def document(
        self, path: Path, place: Place | None = None, *, missing: str = ""
    ) -> Document | None:
        """The YAML document in a file; None, and problems, if it cannot be used.

        `place` is where the file is named, if it is not the configuration itself; `missing` is what
        to do if there is no such file.
        """
        if path not in self._documents:
            self._documents[path] = self._parse(path, place, missing)
        return self._documents[path]

    def matches(self, pattern: str) -> list[str]:
        """The names that match a pattern, sorted; relative to the folder if the pattern is."""
        found = Pattern((self._base / self.folder).absolute(), pattern)
        self._matches[found] = found.matches()
        return self._matches[found]

    def fingerprint(self, paths: Iterable[Path]) -> str:
        """A digest of what some of the files held when they were read; empty for no files."""
        states = [f"{path}\n{self._files[path]}" for path in paths]
        return digest("\n".join(states).encode(errors="surrogateescape")) if states else ""

    @property
    def seen(self) -> Seen:
        """Every file that was read, and every pattern, as they were."""
        return Seen(self._files, self._matches)

    def _parse(self, path: Path, place: Place | None, missing: str) -> Document | None:
        try:
            document = parse(str(path), decode(self.read(path)))
        except UnreadableError as error:
            reason = f"cannot be read: {error}"
            if missing and str(error) == "no such file":
                reason += f": {missing}"
            self.problems.append(
                place.problem(f"{path} {reason}") if place else Problem(str(path), 1, 1, "", reason)
            )
        except ConfigError as error:
            self.problems.extend(error.problems)
        else:
            self.problems.extend(document.problems)
            return document
        return None
