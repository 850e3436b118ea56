"""The rules of the house, read from the sources: who may import what, and what is kept tidy."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("storage", "cluster", "node")
MAY_IMPORT = {"storage": (), "cluster": ("storage",), "node": ("storage", "cluster"), "liminal_mesh": FOLDERS}
"""Folder to the other folders that it may import from; the front door may import from all."""

CLUSTER_SHELLS = {
    "control_plane",
    "control_thread",
    "crashes",
    "dns",
    "lane_watch",
    "link",
    "listener",
    "mesh",
    "messenger",
    "outbound",
    "pipe",
    "pipe_network",
    "resolver",
    "tcp",
    "trial",
    "wire",
}
NODE_CORES = {
    "arrivals",
    "causal",
    "chains",
    "channel",
    "channel_registry",
    "channel_table",
    "batch",
    "client_feed",
    "conforming",
    "decisions",
    "declarations",
    "declared",
    "deferred",
    "dedup",
    "diagnosis",
    "error_wire",
    "errors",
    "events",
    "exchange",
    "heirs",
    "goodbyes",
    "in_force",
    "inbox",
    "keyed_queues",
    "keyed",
    "ledger",
    "links",
    "member_news",
    "message",
    "monitors",
    "names",
    "offers",
    "options",
    "orders",
    "payload",
    "predicate",
    "pressure",
    "processes",
    "queueing",
    "queues",
    "reasons",
    "reference",
    "restarts",
    "route",
    "schema",
    "schema_compat",
    "schema_defaults",
    "schema_document",
    "schema_facts",
    "schema_places",
    "schema_same",
    "shared",
    "subscribers",
    "text",
    "throttles",
    "trace",
    "units",
    "values",
    "versions",
    "vigil",
    "wheel",
}
OUTER_WORLD = {
    "asyncio",
    "multiprocessing",
    "os",
    "random",
    "secrets",
    "select",
    "socket",
    "subprocess",
    "threading",
    "time",
    "uvloop",
}
"""What a core takes as an argument, or does not need: time, chance, the network, the loop."""

NEVER = {"marshal", "pickle", "shelve"}
LINES_MAX = 350
FUNCTION_LINES_MAX = 60
LEFTOVERS = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK")) + r")\b")


class Import(NamedTuple):
    """One imported module, absolute, with the names taken from it (none for a plain import)."""

    module: str
    names: tuple[str, ...]
    line: int
    typing_only: bool


def _sources(*folders: str) -> list[Path]:
    found = {path for folder in folders for path in (ROOT / folder).rglob("*.py")}
    linked = tuple(ROOT / "liminal_mesh" / folder for folder in FOLDERS)
    return sorted(path for path in found if not any(path.is_relative_to(link) for link in linked))


PACKAGE = _sources("liminal_mesh", *FOLDERS)
HOUSE = _sources("liminal_mesh", *FOLDERS, "benchmarks")
CORES = [
    *(path for path in _sources("cluster") if path.stem not in CLUSTER_SHELLS | {"__init__"}),
    *(path for path in _sources("storage") if path.stem != "__init__"),
    *(ROOT / "node" / f"{core}.py" for core in sorted(NODE_CORES)),
]


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _folder(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


def _package(path: Path) -> list[str]:
    """The import name of the package that a file is in."""
    parts = list(path.relative_to(ROOT).parts[:-1])
    return parts if parts[0] == "liminal_mesh" else ["liminal_mesh", *parts]


def _imports(path: Path) -> Iterator[Import]:
    tree = _tree(path)
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, (), node.lineno, id(node) in guarded)
        elif isinstance(node, ast.ImportFrom):
            package = _package(path)
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *((node.module or "").split(".") if node.module else [])])
            yield Import(module, tuple(alias.name for alias in node.names), node.lineno, id(node) in guarded)


def _all(path: Path) -> list[str] | None:
    for node in _tree(path).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            assert isinstance(node, ast.Assign)
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


def _registered(path: Path) -> set[str]:
    """The commands of the CLI: they are offered by the application that they are registered with."""
    decorated = {
        node.name
        for node in _tree(path).body
        if isinstance(node, ast.FunctionDef) and any(".command(" in ast.unparse(one) for one in node.decorator_list)
    }
    handed = {
        argument.id
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call) and ".command(" in ast.unparse(node.func)
        for argument in node.args
        if isinstance(argument, ast.Name)
    }
    return decorated | handed


def _top(path: Path) -> list[ast.stmt]:
    """What stands at a module's top level, be it within a ``with``."""
    return [inner for node in _tree(path).body for inner in (node.body if isinstance(node, ast.With) else [node])]


def _defined(path: Path) -> set[str]:
    """The names that stand at a module's top level."""
    names: set[str] = set()
    for node in _top(path):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names.update(
                    inner.id for target in targets for inner in ast.walk(target) if isinstance(inner, ast.Name)
                )
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.ImportFrom(names=aliases) | ast.Import(names=aliases):
                names.update(alias.asname or alias.name for alias in aliases)
    return names


def test_the_folders_are_found() -> None:
    """A rule over an empty list would hold for ever."""
    for folder in (*FOLDERS, "liminal_mesh"):
        assert [path for path in PACKAGE if _folder(path) == folder]
    assert all(path.exists() for path in CORES), "a core was moved: mend the list"
    assert all((ROOT / "cluster" / f"{shell}.py").exists() for shell in CLUSTER_SHELLS), "a shell was moved"


