"""The files and folders that a configuration names."""

import secrets
from pathlib import Path

import pytest

from liminal_mesh.node.config import ClusterConfig, NodeConfig
from liminal_mesh.node.config_checks import file_problems, read_cookies
from liminal_mesh.node.errors import ConfigError


def with_cookies(*paths: Path) -> NodeConfig:
    return NodeConfig(cluster=ClusterConfig(cookie_files=paths))


def test_the_cookies_of_the_ring_are_read_in_their_order(tmp_path: Path) -> None:
    """The first is the one to dial with; white space around a cookie is not part of it."""
    new, old = secrets.token_hex(32), secrets.token_hex(32)
    (tmp_path / "new").write_text(f"{new}\n")
    (tmp_path / "old").write_text(old)

    assert read_cookies(with_cookies(tmp_path / "new", tmp_path / "old")) == (new.encode(), old.encode())


def test_a_node_without_a_mesh_or_without_a_cookie_reads_none() -> None:
    """On loopback a cookie may be left out."""
    assert read_cookies(NodeConfig()) == ()
    assert read_cookies(NodeConfig(cluster=ClusterConfig())) == ()


def test_all_bad_cookies_are_reported_together_and_none_is_shown(tmp_path: Path) -> None:
    """A missing file, and a well-known word."""
    (tmp_path / "weak").write_text("monster")

    with pytest.raises(ConfigError) as refusal:
        read_cookies(with_cookies(tmp_path / "weak", tmp_path / "missing"))

    weak, missing = refusal.value.problems
    assert (weak.path, missing.path) == ("cluster.cookie_files[0]", "cluster.cookie_files[1]")
    assert "well-known" in weak.message
    assert "monster" not in weak.message
    assert missing.message == f"{tmp_path / 'missing'}: No such file or directory"


def test_a_cookie_file_that_is_something_else_is_not_read_whole(tmp_path: Path) -> None:
    """A wrong path may lead to a huge file, or to a folder."""
    (tmp_path / "log").write_bytes(b"x" * 10_000)

    with pytest.raises(ConfigError, match="larger than 4 KiB"):
        read_cookies(with_cookies(tmp_path / "log"))
    with pytest.raises(ConfigError, match="Is a directory"):
        read_cookies(with_cookies(tmp_path))


def test_a_data_folder_has_to_be_a_folder_or_to_be_makeable(tmp_path: Path) -> None:
    """HC2: what is not there yet is made at the start; what is no folder is a problem."""
    (tmp_path / "file").touch()

    assert file_problems(NodeConfig(data_dir=tmp_path / "new" / "data")) == []
    (problem,) = file_problems(NodeConfig(data_dir=tmp_path / "file" / "data"))
    assert problem.message == f"{tmp_path / 'file'} is not a folder"
