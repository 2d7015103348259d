"""The rooms of the package and the one direction of their imports."""

import ast
from pathlib import Path

import exporter

PACKAGE = Path(exporter.__file__).parent

# What each room may import, beside itself. A module belongs to the longest room that holds it.
ROOMS: dict[str, set[str]] = {
    "exporter": set(),
    "exporter.faults": set(),
    "exporter.secret": set(),
    "exporter.clock": set(),
    "exporter.rest": set(),
    "exporter.logs": {"exporter.faults"},
    "exporter.config": {"exporter.secret"},
    "exporter.cms": set(),
    "exporter.cms.signing": set(),
    "exporter.cms.pacing": set(),
    "exporter.cms.turns": {"exporter.clock", "exporter.cms.pacing"},
    "exporter.cms.body": set(),
    "exporter.cms.wire": {"exporter.rest"},
    "exporter.cms.paging": {"exporter.cms.wire", "exporter.rest"},
    "exporter.cms.server": {"exporter.cms.wire", "exporter.rest", "exporter.secret"},
    "exporter.cms.names": {
        "exporter.cms",
        "exporter.cms.wire",
        "exporter.rest",
        "exporter.secret",
    },
    "exporter.cms.requests": {
        "exporter",
        "exporter.clock",
        "exporter.cms",
        "exporter.cms.server",
        "exporter.cms.signing",
    },
    "exporter.cms.proxy": {"exporter.secret"},
    "exporter.cms.transport": {"exporter.cms.proxy", "exporter.cms.server"},
    "exporter.cms.unreachable": {
        "exporter.cms.failures",
        "exporter.cms.proxy",
        "exporter.cms.server",
        "exporter.faults",
    },
    "exporter.cms.failures": {
        "exporter.cms.body",
        "exporter.cms.pacing",
        "exporter.cms.server",
        "exporter.cms.wire",
        "exporter.faults",
    },
    "exporter.cms.client": {
        "exporter.clock",
        "exporter.cms",
        "exporter.cms.body",
        "exporter.cms.failures",
        "exporter.cms.names",
        "exporter.cms.pacing",
        "exporter.cms.paging",
        "exporter.cms.requests",
        "exporter.cms.server",
        "exporter.cms.transport",
        "exporter.cms.turns",
        "exporter.cms.unreachable",
        "exporter.cms.wire",
        "exporter.faults",
        "exporter.rest",
    },
    # It verifies signatures by its own code, so that one mistake cannot hide in both.
    "exporter.cms.simulator": set(),
    "exporter.store": {"exporter.clock", "exporter.faults", "exporter.rest"},
    "exporter.schedule": {"exporter.store"},
    "exporter.gate": {"exporter.cms.client"},
    "exporter.journal": {"exporter.clock", "exporter.faults", "exporter.store"},
    "exporter.prober": {
        "exporter.clock",
        "exporter.cms.client",
        "exporter.faults",
        "exporter.gate",
        "exporter.store",
    },
    "exporter.poller": {
        "exporter.journal",
        "exporter.clock",
        "exporter.cms.client",
        "exporter.faults",
        "exporter.gate",
        "exporter.schedule",
        "exporter.store",
    },
    "exporter.metrics": {"exporter.clock", "exporter.faults", "exporter.rest", "exporter.store"},
    "exporter.floats": set(),
    "exporter.exposition": {
        "exporter.clock",
        "exporter.floats",
        "exporter.metrics",
        "exporter.store",
    },
    "exporter.web": {
        "exporter.clock",
        "exporter.exposition",
        "exporter.metrics",
        "exporter.rest",
        "exporter.store",
    },
    "exporter.webconfig": {"exporter.config", "exporter.secret"},
    "exporter.shard": {"exporter.config"},
    "exporter.assembly": {
        "exporter.clock",
        "exporter.cms.client",
        "exporter.cms.server",
        "exporter.cms.transport",
        "exporter.cms.wire",
        "exporter.config",
        "exporter.rest",
        "exporter.store",
    },
    "exporter.fleet": {
        "exporter.assembly",
        "exporter.clock",
        "exporter.cms.client",
        "exporter.config",
        "exporter.poller",
        "exporter.prober",
        "exporter.schedule",
        "exporter.store",
    },
    "exporter.notify": set(),
    "exporter.reloading": {
        "exporter.assembly",
        "exporter.clock",
        "exporter.config",
        "exporter.faults",
        "exporter.fleet",
        "exporter.metrics",
        "exporter.notify",
        "exporter.web",
    },
}
# The daemon and the commands wire all of it; nobody but the commands may import them.
TOP = ("exporter.daemon", "exporter.cli")


def module_name(path: Path) -> str:
    """The dotted name of a module of the package."""
    parts = ("exporter", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def modules() -> dict[str, ast.Module]:
    """Every module of the package, parsed."""
    return {
        module_name(path): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def room_of(name: str) -> str:
    """The longest room that holds a module."""
    rooms = [room for room in (*ROOMS, *TOP) if name == room or name.startswith(f"{room}.")]
    return max(rooms, key=len)


def imports_of(tree: ast.Module, known: set[str]) -> set[str]:
    """The package's modules that a module imports."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & known
            names |= inner or {node.module}
    return {name for name in names if name.split(".")[0] == "exporter"}


def test_imports_go_one_way() -> None:
    """A room imports only what the table lets it: design decisions do not erode unseen."""
    parsed = modules()
    wrong = []
    for name, tree in parsed.items():
        room = room_of(name)
        if room in TOP:
            continue
        for imported in imports_of(tree, set(parsed)):
            other = room_of(imported)
            if other != room and other not in ROOMS[room]:
                wrong.append(f"{name} imports {imported}")
    assert not wrong


def test_every_module_has_a_room_of_its_own() -> None:
    """A new module has to be put into the table: nothing lives in the package's root unseen."""
    strays = [name for name in modules() if room_of(name) == "exporter" and name != "exporter"]
    assert not strays


def test_modules_stay_small() -> None:
    """A module that cannot be read in one go holds two ideas."""
    long = {
        str(path): lines
        for path in PACKAGE.rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 250
    }
    assert not long
