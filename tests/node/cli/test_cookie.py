"""``liminal cookie new``."""

import stat
from pathlib import Path

from liminal_mesh.node.config import ClusterConfig, NodeConfig
from liminal_mesh.node.config_checks import read_cookies

from .conftest import Run


def test_a_new_cookie_is_in_a_file_for_its_owner_alone(run: Run, tmp_path: Path) -> None:
    """And a node takes it."""
    file = tmp_path / "cookie"

    ran = run("cookie", "new", str(file))

    assert (ran.code, ran.out) == (0, "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (cookie,) = read_cookies(NodeConfig(cluster=ClusterConfig(cookie_file=file)))
    assert len(cookie) == 64


def test_a_file_that_is_there_is_left_as_it_is(run: Run, tmp_path: Path) -> None:
    """Nor is a link followed, even one that leads nowhere."""
    file, link = tmp_path / "cookie", tmp_path / "link"
    file.write_text("precious")
    link.symlink_to(tmp_path / "elsewhere")

    assert run("cookie", "new", str(file)).code == 1
    assert run("cookie", "new", str(link)).code == 1
    assert file.read_text() == "precious"
    assert not (tmp_path / "elsewhere").exists()


def test_without_a_file_it_is_data(run: Run) -> None:
    """Each time another."""
    first, second = run("cookie", "new").out, run("cookie", "new", "--json").document["cookie"]

    assert len(first.strip()) == len(second) == 64
    assert first.strip() != second


def test_a_folder_that_is_not_there_is_told(run: Run, tmp_path: Path) -> None:
    """One line with the system's own words."""
    ran = run("cookie", "new", str(tmp_path / "no" / "cookie"))

    assert ran.code == 1
    assert "No such file or directory" in ran.err
