"""What a configuration was read from, and whether that has changed since.

Compares contents, never times: what looks new may be old, and the symbolic links that Kubernetes
swaps lead to new contents under old names.
"""

import hashlib
import os
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from exporter.config import files


@dataclass(frozen=True, slots=True)
class Sources:
    """The files that a load has read or missed, and the patterns by which it looked for more.

    Args:
        files: absolute; the configuration, its target files, secrets and certificates.
        patterns: absolute, with wildcards.
    """

    files: tuple[Path, ...] = ()
    patterns: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """A digest of what is there now. Reads every file; one that cannot be read counts, too."""
        digest = hashlib.sha256()
        found = {match for pattern in self.patterns for match in glob(pattern, recursive=True)}  # noqa: PTH207  # patterns are absolute
        for path in sorted({*map(str, self.files), *found}):
            try:
                content = files.read(Path(path))
                state = f"{len(content)} bytes"
            except files.UnreadableError as error:
                content, state = b"", str(error)
            # a name need not be UTF-8, and ends where the null byte is
            digest.update(b"%b\0%b\0" % (os.fsencode(path), state.encode()) + content)
        return digest.hexdigest()
