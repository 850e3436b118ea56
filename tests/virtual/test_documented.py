"""The page for users: what it shows, runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_example_can_be_copied(tmp_path: Path) -> None:
    """Into a file of its own, where nothing of this project's settings holds."""
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "testing.md").read_text(), re.DOTALL)
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
