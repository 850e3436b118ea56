"""A node's name and epoch, as they are kept."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from liminal_mesh.cluster import NODE_NAME
from liminal_mesh.node.errors import ConfigError
from liminal_mesh.node.identity_store import choose_epoch, choose_name, store_identity


def test_a_name_is_kept(tmp_path: Path) -> None:
    """Also one that was made up; the folder is made on the way, for its owner alone."""
    folder = tmp_path / "deep" / "data"
    name = choose_name(None, folder)
    assert NODE_NAME.match(name)
    store_identity(folder, name, 5)

    assert choose_name(None, folder) == name
    assert choose_name(name, folder) == name
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.iterdir()] == ["node.json"]


def test_names_that_are_made_up_differ() -> None:
    """Two nodes of one machine without a folder are two."""
    assert choose_name(None, None) != choose_name(None, None)
    assert choose_name("given", None) == "given"


def test_a_folder_belongs_to_one_node(tmp_path: Path) -> None:
    """Its name and the folder are in the error."""
    store_identity(tmp_path, "a", 5)
    with pytest.raises(ConfigError) as error:
        choose_name("b", tmp_path)

    [problem] = error.value.problems
    assert problem.path == "name"
    assert "'a'" in problem.message
    assert "'b'" in problem.message
    assert str(tmp_path) in problem.message


def test_an_epoch_grows_whatever_the_clock_does(tmp_path: Path) -> None:
    """Above what was kept, and not before the clock."""
    assert choose_epoch(tmp_path, 1000) == 1000
    store_identity(tmp_path, "a", 1000)
    assert choose_epoch(tmp_path, 1000) == 1001
    assert choose_epoch(tmp_path, 10) == 1001
    assert choose_epoch(tmp_path, 5000) == 5000
    assert choose_epoch(None, 7) == 7


def test_large_epochs_survive(tmp_path: Path) -> None:
    """As text, since JSON's numbers do not hold 64 bits."""
    store_identity(tmp_path, "a", 2**63 + 1)

    assert json.loads((tmp_path / "node.json").read_text()) == {"name": "a", "epoch": str(2**63 + 1)}
    assert choose_epoch(tmp_path, 0) == 2**63 + 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '"a"',
        '{"name": "a", "epoch": "soon"}',
        '{"name": 7, "epoch": "1"}',
        '{"name": "a b", "epoch": "1"}',
        '{"epoch": "1"}',
    ],
)
def test_a_file_that_was_damaged_is_named(tmp_path: Path, text: str) -> None:
    """A node must not take another name, or an old epoch, because of it."""
    (tmp_path / "node.json").write_text(text)

    with pytest.raises(ConfigError, match=r"node\.json"):
        choose_epoch(tmp_path, 0)
    with pytest.raises(ConfigError, match=r"node\.json"):
        choose_name(None, tmp_path)


def test_a_write_that_breaks_leaves_the_former(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole or not at all."""
    store_identity(tmp_path, "a", 1)

    def broken(descriptor: int) -> None:
        raise OSError(descriptor, "no space")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(ConfigError, match=f"data_dir: {tmp_path} cannot be written to: no space"):
        store_identity(tmp_path, "a", 2)

    assert choose_epoch(tmp_path, 0) == 2


def test_nothing_is_kept_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the current one either."""
    monkeypatch.chdir(tmp_path)
    store_identity(None, "a", 1)

    assert list(tmp_path.iterdir()) == []
