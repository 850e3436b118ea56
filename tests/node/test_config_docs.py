"""The reference of the configuration."""

import subprocess
import sys
import tomllib
from pathlib import Path

from liminal_mesh.node.config import NodeConfig

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_the_model_says() -> None:
    """Run ``python docs/make_configuration.py`` after a change of the model."""
    command = [sys.executable, str(DOCS / "make_configuration.py"), "--check"]

    assert subprocess.run(command, timeout=60, check=False).returncode == 0


def test_the_example_of_the_page_is_a_good_configuration() -> None:
    """It loads as it stands, once its cookie is made."""
    example = (DOCS / "configuration.md").read_text().partition("```toml\n")[2].partition("```")[0]

    assert NodeConfig.model_validate(tomllib.loads(example)).name == "a"
