"""The program that the README begins with."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

from .processes import ENVIRON, PATIENCE_S

ROOT = Path(__file__).parents[2]


def test_the_first_program_runs_as_it_stands_until_it_is_interrupted(tmp_path: Path) -> None:
    """But for its ports, which others may have: it gets what it publishes, and Ctrl-C ends it without a stray word."""
    program = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[0]
    program = program.replace('name="a",', 'name="a", client={"listen": FREE}, http={"listen": FREE},')
    program = program.replace("ClusterConfig(", "ClusterConfig(listen=FREE, ")
    (tmp_path / "program.py").write_text(f'FREE = "127.0.0.1:0"\n{program}')

    with subprocess.Popen(
        [sys.executable, "-X", "dev", "-u", "program.py"],
        cwd=tmp_path,
        env={**ENVIRON, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stdout is not None
            assert [running.stdout.readline() for _ in range(2)] == ["{} True\n", "{'id': 7} a 1\n"]
            running.send_signal(signal.SIGINT)
            _, said = running.communicate(timeout=PATIENCE_S)
        finally:
            running.kill()

    assert said.startswith("Traceback")
    assert said.endswith("\nKeyboardInterrupt\n")
    assert "never retrieved" not in said
    assert "Warning" not in said
