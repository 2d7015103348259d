"""From a file's name to a configuration, or to everything that is wrong with it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exporter.config import model
from exporter.config.files import Seen
from exporter.config.in_force import digest_of, in_force
from exporter.config.problems import ConfigError
from exporter.config.reader import Reader
from exporter.config.servers import server_and_targets
from exporter.config.validation import validate
from exporter.config.yaml_document import Document, Place
from exporter.server import Server
from exporter.store import Target

_MISSING: Final = (
    "name the configuration with --config.file, or write one with `agent-rest-exporter init`"
)


@dataclass(frozen=True, slots=True)
class Config:
    """A checked configuration, with every default filled in.

    Args:
        servers: in the order of the file.
        targets: of all servers, in their order.
        digest: equal for equal configurations, before shards divide them; secrets are no part of
            it.
        seen: every file that was read, for a watch to compare with.
    """

    servers: tuple[Server, ...]
    targets: tuple[Target, ...]
    digest: str = ""
    seen: Seen = field(default_factory=Seen)

    def shown(self) -> Iterator[bytes]:
        """It as YAML with every secret masked, in slices to be joined."""
        return in_force(self.servers, self.targets, self.digest)


def load(
    path: Path, environ: Mapping[str, str], *, once: bool = True, base: Path = Path()
) -> Config:
    """The configuration in a file, checked as far as possible without asking a server.

    Reads target files, secrets and certificates too; relative names start at the file's folder.

    Args:
        path: as problems are to name it.
        environ: for values that are `${NAME}`.
        once: whether the configuration may come from pipes, which cannot be read again.
        base: the directory where relative paths start; the working directory by default.

    Raises:
        ConfigError: with all problems of all files at once.
    """
    reader = Reader(path, environ, once=once, base=base)
    document = reader.document(path, missing=_MISSING)
    found = _servers(document, reader) if document else []
    if reader.problems:
        raise ConfigError(reader.problems, reader.seen)
    servers = tuple(server for server, _ in found)
    targets = tuple(target for _, own in found for target in own)
    return Config(servers, targets, digest_of(servers, targets), reader.seen)


def _servers(document: Document, reader: Reader) -> list[tuple[Server, list[Target]]]:
    """Each server with its targets; of use only if there were no problems."""
    top = Place(document)
    servers: list[tuple[Server, list[Target]]] = []
    data = document.data
    if not isinstance(data, dict):
        reader.report(top, 'must be a mapping with the key "cms"')
        return servers
    # a place for YAML anchors
    data = {key: value for key, value in data.items() if not key.startswith("x-")}
    blocks = data.get("cms")
    if isinstance(blocks, list):
        # Blocks are checked one by one, so that a wrong one does not hide the others.
        data = {**data, "cms": []}
    validate(model.File, data, top, reader)
    if not isinstance(blocks, list):
        return servers
    if not blocks:
        reader.report(top / "cms", "must list at least one server")
    first: dict[str, Place] = {}
    for index, block in enumerate(blocks):
        place = top / "cms" / index
        found = server_and_targets(block, place, reader)
        if found is None:
            continue
        servers.append(found)
        name = found[0].name
        place /= "name"
        if name and first.setdefault(name, place) is not place:
            hint = "" if "name" in block else "; set one, because the default is host:port of url"
            reader.report(place, f"must be unique: already used at {first[name]}{hint}")
    return servers