@pytest.mark.parametrize("path", PACKAGE, ids=_name)
def test_imports_point_downwards_and_only_at_what_is_public(path: Path) -> None:
    """Storage knows nobody, the cluster knows storage, the node knows both, and no one a bare top-level name."""
    folder = _folder(path)
    for module, names, line, _ in _imports(path):
        where = f"{_name(path)}:{line}: {module}"
        assert module.split(".")[0] not in FOLDERS, f"{where} is somebody else's package on PyPI"
        if not module.startswith("liminal_mesh"):
            continue
        other = module.partition(".")[2].partition(".")[0]
        if other == folder or (folder == "liminal_mesh" and other not in FOLDERS):
            continue
        assert other in MAY_IMPORT[folder], f"{where}: {folder} may not import that"
        if folder != "liminal_mesh":
            assert module == f"liminal_mesh.{other}", f"{where}: import from the folder itself"
        assert names, f"{where}: import the names"
        door = ROOT.joinpath(*module.split(".")[1:], "__init__.py")
        if door.exists():
            missing = [name for name in names if name not in (_all(door) or ())]
            assert not missing, f"{where}: {missing} are not in its __all__"


@pytest.mark.parametrize("path", [path for path in PACKAGE if _folder(path) != "liminal_mesh"], ids=_name)
def test_a_folder_imports_itself_relatively(path: Path) -> None:
    """So that a folder reads the same wherever it is mounted."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.ImportFrom) and not node.level:
            assert not (node.module or "").startswith(f"liminal_mesh.{_folder(path)}"), f"{_name(path)}:{node.lineno}"


@pytest.mark.parametrize("path", CORES, ids=_name)
def test_a_core_knows_no_clock_no_chance_no_network_and_no_loop(path: Path) -> None:
    """It runs in the simulator as it is. Names for the type checker do not count, nor ``Random`` as a type."""
    shell_names = {name for shell in CLUSTER_SHELLS for name in _all(ROOT / "cluster" / f"{shell}.py") or ()}
    shells = {f"liminal_mesh.cluster.{shell}" for shell in CLUSTER_SHELLS}
    for module, names, line, typing_only in _imports(path):
        if typing_only or (module, names) == ("random", ("Random",)):
            continue
        where = f"{_name(path)}:{line}"
        assert module.split(".")[0] not in OUTER_WORLD, f"{where} imports {module}"
        assert module not in shells, f"{where} imports the shell {module}"
        if module == "liminal_mesh.cluster" and _folder(path) == "node":
            assert not shell_names & set(names), f"{where} imports a shell: {shell_names & set(names)}"
    made = [node for node in ast.walk(_tree(path)) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Random"]
    assert not made, f"{_name(path)}: chance is handed in, never made here"


@pytest.mark.parametrize("path", PACKAGE, ids=_name)
def test_nothing_is_unpickled_or_evaluated(path: Path) -> None:
    """Bytes from a network never become code."""
    assert not [module for module, *_ in _imports(path) if module.split(".")[0] in NEVER]
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"eval", "exec"}, f"{_name(path)}:{node.lineno}"


@pytest.mark.parametrize("path", PACKAGE, ids=_name)
def test_what_a_module_offers_is_in_its_all(path: Path) -> None:
    """The surface is deliberate: no public class or function beside it, and nothing in it that is not there."""
    public, defined = _all(path), _defined(path)
    if public is None:
        assert not {name for name in defined if not name.startswith("_")}, f"{_name(path)} has no __all__"
        return
    if "__getattr__" in defined:  # lazy: that each name is really there is shown by test_front_door
        defined = defined | {name for _, names, _, typing_only in _imports(path) if typing_only for name in names}
    assert not set(public) - defined, f"{_name(path)}: __all__ names what is not there"
    assert len(set(public)) == len(public)
    if path.name == "__init__.py":
        ours = (found for found in _imports(path) if found.module.startswith("liminal_mesh"))
        offered = {name for found in ours for name in found.names}
    else:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        offered = {node.name for node in _top(path) if isinstance(node, kinds)} - _registered(path)
    extra = {name for name in offered if not name.startswith("_")} - set(public)
    assert not extra, f"{_name(path)}: {sorted(extra)} are public, but not in __all__"


@pytest.mark.parametrize("path", HOUSE, ids=_name)
def test_files_and_functions_are_short(path: Path) -> None:
    """A file is one idea, a function one thought."""
    length = path.read_text(encoding="utf-8").count("\n")
    assert length <= LINES_MAX, f"{_name(path)} has {length} lines"
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= FUNCTION_LINES_MAX, f"{_name(path)}:{node.lineno} {node.name} has {lines} lines"


@pytest.mark.parametrize("path", HOUSE, ids=_name)
def test_no_error_is_swallowed_whole(path: Path) -> None:
    """Whoever drops an error names it."""
    broad = {"Exception", "BaseException"}
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.ExceptHandler):
            caught = {inner.id for inner in ast.walk(node.type) if isinstance(inner, ast.Name)} if node.type else broad
            silent = all(isinstance(one, ast.Pass) for one in node.body)
            assert not (silent and caught & broad), f"{_name(path)}:{node.lineno}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"suppress", "contextlib.suppress"}:
            assert not {ast.unparse(argument) for argument in node.args} & broad, f"{_name(path)}:{node.lineno}"


@pytest.mark.parametrize("path", sorted({*HOUSE, *_sources("tests")}), ids=_name)
def test_no_markers_are_left(path: Path) -> None:
    """What is still to be done is in the tracker, or is done."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        assert not LEFTOVERS.search(line), f"{_name(path)}:{number}: {line.strip()}"
