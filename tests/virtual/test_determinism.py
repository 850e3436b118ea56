"""The same seed is the same run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .scenario import trace

ROOT = Path(__file__).parent.parent.parent


def run(seed: int, hash_seed: int) -> str:
    """Return the trace of a run in a process of its own, under a seed of string hashes."""
    return subprocess.run(
        [sys.executable, "-m", "tests.virtual.scenario", str(seed)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    ).stdout


def test_a_seed_gives_the_same_run_in_every_process() -> None:
    """To the last bit of every time, whatever the hashes of strings are."""
    first, second = run(7, 1), run(7, 2)

    assert first == second
    assert first.count("\n") > 300
    assert all(word in first for word in ("lost", "link_down", " client "))


async def test_another_seed_gives_another_run() -> None:
    """Chance is drawn from the seed."""
    assert await trace(1) != await trace(2)
