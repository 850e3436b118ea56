"""The parts of ``liminal demo`` that need no processes; the whole is shown by the live tests."""

import io
from pathlib import Path

from liminal_mesh.node.cli import demo_nodes
from liminal_mesh.node.cli.demo_traffic import poem
from liminal_mesh.node.cli.demo_view import make_view
from liminal_mesh.node.config_sources import load_config

from .conftest import Run


def test_its_text_comes_with_the_package() -> None:
    """Enough of it to watch for a while, and each line fits beside the table."""
    lines = poem()

    assert len(lines) > 60
    assert all(0 < len(line) <= 78 for line in lines)


def test_its_files_load_and_name_one_seed(tmp_path: Path) -> None:
    """The first node knows nobody; the others know the first one's mesh address."""
    files = demo_nodes.write_files(tmp_path, 3)
    configs = [load_config(file).config for file in files]
    clusters = [config.cluster for config in configs if config.cluster]

    assert [config.name for config in configs] == ["demo-1", "demo-2", "demo-3"]
    assert [tuple(cluster.seeds) for cluster in clusters] == [(), (clusters[0].listen,), (clusters[0].listen,)]
    assert (tmp_path / "cookie").stat().st_mode & 0o777 == 0o600


def test_off_a_terminal_it_shows_lines_that_cannot_move_a_cursor() -> None:
    """What others publish may be shown too."""
    stream = io.StringIO()
    make_view(stream).tell("one\x1b[2J\ntwo")

    assert stream.getvalue() == "one\\x1b[2J\ntwo\n"


def test_one_node_makes_no_mesh(run: Run) -> None:
    """A usage error."""
    assert run("demo", "--nodes", "1").code == 2
