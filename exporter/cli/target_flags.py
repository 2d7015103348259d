"""`--cms`, `--cc-id` and `--vdn`: which servers and targets the command line names."""

from collections.abc import Iterable, Sequence
from typing import Final

from exporter.cli.flags import refuse
from exporter.config.problems import closest
from exporter.server import CC_IDS, VDNS, Server

_LISTED: Final = 10
"""Servers that an error names at most."""


def parse_cc_id(text: str) -> int:
    """ID of a call center. Raises ValueError with a sentence."""
    return _number(text, CC_IDS)


def parse_vdn(text: str) -> int:
    """ID of a VDN. Raises ValueError with a sentence."""
    return _number(text, VDNS)


def _number(text: str, known: range) -> int:
    if not (text.isascii() and text.isdecimal() and int(text[:9]) in known):
        raise ValueError(f"{text!r} is not a whole number from {known[0]} to {known[-1]}")
    return int(text)


def one_server(servers: Sequence[Server], name: str | None) -> Server:
    """The server of that name; without a name the only one. Raises click.UsageError."""
    if name is not None:
        return some_servers(servers, [name])[0]
    if len(servers) != 1:
        refuse(
            f"--cms is required, because the configuration has {len(servers)} servers: "
            f"{_listed(servers)}"
        )
    return servers[0]


def some_servers(servers: Sequence[Server], names: Iterable[str]) -> Sequence[Server]:
    """The servers of these names, in their order; without names all. Raises click.UsageError."""
    known = [server.name for server in servers]
    wanted = {*names}
    for name in sorted(wanted.difference(known)):
        close = closest(name, known)
        hint = f"did you mean {close}?" if close else f"it has {_listed(servers)}"
        refuse(f"--cms: the configuration has no server {name!r}; {hint}")
    return [server for server in servers if server.name in wanted] if wanted else servers


def _listed(servers: Sequence[Server]) -> str:
    names = [server.name for server in servers[:_LISTED]]
    return ", ".join(names) + (", …" if len(servers) > _LISTED else "")
