"""The rooms of the package, the one direction of their imports, and the names of files."""

import ast
from collections import Counter
from pathlib import Path

import exporter
from tests.support.paths import ROOT

PACKAGE = Path(exporter.__file__).parent

# What each room may import beside itself: `ground` is the modules in exporter/ itself.
# A module belongs to the room of the folder that it is in, or of the folder above.
ROOMS: dict[str, set[str]] = {
    "ground": set(),
    "cms": {"ground"},
    "inspection": {"ground", "cms"},
    # It imports nothing of the client, so that a mistake cannot hide in both.
    "simulator": set(),
    "config": {"ground"},
    "polling": {"ground", "cms", "config"},
    "metrics": {"ground"},
    "webconfig": {"ground", "config"},
    "web": {"ground", "metrics", "webconfig"},
    "service": {"ground", "cms", "config", "polling", "metrics", "webconfig", "web"},
}
# The commands wire all of it; nothing may import them.
TOP = "cli"

# The order of the modules in the ground: each may import those before it.
GROUND = [
    "exporter",
    "secret",
    "durations",
    "log_messages",
    "clock",
    "begin_time",
    "rest",
    "endpoint",
    "server",
    "errors",
    "history",
    "store",
    "turns",
]


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
    """The room of a module."""
    parts = name.split(".")
    folder = parts[1] if len(parts) > 1 else ""
    if folder == "__main__":
        return TOP
    return folder if (PACKAGE / folder).is_dir() and folder else "ground"


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


def imports() -> list[tuple[str, str]]:
    """Every import of one of the package's modules by another."""
    parsed = modules()
    return [
        (name, imported)
        for name, tree in parsed.items()
        for imported in imports_of(tree, set(parsed))
        if imported != name
    ]


def test_imports_go_one_way() -> None:
    """A room imports only what the table lets it: design decisions do not erode unseen."""
    wrong = []
    for name, imported in imports():
        room, other = room_of(name), room_of(imported)
        if room != TOP and other not in ROOMS[room] | {room}:
            wrong.append(f"{name} imports {imported}")
    assert not wrong


def test_every_module_is_in_a_room() -> None:
    """A new folder has to be put into the table, and a new module of the ground into its order."""
    rooms = {room_of(name) for name in modules()}
    assert rooms == {*ROOMS, TOP}
    assert [name for name in modules() if room_of(name) == "ground"] == sorted(
        name if name == "exporter" else f"exporter.{name}" for name in GROUND
    )


def test_the_ground_imports_in_order() -> None:
    """The lowest room has an order of its own."""
    order = {name if name == "exporter" else f"exporter.{name}": n for n, name in enumerate(GROUND)}
    wrong = [
        f"{name} imports {imported}"
        for name, imported in imports()
        if name in order and order.get(imported, len(order)) > order[name]
    ]
    assert not wrong


def test_no_module_imports_itself_in_a_circle() -> None:
    """Inside a room too: a circle is one module in several files."""
    graph: dict[str, set[str]] = {}
    for name, imported in imports():
        # a package's own module gathers what is below it
        if not name.startswith(f"{imported}.") and not imported.startswith(f"{name}."):
            graph.setdefault(name, set()).add(imported)
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join((*above, name))
        if name not in done:
            for imported in graph.get(name, ()):
                visit(imported, (*above, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_no_two_modules_share_a_file_name() -> None:
    """A name that is heard leads to one file."""
    names = Counter(path.name for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
    assert [name for name, count in names.items() if count > 1] == []


def test_names_are_imported_from_where_they_are_defined() -> None:
    """A package that lists the names of its modules loads all of them for one."""
    packages = {path for path in PACKAGE.rglob("__init__.py") if path.parent.name != "cli"}
    with_code = {
        str(path.relative_to(PACKAGE))
        for path in packages - {PACKAGE / "__init__.py"}
        if len(ast.parse(path.read_text(encoding="utf-8")).body) > 1
    }
    assert not with_code


def test_modules_can_be_read_in_one_go() -> None:
    """A module of more than 400 lines has more than one idea."""
    lengths = {
        str(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    assert {path: lines for path, lines in lengths.items() if lines > 400} == {}


def test_no_test_module_imports_from_another() -> None:
    """What tests share is in tests/support."""
    wrong = [
        f"{path}: {line}"
        for path in (ROOT / "tests").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith(("from tests", "import tests"))
        and not line.startswith("from tests.support")
    ]
    assert not wrong
