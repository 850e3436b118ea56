"""The pages for users: what they show, runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("page", ["keys.md", "testing.md", "pressure.md", "subscriptions.md"])
def test_the_examples_can_be_copied(tmp_path: Path, page: str) -> None:
    """Into a file of its own, where nothing of this project's settings holds."""
    example = "\n".join(re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL))
    (tmp_path / "test_orders.py").write_text(example)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error::RuntimeWarning", "-pno:cacheprovider", "test_orders.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(re.findall('async def test_', example))} passed" in done.stdout
