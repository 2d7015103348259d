"""From a file's name to a configuration, or to everything that is wrong with it.

Knows the order of the steps and nothing else.
"""

from collections.abc import Mapping
from pathlib import Path

from exporter.config.findings import Findings
from exporter.config.model import File
from exporter.config.problems import ConfigError, Problem
from exporter.config.servers import server_config
from exporter.config.settings import Config, ServerConfig
from exporter.config.validation import validate
from exporter.config.yaml.document import Document, Place


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """The configuration in a file, checked as far as it can be without asking a server.

    Reads target files, secrets and certificates too; relative names start at the file's folder.

    Args:
        path: as problems are to name it.
        environ: for values that are `${NAME}`.

    Raises:
        ConfigError: with all problems of all files at once.
    """
    findings = Findings(path, environ)
    document = findings.document(
        path, lambda reason: Problem(str(path), 1, 1, "", f"cannot be read: {reason}")
    )
    servers = _servers(document, findings) if document else []
    if findings.problems:
        raise ConfigError(findings.problems, findings.sources)
    return Config(tuple(servers), findings.sources, findings.digest)


def _servers(document: Document, findings: Findings) -> list[ServerConfig]:
    top = Place(document)
    data = document.data
    if not isinstance(data, dict):
        findings.say(top, 'must be a mapping with the key "cms"')
        return []
    blocks = data.get("cms")
    if isinstance(blocks, list):
        # Blocks are checked one by one, so that a wrong one does not hide the others.
        data = {**data, "cms": []}
    validate(File, data, top, findings.problems)
    if not isinstance(blocks, list):
        return []
    if not blocks:
        findings.say(top / "cms", "must list at least one server")
    servers = []
    first: dict[str, Place] = {}
    for index, block in enumerate(blocks):
        place = top / "cms" / index
        server = server_config(block, place, findings)
        if server is None:
            continue
        servers.append(server)
        place /= "name"
        if server.name and first.setdefault(server.name, place) is not place:
            hint = "" if "name" in block else "; give one, for the default is host:port of url"
            findings.say(place, f"must be unique, but {first[server.name]} has the same{hint}")
    return servers
