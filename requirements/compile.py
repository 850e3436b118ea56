"""Writes the exact, hashed pins of this folder from the ranges in ``pyproject.toml``.

Run it with the oldest Python that is supported, where pip-tools is installed: ``python requirements/compile.py``.
Pins that are there stay as they are unless a range rules them out; ``--upgrade`` takes the newest.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
FILES = {"image.txt": [], "dev.txt": ["dev"], "bench.txt": ["dev", "bench"]}
"""Which dependency groups go into which file, beside the dependencies, the extras and what builds the package."""
OPTIONS = [
    "--quiet",
    "--generate-hashes",
    "--allow-unsafe",
    "--strip-extras",
    "--no-annotate",
    "--no-header",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--no-emit-trusted-host",
]


def main() -> None:
    """Compile each file."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras: dict[str, list[str]] = project["project"]["optional-dependencies"]
    for name, groups in FILES.items():
        ranges = [*project["project"]["dependencies"], *project["build-system"]["requires"], *extras["uvloop"]]
        for group in groups:
            ranges += project["dependency-groups"][group]
        command = [sys.executable, "-m", "piptools", "compile", *OPTIONS, *sys.argv[1:]]
        subprocess.run(
            [*command, "--output-file", f"requirements/{name}", "-"],
            input="\n".join(ranges),
            text=True,
            cwd=ROOT,
            check=True,
        )


if __name__ == "__main__":
    main()
