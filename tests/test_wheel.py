"""The wheel holds what the tree holds: an editable install works without a sub-package that the wheel lacks."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("storage", "cluster", "node")
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


def _build(tree: Path, into: Path) -> set[str]:
    """Build the wheel of a tree with the pinned setuptools, as pip would, and list its files."""
    into.mkdir()
    subprocess.run([sys.executable, "-c", BUILD, str(into)], cwd=tree, check=True, capture_output=True, timeout=50)
    (wheel,) = into.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, so that a build leaves nothing in the real ones."""
    copy = tmp_path_factory.mktemp("wheel") / "tree"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("liminal_mesh", *FOLDERS):
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=ignore)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, copy)
    return copy


def _expected(tree: Path) -> set[str]:
    inside = {str(path.relative_to(tree)) for path in (tree / "liminal_mesh").glob("*.py")}
    for folder in FOLDERS:
        inside |= {f"liminal_mesh/{path.relative_to(tree)}" for path in (tree / folder).rglob("*.py")}
    return inside


def test_the_wheel_holds_every_module_of_the_tree_and_no_other(tree: Path, tmp_path: Path) -> None:
    """A sub-package that ``packages`` in pyproject.toml does not name would be missing without a word."""
    files = _build(tree, tmp_path / "wheel")
    assert {name for name in files if name.endswith(".py")} == _expected(tree)


def test_the_wheel_is_marked_as_typed(tree: Path, tmp_path: Path) -> None:
    """Type checkers read our annotations only with the marker."""
    assert "liminal_mesh/py.typed" in _build(tree, tmp_path / "wheel")


def test_a_sub_package_that_is_not_declared_is_noticed(tree: Path, tmp_path: Path) -> None:
    """The comparison above can fail."""
    copy = tmp_path / "tree"
    shutil.copytree(tree, copy, symlinks=True)
    new = copy / "node" / "forgotten"
    new.mkdir()
    (new / "__init__.py").write_text("")
    files = _build(copy, tmp_path / "wheel")
    assert _expected(copy) - files == {"liminal_mesh/node/forgotten/__init__.py"}
