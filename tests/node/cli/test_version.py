"""``liminal version``."""

from importlib.metadata import version

from .conftest import Run


def test_the_version_is_that_of_the_distribution(run: Run) -> None:
    """As a verb, as JSON, as an option."""
    assert run("version").out.startswith(f"liminal {version('liminal-mesh')}\npython ")
    assert run("version", "--json").document["liminal"] == version("liminal-mesh")
    assert run("--version").out == f"liminal {version('liminal-mesh')}\n"
