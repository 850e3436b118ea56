"""The front door and the bus's own: what they promise by name is what they give."""

from __future__ import annotations

import ast
import importlib
import inspect
import pydoc
import subprocess
import sys

import pytest

import liminal_mesh

DOORS = ("liminal_mesh", "liminal_mesh.node")


@pytest.mark.parametrize("door", DOORS)
def test_every_name_is_there_and_comes_from_where_the_type_checker_sees_it(door: str) -> None:
    """``__all__``, the imports for type checkers and the homes of the lazy names are one list."""
    module = importlib.import_module(door)
    tree = ast.parse(inspect.getsource(module))
    typed = {
        alias.name: "." * node.level + (node.module or "")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module not in {"importlib", "typing"}
        for alias in node.names
    }

    assert sorted(module.__all__) == sorted(typed)
    assert typed == module._HOMES
    assert all(getattr(module, name) is not None for name in module.__all__)


@pytest.mark.parametrize("door", DOORS)
def test_another_name_is_an_attribute_error_that_names_it(door: str) -> None:
    """A typo is told as Python tells it."""
    with pytest.raises(AttributeError, match="Nodee"):
        _ = importlib.import_module(door).Nodee


def test_importing_the_front_door_loads_neither_the_bus_nor_its_libraries() -> None:
    """Whoever imports one thing pays for that alone."""
    heavy = ("aiohttp", "pydantic", "msgspec", "asyncio")
    code = f"import sys, liminal_mesh; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("door", DOORS)
def test_no_lazy_name_is_also_a_module_beside_it(door: str) -> None:
    """Whoever imports a module ``connect`` would find it under the name of the function, from then on."""
    module = importlib.import_module(door)

    assert not [name for name, home in module._HOMES.items() if home.rpartition(".")[2] == name]


def test_the_help_of_what_a_program_holds_shows_no_insides() -> None:
    """No address of an object stands in a signature."""
    shown = [
        pydoc.plain(pydoc.render_doc(one)) for one in (liminal_mesh.Node, liminal_mesh.Client, liminal_mesh.connect)
    ]

    assert [line for text in shown for line in text.splitlines() if " at 0x" in line] == []
